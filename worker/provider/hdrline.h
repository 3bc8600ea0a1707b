// hdrline: a walk over an answer's header lines, for those who want many of them at once.
#ifndef PENSTOCK_PROVIDER_HDRLINE_H
#define PENSTOCK_PROVIDER_HDRLINE_H

#include "worker/http/message.h"

#include <string.h>
#include <strings.h>

static inline struct span hdrline_trim(struct span s)
{
    while (s.len && (s.at[0] == ' ' || s.at[0] == '\t'))
        s.at++, s.len--;
    while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t' || s.at[s.len - 1] == '\r'))
        s.len--;
    return s;
}

// hdrline_next takes the next line off *rest; start with all headers. Lines without a colon are
// passed over.
static inline bool hdrline_next(struct span *rest, struct span *ret_name, struct span *ret_value)
{
    while (rest->len) {
        const char *end = memchr(rest->at, '\n', rest->len);
        size_t len = end ? (size_t)(end - rest->at) : rest->len;
        const char *line = rest->at, *colon = memchr(line, ':', len);
        size_t gone = len + (end != NULL);
        rest->at += gone;
        rest->len -= gone;
        if (!colon)
            continue;
        *ret_name = (struct span){line, (size_t)(colon - line)};
        *ret_value = hdrline_trim((struct span){colon + 1, len - ret_name->len - 1});
        return true;
    }
    return false;
}

static inline bool hdrline_is(struct span name, const char *text)
{
    return name.len == strlen(text) && strncasecmp(name.at, text, name.len) == 0;
}

// hdrline_cut takes a beginning off a name, if it has it.
static inline bool hdrline_cut(struct span *name, const char *start)
{
    size_t len = strlen(start);
    if (name->len < len || strncasecmp(name->at, start, len) != 0)
        return false;
    name->at += len;
    name->len -= len;
    return true;
}

#endif
