// curl_uv: one curl multi handle driven by a libuv loop.
//
// A socket gets its uv_poll on its first use and keeps it until libcurl closes the socket: a poll
// made and closed for each transfer, as in libcurl's own example, costs up to a third more CPU.
// Private to this folder.
#ifndef PENSTOCK_HTTP_CURL_UV_H
#define PENSTOCK_HTTP_CURL_UV_H

#include "common/base/attrs.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct curl_sock;

// curl_hub: what all multi handles of one client share. `handles` counts the libuv handles that are
// not closed yet, the client's own included; on_closed runs after each close.
struct curl_hub {
    uv_loop_t *loop;
    struct curl_sock **by_fd; // the sockets, by descriptor; owned
    size_t room;
    size_t handles;
    void (*on_closed)(struct curl_hub *hub);
    void (*on_turn)(struct curl_hub *hub); // the loop has driven a multi: facts may have been noted
};

struct curl_uv {
    struct curl_hub *hub;
    CURLM *multi;
    uv_timer_t timer;
    long timeout_ms;   // what libcurl asked for last; -1 = no timer
    bool timeout_told; // it asked, and the timer does not know yet
    bool driving;
    int sockets;                           // opened for this multi and not yet closed
    void (*on_emptied)(struct curl_uv *m); // the last socket was closed
    void (*on_freed)(struct curl_uv *m);   // closed: the memory may go
    void (*on_done)(struct curl_uv *m, CURL *easy, CURLcode code); // must remove the easy handle
};

void curl_hub_fini(struct curl_hub *hub);
// curl_hub_handle_closed is the last act of every uv_close callback of the client.
void curl_hub_handle_closed(struct curl_hub *hub);

// curl_uv_init prepares a zeroed m whose callbacks are set. ERR_NOMEM.
int curl_uv_init(struct curl_uv *m, struct curl_hub *hub) MUST_CHECK;
// curl_uv_close closes all connections at once (no easy handle may be left) and calls on_freed from
// the loop.
void curl_uv_close(struct curl_uv *m);

// curl_uv_kick lets libcurl start what was just added, in this very turn of the loop.
void curl_uv_kick(struct curl_uv *m);

// For CURLOPT_OPENSOCKETFUNCTION and CURLOPT_CLOSESOCKETFUNCTION.
curl_socket_t curl_uv_socket(struct curl_uv *m, const struct curl_sockaddr *addr);
int on_close_socket(void *curl_uv, curl_socket_t fd);

#endif
