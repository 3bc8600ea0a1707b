// stats: what the simulator saw. Counts, the busiest second, the second-by-second story, a log
// ring of the last requests, and which questions were answered more than once. Memory is bounded.
#ifndef PENSTOCK_SIM_STATS_H
#define PENSTOCK_SIM_STATS_H

#include "common/base/strbuf.h"
#include "tests/sim/faults.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    STATUS_MAX = 600,
    PEAK_BINS = 1000,      // one a millisecond
    SERIES_S = 7200,       // the story's length
    HEAD_BYTES = 32,       // of a prompt, in the log
    SEEN_MOST = 4 << 20,   // accepted questions that are told apart
    LOG_LINES_MAX = 50000, // one answer of /sim/log
};

// The most events in any window of one second, to the millisecond.
struct peak {
    uint32_t bin[PEAK_BINS];
    uint64_t at_ms; // the newest bin's time
    uint64_t sum, most;
};

void peak_note(struct peak *p, uint64_t now_ms);

struct story_second {
    uint32_t arrivals, accepted, refused, failed;
};

// How a request ended.
enum ending { END_PENDING, END_ANSWERED, END_CLIENT_GONE, END_HUNG, END_CUT };

struct record {
    uint64_t n; // 1, 2, 3, ...
    uint64_t hash;
    uint64_t start_us, end_us; // since the simulator's start
    uint32_t account, model;   // numbers in the name tables
    uint32_t bytes, retry_ms, in_tokens, out_tokens;
    uint16_t status;
    uint8_t ending, fault; // enum ending, enum fault
    uint8_t head_len;
    char head[HEAD_BYTES];
};

struct stats {
    uint64_t connections, connections_now, connections_max;
    uint64_t last_n; // number of the newest record; a reset does not touch it
    uint64_t requests, accepted, refused, in_flight, in_flight_max;
    uint64_t by_status[STATUS_MAX];
    uint64_t by_fault[FAULT_COUNT];
    uint64_t client_gone, repeats, scripted;
    uint64_t in_tokens, out_tokens;               // reported as used by accepted answers
    uint64_t early, early_after_500ms;            // came before the time they were told
    uint64_t early_max_ms;                        // and by how much at worst
    uint64_t first_accepted_us, last_accepted_us; // admission times
    struct peak arrivals, accepts;
    struct story_second *story;     // SERIES_S of them
    uint64_t story_from_s;          // second 0 of the story, in seconds since the start
    struct record *ring;            // record n is at (n - 1) % ring_size
    uint64_t ring_size, ring_first; // ring_first: the oldest n that a reset has left
    struct seen {
        uint64_t *keys; // open addressing, 0 = free
        size_t size, count;
        bool full; // too many to tell apart: repeats is a lower bound
    } seen;
};

void stats_init(struct stats *s, uint64_t ring_size);
void stats_fini(struct stats *s);
// stats_reset zeroes what was counted; what is connected or in flight now stays counted as such.
void stats_reset(struct stats *s, uint64_t now_us);
void stats_reset_peaks(struct stats *s);

// stats_arrive opens the record of a new request.
struct record *stats_arrive(struct stats *s, uint64_t now_us);
// stats_record gives the record n, or NULL where the ring has overwritten it.
struct record *stats_record(struct stats *s, uint64_t n);
struct story_second *stats_story(struct stats *s, uint64_t now_us);
// stats_answered_before notes an accepted question; true if it has been noted before.
bool stats_answered_before(struct stats *s, uint64_t hash);

const char *ending_word(enum ending e);

#endif
