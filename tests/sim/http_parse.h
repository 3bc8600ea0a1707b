// http_parse: the part of HTTP/1.1 that a server needs to read requests, as pure functions over
// bytes. Spans point into the bytes that were given.
#ifndef PENSTOCK_SIM_HTTP_PARSE_H
#define PENSTOCK_SIM_HTTP_PARSE_H

#include "common/base/attrs.h"
#include "common/base/strbuf.h"

#include <stdbool.h>
#include <stdint.h>

enum { HTTP_HEAD_MAX_BYTES = 65536 };

enum http_method { HTTP_GET, HTTP_POST, HTTP_DELETE, HTTP_HEAD, HTTP_OTHER };

struct http_head {
    enum http_method method;
    struct span path, query; // query without the '?'
    bool keep_alive, chunked, expects_continue;
    uint64_t body_bytes; // by content-length
    struct span api_key, authorization, version, content_type;
    size_t bytes; // of the whole head, blank line included
};

// What http_head_parse found wrong, as the status to answer with.
enum { HTTP_PARTIAL = 0, HTTP_BAD = -400, HTTP_HEAD_TOO_BIG = -431, HTTP_NOT_IMPLEMENTED = -501 };

// http_head_parse reads a request's head. 1 = *ret is filled; HTTP_PARTIAL = more bytes are needed;
// else one of the negative ones.
int http_head_parse(const char *bytes, size_t len, struct http_head *ret) MUST_CHECK;

// A body in chunks, read piece by piece.
struct http_chunks {
    enum {
        CHUNK_SIZE,
        CHUNK_EXTENSION,
        CHUNK_DATA,
        CHUNK_DATA_END,
        CHUNK_TRAILER,
        CHUNK_DONE
    } state;
    uint64_t left;
    uint32_t digits, line; // of the size; bytes of the line so far
};

// http_chunks_feed takes raw bytes, appends what they carry to body and says how many it took; it
// stops after the end (state CHUNK_DONE). Negative: HTTP_BAD, or ERR_TOO_BIG when the body's
// ceiling is passed.
int64_t http_chunks_feed(struct http_chunks *c, const char *bytes, size_t len,
                         struct strbuf *body) MUST_CHECK;

#endif
