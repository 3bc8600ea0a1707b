#include "worker/cli/window.h"

#include "common/base/err.h"
#include "worker/cli/idset.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { HELD_BYTES_MAX = 8 << 20, NONE = UINT32_MAX };

int window_init(struct window *w, uint32_t room, bool ordered)
{
    uint32_t size = 16;
    while (size < 2 * room)
        size *= 2;
    *w = (struct window){.room = room, .mask = size - 1};
    w->entries = calloc(room, sizeof *w->entries);
    w->index = calloc(size, sizeof *w->index);
    w->order = ordered ? calloc(room, sizeof *w->order) : NULL;
    if (!w->entries || !w->index || (ordered && !w->order)) {
        window_fini(w);
        return ERR_NOMEM;
    }
    for (uint32_t i = 0; i < room; i++)
        w->entries[i].next_free = i + 1 < room ? i + 1 : NONE;
    return 0;
}

void window_fini(struct window *w)
{
    for (uint32_t i = 0; w->entries && i < w->room; i++) {
        free(w->entries[i].id);
        free(w->entries[i].held);
    }
    free(w->entries);
    free(w->index);
    free(w->order);
    *w = (struct window){0};
}

bool window_is_full(const struct window *w)
{
    return w->free == NONE || (w->order && w->tail - w->head == w->room);
}

static uint32_t number(const struct window *w, const struct entry *e)
{
    return (uint32_t)(e - w->entries);
}

struct entry *window_add(struct window *w, const char *id)
{
    assert(!window_is_full(w));
    struct entry *e = &w->entries[w->free];
    char *own = strdup(id);
    if (!own)
        return NULL;
    w->free = e->next_free;
    *e = (struct entry){.id = own, .hash = hash_of(span_of(id)), .state = ENTRY_PUSHED};
    uint32_t i = (uint32_t)e->hash & w->mask;
    while (w->index[i])
        i = (i + 1) & w->mask;
    w->index[i] = number(w, e) + 1;
    if (w->order)
        w->order[w->tail++ % w->room] = number(w, e);
    w->count++;
    w->pushed++;
    return e;
}

struct entry *window_find(const struct window *w, struct span id)
{
    uint64_t hash = hash_of(id);
    for (uint32_t i = (uint32_t)hash & w->mask; w->index[i]; i = (i + 1) & w->mask) {
        struct entry *e = &w->entries[w->index[i] - 1];
        if (e->hash == hash && span_is(id, e->id))
            return e;
    }
    return NULL;
}

// unindex closes the gap that an entry leaves, so that no search ends at it too early.
static void unindex(struct window *w, const struct entry *e)
{
    uint32_t gap = (uint32_t)e->hash & w->mask;
    while (w->index[gap] != number(w, e) + 1)
        gap = (gap + 1) & w->mask;
    for (uint32_t i = (gap + 1) & w->mask; w->index[i]; i = (i + 1) & w->mask) {
        uint32_t home = (uint32_t)w->entries[w->index[i] - 1].hash & w->mask;
        if (((i - home) & w->mask) >= ((i - gap) & w->mask)) {
            w->index[gap] = w->index[i];
            gap = i;
        }
    }
    w->index[gap] = 0;
}

static void forget_held(struct window *w, struct entry *e)
{
    w->held_bytes -= e->held_len;
    free(e->held);
    e->held = NULL;
    e->held_len = 0;
}

void window_hold(struct window *w, struct entry *e, struct span result)
{
    w->pushed -= e->state == ENTRY_PUSHED;
    e->state = ENTRY_KNOWN;
    if (w->held_bytes + result.len > HELD_BYTES_MAX || result.len > UINT32_MAX)
        return;
    e->held = malloc(result.len + 1);
    if (!e->held)
        return;
    memcpy(e->held, result.at, result.len);
    e->held_len = (uint32_t)result.len;
    w->held_bytes += result.len;
    e->state = ENTRY_HELD;
}

void window_remove(struct window *w, struct entry *e)
{
    if (w->order) {
        assert(window_first(w) == e);
        w->head++;
    }
    w->pushed -= e->state == ENTRY_PUSHED;
    unindex(w, e);
    forget_held(w, e);
    free(e->id);
    *e = (struct entry){.next_free = w->free};
    w->free = number(w, e);
    w->count--;
}

struct entry *window_at(const struct window *w, uint64_t nth)
{
    if (!w->order || w->head + nth >= w->tail)
        return NULL;
    return &w->entries[w->order[(w->head + nth) % w->room]];
}

struct entry *window_first(const struct window *w)
{
    return window_at(w, 0);
}
