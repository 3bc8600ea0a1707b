#include "common/job/name.h"

static inline bool is_word(unsigned char c) // ASCII only, whatever the locale
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '.' ||
           c == '_' || c == '-';
}

static inline bool is_id_char(unsigned char c)
{
    return is_word(c) || c == ':';
}

static inline bool is_model_char(unsigned char c)
{
    return is_id_char(c) || c == '/' || c == '@';
}

static inline bool is_made_of(const char *at, size_t len, size_t most,
                              bool (*is_allowed)(unsigned char))
{
    if (len == 0 || len > most)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_allowed((unsigned char)at[i]))
            return false;
    return true;
}

bool name_is_valid(const char *at, size_t len)
{
    return is_made_of(at, len, NAME_BYTES_MAX, is_word);
}

bool id_is_valid(const char *at, size_t len)
{
    return is_made_of(at, len, ID_BYTES_MAX, is_id_char);
}

bool model_is_valid(const char *at, size_t len)
{
    return is_made_of(at, len, MODEL_BYTES_MAX, is_model_char);
}
