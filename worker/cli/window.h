// window: the lines that have been handed over and are not yet written: found by id, and in the
// order of the input. Bounded, so that neither Redis nor we hold the whole file.
#ifndef PENSTOCK_CLI_WINDOW_H
#define PENSTOCK_CLI_WINDOW_H

#include "common/base/strbuf.h"

enum entry_state {
    ENTRY_FREE,
    ENTRY_PUSHED,  // no result yet
    ENTRY_HELD,    // its result is in memory and waits for its turn
    ENTRY_KNOWN,   // it has a result, which is to be fetched when its turn comes
    ENTRY_FETCHED, // that is under way
};

struct entry {
    uint64_t hash; // of its id
    char *id;
    char *held;
    uint64_t offset; // of its record in the input
    int64_t reserve; // what it may cost at most, in billionths of a dollar
    uint32_t held_len, record_len, ordinal;
    uint32_t next_free;
    uint8_t state, pushes;
};

struct window {
    struct entry *entries;
    uint32_t *index; // by hash: an entry's number + 1
    uint32_t *order; // a ring of entries' numbers, in the order of the input; NULL = any order
    uint32_t room, mask, free;
    uint64_t head, tail; // of the ring
    size_t count;
    size_t pushed;     // entries in ENTRY_PUSHED
    size_t held_bytes; // in memory
};

// window_init makes room for so many; ordered: keep the order of the input.
int window_init(struct window *w, uint32_t room, bool ordered) MUST_CHECK;
void window_fini(struct window *w);
bool window_is_full(const struct window *w);
// window_add gives a new entry, or NULL: no memory. The window must not be full.
struct entry *window_add(struct window *w, const char *id);
struct entry *window_find(const struct window *w, struct span id);
void window_hold(struct window *w, struct entry *e, struct span result); // HELD, or KNOWN
void window_remove(struct window *w, struct entry *e);
// window_first gives the entry whose turn it is; NULL where none is there or any order will do.
struct entry *window_first(const struct window *w);
// window_at walks the ring from its head on; NULL behind its end.
struct entry *window_at(const struct window *w, uint64_t nth);

#endif
