#include "tests/sim/ask.h"

#include "common/base/err.h"
#include "common/base/scan.h"
#include "tests/sim/names.h"

#include <stdio.h>
#include <string.h>

enum { ESCAPE_U_BYTES = 6, HEAD_RAW_BYTES = ASK_PROMPT_CHARS * 2 * ESCAPE_U_BYTES };

// The parts of a body that matter here.
struct parts {
    struct scan_value model, max_tokens, messages, system, tools, stream;
    const char *sampling;
};

static int wrong(char why[ASK_WHY_BYTES], const char *text)
{
    snprintf(why, ASK_WHY_BYTES, "%s", text);
    return ERR_BAD_JSON;
}

static bool is_there(struct scan_value v)
{
    return v.raw.at != NULL;
}

// pick sorts one member of the body by its name.
static void pick(const struct scan_member *m, struct parts *p)
{
    static const char *const sampling[] = {"temperature", "top_p", "top_k"};
    if (span_is(m->key, "model"))
        p->model = m->value;
    else if (span_is(m->key, "max_tokens"))
        p->max_tokens = m->value;
    else if (span_is(m->key, "messages"))
        p->messages = m->value;
    else if (span_is(m->key, "system"))
        p->system = m->value;
    else if (span_is(m->key, "tools"))
        p->tools = m->value;
    else if (span_is(m->key, "stream"))
        p->stream = m->value;
    for (size_t i = 0; i < ARRAY_LEN(sampling); i++)
        if (span_is(m->key, sampling[i]))
            p->sampling = sampling[i];
}

// text_bytes counts a part's bytes with escapes undone: \n is one byte, \u4e2d three.
static uint64_t text_bytes(struct scan_value v)
{
    if (!is_there(v))
        return 0;
    const char *at = v.raw.at, *end = at + v.raw.len;
    uint64_t bytes = v.raw.len;
    while ((at = memchr(at, '\\', (size_t)(end - at)))) {
        bool is_u = at[1] == 'u';
        bytes -= is_u ? ESCAPE_U_BYTES - 3 : 1;
        at += is_u ? ESCAPE_U_BYTES : 2;
    }
    return bytes;
}

static bool is_high_surrogate(const char *hex)
{
    return (hex[0] | 0x20) == 'd' && memchr("89ab", hex[1] | 0x20, 4);
}

// head_of gives how much of a string's raw text surely holds its first characters; it never ends
// within an escape.
static size_t head_of(struct span raw)
{
    size_t i = 0, good = 0;
    while (i < raw.len && i < HEAD_RAW_BYTES) {
        bool is_high = false;
        if (raw.at[i] != '\\') {
            i++;
        } else if (raw.at[i + 1] != 'u') {
            i += 2;
        } else {
            is_high = is_high_surrogate(raw.at + i + 2);
            i += ESCAPE_U_BYTES;
        }
        if (!is_high) // what scan_unescape gets must be whole
            good = i;
    }
    return good;
}

// keep_chars shortens UTF-8 text to so many characters. Plain ASCII goes by eight bytes at a time.
static size_t keep_chars(struct span s, size_t most)
{
    size_t chars = 0, i = 0;
    uint64_t word;
    for (; i + sizeof word <= MIN(s.len, most); i += sizeof word) {
        memcpy(&word, s.at + i, sizeof word);
        if (word & 0x8080808080808080u)
            break;
    }
    for (chars = i; i < s.len; i++)
        if ((s.at[i] & 0xC0) != 0x80 && chars++ == most)
            break;
    return i;
}

static void take_prompt(struct scan_value v, struct ask *a)
{
    struct span plain = {v.raw.at + 1, v.raw.len - 2};
    struct span head = {plain.at, MIN(plain.len, (size_t)ASK_PROMPT_BYTES)};
    if (!memchr(head.at, '\\', head.len)) { // the usual case: nothing to undo
        head.len = keep_chars(head, ASK_PROMPT_CHARS);
        a->prompt = head;
        return;
    }
    size_t raw_len = head_of(plain);
    char quoted[HEAD_RAW_BYTES + ESCAPE_U_BYTES + 2];
    struct strbuf text;
    strbuf_init(&text, sizeof quoted);
    quoted[0] = quoted[raw_len + 1] = '"';
    memcpy(quoted + 1, plain.at, raw_len);
    struct scan_value cut = {.type = SCAN_STRING, .raw = {quoted, raw_len + 2}};
    scan_unescape(cut, &text);
    size_t len = keep_chars(strbuf_span(&text), ASK_PROMPT_CHARS);
    if (len)
        memcpy(a->room, text.at, len);
    a->prompt = (struct span){a->room, len};
    strbuf_fini(&text);
}

// first_text finds the text of a content: the string itself or its first text block.
static bool first_text(struct scan_value content, struct scan_value *ret)
{
    struct scan_value block;
    size_t pos = 0;
    *ret = content;
    if (content.type == SCAN_STRING)
        return true;
    if (content.type != SCAN_ARRAY)
        return false;
    while (scan_items(content, &pos, &block))
        if (scan_get(block, "text", ret) && ret->type == SCAN_STRING)
            return true;
    return false;
}

// read_message verifies one message; *ret_last is the text of the latest user message so far.
static int read_message(struct scan_value item, int n, struct scan_value *ret_last,
                        char why[ASK_WHY_BYTES])
{
    struct scan_value role = {.raw = {NULL, 0}}, content = role, text;
    struct scan_member m;
    struct span who = {NULL, 0};
    size_t pos = 0;
    while (item.type == SCAN_OBJECT && scan_members(item, &pos, &m)) {
        if (span_is(m.key, "role"))
            role = m.value;
        else if (span_is(m.key, "content"))
            content = m.value;
    }
    if (!is_there(role) || !scan_str(role, &who)) {
        snprintf(why, ASK_WHY_BYTES, "messages.%d.role: Field required", n);
        return ERR_BAD_JSON;
    }
    if (!is_there(content) || (content.type != SCAN_STRING && content.type != SCAN_ARRAY)) {
        snprintf(why, ASK_WHY_BYTES, "messages.%d.content: Field required", n);
        return ERR_BAD_JSON;
    }
    if (!span_is(who, "user") && !span_is(who, "assistant") && !span_is(who, "system")) {
        snprintf(why, ASK_WHY_BYTES, "messages: Unexpected role \"%.*s\"",
                 (int)MIN(who.len, (size_t)40), who.at);
        return ERR_BAD_JSON;
    }
    if (span_is(who, "user") && first_text(content, &text))
        *ret_last = text;
    return 0;
}

static int read_messages(struct scan_value list, struct ask *a, char why[ASK_WHY_BYTES])
{
    struct scan_value item, last = {.raw = {NULL, 0}};
    size_t pos = 0;
    int n = 0;
    for (; scan_items(list, &pos, &item); n++) {
        int err = read_message(item, n, &last, why);
        if (err)
            return err;
    }
    if (n == 0)
        return wrong(why, "messages: at least one message is required");
    if (is_there(last))
        take_prompt(last, a);
    return 0;
}

static int read_parts(const struct parts *p, enum ask_kind kind, struct ask *a,
                      char why[ASK_WHY_BYTES])
{
    if (!is_there(p->model))
        return wrong(why, "model: Field required");
    if (!scan_str(p->model, &a->model) || a->model.len == 0)
        return wrong(why, "model: Input should be a valid string");
    if (kind == ASK_MESSAGES) {
        if (!is_there(p->max_tokens))
            return wrong(why, "max_tokens: Field required");
        if (!scan_int(p->max_tokens, &a->max_tokens))
            return wrong(why, "max_tokens: Input should be a valid integer");
        if (a->max_tokens < 0)
            return wrong(why, "max_tokens: Input should be greater than or equal to 1");
    }
    if (!is_there(p->messages))
        return wrong(why, "messages: Field required");
    if (p->messages.type != SCAN_ARRAY)
        return wrong(why, "messages: Input should be a valid array");
    a->stream = is_there(p->stream) && p->stream.type == SCAN_TRUE;
    a->sampling = p->sampling;
    return read_messages(p->messages, a, why);
}

int ask_parse(const char *body, size_t len, enum ask_kind kind, struct ask *ret,
              char ret_why[ASK_WHY_BYTES])
{
    const char *why;
    size_t at, pos = 0;
    if (scan_check(body, len, ASK_DEPTH_MAX, &why, &at)) {
        snprintf(ret_why, ASK_WHY_BYTES, "The request body is not valid JSON: %s: char %zu", why,
                 at);
        return ERR_BAD_JSON;
    }
    struct scan_value root = scan_root(body, len);
    if (root.type != SCAN_OBJECT)
        return wrong(ret_why, "Input should be a valid dictionary");
    struct parts p = {.sampling = NULL};
    struct scan_member m;
    while (scan_members(root, &pos, &m))
        pick(&m, &p);
    ret->max_tokens = 0;
    ret->prompt = (struct span){"", 0};
    ret->hash = hash_bytes(body, len, 0);
    ret->text_bytes = text_bytes(p.messages) + text_bytes(p.system) + text_bytes(p.tools);
    return read_parts(&p, kind, ret, ret_why);
}
