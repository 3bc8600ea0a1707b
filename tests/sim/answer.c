#include "tests/sim/answer.h"

#include "common/base/attrs.h"
#include "tests/sim/names.h"

#include <math.h>
#include <string.h>

enum { DELTA_BYTES = 64, TEXT_MAX_BYTES = 32 << 20 };

static const char *const models[] = {
    "claude-fable-5-2",
    "claude-mythos-5-2",
    "claude-haiku-5-5",
    "claude-sonnet-5-5",
    "claude-opus-5-5",
    "claude-sonnet-5",
    "claude-fable-5",
    "claude-opus-5",
    "claude-opus-4-8",
    "claude-opus-4-7",
    "claude-opus-4-6",
    "claude-sonnet-4-6",
    "claude-haiku-4-5",
    "claude-opus-4-5",
    "claude-sonnet-4-5",
    "claude-haiku-4-5-20251001",
    "claude-sonnet-4-5-20250929",
};

// unit gives a number of [0, 1) that belongs to the hash and the salt.
static double unit(uint64_t hash, uint64_t salt)
{
    return (double)(hash_bytes(&hash, sizeof hash, salt) >> 11) * 0x1.0p-53;
}

uint32_t answer_input_tokens(const struct ask *a, const struct settings *s)
{
    double tokens = ceil((double)a->text_bytes / s->bytes_per_token);
    return (uint32_t)MIN(MAX(tokens, 1.0), 4e9);
}

void answer_plan(const struct ask *a, const struct settings *s, struct question *ret)
{
    double wanted = s->answer_tokens;
    if (wanted <= 0)
        wanted = spread_lognormal(s->out_median, s->out_sigma, unit(a->hash, 2), unit(a->hash, 3));
    double most = (double)MAX(a->max_tokens, 0);
    wanted = MAX(1.0, floor(wanted + 0.5));
    ret->hash = a->hash;
    ret->hit_max = wanted > most;
    ret->empty = a->max_tokens == 0;
    ret->out_tokens = (uint32_t)MIN(wanted, most);
    ret->in_tokens = answer_input_tokens(a, s);
    ret->cached_tokens = (uint32_t)(ret->in_tokens * s->cache_read);
    ret->prompt_len = (uint16_t)a->prompt.len;
    memcpy(ret->prompt, a->prompt.at, a->prompt.len);
}

void answer_id(char out[ID_BYTES], const char *prefix, uint64_t n, uint64_t salt)
{
    static const char digits[] = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    size_t len = strlen(prefix);
    uint64_t x = hash_bytes(&n, sizeof n, salt), y = hash_bytes(&n, sizeof n, salt + 1);
    memcpy(out, prefix, len);
    for (int i = 0; i < 11; i++, x >>= 5, y >>= 5) {
        out[len++] = digits[x & 31];
        out[len++] = digits[y & 31];
    }
    out[len] = '\0';
}

static void add_hex(struct strbuf *out, uint64_t x)
{
    char text[16];
    for (int i = 15; i >= 0; i--, x >>= 4)
        text[i] = "0123456789abcdef"[x & 15];
    strbuf_add(out, text, sizeof text);
}

void answer_add_text(struct strbuf *out, const struct question *q, size_t fill_bytes)
{
    static const char filler[] = " water runs down the penstock and turns the wheel;";
    if (q->empty)
        return;
    size_t start = out->len;
    strbuf_add_str(out, "echo: ");
    strbuf_add(out, q->prompt, q->prompt_len);
    strbuf_add_str(out, " #");
    add_hex(out, q->hash);
    while (out->len - start < fill_bytes && !strbuf_failed(out))
        strbuf_add(out, filler, MIN(sizeof filler - 1, fill_bytes - (out->len - start)));
}

static void add_usage(struct strbuf *out, const struct question *q, uint32_t out_tokens)
{
    strbuf_add_str(out, "{\"input_tokens\":");
    strbuf_add_int(out, q->in_tokens - q->cached_tokens);
    strbuf_add_str(out, ",\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":");
    strbuf_add_int(out, q->cached_tokens);
    strbuf_add_str(out, ",\"cache_creation\":{\"ephemeral_5m_input_tokens\":0,"
                        "\"ephemeral_1h_input_tokens\":0},\"output_tokens\":");
    strbuf_add_int(out, out_tokens);
    strbuf_add_str(out, ",\"service_tier\":\"standard\",\"inference_geo\":\"global\"}");
}

static void add_head(struct strbuf *out, const struct question *q, const char *model)
{
    char id[ID_BYTES];
    answer_id(id, "msg_01", q->n, 7);
    strbuf_add_str(out, "{\"id\":\"");
    strbuf_add_str(out, id);
    strbuf_add_str(out, "\",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
    strbuf_add_json_str(out, model);
}

static const char *stop_reason(const struct question *q)
{
    return q->hit_max ? "\"max_tokens\"" : "\"end_turn\"";
}

static struct strbuf *text_of(const struct question *q, const struct settings *s)
{
    static struct strbuf text; // one thread; its memory is kept for the next
    if (text.ceiling == 0)
        strbuf_init(&text, TEXT_MAX_BYTES);
    strbuf_clear(&text);
    answer_add_text(&text, q, (size_t)s->answer_bytes);
    return &text;
}

void answer_add_message(struct strbuf *out, const struct question *q, const struct settings *s,
                        const char *model)
{
    add_head(out, q, model);
    strbuf_add_str(out, ",\"content\":[");
    if (!q->empty) {
        struct strbuf *text = text_of(q, s);
        strbuf_add_str(out, "{\"type\":\"text\",\"text\":");
        strbuf_add_json(out, text->at, text->len);
        strbuf_add_str(out, ",\"citations\":null}");
    }
    strbuf_add_str(out, "],\"stop_reason\":");
    strbuf_add_str(out, stop_reason(q));
    strbuf_add_str(out, ",\"stop_sequence\":null,\"stop_details\":null,\"container\":null,"
                        "\"usage\":");
    add_usage(out, q, q->out_tokens);
    strbuf_add_char(out, '}');
}

void answer_add_stream_start(struct strbuf *out, const struct question *q, const char *model)
{
    strbuf_add_str(out, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":");
    add_head(out, q, model);
    strbuf_add_str(out, ",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":");
    add_usage(out, q, 1);
    strbuf_add_str(out, "}}\n\n");
    if (q->empty)
        return;
    strbuf_add_str(out, "event: content_block_start\ndata: {\"type\":\"content_block_start\","
                        "\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
                        "event: ping\ndata: {\"type\":\"ping\"}\n\n");
}

static void add_deltas(struct strbuf *out, const struct strbuf *text)
{
    for (size_t at = 0, len; at < text->len; at += len) {
        len = MIN((size_t)DELTA_BYTES, text->len - at);
        while (at + len < text->len && (text->at[at + len] & 0xC0) == 0x80)
            len++; // never within a character
        strbuf_add_str(out, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
                            "\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":");
        strbuf_add_json(out, text->at + at, len);
        strbuf_add_str(out, "}}\n\n");
    }
}

void answer_add_stream_rest(struct strbuf *out, const struct question *q, const struct settings *s)
{
    if (!q->empty) {
        add_deltas(out, text_of(q, s));
        strbuf_add_str(out, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\","
                            "\"index\":0}\n\n");
    }
    strbuf_add_str(out, "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":"
                        "{\"stop_reason\":");
    strbuf_add_str(out, stop_reason(q));
    strbuf_add_str(out, ",\"stop_sequence\":null,\"stop_details\":null,\"container\":null},"
                        "\"usage\":{\"output_tokens\":");
    strbuf_add_int(out, q->out_tokens);
    strbuf_add_str(out, "}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
}

void answer_add_stream_error(struct strbuf *out)
{
    strbuf_add_str(out, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
                        "\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n");
}

void answer_add_models(struct strbuf *out)
{
    strbuf_add_str(out, "{\"data\":[");
    for (size_t i = 0; i < ARRAY_LEN(models); i++) {
        strbuf_add_str(out, i ? ",{\"type\":\"model\",\"id\":" : "{\"type\":\"model\",\"id\":");
        strbuf_add_json_str(out, models[i]);
        strbuf_add_str(out, ",\"display_name\":");
        strbuf_add_json_str(out, models[i]);
        strbuf_add_str(out, ",\"created_at\":\"2025-09-29T00:00:00Z\",\"max_input_tokens\":"
                            "1000000,\"max_tokens\":128000}");
    }
    strbuf_add_fmt(out, "],\"has_more\":false,\"first_id\":\"%s\",\"last_id\":\"%s\"}", models[0],
                   models[ARRAY_LEN(models) - 1]);
}

bool answer_knows_model(struct span model)
{
    for (size_t i = 0; i < ARRAY_LEN(models); i++)
        if (span_is(model, models[i]))
            return true;
    return false;
}
