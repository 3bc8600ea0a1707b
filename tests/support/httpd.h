// httpd: a scripted HTTP/1.1 server for tests, on the test's own loop and a free loopback port. It
// answers each request with the raw bytes that the test's script returns, after a delay, in one or
// two pieces, and may then close or reset the connection. What goes wrong here aborts the test.
#ifndef PENSTOCK_TESTS_HTTPD_H
#define PENSTOCK_TESTS_HTTPD_H

#include "common/base/strbuf.h"

#include <stdbool.h>
#include <stddef.h>

struct uv_loop_s;
struct httpd;

struct httpd_request {
    int nth;               // of all requests, from 0
    int connection;        // which one, from 0
    int nth_on_connection; // from 0
    struct span head;      // request line and headers, without the empty line
    struct span body;      // what has come of it, where the server answers early
};

enum { HTTPD_HELD = -1 }; // a delay that ends with httpd_release
enum httpd_end { HTTPD_KEEP, HTTPD_CLOSE, HTTPD_RESET };

struct httpd_reply {
    int delay_ms;
    struct span bytes; // borrowed until they are written; empty = nothing is said
    int pause_ms;      // before `rest`
    struct span rest;
    enum httpd_end then;
};

typedef struct httpd_reply (*httpd_script)(const struct httpd_request *r, void *arg);

struct httpd *httpd_start(struct uv_loop_s *loop, httpd_script script, void *arg);
void httpd_stop(struct httpd *h); // the memory goes when the loop has closed all; harmless on NULL
// httpd_answer_early makes it answer as soon as a request's head is there, and read no further.
void httpd_answer_early(struct httpd *h);

void httpd_release(struct httpd *h); // answers all requests that are held

int httpd_port(const struct httpd *h);
int httpd_connections(const struct httpd *h); // accepted so far
int httpd_open(const struct httpd *h);        // open now
int httpd_open_max(const struct httpd *h);
int httpd_requests(const struct httpd *h);

#endif
