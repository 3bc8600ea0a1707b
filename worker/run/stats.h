// stats: what this worker has counted, as plain data. The admin window and the log read it.
#ifndef PENSTOCK_RUN_STATS_H
#define PENSTOCK_RUN_STATS_H

#include <stdint.h>

struct stats {
    uint64_t claimed, admitted, duplicates, rejected;
    uint64_t succeeded, failed, expired, cancelled;
    uint64_t calls, throttles, retries, parked, handed_back, lost;
    uint64_t input_tokens, output_tokens;
};

#endif
