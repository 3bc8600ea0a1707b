// clock: the two clocks. Waiting uses the monotonic one; wall time is for log lines only, since
// what workers share is dated by the Redis server (docs/protocol.md).
#ifndef PENSTOCK_BASE_CLOCK_H
#define PENSTOCK_BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_mono_ms(void);
uint64_t clock_mono_us(void);
uint64_t clock_cpu_us(void); // that this thread has used
int64_t clock_wall_ms(void); // since the Unix epoch

#endif
