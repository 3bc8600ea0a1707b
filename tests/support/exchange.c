#include "tests/support/exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *path, const char *why)
{
    fprintf(stderr, "%s: %s\n", path, why);
    abort();
}

static char *file_read(const char *path, size_t *ret_len)
{
    FILE *f = fopen(path, "rbe");
    char *bytes = malloc(1 << 20);
    if (!f || !bytes)
        die(path, "cannot be read");
    *ret_len = fread(bytes, 1, 1 << 20, f);
    fclose(f);
    return bytes;
}

static void want_read(const char *path, struct exchange *x, const char *line, size_t len)
{
    struct exchange_want *w = &x->wants[x->want_count++];
    if (x->want_count > EXCHANGE_WANTS_MAX)
        die(path, "too many expectations");
    const char *space = memchr(line, ' ', len);
    size_t key = space ? (size_t)(space - line) : len;
    size_t value = space ? len - key - 1 : 0;
    if (key >= sizeof w->key || value >= sizeof w->value)
        die(path, "an expectation is too long");
    memcpy(w->key, line, key);
    memcpy(w->value, line + key + 1, value);
}

static void line_read(const char *path, struct exchange *x, const char *line, size_t len)
{
    if (len > 3 && memcmp(line, "#= ", 3) == 0)
        want_read(path, x, line + 3, len - 3);
    else if (line[0] == '#')
        return;
    else if (x->answer.status == 0 && sscanf(line, "HTTP/%*s %d", &x->answer.status) == 1)
        return;
    else {
        strbuf_add(&x->answer.headers, line, len);
        strbuf_add_char(&x->answer.headers, '\n');
    }
}

void exchange_load(const char *path, struct exchange *ret)
{
    size_t len, at = 0;
    char *bytes = file_read(path, &len);
    *ret = (struct exchange){0};
    strbuf_init(&ret->answer.headers, 1 << 20);
    strbuf_init(&ret->answer.body, 1 << 20);
    while (at < len) {
        const char *line = bytes + at, *end = memchr(line, '\n', len - at);
        size_t line_len = end ? (size_t)(end - line) : len - at;
        at += line_len + (end != NULL);
        if (line_len == 0)
            break;
        line_read(path, ret, line, line_len);
    }
    strbuf_add(&ret->answer.body, bytes + at, len - at);
    free(bytes);
}

void exchange_fini(struct exchange *x)
{
    strbuf_fini(&x->answer.headers);
    strbuf_fini(&x->answer.body);
}
