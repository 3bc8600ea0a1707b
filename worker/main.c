// penstock-worker: flags, signals and exit codes; the work is in worker/run.
//
// SIGTERM, SIGINT: drain; a second one hands back at once. SIGHUP: read the settings again.
// Exit codes: 0 ended as asked; 1 could not start; 2 a setting makes no sense.
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/conf/conf.h"
#include "common/job/prices.h"
#include "worker/admin/admin.h"
#include "worker/app.h"

#include <stdio.h>
#include <string.h>

extern char **environ;

// print_man prints penstock-worker.8; the build makes the file of it.
static void print_man(void)
{
    puts(
        ".TH PENSTOCK\\-WORKER 8 \"\" \"penstock " PENSTOCK_VERSION "\" \"Penstock\"\n"
        ".SH NAME\n"
        "penstock\\-worker \\- take jobs from Redis, call a rate\\-limited API, store the results\n"
        ".SH SYNOPSIS\n"
        ".B penstock\\-worker\n[\\fB\\-\\-\\fIflag\\fR=\\fIvalue\\fR ...]\n.br\n"
        ".B penstock\\-worker \\-\\-healthcheck\n"
        ".SH DESCRIPTION\n"
        "A worker takes payloads from the lists of its queues, makes one call of the API for each, "
        "and stores the result under the job's id.\n"
        "All workers of a Redis share one ledger of the API's quota, and start calls no faster "
        "than it allows.\n"
        "It logs to standard error, a JSON object a line, and serves /metrics, /healthz, /readyz "
        "and a page at PENSTOCK_HTTP.\n"
        ".SH SETTINGS\n"
        "A flag wins over the environment, that over the settings file, that over the default.");
    conf_man(CONF_WORKER, stdout);
    puts(".SH SIGNALS\n"
         ".TP\n.BR SIGTERM \", \" SIGINT\nClaim nothing more, let calls end "
         "(PENSTOCK_DRAIN_MS), hand back the rest. A second one hands back at once.\n"
         ".TP\n.B SIGHUP\nRead the settings again; those that need a restart are named in the "
         "log.\n"
         ".SH \"EXIT STATUS\"\n"
         ".TP\n.B 0\nIt ended as it was asked to; with \\-\\-healthcheck: the worker is well.\n"
         ".TP\n.B 1\nIt could not start, or is not well.\n"
         ".TP\n.B 2\nA setting makes no sense; the message says what to write.\n"
         ".SH \"SEE ALSO\"\n.BR penstock (1)");
}

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
    if (strcmp(word, "--print-man") == 0) {
        print_man();
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
    if (prices_use(conf.prices_file, why, sizeof why)) {
        conf_fini(&conf);
        return refuse(why);
    }
    log_setup((enum log_level)log_level_parse(conf.log_level),
              strcmp(conf.log_format, "text") == 0 ? LOG_TEXT : LOG_JSON);
    return app_run(&conf, argc - 1, argv + 1);
}
