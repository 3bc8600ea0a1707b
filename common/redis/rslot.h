// rslot: which slot of a Redis Cluster a command belongs to. Pure functions.
#ifndef PENSTOCK_REDIS_RSLOT_H
#define PENSTOCK_REDIS_RSLOT_H

#include "common/base/strbuf.h"

#include <stdbool.h>

enum { RSLOT_COUNT = 16384 };

// rslot_of_key: CRC16 of the key, or of what stands between its first { and the } after it, where
// that is not empty. 0 to 16383.
int rslot_of_key(struct span key);

// rslot_of_command finds the key by the command's name. -1: it has none, and any node will do.
// A SCAN belongs to the slot of its pattern, where the pattern's hash tag is spelled out.
int rslot_of_command(int argc, const char **argv, const size_t *lens);

#endif
