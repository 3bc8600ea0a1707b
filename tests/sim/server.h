// server: listening sockets and connections, HTTP/1.1 over libuv streams.
//
// The common case costs two system calls: a request that arrives whole is parsed where it was
// read, and an answer that is due at once is written with one write. Requests of one connection
// are answered one after the other; what comes early waits in the connection (bounded).
#ifndef PENSTOCK_SIM_SERVER_H
#define PENSTOCK_SIM_SERVER_H

#include "common/base/list.h"
#include "tests/sim/api.h"

#include <uv.h>

struct listener {
    uv_tcp_t *tcp;                   // NULL while closed
    struct sockaddr_storage address; // with the port that was found
    char url[64];
    bool control; // serves /sim/... only, and an outage leaves it open
};

struct server {
    struct sim *sim;
    uv_loop_t *loop;
    struct listener api, control;
    struct list connections;
    uv_timer_t phase_timer, refuse_timer;
    bool refusing, stopping;
    struct strbuf out; // answers of the present callback, before they are written
    char in[65536];    // what was just read, of whatever connection
};

// server_open listens where the settings say. 0, or a negative uv error with a line in why.
int server_open(struct server *v, struct sim *s, uv_loop_t *loop, char why[WHY_MAX_BYTES]);
// server_stop closes all; the loop ends when that is done.
void server_stop(struct server *v);
void server_fini(struct server *v); // after the loop has ended

// server_refuse closes the API's socket and cuts its connections, for a time (0 = until told
// otherwise). ERR_BAD_CONF where nobody could tell it otherwise: no --control and no time.
int server_refuse(struct server *v, uint64_t for_ms);
int server_accept_again(struct server *v);
// server_rearm sets the timer to the next phase.
void server_rearm(struct server *v);
// server_cut resets the API's connections that exist; the count.
size_t server_cut(struct server *v);

#endif
