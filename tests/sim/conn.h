// conn: one connection of a client.
#ifndef PENSTOCK_SIM_CONN_H
#define PENSTOCK_SIM_CONN_H

#include "tests/sim/server.h"

// conn_accept takes the connection that waits at the listener.
void conn_accept(struct server *v, uv_stream_t *listening, bool control);
// conn_reset ends one with RST, from outside. Only for those that are not the caller's own.
void conn_reset(struct list_link *link);
// conn_is_spared says that an outage leaves it: it is on the control port, or asks for the outage.
bool conn_is_spared(const struct list_link *link);

#endif
