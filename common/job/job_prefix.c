// job_prefix: what stands before the byte from which on a payload is no JSON.
#include "common/job/job_int.h"

#include <string.h>

struct walk {
    size_t whole;  // the members before this byte are whole: a comma or the closing brace is there
    size_t member; // where the latest one begins
    bool closed;   // the object has ended, and what follows is too much
};

// walk_to looks at the bytes before `end`, which have been found well-formed.
static struct walk walk_to(const char *at, size_t end)
{
    struct walk w = {.member = end};
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < end && !w.closed; i++) {
        char c = at[i];
        if (in_string) {
            i += c == '\\';
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (depth++ == 0)
                w.member = i + 1;
        } else if (c == '}' || c == ']') {
            w.closed = --depth == 0;
            w.whole = w.closed ? i : w.whole;
        } else if (c == ',' && depth == 1) {
            w.whole = i;
            w.member = i + 1;
        }
    }
    return w;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// name_of gives the name of the member that begins at `from`, where all of it is there.
static struct span name_of(const char *at, size_t from, size_t end)
{
    while (from < end && is_blank(at[from]))
        from++;
    if (from >= end || at[from] != '"')
        return (struct span){0};
    const char *quote = memchr(at + from + 1, '"', end - from - 1);
    return quote ? (struct span){at + from + 1, (size_t)(quote - at) - from - 1} : (struct span){0};
}

struct span job_prefix(struct span payload, size_t end, struct strbuf *copy)
{
    size_t first = 0;
    while (first < end && is_blank(payload.at[first]))
        first++;
    if (first >= end || payload.at[first] != '{')
        return (struct span){0};
    struct walk w = walk_to(payload.at, end);
    if (w.whole) {
        strbuf_add(copy, payload.at, w.whole);
        strbuf_add_char(copy, '}');
    }
    return w.closed ? (struct span){0} : name_of(payload.at, w.member, end);
}
