// ulid: 26 characters of Crockford base 32: 48 bits of milliseconds, then 80 random bits.
#ifndef PENSTOCK_JOB_ULID_H
#define PENSTOCK_JOB_ULID_H

#include <stdint.h>

enum { ULID_LEN = 26 };

// ulid_make writes 26 characters and a NUL. now_ms is the Unix time in milliseconds (Redis' clock
// where it is known). Two made by one process are always different, and sort by time.
void ulid_make(int64_t now_ms, char ret[ULID_LEN + 1]);

#endif
