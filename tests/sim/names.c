#include "tests/sim/names.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t load8(const unsigned char *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

uint64_t hash_bytes(const void *bytes, size_t len, uint64_t seed)
{
    static const uint64_t k0 = 0xA0761D6478BD642Fu, k1 = 0xE7037ED1A0B428DBu;
    const unsigned char *p = bytes;
    size_t left = len;
    uint64_t h = seed ^ k0;
    for (; left >= 16; left -= 16, p += 16)
        h = mix(load8(p) ^ k1, load8(p + 8) ^ h);
    unsigned char tail[16] = {0};
    if (left)
        memcpy(tail, p, left);
    h = mix(load8(tail) ^ k1, load8(tail + 8) ^ h);
    return mix(h ^ k0, (uint64_t)len ^ k1);
}

static void *must(void *memory)
{
    if (!memory)
        abort(); // a few kilobytes at the start
    return memory;
}

void names_init(struct names *n, uint32_t most)
{
    uint32_t slots = 16;
    while (slots < most * 2)
        slots *= 2;
    *n = (struct names){.most = most, .slot_mask = slots - 1};
    n->at = must(calloc(most, sizeof *n->at));
    n->slots = must(calloc(slots, sizeof *n->slots));
    names_of(n, span_of("other"));
}

void names_fini(struct names *n)
{
    for (uint32_t i = 0; i < n->count; i++)
        free(n->at[i].text);
    free(n->at);
    free(n->slots);
    *n = (struct names){.at = NULL};
}

uint32_t names_of(struct names *n, struct span text)
{
    uint64_t hash = hash_bytes(text.at, text.len, 0);
    uint32_t slot = (uint32_t)hash & n->slot_mask;
    for (; n->slots[slot]; slot = (slot + 1) & n->slot_mask) {
        struct name *k = &n->at[n->slots[slot] - 1];
        if (k->hash == hash && k->len == text.len && memcmp(k->text, text.at, text.len) == 0)
            return n->slots[slot] - 1;
    }
    if (n->count == n->most)
        return 0;
    char *copy = must(malloc(text.len + 1));
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    n->at[n->count] = (struct name){hash, copy, text.len};
    n->slots[slot] = ++n->count;
    return n->count - 1;
}

const char *names_text(const struct names *n, uint32_t number)
{
    assert(number < n->count);
    return n->at[number].text;
}
