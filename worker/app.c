#include "worker/app.h"

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/rnd.h"
#include "common/conf/conf.h"
#include "common/job/prices.h"
#include "common/redis/rurl.h"
#include "worker/admin/admin.h"
#include "worker/run/run.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

extern char **environ;

struct app {
    uv_loop_t loop;
    uv_signal_t term, intr, hup;
    struct conf *conf;   // the settings in use; owned
    struct conf *former; // those before a reload: a run may still borrow from them
    struct run *run;
    struct admin *admin; // NULL = nothing is served
    int open;            // of the run and the admin, how many are not closed yet
    char **argv;
    int argc, exit_code;
    bool closing;
};

// name_worker makes host-pid-random: readable, and never the same twice.
static void name_worker(char *ret, size_t room)
{
    char host[64] = "host";
    gethostname(host, sizeof host - 1);
    for (char *c = host; *c; c++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", *c))
            *c = '-';
    snprintf(ret, room, "%.40s-%d-%04x", host, (int)getpid(), (unsigned)(rnd_u64() & 0xffff));
}

// raise_files lifts the limit of open files to what is allowed: each call needs a socket.
static void raise_files(int64_t concurrency)
{
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim))
        return;
    rlim_t want = (rlim_t)concurrency * 2 + 2048;
    if (lim.rlim_cur < lim.rlim_max) {
        lim.rlim_cur = lim.rlim_max;
        setrlimit(RLIMIT_NOFILE, &lim);
    }
    if (lim.rlim_cur < want && lim.rlim_cur < (rlim_t)concurrency + 256)
        log_event(LOG_WARN, "few_files", log_int("limit", (int64_t)lim.rlim_cur),
                  log_int("concurrency", concurrency),
                  log_str("why", "each call in flight may need a socket: raise ulimit -n"),
                  LOG_END);
}

// on_part_closed: the admin window and the run close side by side, since each may wait for the
// other: questions of the window end with the run's link.
static void on_part_closed(void *arg)
{
    struct app *app = arg;
    if (--app->open > 0)
        return;
    app->run = NULL;
    app->admin = NULL;
    uv_close((uv_handle_t *)&app->term, NULL);
    uv_close((uv_handle_t *)&app->intr, NULL);
    uv_close((uv_handle_t *)&app->hup, NULL);
}

static void close_all(struct app *app)
{
    if (app->closing)
        return;
    app->closing = true;
    app->open = 2;
    admin_close(app->admin, on_part_closed, app);
    run_close(app->run, on_part_closed, app);
}

static void on_ended(void *arg)
{
    close_all(arg);
}

static void on_stop(uv_signal_t *s, int signum)
{
    struct app *app = s->data;
    (void)signum;
    if (!app->closing)
        run_drain(app->run);
}

static void conf_drop(struct conf *c)
{
    if (c)
        conf_fini(c);
    free(c);
}

static void on_reload(uv_signal_t *s, int signum)
{
    struct app *app = s->data;
    char why[CONF_WHY_MAX], kept[CONF_WHY_MAX] = "";
    int used;
    struct conf *fresh = calloc(1, sizeof *fresh);
    (void)signum;
    if (!fresh || app->closing) {
        free(fresh);
        return;
    }
    int err = conf_load(CONF_WORKER, app->argc, app->argv, environ, fresh, &used, why, sizeof why);
    if (err) {
        log_event(LOG_ERROR, "reload_refused", log_str("why", why), LOG_END);
        free(fresh);
        return;
    }
    if (prices_use(fresh->prices_file, why, sizeof why)) {
        log_event(LOG_ERROR, "reload_refused", log_str("why", why), LOG_END);
        conf_drop(fresh);
        return;
    }
    if (conf_keep(app->conf, fresh, kept, sizeof kept) || run_reload(app->run, fresh)) {
        log_event(LOG_ERROR, "reload_refused", log_str("why", "out of memory"), LOG_END);
        conf_drop(fresh);
        return;
    }
    conf_drop(app->former);
    app->former = app->conf;
    app->conf = fresh;
    admin_reload(app->admin, fresh);
    log_setup((enum log_level)log_level_parse(fresh->log_level),
              strcmp(fresh->log_format, "text") == 0 ? LOG_TEXT : LOG_JSON);
    log_event(LOG_INFO, "reloaded", log_str("needs_restart", kept), LOG_END);
}

static void watch_signals(struct app *app)
{
    struct {
        uv_signal_t *handle;
        int signum;
        uv_signal_cb cb;
    } all[] = {{&app->term, SIGTERM, on_stop},
               {&app->intr, SIGINT, on_stop},
               {&app->hup, SIGHUP, on_reload}};
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        uv_signal_init(&app->loop, all[i].handle);
        all[i].handle->data = app;
        uv_signal_start(all[i].handle, all[i].cb, all[i].signum);
    }
}

// warn_strangers speaks of variables that look like settings and are none: typing mistakes.
static void warn_strangers(void)
{
    enum { STRANGERS_MAX = 16 };
    struct conf_stranger all[STRANGERS_MAX];
    int count = conf_unknown_env(environ, all, STRANGERS_MAX);
    for (int i = 0; i < count; i++)
        log_event(LOG_WARN, "unknown_setting", log_str("name", all[i].name),
                  log_str("did_you_mean", all[i].near ? all[i].near : ""), LOG_END);
}

static bool key_is_missing(const struct conf *c)
{
    return (!c->api_key || !c->api_key[0]) && strstr(c->base_url, "api.anthropic.com");
}

// check_settings: what can be told before anything starts is one line, and no log.
static int check_settings(const struct conf *conf)
{
    char why[CONF_WHY_MAX];
    struct rurl url;
    if (key_is_missing(conf))
        snprintf(why, sizeof why,
                 "no API key: set ANTHROPIC_API_KEY, or ANTHROPIC_API_KEY_FILE to a "
                 "file that holds it");
    else if (!rurl_parse(conf->redis_url, &url, why, sizeof why) &&
             !admin_check(conf, why, sizeof why))
        return 0;
    fprintf(stderr, "penstock-worker: %s\n", why);
    return ERR_BAD_CONF;
}

static int start(struct app *app)
{
    char why[CONF_WHY_MAX] = "out of memory", worker[80];
    name_worker(worker, sizeof worker);
    log_event(LOG_INFO, "starting", log_str("worker", worker), log_str("version", PENSTOCK_VERSION),
              log_str("queues", app->conf->queues), log_int("concurrency", app->conf->concurrency),
              log_str("base_url", app->conf->base_url), LOG_END);
    int err = run_new(&app->loop, app->conf, worker, on_ended, app, &app->run, why, sizeof why);
    if (!err)
        err = admin_open(&app->loop, app->conf, app->run, &app->admin, why, sizeof why);
    if (!err)
        return 0;
    fprintf(stderr, "penstock-worker: %s\n", why);
    app->exit_code = err == ERR_BAD_CONF ? 2 : 1;
    if (app->run)
        close_all(app);
    else
        on_part_closed(app);
    return err;
}

// tune_malloc: jobs come and go in sizes that glibc's thread cache holds. Its older quick lists are
// only swept again and again on their behalf, and the top of the heap need not follow each batch.
static void tune_malloc(void)
{
#ifdef M_MXFAST
    mallopt(M_MXFAST, 0);
    mallopt(M_TOP_PAD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 4 << 20);
#endif
}

int app_run(struct conf *conf, int argc, char **argv)
{
    struct app app = {.argc = argc, .argv = argv};
    if (check_settings(conf)) {
        conf_fini(conf);
        return 2;
    }
    app.conf = malloc(sizeof *app.conf);
    warn_strangers();
    conf_scrub_env(environ);
    if (!app.conf || uv_loop_init(&app.loop)) {
        fputs("penstock-worker: could not start: out of memory\n", stderr);
        return 1;
    }
    *app.conf = *conf;
    tune_malloc();
    raise_files(conf->concurrency);
    uv_loop_configure(&app.loop, UV_METRICS_IDLE_TIME);
    watch_signals(&app);
    start(&app);
    uv_run(&app.loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&app.loop)) {
        log_event(LOG_ERROR, "loop_not_closed", LOG_END);
        app.exit_code = app.exit_code ? app.exit_code : 1;
    }
    conf_drop(app.former);
    conf_drop(app.conf);
    log_event(LOG_INFO, "stopped", log_int("exit", app.exit_code), LOG_END);
    return app.exit_code;
}
