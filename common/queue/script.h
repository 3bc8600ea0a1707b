// script: the Lua moves, embedded at build, loaded on each connect and called by their SHA.
//
// Every script may be sent twice (its "Repeat" line says what the second time does), so there is
// one rule for callers: on any error but a refusal of the arguments, send the same call again.
// Where Redis has lost a script (SCRIPT FLUSH), it has been loaded again by the time the caller
// hears of it.
#ifndef PENSTOCK_QUEUE_SCRIPT_H
#define PENSTOCK_QUEUE_SCRIPT_H

#include "common/redis/rlink.h"

// clang-format off
#define SCRIPT_MAP(XX)      \
    XX(CLAIM,      claim)      \
    XX(ADMIT,      admit)      \
    XX(REJECT,     reject)     \
    XX(SETTLE,     settle)     \
    XX(RENEW,      renew)      \
    XX(TICK, tick) XX(PEEK, peek) \
    XX(DEAD_RETRY, dead_retry) \
    XX(DEAD_DROP,  dead_drop)  \
    XX(UNPARK, unpark) XX(POOL_STEP, pool_step) \
    XX(POOL_SHUT,  pool_shut)  \
    XX(POOL_OPEN,  pool_open)  \
    XX(POOL_LIMIT, pool_limit) \
    XX(HOLD, hold) XX(RELEASE, release) \
    XX(LOOK,       look)
// clang-format on

enum script {
#define XX(name, file) SCRIPT_##name,
    SCRIPT_MAP(XX)
#undef XX
        SCRIPT_COUNT
};

enum { SCRIPT_ARGS_MAX = 2048 };

const char *script_name(enum script s);
struct span script_source(enum script s); // the whole text, library included

// args: what a call is made of. The spans are borrowed until script_call returns.
struct args {
    struct span at[SCRIPT_ARGS_MAX];
    size_t count;
    char digits[SCRIPT_ARGS_MAX * 8]; // numbers written out
    size_t digits_used;
};

void args_clear(struct args *a);
void args_add(struct args *a, struct span s); // an absent span counts as ""
void args_add_str(struct args *a, const char *s);
void args_add_int(struct args *a, int64_t n);

// script_load_all loads every script; a duty of whoever sees the link come up. done(0) follows once
// all are there, or done(err) at the first that fails.
int script_load_all(struct rlink *link, void (*done)(int err, const char *why, void *arg),
                    void *arg) MUST_CHECK;

// script_call runs a script on a key: a queue's stem, a pool's hash. If it returns 0, cb runs
// exactly once, as rlink_call's.
int script_call(struct rlink *link, enum script s, const char *key, const struct args *a,
                rlink_cb cb, void *arg) MUST_CHECK;

#endif
