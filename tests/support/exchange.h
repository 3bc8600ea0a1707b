// exchange: a recorded answer of an API, one text file each (tests/data/<provider>/<case>.http),
// with what we expect to make of it. A new oddity is a new file, not new code.
//
//   # words for the reader
//   #= key value                 an expectation, or a condition (now_ms, transport)
//   HTTP/1.1 429 Too Many Requests
//   retry-after: 16
//
//   {"type":"error", ... }       the body: all bytes after the first empty line
#ifndef PENSTOCK_TESTS_EXCHANGE_H
#define PENSTOCK_TESTS_EXCHANGE_H

#include "worker/http/message.h"

enum { EXCHANGE_WANTS_MAX = 32 };

struct exchange_want {
    char key[32];
    char value[512];
};

struct exchange {
    struct http_answer answer;
    struct exchange_want wants[EXCHANGE_WANTS_MAX];
    size_t want_count;
};

// exchange_load reads a file, or dies with a message: a broken file is a broken test.
void exchange_load(const char *path, struct exchange *ret);
void exchange_fini(struct exchange *x);

#endif
