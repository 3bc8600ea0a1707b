// names: a bounded table of strings that are met often (models, keys), each known by a small
// number. What comes after the table is full is number 0, "other".
#ifndef PENSTOCK_SIM_NAMES_H
#define PENSTOCK_SIM_NAMES_H

#include "common/base/strbuf.h"

#include <stdint.h>

struct names {
    struct name {
        uint64_t hash;
        char *text; // owned
        size_t len;
    } * at;
    uint32_t *slots; // open addressing; number + 1, 0 = free
    uint32_t count, most, slot_mask;
};

// names_init makes a table of at most `most` names ("other" is one of them).
void names_init(struct names *n, uint32_t most);
void names_fini(struct names *n);
// names_of gives the number of a text, a new one if need be. hash is hash_bytes of it.
uint32_t names_of(struct names *n, struct span text);
const char *names_text(const struct names *n, uint32_t number);

// hash_bytes is fast and not for secrets.
uint64_t hash_bytes(const void *bytes, size_t len, uint64_t seed);

#endif
