// out: what a verb prints: lines for people, or one JSON object (--json), from the same calls.
#ifndef PENSTOCK_CLI_OUT_H
#define PENSTOCK_CLI_OUT_H

#include "common/base/strbuf.h"
#include "common/redis/reply.h"

#include <stdbool.h>
#include <stdint.h>

struct out {
    bool json;
    bool some;  // something stands in the section already
    int indent; // how deep in sections
};

// out_begin opens a section, which may hold others; the outermost of JSON has no name (NULL).
void out_begin(struct out *o, const char *name);
void out_end(struct out *o);

void out_text(struct out *o, const char *name, struct span value);
void out_str(struct out *o, const char *name, const char *value);
void out_int(struct out *o, const char *name, int64_t n);
void out_number(struct out *o, const char *name, double n); // at most nine digits
void out_bool(struct out *o, const char *name, bool yes);
// out_field prints a hash's value: a number where it is written like one, else a text.
void out_field(struct out *o, struct span name, struct span value);
// out_hash prints each field of an HGETALL.
void out_hash(struct out *o, const struct reply *hash);
// out_is_number says whether JSON would take the text for a number.
bool out_is_number(struct span s);

#endif
