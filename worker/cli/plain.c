#include "worker/cli/plain.h"

#include "common/base/attrs.h"

#include <stdio.h>
#include <string.h>

static bool continues(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

void plain_clean(char *text)
{
    for (char *c = text; *c; c++) {
        unsigned char byte = (unsigned char)*c;
        if (byte < 0x20 || byte == 0x7f)
            *c = '?';
        else if (byte == 0xc2 && (unsigned char)c[1] >= 0x80 && (unsigned char)c[1] < 0xa0)
            c[0] = c[1] = '?'; // the control characters above 0x7f
    }
}

void plain_copy(char *ret, size_t room, struct span text)
{
    size_t len = text.len < room ? text.len : room - 1;
    while (len < text.len && len > 0 && continues(text.at[len]))
        len--;
    memcpy(ret, text.at ? text.at : "", len);
    for (size_t i = 0; i < len; i++)
        if (!ret[i])
            ret[i] = '?';
    ret[len] = '\0';
    plain_clean(ret);
}

size_t plain_fit(const char *text, size_t columns)
{
    size_t at = 0, n = 0;
    while (text[at] && (n < columns || continues(text[at])))
        n += !continues(text[at++]);
    return at;
}

void plain_count(double n, char ret[PLAIN_WORD])
{
    static const struct {
        double from, unit;
        const char *letter;
    } steps[] = {{1e9, 1e9, "G"}, {1e6, 1e6, "M"}, {1e4, 1e3, "k"}};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        if (n >= steps[i].from) {
            double m = n / steps[i].unit;
            snprintf(ret, PLAIN_WORD, m < 99.95 ? "%.1f%s" : "%.0f%s", m, steps[i].letter);
            return;
        }
    snprintf(ret, PLAIN_WORD, "%.0f", n);
}

void plain_rate(double n, char ret[PLAIN_WORD])
{
    if (n >= 1e4)
        plain_count(n, ret);
    else if (n >= 100)
        snprintf(ret, PLAIN_WORD, "%.0f", n);
    else
        snprintf(ret, PLAIN_WORD, n >= 1 || n < 0.005 ? "%.1f" : "%.2f", n > 0 ? n : 0);
}

void plain_seconds(double s, char ret[PLAIN_WORD])
{
    if (!(s >= 0) || s > 1e9) {
        snprintf(ret, PLAIN_WORD, "-");
        return;
    }
    unsigned long n = (unsigned long)s;
    if (n < 60)
        snprintf(ret, PLAIN_WORD, "%lus", n);
    else if (n < 3600)
        snprintf(ret, PLAIN_WORD, "%lum%02lus", n / 60, n % 60);
    else if (n < 86400)
        snprintf(ret, PLAIN_WORD, "%luh%02lum", n / 3600, n / 60 % 60);
    else
        snprintf(ret, PLAIN_WORD, "%lud%02luh", n / 86400, n / 3600 % 24);
}
