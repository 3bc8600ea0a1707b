// cli: what the verbs of `penstock` share. One table of verbs and their options (verbs.c) is what
// --help is made from; a verb is one function in one file.
#ifndef PENSTOCK_CLI_CLI_H
#define PENSTOCK_CLI_CLI_H

#include "common/job/name.h"
#include "common/queue/keys.h"
#include "worker/cli/faults.h"
#include "worker/cli/sync.h"

#include <stdbool.h>
#include <stdio.h>

// Exit codes, for scripts. They do not change.
enum {
    EXIT_ALL_WELL = 0,
    EXIT_SOME_FAILED = 1, // a job failed, a check found something, an id was not there
    EXIT_USAGE = 2,       // wrong words on the command line or in a setting
    EXIT_NO_REDIS = 3,    // Redis cannot be reached or refused
    EXIT_TIMEOUT = 4,     // --timeout ran out
    EXIT_STOPPED = 5,     // penstock run stopped before its end: Ctrl-C, or --max-cost
};

enum { CLI_OPTIONS_MAX = 24, CLI_KEY_MAX = 1024 };

struct cli;

struct cli_option {
    const char *name;  // without the dashes; NULL ends a list
    const char *value; // what its value is called in --help; NULL = it takes none
    const char *help;
};

struct cli_verb {
    const char *name;
    const char *args; // what follows the options, for --help
    const char *help; // one line
    int (*run)(struct cli *c);
    struct cli_option options[CLI_OPTIONS_MAX];
};

struct cli {
    struct conf conf;
    const struct cli_verb *verb;
    const char *given[CLI_OPTIONS_MAX]; // by the verb's options: the value, or "" for a switch
    bool json;                          // --json: machine output
    struct faults *faults;              // of the settings, for check; NULL = none were let pass
    bool redis_named;                   // by a flag, the environment or the settings file
    const char *queue;                  // --queue, or the first of the settings
    int argc;                           // what is left: the verb's own arguments
    char **argv;
    struct sync *redis; // open from cli_connect on
};

extern const struct cli_verb cli_verbs[]; // ends with a nameless one

struct cli_exit {
    int code;
    const char *meaning; // NULL ends the list
};
extern const struct cli_exit cli_exits[];

// cli_option gives an option's value ("" for a switch), or NULL where it was not given.
const char *cli_option(const struct cli *c, const char *name);
// cli_connect opens c->redis; on failure it has said why, and gives an exit code.
int cli_connect(struct cli *c) MUST_CHECK;
// cli_fail prints one line "penstock VERB: ..." on standard error and gives back the code.
int cli_fail(const struct cli *c, int code, const char *fmt, ...) PRINTF(3, 4);
// cli_lost says what Redis answered last, or how the connection broke; gives EXIT_NO_REDIS.
int cli_lost(const struct cli *c);
// cli_key writes a key of c->queue.
void cli_key(const struct cli *c, const char *name, char ret[CLI_KEY_MAX]);
// cli_id_key writes that of one of its items: kind is "job", "result", "run" or "reply".
void cli_id_key(const struct cli *c, const char *kind, const char *id, char ret[CLI_KEY_MAX]);
// cli_ms reads "500", "30s", "5m", "2h", "1d" as milliseconds (a plain number is seconds); -1 =
// wrong.
int64_t cli_ms(const char *text);
int64_t cli_count(const char *text); // a whole number of 1 or more, nothing behind it; -1 = wrong
int cli_now(struct cli *c, int64_t *ret_ms) MUST_CHECK; // the Redis server's time
// cli_hold_delayed puts aside a paused run's jobs that wait for their time. 0, or an exit code.
int cli_hold_delayed(struct cli *c, const char *run) MUST_CHECK;
// cli_release lets a paused run go on. *ret_jobs: how many had been put aside; may be NULL.
int cli_release(struct cli *c, const char *run, size_t *ret_jobs) MUST_CHECK;
// cli_warn_unknown_run says so where no job has named this run yet: it may be a typing mistake.
void cli_warn_unknown_run(struct cli *c, const char *run);
bool cli_is_pool(const char *name);      // may it be one's name?
bool cli_is_status(const char *word);    // of a result: succeeded, failed, expired, cancelled
void cli_print_text(struct span result); // a result's text, and a newline
bool cli_colour(void);                   // standard output is a terminal, and NO_COLOR is not set

int cmd_push(struct cli *c);
int cmd_run(struct cli *c);
int cmd_get(struct cli *c);
int cmd_wait(struct cli *c);
int cmd_stats(struct cli *c);
int cmd_top(struct cli *c);
int cmd_tail(struct cli *c);
int cmd_export(struct cli *c);
int cmd_limits(struct cli *c);
int cmd_completion(struct cli *c);
int cmd_workers(struct cli *c);
int cmd_runs(struct cli *c);
int cmd_check(struct cli *c);
int cmd_dead(struct cli *c);
int cmd_pause(struct cli *c);
int cmd_resume(struct cli *c);
int cmd_cancel(struct cli *c);

#endif
