#include "common/job/name.h"

#include <string.h>

static bool is_alnum(unsigned char c) // ASCII only, whatever the locale
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static bool is_made_of(const char *at, size_t len, size_t most, const char *marks)
{
    if (len == 0 || len > most)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_alnum((unsigned char)at[i]) && (at[i] == '\0' || !strchr(marks, at[i])))
            return false;
    return true;
}

bool name_is_valid(const char *at, size_t len)
{
    return is_made_of(at, len, NAME_BYTES_MAX, "._-");
}

bool id_is_valid(const char *at, size_t len)
{
    return is_made_of(at, len, ID_BYTES_MAX, "._:-");
}

bool model_is_valid(const char *at, size_t len)
{
    return is_made_of(at, len, MODEL_BYTES_MAX, "-._:/@");
}
