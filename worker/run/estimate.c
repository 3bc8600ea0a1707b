// estimate: what a call is thought to cost. Tokens in by the payload's bytes, at the ratio that the
// pool's answers have shown; tokens out by the mean of the queue's answers.
#include "worker/run/estimate.h"

#include "worker/run/run_int.h"

#include <stdio.h>
#include <string.h>

enum { MEDIA_BYTES_LEAST = 1024, MEDIA_AS_BYTES = 5600, REFUSALS_ENOUGH = 3 };

// Before anything is known of a model's tokens: three bytes a token, and a third more for the
// tokenizer of newer models (docs/governor.md); what is beyond doubt; and the usual.
#define TOKENS_PER_BYTE 0.44
#define LEAST_PER_BYTE 0.15
#define USUAL_PER_BYTE 0.286

// media_end gives the end of a base64 string that begins at `at`, behind the word "data"; NULL = it
// is none, or a short one.
static const char *media_end(const char *at, const char *end)
{
    static const char base64[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\\";
    while (at < end && (*at == ' ' || *at == ':' || *at == '\t' || *at == '\n'))
        at++;
    if (at == end || *at != '"')
        return NULL;
    const char *close = memchr(at + 1, '"', (size_t)(end - at - 1));
    if (!close || close - at <= MEDIA_BYTES_LEAST)
        return NULL;
    return strspn(at + 1, base64) >= MEDIA_BYTES_LEAST ? close : NULL;
}

size_t estimate_bytes(const char *payload, size_t len)
{
    static const char word[] = "\"data\"";
    const char *at = payload, *end = payload + len;
    size_t bytes = len;
    while (len > MEDIA_BYTES_LEAST && (at = memmem(at, (size_t)(end - at), word, 6)) != NULL) {
        const char *close = media_end(at + 6, end);
        if (close)
            bytes += MEDIA_AS_BYTES - (size_t)(close - at);
        at = close ? close : at + 6;
    }
    return bytes;
}

static double per_byte(const struct pool *p, double otherwise)
{
    return p->permits.in_per_byte > 0 ? p->permits.in_per_byte : otherwise;
}

static double most_of(const struct attempt *a)
{
    return (double)(a->job.max_tokens > 0 ? a->job.max_tokens : a->run->conf->max_tokens);
}

void estimate_cost(struct attempt *a)
{
    const struct pool *p = a->pool;
    const struct wqueue *q = a->queue;
    double most = most_of(a);
    double out = q->out_mean > 0            ? q->out_mean
                 : p->permits.out_mean >= 0 ? p->permits.out_mean
                                            : most / 2;
    a->cost = (struct cost){.input = (double)a->bytes * per_byte(p, TOKENS_PER_BYTE),
                            .output = MIN(out, most),
                            .most = most};
    budget_price(a->pool, a->job.model.len ? a->job.model : span_of(a->run->conf->model), &a->cost);
}

// input_least: as few tokens as the call can be thought to have, all doubts allowed for.
static double input_least(const struct attempt *a, const struct pool *p, bool refused)
{
    double bytes = (double)a->bytes;
    if (!refused)
        return bytes * MIN(per_byte(p, 2 * LEAST_PER_BYTE) / 2, LEAST_PER_BYTE);
    return bytes * per_byte(p, USUAL_PER_BYTE) / (a->throttles < REFUSALS_ENOUGH ? 1.25 : 1);
}

bool estimate_never_fits(const struct attempt *a, bool refused, char *ret_why, size_t room)
{
    bool reserved = a->run->conf->output_charge[0] == 'r';
    double most = most_of(a);
    for (size_t i = 0; i < a->class->count; i++) {
        const struct pool *p = a->class->pools[i];
        double input = p->permits.limit_input, output = p->permits.limit_output;
        bool too_long = input > 0 && input_least(a, p, refused) > input;
        bool too_much = reserved && output > 0 && most > output;
        if (!too_long && !too_much)
            return false;
        if (too_long)
            snprintf(ret_why, room,
                     "about %.0f input tokens are more than the %.0f a minute that %s allows",
                     (double)a->bytes * per_byte(p, USUAL_PER_BYTE), input, p->name);
        else
            snprintf(ret_why, room,
                     "max_tokens %.0f is more than the %.0f output tokens a minute that %s allows",
                     most, output, p->name);
    }
    return true;
}
