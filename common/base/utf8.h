// utf8: one well-formed sequence of UTF-8 (RFC 3629: no surrogates, no overlong forms, up to
// U+10FFFF).
#ifndef PENSTOCK_BASE_UTF8_H
#define PENSTOCK_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool utf8_is_tail(uint8_t c)
{
    return (c & 0xC0) == 0x80;
}

// utf8_len gives the length of the well-formed sequence at p, or 0. `left` is at least 1.
static inline size_t utf8_len(const uint8_t *p, size_t left)
{
    uint8_t c = p[0];
    if (c < 0x80)
        return 1;
    if (c < 0xE0)
        return c >= 0xC2 && left >= 2 && utf8_is_tail(p[1]) ? 2 : 0;
    if (left < 3 || !utf8_is_tail(p[1]) || !utf8_is_tail(p[2]))
        return 0;
    if (c < 0xF0)
        return (c == 0xE0 && p[1] < 0xA0) || (c == 0xED && p[1] > 0x9F) ? 0 : 3;
    if (c > 0xF4 || left < 4 || !utf8_is_tail(p[3]))
        return 0;
    return (c == 0xF0 && p[1] < 0x90) || (c == 0xF4 && p[1] > 0x8F) ? 0 : 4;
}

// utf8_good gives how many of the bytes are well-formed, from the first on: all, or up to what is
// not.
static inline size_t utf8_good(const char *at, size_t len)
{
    size_t good = 0, n;
    while (good < len && (n = utf8_len((const uint8_t *)at + good, len - good)) > 0)
        good += n;
    return good;
}

// utf8_put writes a code point that is no surrogate, and gives the length: 1 to 4.
static inline size_t utf8_put(uint32_t code, uint8_t ret[4])
{
    if (code < 0x80) {
        ret[0] = (uint8_t)code;
        return 1;
    }
    size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, code >>= 6)
        ret[i] = (uint8_t)(0x80 | (code & 0x3F));
    ret[0] = (uint8_t)((0xF00u >> len) | code);
    return len;
}

#endif
