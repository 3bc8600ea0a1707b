// message: finding a header in an answer.
#include "worker/http/message.h"

#include <string.h>
#include <strings.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct span trimmed(const char *at, const char *end)
{
    while (at < end && is_blank(*at))
        at++;
    while (at < end && is_blank(end[-1]))
        end--;
    return (struct span){at, (size_t)(end - at)};
}

bool http_header(const struct http_answer *a, const char *name, struct span *ret)
{
    struct span all = strbuf_span(&a->headers);
    const char *at = all.at, *end = all.at + all.len;
    size_t len = strlen(name);
    while (at < end) {
        const char *eol = memchr(at, '\n', (size_t)(end - at));
        if (!eol)
            eol = end;
        if ((size_t)(eol - at) > len && at[len] == ':' && strncasecmp(at, name, len) == 0) {
            *ret = trimmed(at + len + 1, eol);
            return true;
        }
        at = eol + (eol < end);
    }
    return false;
}
