// faults: what may go wrong with an answer, how often, and the errors' real shapes. Pure.
#ifndef PENSTOCK_SIM_FAULTS_H
#define PENSTOCK_SIM_FAULTS_H

#include "common/base/attrs.h"
#include "common/base/strbuf.h"

// clang-format off
#define FAULT_MAP(XX)                                                                              \
    XX(NONE,          "none",          "answered as it should be")                                 \
    XX(STATUS,        "status",        "an error status instead of an answer")                     \
    XX(TIMEOUT,       "timeout",       "never answers; the connection stays open")                 \
    XX(RESET,         "reset",         "RST before any answer")                                    \
    XX(CLOSE,         "close",         "FIN before any answer")                                    \
    XX(RESET_MID,     "reset-mid",     "RST in the middle of the body")                            \
    XX(TRUNCATE,      "truncate",      "FIN in the middle of the body")                            \
    XX(HANG_MID,      "hang-mid",      "half of the body, then silence")                           \
    XX(GARBAGE,       "garbage",       "200 with a body that is not JSON")                         \
    XX(EMPTY,         "empty",         "200 with an empty body")                                   \
    XX(HTML,          "html",          "502 with a gateway's HTML page")                           \
    XX(SLOW_HEADERS,  "slow-headers",  "the head dribbles in over --slow-ms")                      \
    XX(STREAM_ERROR,  "stream-error",  "an error event within a 200 stream (stream:true)")
// clang-format on

enum fault {
#define XX(name, word, text) FAULT_##name,
    FAULT_MAP(XX)
#undef XX
        FAULT_COUNT
};

struct fault_rate {
    enum fault fault;
    int status; // of FAULT_STATUS
    double rate;
};

struct fault_rates {
    struct fault_rate at[16];
    int count;
};

const char *fault_word(enum fault f);
// fault_is_before says whether the fault strikes before the quota is asked (and so is free).
bool fault_is_before(enum fault f);

// fault_rates_parse reads "529=0.05,reset=0.01"; "" and "none" are no faults at all.
int fault_rates_parse(const char *text, struct fault_rates *ret) MUST_CHECK;
void fault_rates_show(const struct fault_rates *r, struct strbuf *out);
// fault_rates_pick gives the fault that strikes at the roll (of [0, 1)), or NULL.
const struct fault_rate *fault_rates_pick(const struct fault_rates *r, double roll);

// An error as the API states it.
struct trouble {
    const char *word; // the preset's name
    int status;
    const char *type, *code, *message; // code NULL: the body has no details
    const char *headers;               // further header lines, or ""
};

// trouble_find gives the preset of that name ("spend_limit", ...), or NULL.
const struct trouble *trouble_find(const char *word);
const struct trouble *trouble_at(size_t i); // NULL at the end
// trouble_of_status gives the plain error of a status.
struct trouble trouble_of_status(int status);
void trouble_add_body(struct strbuf *out, const struct trouble *t, const char *message,
                      const char *request_id);
const char *status_reason(int status);

#endif
