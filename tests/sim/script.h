// script: answers that a test has laid out beforehand. The first step that matches a request and
// is not used up answers it, whatever the quota says.
#ifndef PENSTOCK_SIM_SCRIPT_H
#define PENSTOCK_SIM_SCRIPT_H

#include "common/base/attrs.h"
#include "common/base/scan.h"
#include "common/base/strbuf.h"

#include <stdbool.h>
#include <stdint.h>

enum { STEPS_MAX = 4096, SCRIPT_WHY_BYTES = 160 };

enum step_then { THEN_KEEP, THEN_CLOSE, THEN_RESET, THEN_HANG };

struct step {
    // What it matches; NULL or 0 = anything.
    char *contains; // bytes of the body
    char *model, *account, *path;
    uint64_t nth;   // only the nth request that matches the rest: 1, 2, ...
    uint64_t times; // how often it answers; 0 = always
    // What it answers. status 0: the request is answered as usual, delay_ms later.
    int status;
    char *headers; // header lines, each ending in CRLF
    char *body;
    size_t body_len;
    char *raw; // all bytes of the answer, head and body, instead of the above
    size_t raw_len;
    bool chunked;
    uint64_t delay_ms;
    int64_t cut_bytes; // stop after so many bytes of the body (then `then`); -1 = send all
    enum step_then then;
    // What came of it.
    uint64_t met, used;
};

struct script {
    struct step *steps;
    size_t count, room;
};

void script_clear(struct script *s); // also before it goes
// script_add reads {"steps":[...]} or one step. All or none are added.
int script_add(struct script *s, struct scan_value v, char ret_why[SCRIPT_WHY_BYTES]) MUST_CHECK;
// script_match finds the step that answers a request and counts it. -1: none does.
int64_t script_match(struct script *s, struct span body, struct span model, const char *account,
                     struct span path);
void script_show(const struct script *s, struct strbuf *out);

#endif
