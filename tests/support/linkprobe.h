// linkprobe: a loop with one rlink on it and a notebook of what it did, for the tests of the link.
// Closing checks what every test must leave behind: nothing outstanding, uv_loop_close() == 0.
#ifndef PENSTOCK_TESTS_LINKPROBE_H
#define PENSTOCK_TESTS_LINKPROBE_H

#include "common/redis/rlink.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct probe {
    uv_loop_t loop;
    uv_timer_t tick; // wakes the loop, so that conditions are looked at
    struct rurl url;
    struct rlink_options opt; // may be changed between probe_init and probe_open
    struct rlink *link;
    int ups, downs, closes;
    char why[256];    // of the last report
    bool close_on_up; // rlink_close from inside on_state
    bool close_on_down;
};

// probe_init reads the URL (printf-like) and prepares options with short waits.
void probe_init(struct probe *p, const char *url_format, ...) PRINTF(2, 3);
void probe_open(struct probe *p);
void probe_start(struct probe *p); // opens, and waits until it is up
void probe_close(struct probe *p); // harmless where the link was closed already
// probe_fini closes the link if need be, and the loop.
void probe_fini(struct probe *p);

// probe_slack is PENSTOCK_TEST_SLACK, by which every limit is multiplied; 1 without it.
int probe_slack(void);
// probe_wait runs the loop until the condition holds; the test fails after limit_ms.
#define probe_wait(p, condition, limit_ms)                                                         \
    do {                                                                                           \
        uint64_t probe_end_ms = uv_hrtime() / 1000000 + (uint64_t)(limit_ms)*probe_slack();        \
        while (!(condition)) {                                                                     \
            if (uv_hrtime() / 1000000 > probe_end_ms)                                              \
                fail_msg("not in time: %s (last report: %s)", #condition, (p)->why);               \
            uv_run(&(p)->loop, UV_RUN_ONCE);                                                       \
        }                                                                                          \
    } while (0)

// A call's answer. "early" counts callbacks that ran before rlink_call had returned.
struct answer {
    struct probe *probe;
    int count, early, err, order;
    bool returned;
    int64_t number;
    char text[256];
    // What the callback does besides noting: another call, a kick, a close.
    struct answer *then;
    const char *then_words;
    bool kick, close;
};

// probe_call sends the words of a command (split at blanks) and must be accepted.
void probe_call(struct probe *p, struct answer *a, const char *words);
int probe_try(struct probe *p, struct answer *a, int64_t patience_ms, const char *words);
// probe_order gives 1, 2, 3, ... to answers as they come; it starts anew with each probe.
extern int probe_order;

// A server that misbehaves: what it says on connect and to each read, where these are not NULL.
struct rogue {
    uv_tcp_t listener;
    int port, accepted;
    const char *hello, *reply;
    bool hang_up; // close each connection at once
    struct rogue_conn *conns;
};

void rogue_open(struct probe *p, struct rogue *r);
void rogue_close(struct rogue *r); // before probe_fini
#endif
