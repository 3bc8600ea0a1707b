// message: an HTTP request and its answer as plain data. No curl, no loop: what providers see.
#ifndef PENSTOCK_HTTP_MESSAGE_H
#define PENSTOCK_HTTP_MESSAGE_H

#include "common/base/strbuf.h"

#include <stdbool.h>
#include <stdint.h>

enum { HTTP_HEADERS_MAX = 128, HTTP_HEADER_BYTES_MAX = 32 * 1024 };

struct http_answer {
    int error;             // 0: an answer came whole. Else ERR_CONNECT, ERR_TIMEOUT, ERR_TRANSPORT,
                           // ERR_TRUNCATED, ERR_TOO_BIG, ERR_NOMEM or ERR_CANCELLED
    char error_text[160];  // the transport's own words; "" where error is 0
    int status;            // 0 where no status line came
    struct strbuf headers; // of the final answer: "Name: value\n" a line, as they came
    struct strbuf body;
    uint64_t first_byte_us; // from the start of the call; 0 = none came
    uint64_t total_us;
};

// http_header finds the first header of that name (case does not matter); the value without blanks
// around it. False where there is none.
bool http_header(const struct http_answer *a, const char *name, struct span *ret);

#endif
