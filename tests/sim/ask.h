// ask: what a request's body asks for, and the API's own words for what is wrong with it. Pure.
#ifndef PENSTOCK_SIM_ASK_H
#define PENSTOCK_SIM_ASK_H

#include "common/base/attrs.h"
#include "common/base/strbuf.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ASK_PROMPT_CHARS = 200,
    ASK_PROMPT_BYTES = ASK_PROMPT_CHARS * 4,
    ASK_WHY_BYTES = 160,
    ASK_DEPTH_MAX = 100,
};

struct ask {
    struct span model; // within the body
    int64_t max_tokens;
    bool stream;
    const char *sampling; // "temperature", "top_p" or "top_k" where the body has one, else NULL
    uint64_t hash;        // of the whole body
    uint64_t text_bytes;  // of messages, system and tools, JSON escapes undone
    struct span prompt;   // the head of the last user message; within the body or in `room`
    char room[ASK_PROMPT_BYTES];
};

enum ask_kind { ASK_MESSAGES, ASK_COUNT_TOKENS };

// ask_parse reads a body. 0, or ERR_BAD_JSON with the message of the 400 that the API would send.
int ask_parse(const char *body, size_t len, enum ask_kind kind, struct ask *ret,
              char ret_why[ASK_WHY_BYTES]) MUST_CHECK;

#endif
