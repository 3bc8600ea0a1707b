#include "tests/sim/stats.h"

#include <stdlib.h>
#include <string.h>

enum { SEEN_START = 4096 };

static void *must(void *memory)
{
    if (!memory)
        abort(); // at the start, or to keep a bounded table
    return memory;
}

void peak_note(struct peak *p, uint64_t now_ms)
{
    if (now_ms >= p->at_ms + PEAK_BINS) {
        memset(p->bin, 0, sizeof p->bin);
        p->sum = 0;
        p->at_ms = now_ms;
    }
    while (p->at_ms < now_ms) {
        uint32_t *oldest = &p->bin[++p->at_ms % PEAK_BINS];
        p->sum -= *oldest;
        *oldest = 0;
    }
    p->bin[now_ms % PEAK_BINS]++;
    if (++p->sum > p->most)
        p->most = p->sum;
}

void stats_init(struct stats *s, uint64_t ring_size)
{
    *s = (struct stats){.ring_size = ring_size, .ring_first = 1};
    s->ring = must(calloc(ring_size, sizeof *s->ring)); // touched only as far as it is used
    s->story = must(calloc(SERIES_S, sizeof *s->story));
    s->seen.size = SEEN_START;
    s->seen.keys = must(calloc(s->seen.size, sizeof *s->seen.keys));
}

void stats_fini(struct stats *s)
{
    free(s->ring);
    free(s->story);
    free(s->seen.keys);
    *s = (struct stats){.ring = NULL};
}

void stats_reset_peaks(struct stats *s)
{
    s->arrivals = s->accepts = (struct peak){.most = 0};
    s->connections_max = s->connections_now;
    s->in_flight_max = s->in_flight;
}

void stats_reset(struct stats *s, uint64_t now_us)
{
    struct stats kept = *s;
    *s = (struct stats){.ring = kept.ring,
                        .ring_size = kept.ring_size,
                        .ring_first = kept.last_n + 1,
                        .last_n = kept.last_n,
                        .connections_now = kept.connections_now,
                        .connections = kept.connections_now,
                        .in_flight = kept.in_flight,
                        .story = kept.story,
                        .story_from_s = now_us / 1000000,
                        .seen = kept.seen};
    memset(s->story, 0, SERIES_S * sizeof *s->story);
    memset(s->seen.keys, 0, s->seen.size * sizeof *s->seen.keys);
    s->seen.count = 0;
    s->seen.full = false;
    stats_reset_peaks(s);
}

struct record *stats_record(struct stats *s, uint64_t n)
{
    struct record *r = &s->ring[(n - 1) % s->ring_size];
    return n && n >= s->ring_first && r->n == n ? r : NULL;
}

struct story_second *stats_story(struct stats *s, uint64_t now_us)
{
    static struct story_second beyond;
    uint64_t second = now_us / 1000000;
    if (second < s->story_from_s || second - s->story_from_s >= SERIES_S)
        return &beyond;
    return &s->story[second - s->story_from_s];
}

struct record *stats_arrive(struct stats *s, uint64_t now_us)
{
    uint64_t n = ++s->last_n;
    s->requests++;
    struct record *r = &s->ring[(n - 1) % s->ring_size];
    *r = (struct record){.n = n, .start_us = now_us};
    peak_note(&s->arrivals, now_us / 1000);
    stats_story(s, now_us)->arrivals++;
    if (++s->in_flight > s->in_flight_max)
        s->in_flight_max = s->in_flight;
    return r;
}

static bool seen_put(struct seen *t, uint64_t key)
{
    size_t slot = (size_t)key & (t->size - 1);
    for (; t->keys[slot]; slot = (slot + 1) & (t->size - 1))
        if (t->keys[slot] == key)
            return true;
    t->keys[slot] = key;
    t->count++;
    return false;
}

static void seen_grow(struct seen *t)
{
    struct seen bigger = {.size = t->size * 2};
    bigger.keys = must(calloc(bigger.size, sizeof *bigger.keys));
    for (size_t i = 0; i < t->size; i++)
        if (t->keys[i])
            seen_put(&bigger, t->keys[i]);
    free(t->keys);
    *t = bigger;
}

bool stats_answered_before(struct stats *s, uint64_t hash)
{
    struct seen *t = &s->seen;
    if (t->count >= SEEN_MOST)
        t->full = true;
    if (t->full)
        return false;
    if (t->count >= t->size / 2)
        seen_grow(t);
    return seen_put(t, hash ? hash : 1);
}

const char *ending_word(enum ending e)
{
    static const char *const words[] = {"pending", "answered", "client_gone", "hung", "cut"};
    return words[e];
}
