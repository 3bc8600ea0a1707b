// rsync: blocking Redis commands for tests, over the server's unix socket with hiredis' own
// blocking API, so that a test looks at Redis by another way than the code under test. No
// connection or no answer ends the test (abort); an error answer is returned like any other.
#ifndef PENSTOCK_TESTS_RSYNC_H
#define PENSTOCK_TESTS_RSYNC_H

#include "tests/support/redisd.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>

struct rsync;

struct rsync *rsync_open(const struct redisd *d);
void rsync_close(struct rsync *s); // harmless on NULL

// rsync_do sends a command in hiredis' format (%s a string, %b bytes and a size_t, %d a number).
// The reply is owned by s and good until the next call on s.
const redisReply *rsync_do(struct rsync *s, const char *format, ...);
const redisReply *rsync_argv(struct rsync *s, int argc, const char **argv, const size_t *lens);
// Shorthands; another type of answer ends the test. rsync_str gives NULL for nil.
long long rsync_int(struct rsync *s, const char *format, ...);
const char *rsync_str(struct rsync *s, const char *format, ...);

#endif
