#include "tests/sim/http_parse.h"

#include "common/base/err.h"

#include <string.h>
#include <strings.h>

enum { CHUNK_LINE_MAX_BYTES = 4096, SIZE_DIGITS_MAX = 15 };

static bool is_word(struct span s, const char *word)
{
    size_t len = strlen(word);
    return s.len == len && strncasecmp(s.at, word, len) == 0;
}

static bool has_word(struct span list, const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; i + len <= list.len; i++)
        if (strncasecmp(list.at + i, word, len) == 0)
            return true;
    return false;
}

static enum http_method method_of(struct span s)
{
    if (span_is(s, "POST"))
        return HTTP_POST;
    if (span_is(s, "GET"))
        return HTTP_GET;
    if (span_is(s, "DELETE"))
        return HTTP_DELETE;
    return span_is(s, "HEAD") ? HTTP_HEAD : HTTP_OTHER;
}

static struct span trim(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    while (end > at && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
        end--;
    return (struct span){at, (size_t)(end - at)};
}

static int request_line(const char *at, const char *end, struct http_head *h)
{
    const char *space = memchr(at, ' ', (size_t)(end - at));
    if (!space || space == at)
        return HTTP_BAD;
    h->method = method_of((struct span){at, (size_t)(space - at)});
    const char *target = space + 1;
    space = memchr(target, ' ', (size_t)(end - target));
    if (!space || *target != '/')
        return HTTP_BAD;
    const char *mark = memchr(target, '?', (size_t)(space - target));
    const char *path_end = mark ? mark : space;
    h->path = (struct span){target, (size_t)(path_end - target)};
    if (mark)
        h->query = (struct span){mark + 1, (size_t)(space - mark - 1)};
    struct span version = trim(space + 1, end);
    if (!span_is(version, "HTTP/1.1") && !span_is(version, "HTTP/1.0"))
        return HTTP_BAD;
    h->keep_alive = version.at[7] == '1';
    return 1;
}

static int content_length(struct span value, struct http_head *h)
{
    uint64_t n = 0;
    if (value.len == 0 || value.len > SIZE_DIGITS_MAX)
        return HTTP_BAD;
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return HTTP_BAD;
        n = n * 10 + (uint64_t)(value.at[i] - '0');
    }
    h->body_bytes = n;
    return 1;
}

static int transfer_encoding(struct span value, struct http_head *h)
{
    h->chunked = is_word(value, "chunked");
    return h->chunked ? 1 : HTTP_NOT_IMPLEMENTED;
}

static void connection(struct span value, struct http_head *h)
{
    if (has_word(value, "close"))
        h->keep_alive = false;
    else if (has_word(value, "keep-alive"))
        h->keep_alive = true;
}

// header_line sorts by the name's length first: most lines are nothing to us.
static int header_line(struct span name, struct span value, struct http_head *h)
{
    switch (name.len) {
    case 6:
        if (is_word(name, "expect"))
            h->expects_continue = is_word(value, "100-continue");
        break;
    case 9:
        if (is_word(name, "x-api-key"))
            h->api_key = value;
        break;
    case 10:
        if (is_word(name, "connection"))
            connection(value, h);
        break;
    case 12:
        if (is_word(name, "content-type"))
            h->content_type = value;
        break;
    case 13:
        if (is_word(name, "authorization"))
            h->authorization = value;
        break;
    case 14:
        if (is_word(name, "content-length"))
            return content_length(value, h);
        break;
    case 17:
        if (is_word(name, "anthropic-version"))
            h->version = value;
        else if (is_word(name, "transfer-encoding"))
            return transfer_encoding(value, h);
        break;
    }
    return 1;
}

static int one_line(const char *at, const char *end, bool first, struct http_head *h)
{
    if (first)
        return request_line(at, end, h);
    const char *colon = memchr(at, ':', (size_t)(end - at));
    if (!colon || colon == at || at[0] == ' ' || at[0] == '\t')
        return HTTP_BAD;
    return header_line((struct span){at, (size_t)(colon - at)}, trim(colon + 1, end), h);
}

int http_head_parse(const char *bytes, size_t len, struct http_head *ret)
{
    struct http_head h = {.method = HTTP_OTHER};
    const char *at = bytes, *end = bytes + MIN(len, (size_t)HTTP_HEAD_MAX_BYTES), *feed;
    bool first = true;
    while (at < end && (*at == '\r' || *at == '\n')) // blank lines before a request are allowed
        at++;
    while ((feed = memchr(at, '\n', (size_t)(end - at)))) {
        const char *line_end = feed > at && feed[-1] == '\r' ? feed - 1 : feed;
        if (line_end == at) {
            h.bytes = (size_t)(feed + 1 - bytes);
            *ret = h;
            return first ? HTTP_BAD : 1;
        }
        int got = one_line(at, line_end, first, &h);
        if (got < 0)
            return got;
        first = false;
        at = feed + 1;
    }
    return len >= HTTP_HEAD_MAX_BYTES ? HTTP_HEAD_TOO_BIG : HTTP_PARTIAL;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// size_done is the end of a size line: the last chunk has none.
static void size_done(struct http_chunks *c)
{
    c->state = c->left ? CHUNK_DATA : CHUNK_TRAILER;
    c->digits = c->line = 0;
}

static int size_byte(struct http_chunks *c, char byte)
{
    int digit = hex_value(byte);
    if (digit >= 0 && c->digits < SIZE_DIGITS_MAX) {
        c->left = c->left * 16 + (uint64_t)digit;
        c->digits++;
        return 0;
    }
    if (digit >= 0 || c->digits == 0)
        return HTTP_BAD;
    if (byte == '\n')
        size_done(c);
    else if (byte == ';' || byte == ' ' || byte == '\t' || byte == '\r')
        c->state = CHUNK_EXTENSION;
    else
        return HTTP_BAD;
    return 0;
}

// line_byte handles everything that is not data, byte by byte.
static int line_byte(struct http_chunks *c, char byte)
{
    if (++c->line > CHUNK_LINE_MAX_BYTES)
        return HTTP_BAD;
    switch (c->state) {
    case CHUNK_SIZE:
        return size_byte(c, byte);
    case CHUNK_EXTENSION:
        if (byte == '\n')
            size_done(c);
        return 0;
    case CHUNK_DATA_END:
        if (byte == '\n')
            *c = (struct http_chunks){.state = CHUNK_SIZE};
        else if (byte != '\r')
            return HTTP_BAD;
        return 0;
    case CHUNK_TRAILER: // digits counts the bytes of the present line
        if (byte == '\n' && c->digits == 0)
            c->state = CHUNK_DONE;
        else if (byte != '\r')
            c->digits = byte == '\n' ? 0 : c->digits + 1;
        return 0;
    case CHUNK_DATA:
    case CHUNK_DONE:
        break;
    }
    return HTTP_BAD;
}

int64_t http_chunks_feed(struct http_chunks *c, const char *bytes, size_t len, struct strbuf *body)
{
    size_t i = 0;
    while (i < len && c->state != CHUNK_DONE) {
        if (c->state != CHUNK_DATA) {
            int err = line_byte(c, bytes[i++]);
            if (err)
                return err;
            continue;
        }
        size_t piece = (size_t)MIN(c->left, (uint64_t)(len - i));
        strbuf_add(body, bytes + i, piece);
        if (strbuf_failed(body))
            return ERR_TOO_BIG;
        i += piece;
        c->left -= piece;
        if (c->left == 0) {
            c->state = CHUNK_DATA_END;
            c->line = 0;
        }
    }
    return (int64_t)i;
}
