// account: the API's keys. Keys of one account share its quota, and so its pools; the gate of a
// pool is for all of them, but what is wrong with one key rests that key alone.
#ifndef PENSTOCK_RUN_ACCOUNT_H
#define PENSTOCK_RUN_ACCOUNT_H

#include "common/base/attrs.h"
#include "common/conf/conf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct run;
struct http_target;

struct api_key {
    char name[CONF_NAME_BYTES];
    struct http_target *target; // every call with this key
    uint64_t rests_until_ms;    // monotonic: it was refused, and is tried again then
    int64_t rest_ms;            // how long it has rested last; 0 = it is well
    bool trying;                // a call tries it, and others leave it alone
};

struct account {
    char name[CONF_NAME_BYTES]; // in the names of its pools
    struct api_key *keys;
    size_t count, turn;
};

struct accounts {
    struct account *at;
    size_t count;
    unsigned generation; // another after each reload: a key is known by it and by its place
};

// which_key: the key that a call was made with.
struct which_key {
    unsigned generation;
    size_t at;
};

// accounts_make builds the accounts of the settings. 0, or ERR_NOMEM and the like.
int accounts_make(struct run *r, const struct conf *c, struct accounts *ret) MUST_CHECK;
void accounts_drop(struct accounts *a);
// accounts_hide puts stars in the place of the settings' keys in what an API or a gateway has
// written.
void accounts_hide(const struct conf *c, char *text, size_t len);
struct account *accounts_find(const struct accounts *a, const char *name); // NULL = no such

// account_pick gives the key whose turn it is, of those that do not rest; where all do, the one
// that has rested longest.
struct api_key *account_pick(const struct run *r, struct account *a, uint64_t now_ms,
                             struct which_key *ret);
// account_rest lets a refused key rest for wait_ms, or for a minute at first that doubles to a
// quarter of an hour (wait_ms < 0). False where no other key of the account can work meanwhile.
bool account_rest(const struct run *r, struct account *a, struct which_key key, int64_t wait_ms,
                  uint64_t now_ms);
void account_well(const struct run *r, struct account *a, struct which_key key); // it answered

#endif
