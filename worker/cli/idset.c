#include "worker/cli/idset.h"

#include "common/base/err.h"

#include <stdlib.h>
#include <string.h>

#define ODD_A 0x9E3779B97F4A7C15u
#define ODD_B 0xC2B2AE3D27D4EB4Fu
#define ODD_C 0x165667B19E3779F9u
#define ODD_D 0xD6E8FEB86659FD93u

static uint64_t rotl(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static uint64_t finish(uint64_t x)
{
    x = (x ^ x >> 32) * ODD_D;
    x = (x ^ x >> 29) * ODD_B;
    return x ^ x >> 32;
}

// Each step turns the state into another one of as many, whatever the word: nothing is forgotten.
static void take_word(struct hash128 *h, uint64_t w)
{
    h->a = rotl(h->a ^ w * ODD_A, 29) * ODD_B;
    h->b = rotl(h->b + (w ^ w >> 31) * ODD_C, 37) * ODD_D + h->a;
}

void hash_init(struct hash128 *h)
{
    *h = (struct hash128){ODD_C, ODD_A};
}

void hash_add(struct hash128 *h, struct span bytes)
{
    size_t at = 0;
    uint64_t w = 0;
    for (; at + sizeof w <= bytes.len; at += sizeof w) {
        memcpy(&w, bytes.at + at, sizeof w);
        take_word(h, w);
    }
    w = 0;
    if (at < bytes.len)
        memcpy(&w, bytes.at + at, bytes.len - at);
    take_word(h, w);
    take_word(h, bytes.len);
}

struct hash128 hash_end(const struct hash128 *h)
{
    uint64_t a = finish(h->a + rotl(h->b, 17)), b = finish(h->b ^ ODD_A);
    return (struct hash128){a, finish(b + a)};
}

uint64_t hash_of(struct span bytes)
{
    struct hash128 h;
    hash_init(&h);
    hash_add(&h, bytes);
    uint64_t a = hash_end(&h).a;
    return a ? a : 1;
}

void idset_fini(struct idset *s)
{
    free(s->slots);
    *s = (struct idset){0};
}

static size_t place(const struct idset *s, uint64_t by)
{
    return (size_t)((by * ODD_A) >> 20) & (s->room - 1);
}

static size_t find(const struct idset *s, uint64_t hash)
{
    size_t i = place(s, hash);
    while (s->slots[i] && s->slots[i] != hash)
        i = (i + 1) & (s->room - 1);
    return i;
}

static size_t find_print(const struct idset *t, uint64_t print)
{
    size_t i = place(t, print);
    while (t->slots[i] && t->slots[i] >> 32 != print)
        i = (i + 1) & (t->room - 1);
    return i;
}

// grow doubles the table at five sixths. prints: only the upper half of a slot is its name.
static int grow(struct idset *s, bool prints)
{
    if (s->room && s->count + 1 <= s->room / 6 * 5)
        return 0;
    struct idset more = {.room = s->room ? s->room * 2 : 1024, .count = s->count};
    more.slots = calloc(more.room, sizeof *more.slots);
    if (!more.slots)
        return ERR_NOMEM;
    for (size_t i = 0; i < s->room; i++) {
        uint64_t slot = s->slots[i];
        if (slot)
            more.slots[prints ? find_print(&more, slot >> 32) : find(&more, slot)] = slot;
    }
    free(s->slots);
    *s = more;
    return 0;
}

bool idset_has(const struct idset *s, uint64_t hash)
{
    return s->room && s->slots[find(s, hash)] != 0;
}

int idset_add(struct idset *s, uint64_t hash)
{
    if (grow(s, false))
        return ERR_NOMEM;
    size_t i = find(s, hash);
    if (s->slots[i])
        return 0;
    s->slots[i] = hash;
    s->count++;
    return 1;
}

uint32_t tally_add(struct idset *t, uint64_t hash)
{
    uint64_t print = hash >> 32;
    if (grow(t, true))
        return 0;
    size_t i = find_print(t, print);
    if (!t->slots[i]) {
        t->slots[i] = print << 32;
        t->count++;
    }
    if ((uint32_t)t->slots[i] != UINT32_MAX)
        t->slots[i]++;
    return (uint32_t)t->slots[i];
}
