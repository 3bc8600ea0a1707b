// scan_int: the byte-level steps that the check (scan.c) and the walkers (scan_walk.c) share.
// Private to the two.
#ifndef PENSTOCK_BASE_SCAN_INT_H
#define PENSTOCK_BASE_SCAN_INT_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { SCAN_WORD = sizeof(uint64_t) };
#define EACH_BYTE(c) (0x0101010101010101u * (c))

static inline uint64_t load_word(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return le64toh(word);
}

// mark_byte sets the top bit of each byte that is c. Above the first one it may mark too many (the
// borrow), so only the lowest mark counts; bytes over 0x7F are the caller's to rule out.
static inline uint64_t mark_byte(uint64_t word, uint8_t c)
{
    return ((word ^ EACH_BYTE(c)) - EACH_BYTE(1)) & EACH_BYTE(0x80);
}

static inline const uint8_t *lowest_mark(const uint8_t *p, uint64_t marks)
{
    return p + (unsigned)__builtin_ctzll(marks) / 8;
}

static inline bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline const uint8_t *skip_blanks(const uint8_t *p, const uint8_t *end)
{
    while (p < end && is_blank(*p))
        p++;
    return p;
}

static inline bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static inline int hex_digit(uint8_t c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// hex4 reads four hexadecimal digits; -1 where they are not.
static inline int32_t hex4(const uint8_t *p, const uint8_t *end)
{
    int32_t code = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0)
            return -1;
        code = code * 16 + digit;
    }
    return code;
}

static inline bool is_high_surrogate(int32_t code)
{
    return (code & ~0x3FF) == 0xD800;
}

static inline bool is_low_surrogate(int32_t code)
{
    return (code & ~0x3FF) == 0xDC00;
}

#endif
