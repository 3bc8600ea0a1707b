// xoshiro256**, seeded through splitmix64: fast, and more than good enough for jitter and ULIDs.
#include "common/base/rnd.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/random.h>

static uint64_t state[4];
static bool seeded;

static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = (*x += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

void rnd_seed(uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        state[i] = splitmix(&seed);
    seeded = true;
}

static void seed_from_kernel(void)
{
    if (getrandom(state, sizeof state, 0) != (ssize_t)sizeof state)
        abort(); // ids would repeat across the fleet
    seeded = true;
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

uint64_t rnd_u64(void)
{
    if (!seeded)
        seed_from_kernel();
    uint64_t out = rotl(state[1] * 5, 7) * 9, t = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= t;
    state[3] = rotl(state[3], 45);
    return out;
}

double rnd_unit(void)
{
    return (double)(rnd_u64() >> 11) * 0x1.0p-53;
}

uint64_t rnd_below(uint64_t over)
{
    return over ? (uint64_t)(rnd_unit() * (double)over) : 0;
}
