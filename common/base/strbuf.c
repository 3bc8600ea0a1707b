#include "common/base/strbuf.h"

#include "common/base/err.h"
#include "common/base/utf8.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void strbuf_init(struct strbuf *b, size_t ceiling)
{
    assert(ceiling > 0);
    *b = (struct strbuf){.ceiling = ceiling};
}

void strbuf_fini(struct strbuf *b)
{
    free(b->at);
    *b = (struct strbuf){.ceiling = b->ceiling};
}

void strbuf_clear(struct strbuf *b)
{
    b->len = 0;
    b->err = 0;
    if (b->at)
        b->at[0] = '\0';
}

int strbuf_reserve(struct strbuf *b, size_t more)
{
    if (b->err)
        return b->err;
    if (more < b->room - b->len) // one byte is for the NUL
        return 0;
    if (more > b->ceiling || b->len > b->ceiling - more)
        return b->err = ERR_TOO_BIG;
    size_t need = b->len + more + 1;
    if (need <= b->room)
        return 0;
    size_t room = MAX(need, b->room + b->room / 2 + 64);
    room = MIN(room, b->ceiling + 1);
    char *at = realloc(b->at, room);
    if (!at)
        return b->err = ERR_NOMEM;
    b->at = at;
    b->room = room;
    b->at[b->len] = '\0';
    return 0;
}

void strbuf_cut(struct strbuf *b, size_t len)
{
    assert(len <= b->len);
    b->len = len;
    if (b->at)
        b->at[len] = '\0';
}

char *strbuf_take(struct strbuf *b)
{
    if (!b->at && strbuf_reserve(b, 0))
        return NULL;
    char *at = b->at;
    *b = (struct strbuf){.ceiling = b->ceiling};
    return at;
}

void strbuf_add(struct strbuf *b, const void *bytes, size_t len)
{
    if (strbuf_reserve(b, len))
        return;
    if (len)
        memcpy(b->at + b->len, bytes, len);
    b->len += len;
    b->at[b->len] = '\0';
}

void strbuf_add_span(struct strbuf *b, struct span s)
{
    strbuf_add(b, s.at, s.len);
}

void strbuf_add_str(struct strbuf *b, const char *s)
{
    strbuf_add(b, s, strlen(s));
}

void strbuf_add_char(struct strbuf *b, char c)
{
    strbuf_add(b, &c, 1);
}

void strbuf_add_int(struct strbuf *b, int64_t n)
{
    char digits[24];
    char *at = digits + sizeof digits;
    uint64_t left = n < 0 ? (uint64_t)0 - (uint64_t)n : (uint64_t)n;
    do
        *--at = (char)('0' + left % 10);
    while (left /= 10);
    if (n < 0)
        *--at = '-';
    strbuf_add(b, at, (size_t)(digits + sizeof digits - at));
}

void strbuf_add_vfmt(struct strbuf *b, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (len < 0 || strbuf_reserve(b, (size_t)len))
        return;
    vsnprintf(b->at + b->len, (size_t)len + 1, fmt, args);
    b->len += (size_t)len;
}

void strbuf_add_fmt(struct strbuf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    strbuf_add_vfmt(b, fmt, args);
    va_end(args);
}

static void add_escaped(struct strbuf *b, unsigned char c)
{
    static const char short_form[] = "btn\0fr"; // 8..13, where 11 has none
    char text[8];
    if (c == '"' || c == '\\')
        snprintf(text, sizeof text, "\\%c", c);
    else if (c >= 8 && c <= 13 && c != 11)
        snprintf(text, sizeof text, "\\%c", short_form[c - 8]);
    else
        snprintf(text, sizeof text, "\\u%04x", c);
    strbuf_add_str(b, text);
}

void strbuf_add_json(struct strbuf *b, const char *bytes, size_t len)
{
    const uint8_t *p = (const uint8_t *)bytes, *end = p + len, *run = p;
    strbuf_add_char(b, '"');
    while (p < end) {
        size_t step = utf8_len(p, (size_t)(end - p));
        if (step && *p >= 0x20 && *p != '"' && *p != '\\') {
            p += step;
            continue;
        }
        strbuf_add(b, run, (size_t)(p - run));
        if (step)
            add_escaped(b, *p);
        else
            strbuf_add_str(b, "\xEF\xBF\xBD");
        run = ++p;
    }
    strbuf_add(b, run, (size_t)(p - run));
    strbuf_add_char(b, '"');
}

void strbuf_add_json_str(struct strbuf *b, const char *s)
{
    if (s)
        strbuf_add_json(b, s, strlen(s));
    else
        strbuf_add_str(b, "null");
}

double span_num(struct span s, double otherwise)
{
    char text[64], *end;
    if (!s.at || s.len == 0 || s.len >= sizeof text)
        return otherwise;
    memcpy(text, s.at, s.len);
    text[s.len] = '\0';
    double n = strtod(text, &end);
    return end != text && isfinite(n) ? n : otherwise;
}
