// limiter: the quota of one account (organisation) and model group: requests, input and output
// tokens, each a bucket that the headers show and, if wanted, a smaller one that nobody is told of.
#ifndef PENSTOCK_SIM_LIMITER_H
#define PENSTOCK_SIM_LIMITER_H

#include "tests/sim/bucket.h"

#include <stdbool.h>
#include <stdint.h>

enum dim { DIM_REQUESTS, DIM_INPUT, DIM_OUTPUT, DIM_COUNT };

// What a limit is made of, from the settings.
struct quota {
    double per_min[DIM_COUNT];
    double burst_s, hidden_burst_s; // hidden: 0 = there is none
    double fill, stranger;
    double ramp_base, ramp_factor; // growth limit: base + factor * long mean a second; 0 = none
    bool precharge;                // output is reserved by max_tokens and settled at the end
    bool charge_refused;           // a refused request costs a request all the same
};

struct limiter {
    struct quota quota;
    struct bucket shown[DIM_COUNT], hidden[DIM_COUNT];
    uint32_t producing;    // answers that drain output now
    double ramp_mean;      // accepted a second, over some 20 s
    uint64_t ramp_asof_us; // the time of ramp_mean
    double ramp_last_s;    // accepted lately, decaying within 2 s
};

// One request, as the limiter sees it.
struct cost {
    double input;      // estimated at the start
    double input_real; // settled at the end
    double output;     // really produced
    double max_tokens;
    uint64_t takes_ms; // the answer is produced over this time
};

// What an accepted request holds until limiter_settle.
struct charge {
    double input_back, output_back; // to give back
    double output, drain;           // being produced: the whole of it, and tokens a second
    uint64_t since_us;
    bool held;
};

struct verdict {
    bool accepted;
    bool ramp;        // refused by the growth limit
    enum dim dim;     // what it would have exceeded
    uint64_t wait_us; // until it fits; BUCKET_NEVER: it never does
};

void limiter_init(struct limiter *l, const struct quota *q, uint64_t now_us);
void limiter_tune(struct limiter *l, const struct quota *q, uint64_t now_us);
// limiter_restart makes the buckets new; answers that run now go on draining them.
void limiter_restart(struct limiter *l, const struct quota *q, uint64_t now_us);
// limiter_rebase counts charges anew from the present level.
void limiter_rebase(struct limiter *l, uint64_t now_us);
void limiter_refresh(struct limiter *l, uint64_t now_us);
// limiter_ask accepts and charges a request, or says how long it must wait.
struct verdict limiter_ask(struct limiter *l, const struct cost *c, uint64_t now_us,
                           struct charge *ret_held);
// limiter_settle ends an accepted request: production stops, estimates become truth. One that the
// client left early has cost what was produced until then.
void limiter_settle(struct limiter *l, struct charge *held, bool complete, uint64_t now_us);

const char *dim_name(enum dim d); // "requests", "input_tokens", "output_tokens"

#endif
