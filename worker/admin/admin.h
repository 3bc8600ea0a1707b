// admin: the window on a worker: metrics, health, the API behind the dashboard, and the dashboard.
// libmicrohttpd inside the worker's own loop; nothing here may hold up a job.
#ifndef PENSTOCK_ADMIN_ADMIN_H
#define PENSTOCK_ADMIN_ADMIN_H

#include "common/base/attrs.h"
#include "common/conf/conf.h"

#include <stddef.h>

struct uv_loop_s;
struct run;
struct admin;

// admin_check: 0, or ERR_BAD_CONF with one line: an address beyond loopback takes a token.
int admin_check(const struct conf *conf, char *ret_why, size_t why_room) MUST_CHECK;

// admin_open serves on conf->http. *ret is NULL where that is off, or where the default port is
// another worker's (a warning then). Another address that cannot be had is
// ERR_BAD_CONF with one line that says why. conf and run are borrowed.
int admin_open(struct uv_loop_s *loop, const struct conf *conf, struct run *run, struct admin **ret,
               char *ret_why, size_t why_room) MUST_CHECK;
void admin_reload(struct admin *a, const struct conf *conf); // borrows these from now on
// admin_close ends all connections; closed is called once nothing of it is left, which takes the
// run's link to be closing too (questions under way are answered by that). NULL is closed at once.
void admin_close(struct admin *a, void (*closed)(void *arg), void *arg);

// admin_healthcheck asks the worker at conf->http for /healthz, blocking, within seconds: 0 = well.
int admin_healthcheck(const struct conf *conf);

#endif
