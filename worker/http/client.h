// client: submit a request, get exactly one answer, never before http_submit has returned. The only
// folder that knows libcurl. There are no retries here and no redirects are followed: what a call's
// end means is decided elsewhere, once.
//
// Connections are kept and shared by all requests of a target; over TLS they speak HTTP/2 with many
// calls on each. The client splits its work over several curl multi handles, because one walks its
// connections linearly (docs/decisions).
#ifndef PENSTOCK_HTTP_CLIENT_H
#define PENSTOCK_HTTP_CLIENT_H

#include "worker/http/message.h"

#include <stddef.h>
#include <stdint.h>

struct uv_loop_s;
struct http_client;
struct http_target; // where requests go and what they all carry
struct http_call;   // one request under way

struct http_options {
    int64_t connect_timeout_ms;    // until connected, TLS included
    int64_t first_byte_timeout_ms; // from sending to the first byte of the answer; 0 = total only
    int64_t idle_timeout_ms;       // no byte for this long, once the answer has begun
    size_t body_bytes_max;         // of an answer
    const char *ca_file;           // NULL = the system's bundle
    const char *proxy;             // NULL = none, whatever the environment says
    int calls_max;                 // most calls under way at once: sizes the pools
};

typedef void (*http_cb)(struct http_answer *answer,
                        void *arg); // the answer is borrowed until return

int http_client_new(struct uv_loop_s *loop, const struct http_options *opt,
                    struct http_client **ret) MUST_CHECK;
// http_client_close answers every call with ERR_CANCELLED, then calls back once all is closed; the
// client is freed after that.
void http_client_close(struct http_client *c, void (*closed)(void *arg), void *arg);

// A target: a URL and the headers every request to it carries ("name: value", copied; secrets among
// them stay in memory only). NULL-terminated list.
int http_target_new(struct http_client *c, const char *url, const char *const *headers,
                    struct http_target **ret) MUST_CHECK;
void http_target_unref(struct http_target *t); // freed when its last call has ended

// http_submit POSTs a body (borrowed until the callback). If it returns 0, cb runs exactly once,
// from the loop. timeout_ms is for the whole call.
int http_submit(struct http_target *t, struct span body, int64_t timeout_ms, http_cb cb, void *arg,
                struct http_call **ret) MUST_CHECK;
// http_cancel aborts the call: its callback runs from the loop with ERR_CANCELLED.
void http_cancel(struct http_call *call);

size_t http_calls_active(const struct http_client *c);

#endif
