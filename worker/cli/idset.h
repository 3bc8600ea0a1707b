// idset: what `penstock run` must remember of a million lines, in eight bytes each: how often a
// content has come (tally), and which ids are known (idset). And the hash that both go by.
//
// Two contents whose fingerprints are equal by chance share a count. That is harmless: an id is
// made of the whole 128 bits and the count, so they only get higher numbers, always the same ones.
#ifndef PENSTOCK_CLI_IDSET_H
#define PENSTOCK_CLI_IDSET_H

#include "common/base/strbuf.h"

struct hash128 {
    uint64_t a, b;
};

void hash_init(struct hash128 *h);
// hash_add takes in bytes and their length, so that ("ab", "c") and ("a", "bc") differ.
void hash_add(struct hash128 *h, struct span bytes);
struct hash128 hash_end(const struct hash128 *h);
uint64_t hash_of(struct span bytes); // 64 bits of it

struct idset {
    uint64_t *slots; // 0 = free
    size_t count, room;
};

void idset_fini(struct idset *s);
bool idset_has(const struct idset *s, uint64_t hash);
// idset_add returns 1 where it is new, 0 where it was there, or ERR_NOMEM.
int idset_add(struct idset *s, uint64_t hash);

// tally_add counts a content and gives how often it has come, this time included; 0 = no memory.
uint32_t tally_add(struct idset *t, uint64_t hash);

#endif
