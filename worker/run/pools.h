// pools: which pools there are, and which of them a queue and a job may use: one for each account
// and class of models.
#ifndef PENSTOCK_RUN_POOLS_H
#define PENSTOCK_RUN_POOLS_H

#include "worker/run/gate.h"

enum {
    CLASSES_MAX = 256,     // of models that have pools of their own
    CLASSES_OF_QUEUE = 8,  // of one queue that are remembered,
    CLASS_SEEN_MS = 60000, // for this long, but for the latest
};

struct pool_class {                  // the pools of one class of models: one for each account
    struct list_link link;           // in run->classes
    char name[MODEL_BYTES_MAX + 1];  // the models' name without a date
    char model[MODEL_BYTES_MAX + 1]; // a model of it: the one asked for last
    struct pool *pools[CONF_KEYS_MAX];
    size_t count; // of accounts
};

struct pool_class *pools_class(struct run *r, const struct job *job); // NULL without memory
// pools_of_queue gives the classes of the jobs seen lately, or the default model's where none has
// been seen. Returns how many (at least 1, 0 without memory).
size_t pools_of_queue(struct wqueue *q, uint64_t now_ms, struct pool_class *ret[CLASSES_OF_QUEUE]);
void pools_note(struct wqueue *q, struct pool_class *c, uint64_t now_ms); // a job of it was seen

// pools_peek asks Redis once a second which models wait in a queue all of whose known pools are
// shut, so that those of other pools pass; they count as seen.
void pools_peek(struct wqueue *q, uint64_t now_ms);

bool pools_all_shut(const struct pool_class *c, uint64_t now_ms);
// pools_best gives the pool whose turn a job of this class is: the one with the earliest start to
// be had, else the one that can be asked or opens first.
struct pool *pools_best(const struct pool_class *c, uint64_t now_ms);
// pools_ask goes for rounds with the ledgers of a class where starts are wanted beyond those that
// are there, and spreads the wish over its accounts.
void pools_ask(struct pool_class *c, size_t want, uint64_t now_ms);
uint64_t pools_wake(const struct pool_class *c, size_t want, uint64_t now_ms); // when it has to
// A reload may bring other accounts. pools_prepare makes the pools they need (0 or ERR_NOMEM);
// pools_regroup lets the classes use them, and those of accounts that are no more no longer.
int pools_prepare(struct run *r, const struct accounts *all) MUST_CHECK;
void pools_regroup(struct run *r);

#endif
