// rnd: random numbers for jitter and ids, one generator per process. A test may set the seed.
#ifndef PENSTOCK_BASE_RND_H
#define PENSTOCK_BASE_RND_H

#include <stdint.h>

void rnd_seed(uint64_t seed); // without it, the first use seeds from the kernel
uint64_t rnd_u64(void);
double rnd_unit(void);             // [0, 1)
uint64_t rnd_below(uint64_t over); // [0, over); 0 where over is 0

#endif
