// httptry: an HTTP client and a scripted server on one loop, and a notebook of answers, for the
// tests of worker/http. Closing checks what every test must leave behind: every accepted call was
// answered once and not too early, and uv_loop_close() is 0.
#ifndef PENSTOCK_TESTS_HTTPTRY_H
#define PENSTOCK_TESTS_HTTPTRY_H

#include "tests/support/httpd.h"
#include "tests/support/tap.h"
#include "worker/http/client.h"

#include <uv.h>

struct got { // one call and its answer
    struct httptry *try;
    struct http_call *call; // NULL once answered
    int count, early;
    bool returned; // http_submit has
    int error, status;
    char error_text[160];
    char *headers, *body;
    size_t body_len;
    uint64_t first_byte_us, total_us;
    void (*then)(struct got *g); // called from the callback
};

struct httptry {
    uv_loop_t loop;
    uv_timer_t tick; // wakes the loop, so that conditions are looked at
    struct http_options opt;
    struct http_client *client;
    struct http_target *target;
    struct httpd *server;
    int accepted, answered, closed;
    char url[128];
};

// httptry_init starts a server with that script (NULL = none) and prepares options that a test may
// change before httptry_open, which makes the client, and a target at the server.
void httptry_init(struct httptry *t, httpd_script script, void *arg);
void httptry_open(struct httptry *t);
void httptry_open_at(struct httptry *t, const char *url, const char *const *headers);
void httptry_close(struct httptry *t); // of the client; harmless the second time
void httptry_fini(struct httptry *t);  // closes what is left, checks

// httptry_send submits a call that must be accepted; httptry_do waits for its answer as well.
void httptry_send(struct httptry *t, struct got *g, const char *body);
void httptry_send_for(struct httptry *t, struct got *g, struct span body, int64_t timeout_ms);
void httptry_do(struct httptry *t, struct got *g, const char *body);
void got_free(struct got *g);
// got_header finds a header in the answer; NULL where there is none. Valid until the next call.
const char *got_header(const struct got *g, const char *name);

// PENSTOCK_TEST_SLACK multiplies limits; 1 without it.
int httptry_slack(void);
// httptry_wait runs the loop until the condition holds; the test fails after limit_ms.
#define httptry_wait(t, condition, limit_ms)                                                       \
    do {                                                                                           \
        uint64_t end_ms_ = uv_hrtime() / 1000000 + (uint64_t)(limit_ms)*httptry_slack();           \
        while (!(condition)) {                                                                     \
            if (uv_hrtime() / 1000000 > end_ms_)                                                   \
                fail_msg("not in time: %s", #condition);                                           \
            uv_run(&(t)->loop, UV_RUN_ONCE);                                                       \
        }                                                                                          \
    } while (0)

#endif
