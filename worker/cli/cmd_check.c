// penstock check: what is wrong, and what to do about it. It makes no call that costs anything,
// unless --call asks for one.
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/job/prices.h"
#include "worker/cli/find.h"
#include "worker/http/client.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

extern char **environ;

enum { CHECK_TEXT_MAX = 600, SKEW_MS = 2000, API_MS = 15000 };

struct check {
    struct cli *cli;
    bool some;
    int wrong, warned;
    struct strbuf info; // of INFO
};

enum level { FINE, WARN, WRONG };

// say prints one finding: what is so, and what to do.
static void say(struct check *k, enum level level, const char *what, const char *fix, ...)
    PRINTF(4, 5);
static void say(struct check *k, enum level level, const char *what, const char *fix, ...)
{
    static const char *const words[] = {"ok", "warning", "wrong"};
    char text[CHECK_TEXT_MAX];
    va_list args;
    va_start(args, fix);
    vsnprintf(text, sizeof text, fix, args);
    va_end(args);
    k->wrong += level == WRONG;
    k->warned += level == WARN;
    if (!k->cli->json) {
        printf("%-8s %-12s %s\n", words[level], what, text);
        return;
    }
    struct strbuf b;
    strbuf_init(&b, 1 << 16);
    strbuf_add_fmt(&b, "%s{\"level\":\"%s\",\"about\":\"%s\",\"text\":", k->some ? "," : "",
                   words[level], what);
    strbuf_add_json_str(&b, text);
    strbuf_add_char(&b, '}');
    fwrite(b.at, 1, b.len, stdout);
    strbuf_fini(&b);
    k->some = true;
}

static void take_info(int err, const struct reply *reply, void *arg)
{
    struct span text;
    if (err == 0 && reply_str(reply, &text))
        strbuf_add_span(arg, text);
}

// info_of finds a line "name:value" of INFO.
static bool info_of(const struct check *k, const char *name, char *ret, size_t room)
{
    size_t len = strlen(name);
    for (const char *at = k->info.at; at && *at;) {
        if (strncmp(at, name, len) == 0 && at[len] == ':') {
            snprintf(ret, room, "%.*s", (int)strcspn(at + len + 1, "\r\n"), at + len + 1);
            return true;
        }
        at = strchr(at, '\n');
        at = at ? at + 1 : NULL;
    }
    return false;
}

static void check_server(struct check *k)
{
    char version[64] = "", text[64] = "";
    if (sync_words(k->cli->redis, take_info, &k->info, "INFO", NULL) || !k->info.len) {
        say(k, WARN, "redis", "INFO is not allowed (%s): version and persistence not looked at",
            sync_why(k->cli->redis));
        return;
    }
    bool valkey = info_of(k, "valkey_version", version, sizeof version);
    if (!valkey && (!info_of(k, "redis_version", version, sizeof version) || atol(version) < 7))
        say(k, WRONG, "redis", "version %s is too old: install Redis 7.0 or later, or Valkey",
            version);
    else
        say(k, FINE, "redis", "%s %s answers", valkey ? "Valkey" : "Redis", version);
    size_t nodes = rlink_nodes(sync_link(k->cli->redis));
    if (nodes)
        say(k, FINE, "redis", "it is a cluster: %zu node%s with slots", nodes,
            nodes > 1 ? "s" : "");
    else if (info_of(k, "cluster_enabled", text, sizeof text) && strcmp(text, "1") == 0)
        say(k, WRONG, "redis",
            "it is a cluster, and CLUSTER SLOTS is not allowed: give this user "
            "+cluster|slots");
    else if (info_of(k, "role", text, sizeof text) && strcmp(text, "master") != 0)
        say(k, WRONG, "redis", "it is a replica: name the master, or use redis+sentinel://");
    if (info_of(k, "aof_enabled", text, sizeof text) && strcmp(text, "1") != 0)
        say(k, WARN, "persistence",
            "there is no append-only file: a restart of Redis loses jobs; "
            "set appendonly yes");
    else if (info_of(k, "aof_last_write_status", text, sizeof text) && strcmp(text, "ok") != 0)
        say(k, WRONG, "persistence", "the append-only file cannot be written: look at Redis' log");
    if (info_of(k, "maxmemory_policy", text, sizeof text) && strcmp(text, "noeviction") != 0)
        say(k, WRONG, "memory", "maxmemory-policy is %s: Redis may throw jobs away; set noeviction",
            text);
}

// check_rights runs a script that touches keys and changes nothing.
static void check_rights(struct check *k)
{
    static struct args args;
    char stem[CLI_KEY_MAX];
    cli_key(k->cli, "", stem);
    args_add_str(&args, "penstock-check");
    if (sync_script(k->cli->redis, SCRIPT_DEAD_DROP, stem, &args, NULL, NULL))
        say(k, WRONG, "rights", "scripts cannot run: %s; see deploy/redis/users.acl",
            sync_why(k->cli->redis));
    else
        say(k, FINE, "rights", "scripts may run and write this queue's keys");
}

static void check_clock(struct check *k)
{
    int64_t now_ms = 0, before = clock_wall_ms();
    if (cli_now(k->cli, &now_ms))
        return;
    int64_t skew = now_ms - (before + clock_wall_ms()) / 2;
    if (llabs(skew) > SKEW_MS)
        say(k, WARN, "clock",
            "Redis' clock is %lld ms %s this machine's: times in results are by "
            "Redis' clock; set the clocks",
            (long long)llabs(skew), skew > 0 ? "ahead of" : "behind");
    else
        say(k, FINE, "clock", "Redis and this machine agree to %lld ms", (long long)llabs(skew));
}

static void check_queue(struct check *k)
{
    char key[CLI_KEY_MAX];
    struct strbuf text;
    strbuf_init(&text, 1 << 20);
    cli_key(k->cli, "version", key);
    if (sync_text(k->cli->redis, &text, "GET", key) && atol(text.at ? text.at : "") > 1)
        say(k, WRONG, "queue", "%s is of protocol version %s, newer than this program: update it",
            k->cli->queue, text.at);
    cli_key(k->cli, "paused", key);
    if (sync_text(k->cli->redis, &text, "GET", key))
        say(k, WARN, "queue", "%s is paused (%.200s): penstock resume lets it go on", k->cli->queue,
            text.at ? text.at : "");
    cli_key(k->cli, "dead", key);
    int64_t dead = sync_int(k->cli->redis, "ZCARD", key, 0);
    if (dead > 0)
        say(k, WARN, "queue", "%lld dead jobs in %s: penstock dead list", (long long)dead,
            k->cli->queue);
    strbuf_fini(&text);
}

static void check_workers(struct check *k)
{
    struct names all = {0};
    size_t alive = 0;
    char key[CLI_KEY_MAX];
    if (find_workers(k->cli, &all))
        return;
    for (size_t i = 0; i < all.count; i++) {
        key_worker(k->cli->conf.prefix, all.at[i], key, sizeof key);
        alive += sync_int(k->cli->redis, "EXISTS", key, 0) == 1;
    }
    if (alive)
        say(k, FINE, "workers", "%zu alive", alive);
    else
        say(k, WARN, "workers", "none is running here: start penstock-worker");
    names_fini(&all);
}

static void check_redis(struct check *k)
{
    char why[SYNC_WHY_MAX];
    if (sync_open(&k->cli->conf, &k->cli->redis, why, sizeof why)) {
        say(k, WRONG, "redis", "%s", why);
        return;
    }
    check_server(k);
    check_rights(k);
    check_clock(k);
    check_queue(k);
    check_workers(k);
}

// tell_faults names each setting that makes no sense, the worker's as well: it is likely to be
// started with the same ones. What both programs know is told once.
static void tell_faults(struct check *k)
{
    static struct faults of_worker;
    struct faults *own = k->cli->faults;
    struct conf conf;
    for (size_t i = 0; i < own->count; i++)
        say(k, WRONG, "settings", "%s", own->at[i]);
    if (faults_load(CONF_WORKER, 0, NULL, environ, &conf, &of_worker) == 0)
        conf_fini(&conf);
    for (size_t i = 0; i < of_worker.count; i++) {
        bool told = false;
        for (size_t o = 0; o < own->count; o++)
            told = told || strcmp(own->at[o], of_worker.at[i]) == 0;
        if (!told)
            say(k, WRONG, "settings", "of penstock-worker: %s", of_worker.at[i]);
    }
}

static void check_settings(struct check *k)
{
    struct conf_stranger all[16];
    tell_faults(k);
    int count = conf_unknown_env(environ, all, ARRAY_LEN(all));
    for (int i = 0; i < count; i++)
        say(k, WARN, "settings", "%s is no setting%s%s", all[i].name,
            all[i].near ? "; did you mean " : "", all[i].near ? all[i].near : "?");
    if (count == 0 && k->wrong == 0)
        say(k, FINE, "settings", "all make sense, and no stranger is among them");
}

static void check_key(struct check *k)
{
    char why[CONF_WHY_MAX];
    struct conf *conf = &k->cli->conf;
    bool ours = strstr(conf->base_url, "api.anthropic.com") != NULL;
    if (conf_read_key(conf, why, sizeof why)) {
        say(k, WRONG, "key", "%s", why);
        return;
    }
    if (!conf->api_key || !conf->api_key[0]) {
        say(k, ours ? WRONG : WARN, "key",
            "there is none: set ANTHROPIC_API_KEY, or ANTHROPIC_API_KEY_FILE to a file with it");
        return;
    }
    if (strpbrk(conf->api_key, " \t\r\n\"'"))
        say(k, WRONG, "key", "it has blanks or quotes in it: it was not copied right");
    else if (ours && strncmp(conf->api_key, "sk-ant-", 7) != 0)
        say(k, WARN, "key", "it does not begin with sk-ant-, as the keys of this API do");
    else
        say(k, FINE, "key", "it is there, %zu characters", strlen(conf->api_key));
}

struct api_try {
    struct check *check;
    uv_loop_t loop;
    struct http_client *client;
    bool paid;
};

static void judge(struct check *k, const struct http_answer *a, bool paid)
{
    const char *what = paid ? "a message" : "a count of tokens, which is free";
    if (a->error)
        say(k, WRONG, "api", "%s cannot be reached: %.200s", k->cli->conf.base_url,
            a->error_text[0] ? a->error_text : err_text(a->error));
    else if (a->status == 200)
        say(k, FINE, "api", "%s answers %s in %.0f ms", k->cli->conf.base_url, what,
            (double)a->total_us / 1e3);
    else if (a->status == 401 || a->status == 403)
        say(k, WRONG, "api", "it refuses the key: HTTP %d %.200s", a->status,
            a->body.at ? a->body.at : "");
    else if (a->status == 404 && !paid)
        say(k, WARN, "api",
            "reached, but it knows no such model or no token counting: HTTP 404 "
            "%.200s",
            a->body.at ? a->body.at : "");
    else if (a->status == 429)
        say(k, WARN, "api", "reached, and it says 429: the quota is in use");
    else
        say(k, WRONG, "api", "HTTP %d: %.200s", a->status, a->body.at ? a->body.at : "");
}

static void on_client_closed(void *arg)
{
    (void)arg;
}

static void on_api_answer(struct http_answer *answer, void *arg)
{
    struct api_try *t = arg;
    judge(t->check, answer, t->paid);
    http_client_close(t->client, on_client_closed, NULL);
}

static int ask_api(struct api_try *t, struct strbuf *body)
{
    const struct conf *conf = &t->check->cli->conf;
    struct http_options opt = {.connect_timeout_ms = API_MS,
                               .first_byte_timeout_ms = API_MS,
                               .idle_timeout_ms = API_MS,
                               .body_bytes_max = 1 << 20,
                               .ca_file = conf->ca_file,
                               .proxy = conf->proxy,
                               .calls_max = 1};
    char url[1024], key[512], version[128];
    struct http_target *target;
    struct http_call *call;
    snprintf(url, sizeof url, "%s/v1/messages%s", conf->base_url, t->paid ? "" : "/count_tokens");
    snprintf(key, sizeof key,
             strcmp(conf->auth, "bearer") == 0 ? "authorization: Bearer %s" : "x-api-key: %s",
             conf->api_key ? conf->api_key : "none");
    snprintf(version, sizeof version, "anthropic-version: %s", conf->api_version);
    const char *headers[] = {"content-type: application/json", key, version, NULL};
    int err = http_client_new(&t->loop, &opt, &t->client);
    if (err)
        return err;
    err = http_target_new(t->client, url, headers, &target);
    if (!err) {
        err = http_submit(target, strbuf_span(body), API_MS, on_api_answer, t, &call);
        http_target_unref(target);
    }
    explicit_bzero(key, sizeof key);
    if (err)
        http_client_close(t->client, on_client_closed, NULL);
    return err;
}

static void check_api(struct check *k)
{
    struct api_try t = {.check = k, .paid = cli_option(k->cli, "call") != NULL};
    struct strbuf body;
    if (uv_loop_init(&t.loop))
        return;
    strbuf_init(&body, 4096);
    strbuf_add_str(&body, "{\"model\":");
    strbuf_add_json_str(&body, k->cli->conf.model);
    strbuf_add_str(&body, ",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]");
    strbuf_add_str(&body, t.paid ? ",\"max_tokens\":1}" : "}");
    int err = ask_api(&t, &body);
    if (err)
        say(k, WRONG, "api", "%s: %s", k->cli->conf.base_url, err_text(err));
    uv_run(&t.loop, UV_RUN_DEFAULT);
    uv_loop_close(&t.loop);
    strbuf_fini(&body);
}

static void check_prices(struct check *k)
{
    char why[CONF_WHY_MAX];
    const char *file = k->cli->conf.prices_file;
    if (prices_use(file, why, sizeof why))
        say(k, WRONG, "prices", "%s", why);
    else if (file)
        say(k, FINE, "prices", "those of %s", file);
}

int cmd_check(struct cli *c)
{
    struct check k = {.cli = c};
    strbuf_init(&k.info, 1 << 20);
    if (c->json)
        fputs("{\"findings\":[", stdout);
    check_settings(&k);
    check_prices(&k);
    check_redis(&k);
    check_key(&k);
    check_api(&k);
    if (c->json)
        printf("],\"wrong\":%d,\"warnings\":%d}\n", k.wrong, k.warned);
    strbuf_fini(&k.info);
    return k.wrong ? EXIT_SOME_FAILED : EXIT_ALL_WELL;
}
