// The check is one pass without recursion. What encloses the place in hand is one bit a level
// (object or array), so depth costs nothing and a hostile text cannot reach the C stack. Runs of
// plain ASCII inside strings, which is what prompts mostly are, go by eight bytes at a time.
#include "common/base/scan.h"

#include "common/base/err.h"
#include "common/base/scan_int.h"
#include "common/base/utf8.h"

#include <assert.h>

static const char too_early[] = "the text ends too early";

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

// skip_plain finds the first byte that ends a run of plain ASCII string text, or end.
static const uint8_t *skip_plain(const uint8_t *p, const uint8_t *end)
{
    for (; end - p >= SCAN_WORD; p += SCAN_WORD) {
        uint64_t word = load_word(p);
        uint64_t marks = mark_byte(word, '"') | mark_byte(word, '\\') |
                         (((word - EACH_BYTE(0x20)) | word) & EACH_BYTE(0x80));
        if (marks)
            return lowest_mark(p, marks);
    }
    while (p < end && is_plain(*p))
        p++;
    return p;
}

static const uint8_t *skip_digits(const uint8_t *p, const uint8_t *end)
{
    while (p < end && is_digit(*p))
        p++;
    return p;
}

// Each pass_... function takes the place it starts at and gives the place after, or NULL with `why`
// and `at` filled in.

enum want {
    WANT_VALUE,
    WANT_FIRST, // what may follow an opening bracket
    WANT_KEY,
    WANT_NEXT, // a comma or a closing bracket; at depth 0 the end of the text
};

struct check {
    const uint8_t *end;
    enum want want;
    int depth, depth_max;
    int err;
    const char *why;
    const uint8_t *at;
    uint64_t is_object[SCAN_DEPTH_MAX / 64]; // one bit a level, the innermost at depth - 1
};

static const uint8_t *fail(struct check *k, const uint8_t *at, const char *why)
{
    k->err = ERR_BAD_JSON;
    k->why = why;
    k->at = at;
    return NULL;
}

static const uint8_t *fail_expected(struct check *k, const uint8_t *at, const char *why)
{
    if (at == k->end)
        return fail(k, at, too_early);
    return fail(k, at, *at == '\0' ? "a NUL byte" : why);
}

// p stands after \u.
static const uint8_t *pass_unicode_escape(struct check *k, const uint8_t *p)
{
    int32_t code = hex4(p, k->end);
    if (code < 0)
        return fail(k, p, "an escape \\u without four hexadecimal digits");
    p += 4;
    if (is_low_surrogate(code))
        return fail(k, p - 6, "a lone surrogate escape");
    if (!is_high_surrogate(code))
        return p;
    bool paired =
        k->end - p >= 6 && p[0] == '\\' && p[1] == 'u' && is_low_surrogate(hex4(p + 2, k->end));
    return paired ? p + 6 : fail(k, p - 6, "a lone surrogate escape");
}

// p stands at the backslash.
static const uint8_t *pass_escape(struct check *k, const uint8_t *p)
{
    if (k->end - p < 2)
        return fail(k, k->end, too_early);
    switch (p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return p + 2;
    case 'u':
        return pass_unicode_escape(k, p + 2);
    default:
        return fail(k, p, "an unknown escape");
    }
}

static const uint8_t *pass_utf8(struct check *k, const uint8_t *p)
{
    while (p < k->end && *p >= 0x80) {
        size_t len = utf8_len(p, (size_t)(k->end - p));
        if (len == 0)
            return fail(k, p, "bytes that are not UTF-8");
        p += len;
    }
    return p;
}

// p stands after the opening quote.
static const uint8_t *pass_string(struct check *k, const uint8_t *p)
{
    for (;;) {
        p = skip_plain(p, k->end);
        if (p == k->end)
            return fail(k, p, too_early);
        if (*p == '"')
            return p + 1;
        if (*p < 0x20)
            return fail(k, p, "a control character in a string");
        p = *p == '\\' ? pass_escape(k, p) : pass_utf8(k, p);
        if (!p)
            return NULL;
    }
}

static const uint8_t *pass_digits(struct check *k, const uint8_t *p)
{
    const uint8_t *after = skip_digits(p, k->end);
    return after > p ? after : fail_expected(k, p, "a malformed number");
}

static const uint8_t *pass_number(struct check *k, const uint8_t *p)
{
    const uint8_t *end = k->end;
    if (*p == '-')
        p++;
    else if (!is_digit(*p))
        return fail_expected(k, p, "a value was expected");
    if (p + 1 < end && p[0] == '0' && is_digit(p[1]))
        return fail(k, p, "a number with a leading zero");
    p = pass_digits(k, p);
    if (p && p < end && *p == '.')
        p = pass_digits(k, p + 1);
    if (p && p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        p = pass_digits(k, p);
    }
    return p;
}

static const uint8_t *pass_word(struct check *k, const uint8_t *p, const char *word, size_t len)
{
    size_t left = (size_t)(k->end - p);
    if (memcmp(p, word, MIN(left, len)) != 0)
        return fail(k, p, "a value was expected");
    return left < len ? fail(k, k->end, too_early) : p + len;
}

static const uint8_t *open_level(struct check *k, const uint8_t *p, bool is_object)
{
    if (k->depth == k->depth_max) {
        fail(k, p, "nested too deeply");
        k->err = ERR_TOO_BIG;
        return NULL;
    }
    uint64_t *bits = &k->is_object[k->depth / 64], bit = (uint64_t)1 << (k->depth % 64);
    *bits = is_object ? *bits | bit : *bits & ~bit;
    k->depth++;
    k->want = WANT_FIRST;
    return p + 1;
}

static bool in_object(const struct check *k)
{
    return k->is_object[(k->depth - 1) / 64] >> ((k->depth - 1) % 64) & 1;
}

static const uint8_t *pass_value(struct check *k, const uint8_t *p)
{
    k->want = WANT_NEXT;
    switch (*p) {
    case '"':
        return pass_string(k, p + 1);
    case '{':
        return open_level(k, p, true);
    case '[':
        return open_level(k, p, false);
    case 't':
        return pass_word(k, p, "true", 4);
    case 'f':
        return pass_word(k, p, "false", 5);
    case 'n':
        return pass_word(k, p, "null", 4);
    default:
        return pass_number(k, p);
    }
}

static const uint8_t *pass_key(struct check *k, const uint8_t *p)
{
    if (*p != '"')
        return fail_expected(k, p, "a name in quotes was expected");
    p = pass_string(k, p + 1);
    if (!p)
        return NULL;
    p = skip_blanks(p, k->end);
    if (p == k->end || *p != ':')
        return fail_expected(k, p, "a colon was expected");
    k->want = WANT_VALUE;
    return p + 1;
}

static const uint8_t *close_level(struct check *k, const uint8_t *p)
{
    k->depth--;
    k->want = WANT_NEXT;
    return p + 1;
}

static const uint8_t *pass_first(struct check *k, const uint8_t *p)
{
    bool is_object = in_object(k);
    if (*p == (is_object ? '}' : ']'))
        return close_level(k, p);
    return is_object ? pass_key(k, p) : pass_value(k, p);
}

static const uint8_t *pass_next(struct check *k, const uint8_t *p)
{
    bool is_object = in_object(k);
    if (*p == ',') {
        k->want = is_object ? WANT_KEY : WANT_VALUE;
        return p + 1;
    }
    if (*p == (is_object ? '}' : ']'))
        return close_level(k, p);
    return fail_expected(k, p, "a comma or a closing bracket was expected");
}

// pass_token passes one step of the grammar, blanks before it included.
static const uint8_t *pass_token(struct check *k, const uint8_t *p)
{
    p = skip_blanks(p, k->end);
    if (p == k->end)
        return fail(k, p, too_early);
    switch (k->want) {
    case WANT_VALUE:
        return pass_value(k, p);
    case WANT_FIRST:
        return pass_first(k, p);
    case WANT_KEY:
        return pass_key(k, p);
    default:
        return pass_next(k, p);
    }
}

static void check_text(struct check *k, const uint8_t *p)
{
    if (k->end - p >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0) {
        fail(k, p, "a byte-order mark");
        return;
    }
    if (skip_blanks(p, k->end) == k->end) {
        fail(k, k->end, "there is no value");
        return;
    }
    do {
        p = pass_token(k, p);
        if (!p)
            return;
    } while (k->depth > 0 || k->want != WANT_NEXT);
    p = skip_blanks(p, k->end);
    if (p < k->end)
        fail_expected(k, p, "bytes after the value");
}

int scan_check(const char *text, size_t len, int depth_max, const char **ret_why, size_t *ret_at)
{
    static const uint8_t nothing[1];
    const uint8_t *start = len ? (const uint8_t *)text : nothing;
    struct check k = {.end = start + len, .want = WANT_VALUE, .depth_max = depth_max};
    assert(depth_max >= 0 && depth_max <= SCAN_DEPTH_MAX);
    check_text(&k, start);
    if (k.err) {
        *ret_why = k.why;
        *ret_at = (size_t)(k.at - start);
    }
    return k.err;
}
