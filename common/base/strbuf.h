// strbuf: growing bytes with a mandatory ceiling. The bytes are always NUL-terminated, so `at` may
// be used as a C string where the content has no NUL of its own.
//
// A write that would pass the ceiling changes nothing and marks the buffer as failed; every later
// write fails too, so a builder may write many pieces and look once at the end (strbuf_failed).
#ifndef PENSTOCK_BASE_STRBUF_H
#define PENSTOCK_BASE_STRBUF_H

#include "common/base/attrs.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// span: borrowed bytes. `at` is NULL where there is nothing at all (an absent field).
struct span {
    const char *at;
    size_t len;
};

struct strbuf {
    char *at; // NULL or owned here; ends in NUL
    size_t len, room, ceiling;
    int err; // 0, ERR_NOMEM or ERR_TOO_BIG: the first failure
};

void strbuf_init(struct strbuf *b, size_t ceiling);
void strbuf_fini(struct strbuf *b);  // frees; harmless on a zeroed one
void strbuf_clear(struct strbuf *b); // empty and not failed; keeps its memory
int strbuf_reserve(struct strbuf *b, size_t more) MUST_CHECK;
void strbuf_cut(struct strbuf *b, size_t len); // shorten to len bytes
char *strbuf_take(struct strbuf *b); // the bytes, now the caller's (free); b is empty after

void strbuf_add(struct strbuf *b, const void *bytes, size_t len);
void strbuf_add_span(struct strbuf *b, struct span s);
void strbuf_add_str(struct strbuf *b, const char *s);
void strbuf_add_char(struct strbuf *b, char c);
void strbuf_add_int(struct strbuf *b, int64_t n);
void strbuf_add_fmt(struct strbuf *b, const char *fmt, ...) PRINTF(2, 3);
void strbuf_add_vfmt(struct strbuf *b, const char *fmt, va_list args) PRINTF(2, 0);
// strbuf_add_json adds bytes as a JSON string, quotes included. What is not UTF-8 becomes U+FFFD.
void strbuf_add_json(struct strbuf *b, const char *bytes, size_t len);
void strbuf_add_json_str(struct strbuf *b, const char *s); // NULL adds null

static inline bool strbuf_failed(const struct strbuf *b)
{
    return b->err != 0;
}

static inline struct span strbuf_span(const struct strbuf *b)
{
    return (struct span){b->at ? b->at : "", b->len};
}

// span_copy copies what fits into room bytes, and a NUL.
static inline void span_copy(char *to, size_t room, struct span s)
{
    size_t len = s.len < room ? s.len : room - 1;
    if (len)
        __builtin_memcpy(to, s.at, len);
    to[len] = '\0';
}

static inline struct span span_of(const char *s)
{
    return (struct span){s, s ? __builtin_strlen(s) : 0};
}

static inline bool span_is(struct span s, const char *text)
{
    size_t len = __builtin_strlen(text);
    return s.at && s.len == len && __builtin_memcmp(s.at, text, len) == 0;
}

// span_num reads a decimal number; otherwise where there is none, or one that is not finite.
double span_num(struct span s, double otherwise);

#endif
