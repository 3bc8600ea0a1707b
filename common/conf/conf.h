// conf: every setting of the programs, from one table (conf_table.c):
// default < settings file < environment < flag. Names carry their units.
#ifndef PENSTOCK_CONF_CONF_H
#define PENSTOCK_CONF_CONF_H

#include "common/base/attrs.h"
#include "common/base/strbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { CONF_WHY_MAX = 512, CONF_KEYS_MAX = 64, CONF_NAME_BYTES = 65 };

struct conf {
    const char *settings_file; // NULL = none
    const char *redis_url;     // may hold a password: not for logs (rurl_show)
    const char *prefix;
    const char *queues; // "default" or "interactive:10,bulk:1": a name and its weight
    int64_t concurrency;
    const char *provider;
    const char *api_key; // of one account; secret; NULL = none
    const char *api_key_file;
    const char *api_keys_file; // several keys; NULL = one
    const char *api_keys;      // what that file holds; secret (conf_keys)
    const char *base_url;      // without a trailing slash
    const char *api_version;
    const char *auth;          // x-api-key or bearer
    const char *governor;      // on or off
    const char *model_groups;  // "claude-opus-4*=opus-4": which models share a quota; NULL = none
    const char *output_charge; // produced or reserved: how the API charges output tokens
    const char *budget_usd;    // of a day and pool: "12.50"; 0 = none (conf_nano_usd)
    const char *prices_file;   // what a call costs; NULL = the table that is built in
    int64_t budget_tokens;     // of a day and pool; 0 = none
    const char *model;
    int64_t max_tokens;
    int64_t max_attempts;
    int64_t max_throttles;
    int64_t max_recoveries;
    int64_t max_dead; // kept in a queue; 0 = no limit
    int64_t backoff_base_ms, backoff_cap_ms;
    const char *backoff_jitter; // full, equal or additive
    int64_t lease_ms;
    int64_t drain_ms;
    int64_t result_ttl_s;
    int64_t max_job_bytes;
    int64_t max_answer_bytes;
    int64_t max_inflight_bytes; // payloads in the worker's memory
    int64_t connect_timeout_ms, first_byte_timeout_ms, idle_timeout_ms, timeout_ms;
    const char *ca_file;       // NULL = the system's
    const char *proxy;         // NULL = none; may hold a password
    const char *http;          // "127.0.0.1:9470", "[::1]:0"; NULL = serve nothing ("off")
    const char *http_token;    // secret; NULL = none
    const char *http_readonly; // yes or no: the pages show and do nothing
    const char *log_level, *log_format;
    void *owned; // strings that conf_load copied; conf_fini frees them
};

// Which program asks: a row of the table says who it concerns.
enum conf_program { CONF_WORKER = 1, CONF_CLI = 2 };

// conf_load fills *ret from the defaults, the settings file, the environment and argv (without the
// program's name). Flags are --name=value or --name value. Reading stops at the first word that is
// no flag, or after "--"; *ret_used is how many of argv were taken. A missing key is no failure.
// 0; or ERR_BAD_CONF or ERR_NOMEM with one line that says what to write instead.
int conf_load(enum conf_program who, int argc, char **argv, char **envp, struct conf *ret,
              int *ret_used, char *ret_why, size_t why_room) MUST_CHECK;
// conf_keep is for SIGHUP. Load again into *fresh, then this gives fresh the values of old for all
// that a running program cannot change, and for secrets that the environment no longer holds.
// ret_kept names what was changed all the same and needs a restart ("PENSTOCK_PREFIX", "" = none).
int conf_keep(const struct conf *old, struct conf *fresh, char *ret_kept,
              size_t kept_room) MUST_CHECK;
void conf_fini(struct conf *c); // wipes every string, frees

// conf_read_key fills api_key from api_key_file, where one is named, or from the first line of
// api_keys_file. conf_load does it for the worker; for the command line it waits until a verb wants
// the key. 0, or ERR_BAD_CONF.
int conf_read_key(struct conf *c, char *ret_why, size_t why_room) MUST_CHECK;
// conf_scrub_env wipes the values of secrets, and of URLs that may hold a password, from the memory
// of envp (what /proc/PID/environ shows) and from the process's environment. Call it once, after
// conf_load, before anything else runs.
void conf_scrub_env(char **envp);

// A variable that begins with PENSTOCK_ and is no setting: a typing mistake to warn of.
struct conf_stranger {
    char name[64];
    const char *near; // the setting that was probably meant; NULL = no idea
};
// conf_unknown_env lists them, at most room. PENSTOCK_TEST_... and PENSTOCK_FAULT are none.
int conf_unknown_env(char **envp, struct conf_stranger *ret, size_t room);

// conf_help prints the settings of a program, grouped, in 80 columns.
void conf_help(enum conf_program who, FILE *out);
// conf_markdown prints docs/configuration.md's table; a check compares it with the file.
void conf_markdown(FILE *out);

// conf_nano_usd gives an amount of dollars in billionths; 0 where the text is none.
int64_t conf_nano_usd(const char *text);

// conf_group gives the group that a model (without its date) shares its quota with, the first that
// fits; nothing where none does.
struct span conf_group(const struct conf *c, struct span model);

// A key of conf.api_keys, or the only one.
struct conf_key {
    char name[CONF_NAME_BYTES];
    char account[CONF_NAME_BYTES]; // in the names of its pools: the key's name, or its ORG
    const char *key;               // borrowed from the conf; secret; no NUL behind it
    size_t len;
};
// conf_keys gives the keys there are, at least one: where no file names several it is `main`, and
// may be empty. How many.
int conf_keys(const struct conf *c, struct conf_key ret[CONF_KEYS_MAX]);

// conf_man prints the settings of a program for its manual page, as man(7) sections (.SS);
// conf_man_text any text so that nothing in it is a request.
void conf_man(enum conf_program who, FILE *out);
void conf_man_text(const char *text, FILE *out);
// conf_each_flag tells the flags of a program, for shell completion.
struct conf_flag {
    const char *name;  // without the dashes
    const char *kind;  // what a value looks like: "URL", "FILE", "N"
    const char *words; // those that it may be, parted by blanks; NULL = any
    const char *help;
};
void conf_each_flag(enum conf_program who, void (*fn)(const struct conf_flag *flag, void *arg),
                    void *arg);

// A queue and its weight, from conf.queues.
struct conf_queue {
    char name[65];
    int64_t weight;
};
// conf_queues splits c->queues. Returns how many (1..room), or ERR_BAD_CONF. At most 1000 queues;
// weights are 1-1000.
int conf_queues(const struct conf *c, struct conf_queue *ret, size_t room, char *ret_why,
                size_t why_room);

#endif
