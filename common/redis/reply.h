// reply: checked reading of what Redis answered. A struct reply is hiredis' redisReply, named here
// so that only this folder includes hiredis. Every getter tolerates NULL and the wrong type.
#ifndef PENSTOCK_REDIS_REPLY_H
#define PENSTOCK_REDIS_REPLY_H

#include "common/base/strbuf.h"

#include <stdbool.h>
#include <stdint.h>

struct reply;

bool reply_is_null(const struct reply *r);           // nil, or no reply at all
bool reply_int(const struct reply *r, int64_t *ret); // an integer, or a string of digits
int64_t reply_int_or(const struct reply *r, int64_t otherwise);
double reply_num_or(const struct reply *r, double otherwise); // an integer, or decimal text
bool reply_str(const struct reply *r, struct span *ret);      // a string or a status
const char *reply_text(const struct reply *r);                // words of a status or error; "" else
bool reply_is_error(const struct reply *r, const char *code); // starts with that code ("NOSCRIPT")
size_t reply_count(const struct reply *r);                    // elements of an array; 0 else
const struct reply *reply_at(const struct reply *r, size_t i); // element i; NULL out of range

// A tree of our own, to put together what several answers said. reply_free frees it, and only it.
struct reply *reply_copy(const struct reply *r); // NULL on NULL, or where there is no memory
struct reply *reply_new(size_t count);           // an array of nils; NULL: no memory
void reply_put(struct reply *array, size_t i, struct reply *one); // takes one; NULL: nil stays
struct reply *reply_part(struct reply *array, size_t i);          // NULL out of range
void reply_free(struct reply *r);

#endif
