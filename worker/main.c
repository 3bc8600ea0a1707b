// penstock-worker: flags, signals and exit codes; the work is in worker/run.
//
// SIGTERM, SIGINT: drain; a second one hands back at once. SIGHUP: read the settings again.
// Exit codes: 0 ended as asked; 1 could not start; 2 a setting makes no sense.
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/conf/conf.h"
#include "worker/admin/admin.h"
#include "worker/app.h"

#include <stdio.h>
#include <string.h>

extern char **environ;

static int answer_and_leave(const char *word)
{
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        puts("penstock-worker: takes jobs from Redis, calls the API, stores the results.\n\n"
             "usage: penstock-worker [--flag value ...]\n"
             "       penstock-worker --healthcheck    0 if the worker at PENSTOCK_HTTP is well\n");
        conf_help(CONF_WORKER, stdout);
        return 0;
    }
    if (strcmp(word, "--version") == 0) {
        puts("penstock-worker " PENSTOCK_VERSION);
        return 0;
    }
    if (strcmp(word, "--print-settings") == 0) {
        conf_markdown(stdout);
        return 0;
    }
    return -1;
}

static int refuse(const char *why)
{
    fprintf(stderr, "penstock-worker: %s\n", why);
    return 2;
}

// healthcheck asks the worker that runs with the same settings; exits 0 if it is well.
static int healthcheck(void)
{
    struct conf conf;
    char why[CONF_WHY_MAX];
    int used = 0;
    if (conf_load(CONF_WORKER, 0, NULL, environ, &conf, &used, why, sizeof why))
        return refuse(why);
    int code = admin_healthcheck(&conf);
    conf_fini(&conf);
    return code;
}

int main(int argc, char **argv)
{
    struct conf conf;
    char why[CONF_WHY_MAX];
    int used = 0;
    if (argc == 2) {
        int code = answer_and_leave(argv[1]);
        if (code >= 0)
            return code;
        if (strcmp(argv[1], "--healthcheck") == 0)
            return healthcheck();
    }
    if (conf_load(CONF_WORKER, argc - 1, argv + 1, environ, &conf, &used, why, sizeof why))
        return refuse(why);
    if (used != argc - 1) {
        snprintf(why, sizeof why, "%.100s is no flag; penstock-worker --help lists them",
                 argv[1 + used]);
        return refuse(why);
    }
    log_setup((enum log_level)log_level_parse(conf.log_level),
              strcmp(conf.log_format, "text") == 0 ? LOG_TEXT : LOG_JSON);
    return app_run(&conf, argc - 1, argv + 1);
}
