// board: what `penstock top` shows, kept up to date: queues, pools, workers and runs, each with
// what it did a second lately. One round is one pipeline of small reads, whatever lies in the
// queues; the names are those that workers report, and at the start those that a bounded walk
// finds.
#ifndef PENSTOCK_CLI_BOARD_H
#define PENSTOCK_CLI_BOARD_H

#include "worker/cli/cli.h"
#include "worker/cli/quota.h"

enum {
    BOARD_QUEUES = 64,
    BOARD_POOLS = 32,
    BOARD_WORKERS = 100,
    BOARD_RUNS = 64,
    BOARD_TEXT = 100,
};

// meter: a counter of Redis, and how fast it grows.
struct meter {
    double value, per_s;
    int samples;
};

enum { DEPTH_WAITING, DEPTH_DELAYED, DEPTH_ACTIVE, DEPTH_DEAD, DEPTHS };

struct board_queue {
    char name[NAME_BYTES_MAX + 1];
    int64_t depth[DEPTHS];
    bool paused;
    char why[BOARD_TEXT];
    struct meter finished, failed, throttles;
};

struct board_pool {
    char name[256];
    struct quota quota;
    struct meter calls, refused; // answered, and answered by a 429
};

struct board_worker {
    char id[128];
    bool alive;
    int64_t in_flight, started, seen; // Redis ms
    char queues[BOARD_TEXT], version[24];
};

struct board_run {
    char queue[NAME_BYTES_MAX + 1], name[NAME_BYTES_MAX + 1];
    int64_t updated; // Redis ms
    int64_t tokens_in, tokens_out;
    double cost_usd;
    struct meter succeeded, failed, throttles;
};

struct board {
    struct cli *cli;
    struct board_queue queues[BOARD_QUEUES];
    struct board_pool pools[BOARD_POOLS];
    struct board_worker workers[BOARD_WORKERS];
    struct board_run runs[BOARD_RUNS];
    size_t queue_count, pool_count, worker_count, run_count;
    int64_t now_ms;    // Redis' clock
    double seconds;    // since the round before
    uint64_t at_ms;    // when this round was asked for, monotonic
    size_t pending;    // answers under way
    bool more_names;   // this round brought names that the next one has to ask about
    char refusal[160]; // what Redis would not answer, and why; "" = it answered everything
    void (*fresh)(struct board *b);
    void *owner;
};

// board_begin finds the names there are (b->cli is connected). 0, or an exit code.
int board_begin(struct board *b) MUST_CHECK;
// board_ask starts a round; fresh is called when all answers are there. Nothing happens while one
// is under way or the link is down.
void board_ask(struct board *b);
// board_read runs two rounds, a second apart, to their end. 0, or an exit code.
int board_read(struct board *b) MUST_CHECK;

void board_ignore(struct board *b); // a `fresh` that does nothing

// board_eta_s: seconds until the queue is empty at its present rate; -1 = not known.
double board_eta_s(const struct board_queue *q);

#endif
