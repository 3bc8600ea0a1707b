// answer: the bodies that go out. The text is made from the question, so that a test can tell
// which answer belongs to which prompt.
#ifndef PENSTOCK_SIM_ANSWER_H
#define PENSTOCK_SIM_ANSWER_H

#include "common/base/strbuf.h"
#include "tests/sim/ask.h"
#include "tests/sim/settings.h"

enum { ID_BYTES = 32 };

// An accepted question, kept until it is answered.
struct question {
    uint64_t n; // its number; ids are made from it
    uint64_t hash;
    uint32_t in_tokens, cached_tokens, out_tokens; // in_tokens: all of the input
    bool hit_max;                                  // max_tokens cut the answer
    bool empty;                                    // max_tokens was 0
    uint16_t prompt_len;
    char prompt[ASK_PROMPT_BYTES];
};

// answer_plan decides from the request how large the answer is; the same body always gives the
// same answer.
void answer_plan(const struct ask *a, const struct settings *s, struct question *ret);
uint32_t answer_input_tokens(const struct ask *a, const struct settings *s);

void answer_id(char out[ID_BYTES], const char *prefix, uint64_t n, uint64_t salt);
// answer_add_text adds "echo: <prompt> #<hash>", filled with words up to fill_bytes.
void answer_add_text(struct strbuf *out, const struct question *q, size_t fill_bytes);
void answer_add_message(struct strbuf *out, const struct question *q, const struct settings *s,
                        const char *model);
// A stream's events: the first part up to the first text, and the rest.
void answer_add_stream_start(struct strbuf *out, const struct question *q, const char *model);
void answer_add_stream_rest(struct strbuf *out, const struct question *q, const struct settings *s);
void answer_add_stream_error(struct strbuf *out);
void answer_add_models(struct strbuf *out);
bool answer_knows_model(struct span model);

#endif
