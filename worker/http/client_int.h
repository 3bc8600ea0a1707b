// client_int: what the parts of the client share. Private to this folder.
//
//   client.c    calls: accepted, waiting, running, done, called back
//   target.c    where they go: headers, addresses, and which shard takes the next one
//   shard.c     one multi handle and its slots: a slot is an easy handle that is set up once
//   transfer.c  what libcurl calls while a transfer runs, and what its end means
//   deadline.c  one timer for the time limits of all calls
#ifndef PENSTOCK_HTTP_CLIENT_INT_H
#define PENSTOCK_HTTP_CLIENT_INT_H

#include "common/base/list.h"
#include "worker/http/client.h"
#include "worker/http/curl_uv.h"

enum {
    // Calls of one multi handle: so many connections of HTTP/1.1, or streams of one of HTTP/2 (few
    // servers allow less). libcurl walks them all for each transfer: 2.9 times the CPU at 10,000.
    SHARD_CALLS = 100,
};

// What a target's server speaks. Over TLS it is learnt from the first answer; until then, and with
// HTTP/2, one call at a time may open a connection in a shard and the others wait to share it.
enum wire { WIRE_UNKNOWN, WIRE_H1, WIRE_H2 };

struct slot {
    CURL *easy;
    struct shard *shard;
    struct http_call *call; // NULL = free
    struct slot *next_free; // in shard->free
    struct slot *next;      // in shard->slots
    bool connecting;        // it opens a connection that others wait for
    bool pipewait;          // as set on the easy handle
    bool ready;             // the easy handle is set up
    char error[CURL_ERROR_SIZE];
};

struct shard {
    struct curl_uv m;
    struct http_target *target;
    struct slot *slots, *free; // all of them; those without a call
    int active;                // calls
    int connecting;            // slots that open a connection that others wait for
    bool up;                   // a connection is open
};

struct http_target {
    struct list_link link;      // in client->targets
    struct http_client *client; // NULL = closed; only the user's reference keeps the memory
    bool held;                  // the user's reference
    size_t calls;               // not yet called back
    struct list waiting;        // http_call.link: no room yet, or no connection to share
    uint64_t gated_ms; // since when the first of them waits for a connection; 0 = it does not

    CURLU *url;
    struct curl_slist *headers; // secret
    enum wire wire;
    bool tls;

    char *host; // whose address must be known; NULL = it is one, or nobody but the proxy needs it
    char port[8];
    bool has_addresses;
    struct lookup *lookup;      // under way
    uint64_t looked_up_ms;      // when the last one ended
    uint64_t lookup_due_ms;     // when the next is useful
    struct curl_slist *resolve; // addresses that libcurl has not been told yet

    struct shard **shards;
    int shard_count;
};

enum call_state { CALL_WAITING, CALL_RUNNING, CALL_DONE };

struct http_call {
    struct list_link link; // in the list of its state
    enum call_state state;
    struct http_target *target;
    struct slot *slot; // while running
    struct span body;
    http_cb cb;
    void *arg;

    uint64_t born_us, first_byte_us, total_us;
    uint64_t due_ms; // of the whole call; UINT64_MAX = never
    int64_t timeout_ms;
    uint64_t start_ms;  // waiting: when it came; running: when libcurl got it
    uint64_t sent_ms;   // when the request began to leave; 0 = it surely has not
    uint64_t resent_ms; // the same of its last sending
    uint64_t heard_ms;  // the last byte of the answer; 0 = none yet

    int status;
    int sendings; // how often the request began to leave: libcurl may repeat one
    int refused;  // why a callback of ours stopped the transfer; 0 = none did
    bool head_done;
    int head_lines;
    size_t head_bytes;
    struct strbuf headers, body_in;

    int error;
    char *error_text; // owned; NULL = the error's own name will do
};

struct http_client {
    struct curl_hub hub;
    struct http_options opt; // strings owned
    CURLSH *dns;             // the addresses, shared by all multi handles

    struct list targets;
    struct list running, done; // http_call.link
    size_t calls;              // not yet called back
    size_t waiting;            // in the targets' lists

    uv_idle_t idle;       // runs while facts wait for a turn
    uv_timer_t deadline;  // the next moment at which a call may be too late
    uint64_t deadline_ms; // 0 = it does not run
    bool in_turn, closing, torn;
    void (*closed)(void *arg);
    void *closed_arg;
};

// client.c
void client_stir(struct http_client *c); // something changed: look again from the loop, soon
void call_finish(struct http_call *call, int error, const char *text);
void call_end(struct http_call *call, int error, const char *text); // from any state before done

// target.c
struct shard *target_pick(struct http_target *t); // where the next call can start; NULL = wait
void target_connect_failed(struct http_target *t);
void target_learn(struct http_target *t, bool h2);
void target_call_gone(struct http_target *t); // one call less; the last may end the target
void target_close(struct http_target *t);     // no calls left: frees all but the user's reference

// shard.c
struct shard *shard_new(struct http_target *t);
void shard_free(struct shard *s);
void shard_start(struct shard *s, struct http_call *call);
// shard_release takes the easy handle out; its call is on its own. It was smooth where nothing
// failed and nothing was sent twice.
void shard_release(struct slot *slot, bool smooth);
void shard_connected(struct slot *slot);

// transfer.c
bool transfer_setup(struct slot *slot); // the callbacks; false = out of memory
void on_transfer_done(struct curl_uv *m, CURL *easy, CURLcode code);

// deadline.c
void deadline_init(struct http_client *c);
void deadline_at(struct http_client *c, uint64_t due_ms); // look no later than then
void deadline_call(struct http_client *c, const struct http_call *call);

#endif
