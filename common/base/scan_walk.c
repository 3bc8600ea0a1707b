// The walkers over a checked text: bounded by `end` throughout, for the rest they trust the check.
#include "common/base/scan.h"
#include "common/base/scan_int.h"
#include "common/base/utf8.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// skip_to_quote finds the next quote or backslash, or end.
static const uint8_t *skip_to_quote(const uint8_t *p, const uint8_t *end)
{
    for (; end - p >= SCAN_WORD; p += SCAN_WORD) {
        uint64_t word = load_word(p);
        uint64_t marks = (mark_byte(word, '"') | mark_byte(word, '\\')) & ~word;
        if (marks)
            return lowest_mark(p, marks);
    }
    while (p < end && *p != '"' && *p != '\\')
        p++;
    return p;
}

static enum scan_type type_of(uint8_t first)
{
    switch (first) {
    case '"':
        return SCAN_STRING;
    case '{':
        return SCAN_OBJECT;
    case '[':
        return SCAN_ARRAY;
    case 't':
        return SCAN_TRUE;
    case 'f':
        return SCAN_FALSE;
    case 'n':
        return SCAN_NULL;
    default:
        return SCAN_NUMBER;
    }
}

static struct scan_value value_between(const uint8_t *p, const uint8_t *after)
{
    return (struct scan_value){type_of(*p), {(const char *)p, (size_t)(after - p)}};
}

// p stands after the opening quote.
static const uint8_t *skip_string(const uint8_t *p, const uint8_t *end)
{
    for (;;) {
        p = skip_to_quote(p, end);
        if (end - p < 2)
            return end;
        if (*p == '"')
            return p + 1;
        p += 2;
    }
}

static const uint8_t *skip_nested(const uint8_t *p, const uint8_t *end)
{
    size_t depth = 0;
    while (p < end) {
        uint8_t c = *p++;
        if (c == '"')
            p = skip_string(p, end);
        else if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && --depth == 0)
            break;
    }
    return p;
}

static const uint8_t *skip_value(const uint8_t *p, const uint8_t *end)
{
    if (*p == '"')
        return skip_string(p + 1, end);
    if (*p == '{' || *p == '[')
        return skip_nested(p, end);
    while (p < end && *p != ',' && *p != '}' && *p != ']' && !is_blank(*p))
        p++;
    return p;
}

// skip_between passes blanks and the one comma or colon among them.
static const uint8_t *skip_between(const uint8_t *p, const uint8_t *end, uint8_t mark)
{
    p = skip_blanks(p, end);
    return p < end && *p == mark ? skip_blanks(p + 1, end) : p;
}

struct scan_value scan_root(const char *text, size_t len)
{
    const uint8_t *p = (const uint8_t *)text, *end = p + len;
    p = skip_blanks(p, end);
    assert(p < end);
    while (is_blank(end[-1]))
        end--;
    return value_between(p, end);
}

bool scan_member_at(struct span object, size_t *pos, struct scan_member *ret)
{
    const uint8_t *start = (const uint8_t *)object.at, *end = start + object.len - 1;
    const uint8_t *p = skip_between(start + (*pos ? *pos : 1), end, ',');
    if (p >= end)
        return false;
    const uint8_t *key = p + 1;
    p = skip_string(key, end);
    ret->key = (struct span){(const char *)key, (size_t)(p - 1 - key)};
    ret->key_escaped = memchr(key, '\\', ret->key.len) != NULL;
    p = skip_between(p, end, ':');
    const uint8_t *after = skip_value(p, end);
    ret->value = value_between(p, after);
    *pos = (size_t)(after - start);
    return true;
}

bool scan_item_at(struct span array, size_t *pos, struct scan_value *ret)
{
    const uint8_t *start = (const uint8_t *)array.at, *end = start + array.len - 1;
    const uint8_t *p = skip_between(start + (*pos ? *pos : 1), end, ',');
    if (p >= end)
        return false;
    const uint8_t *after = skip_value(p, end);
    *ret = value_between(p, after);
    *pos = (size_t)(after - start);
    return true;
}

bool scan_get(struct scan_value v, const char *key, struct scan_value *ret)
{
    struct scan_member m;
    for (size_t pos = 0; scan_members(v, &pos, &m);) {
        if (!scan_key_is(&m, key))
            continue;
        *ret = m.value;
        return true;
    }
    return false;
}

// ---- strings ----

// undo_escape reads the escape at **p (a backslash) into ret and steps over it.
static size_t undo_escape(const uint8_t **p, const uint8_t *end, uint8_t ret[4])
{
    static const char names[] = "bfnrt", bytes[] = "\b\f\n\r\t";
    uint8_t c = (*p)[1];
    *p += 2;
    if (c != 'u') {
        const char *at = strchr(names, c);
        ret[0] = at ? (uint8_t)bytes[at - names] : c;
        return 1;
    }
    int32_t code = hex4(*p, end);
    *p += 4;
    if (is_high_surrogate(code)) {
        code = 0x10000 + ((code & 0x3FF) << 10) + (hex4(*p + 2, end) & 0x3FF);
        *p += 6;
    }
    return utf8_put((uint32_t)code, ret);
}

// undo: a text between quotes, read byte by byte with its escapes undone.
struct undo {
    const uint8_t *p, *end;
    uint8_t held[4];
    size_t at, count;
};

static struct undo undo_start(struct span s)
{
    return (struct undo){.p = (const uint8_t *)s.at, .end = (const uint8_t *)s.at + s.len};
}

static int undo_byte(struct undo *u) // -1 = no more
{
    if (u->at < u->count)
        return u->held[u->at++];
    if (u->p == u->end)
        return -1;
    if (*u->p != '\\')
        return *u->p++;
    u->count = undo_escape(&u->p, u->end, u->held);
    u->at = 1;
    return u->held[0];
}

// inside gives what stands between a string's quotes.
static struct span inside(struct scan_value v)
{
    if (v.type != SCAN_STRING)
        return (struct span){"", 0};
    return (struct span){v.raw.at + 1, v.raw.len - 2};
}

bool scan_str(struct scan_value v, struct span *ret)
{
    struct span s = inside(v);
    if (v.type != SCAN_STRING || memchr(s.at, '\\', s.len))
        return false;
    *ret = s;
    return true;
}

void scan_unescape(struct scan_value v, struct strbuf *out)
{
    struct span s = inside(v);
    const uint8_t *p = (const uint8_t *)s.at, *end = p + s.len;
    while (p < end) {
        const uint8_t *run = p;
        uint8_t bytes[4];
        p = memchr(run, '\\', (size_t)(end - run));
        strbuf_add(out, run, (size_t)((p ? p : end) - run));
        if (!p)
            return;
        size_t len = undo_escape(&p, end, bytes);
        strbuf_add(out, bytes, len);
    }
}

size_t scan_copy(struct scan_value v, char *ret, size_t room)
{
    struct undo u = undo_start(inside(v));
    size_t len = 0;
    for (int c; (c = undo_byte(&u)) >= 0; len++)
        if (len < room)
            ret[len] = (char)c;
    return len;
}

int scan_text_cmp(struct span a, struct span b)
{
    struct undo ua = undo_start(a), ub = undo_start(b);
    int ca, cb;
    do {
        ca = undo_byte(&ua);
        cb = undo_byte(&ub);
    } while (ca == cb && ca >= 0);
    return ca - cb;
}

bool scan_key_is(const struct scan_member *m, const char *key)
{
    if (!m->key_escaped)
        return span_is(m->key, key);
    char text[64];
    size_t len = strlen(key);
    struct scan_value quoted = {SCAN_STRING, {m->key.at - 1, m->key.len + 2}};
    assert(len <= sizeof text);
    return scan_copy(quoted, text, sizeof text) == len && memcmp(text, key, len) == 0;
}

// ---- numbers ----

static bool whole_from(uint64_t size, bool negative, int64_t *ret)
{
    if (size > (uint64_t)INT64_MAX + negative)
        return false;
    *ret = (int64_t)(negative ? 0 - size : size);
    return true;
}

// plain_int reads 1 to 18 digits and nothing else: what nearly all numbers in a job are.
static bool plain_int(const char *p, const char *end, uint64_t *ret)
{
    uint64_t size = 0;
    if (end - p > 18)
        return false;
    for (; p < end; p++) {
        if (!is_digit((uint8_t)*p))
            return false;
        size = size * 10 + (uint64_t)(*p - '0');
    }
    *ret = size;
    return true;
}

// exponent reads what follows e or E; far out of reach it stops growing.
static int64_t exponent(const char *p, const char *end)
{
    bool negative = *p == '-';
    int64_t size = 0;
    if (*p == '-' || *p == '+')
        p++;
    for (; p < end; p++)
        if (size < (int64_t)1 << 40)
            size = size * 10 + (*p - '0');
    return negative ? -size : size;
}

// scaled_int reads digits with a point or an exponent, exactly: it drops the zeros at both ends,
// and what is left must be a whole number of at most 19 digits.
static bool scaled_int(const char *p, const char *end, uint64_t *ret)
{
    const char *digits_end = p;
    while (digits_end < end && (*digits_end | 0x20) != 'e')
        digits_end++;
    int64_t scale = digits_end < end ? exponent(digits_end + 1, end) : 0;
    const char *point = memchr(p, '.', (size_t)(digits_end - p));
    if (point)
        scale -= digits_end - point - 1;
    for (; digits_end > p && (digits_end[-1] == '0' || digits_end[-1] == '.'); digits_end--)
        scale += digits_end[-1] == '0';
    while (p < digits_end && (*p == '0' || *p == '.'))
        p++;
    uint64_t size = 0;
    if (p == digits_end)
        scale = 0;
    if (scale < 0 || scale > 18)
        return false;
    for (; p < digits_end; p++)
        if (*p != '.' && (__builtin_mul_overflow(size, 10u, &size) ||
                          __builtin_add_overflow(size, (uint64_t)(*p - '0'), &size)))
            return false;
    for (; scale > 0; scale--)
        if (__builtin_mul_overflow(size, 10u, &size))
            return false;
    *ret = size;
    return true;
}

bool scan_int(struct scan_value v, int64_t *ret)
{
    if (v.type != SCAN_NUMBER)
        return false;
    const char *p = v.raw.at, *end = p + v.raw.len;
    bool negative = *p == '-';
    uint64_t size;
    p += negative;
    if (!plain_int(p, end, &size) && !scaled_int(p, end, &size))
        return false;
    return whole_from(size, negative, ret);
}

bool scan_num(struct scan_value v, double *ret)
{
    char small[64];
    if (v.type != SCAN_NUMBER)
        return false;
    // strtod wants a NUL after the digits, and a borrowed span has none.
    char *text = v.raw.len < sizeof small ? small : malloc(v.raw.len + 1);
    if (!text)
        return false;
    memcpy(text, v.raw.at, v.raw.len);
    text[v.raw.len] = '\0';
    double num = strtod(text, NULL);
    if (text != small)
        free(text);
    if (!isfinite(num))
        return false;
    *ret = num;
    return true;
}
