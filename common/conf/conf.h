// conf: every setting of the programs, from one table (conf_table.c): default < environment < flag.
// Names carry their units.
#ifndef PENSTOCK_CONF_CONF_H
#define PENSTOCK_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/attrs.h"

enum { CONF_WHY_MAX = 512 };

struct conf {
    const char *redis_url;
    const char *prefix;
    const char *queues; // "default" or "interactive:10,bulk:1": a name and its weight
    int64_t concurrency;
    const char *provider;
    const char *api_key; // of one account; secret
    const char *api_key_file;
    const char *api_keys_file; // several accounts: "name key" a line; later issue
    const char *base_url;
    const char *api_version;
    const char *auth; // x-api-key or bearer
    const char *model;
    int64_t max_tokens;
    int64_t max_attempts;
    int64_t max_throttles;
    int64_t max_recoveries;
    int64_t backoff_base_ms, backoff_cap_ms;
    const char *backoff_jitter; // full, equal or additive
    int64_t lease_ms;
    int64_t drain_ms;
    int64_t result_ttl_s;
    int64_t max_job_bytes;
    int64_t max_answer_bytes;
    int64_t connect_timeout_ms, first_byte_timeout_ms, idle_timeout_ms, timeout_ms;
    const char *ca_file;
    const char *proxy;
    const char *http;
    const char *http_token;
    const char *log_level, *log_format;
    void *owned; // strings that conf_load copied; conf_fini frees them
};

// Which program asks: a row of the table says who it concerns.
enum conf_program { CONF_WORKER = 1, CONF_CLI = 2 };

// conf_load fills *ret from the defaults, the environment and argv. Flags are --name=value or
// --name value. Reading stops at the first word that is no flag, or at "--"; *ret_used is how many
// of argv were taken. 0, or ERR_BAD_CONF with one line that says what to write instead.
int conf_load(enum conf_program who, int argc, char **argv, char **envp, struct conf *ret,
              int *ret_used, char *ret_why, size_t why_room) MUST_CHECK;
void conf_fini(struct conf *c); // wipes secrets, frees

void conf_help(enum conf_program who, FILE *out);
// conf_markdown prints docs/configuration.md's table; a check compares it with the file.
void conf_markdown(FILE *out);

// A queue and its weight, from conf.queues.
struct conf_queue {
    char name[65];
    int64_t weight;
};
// conf_queues splits c->queues. Returns how many (1..room), or ERR_BAD_CONF.
int conf_queues(const struct conf *c, struct conf_queue *ret, size_t room, char *ret_why,
                size_t why_room);

#endif
