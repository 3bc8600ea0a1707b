// redisd: a real redis-server for one test: a free TCP port on loopback and a unix socket, both in
// a temporary folder. It dies with the test's process, however that ends. What goes wrong here ends
// the test with a line on standard error and abort(): no caller has anything to check.
#ifndef PENSTOCK_TESTS_REDISD_H
#define PENSTOCK_TESTS_REDISD_H

#include <stdbool.h>

struct redisd;

// redisd_start returns once the server answers. extra_args ends in NULL ({"--requirepass", "x",
// NULL}) and may be NULL; it is read again by redisd_restart, so it must outlive the server.
// PENSTOCK_REDIS_SERVER names another binary than redis-server.
struct redisd *redisd_start(const char *const *extra_args);
void redisd_stop(struct redisd *d); // ends it and removes the folder; harmless on NULL

const char *redisd_url(const struct redisd *d);      // redis://127.0.0.1:PORT
const char *redisd_unix_url(const struct redisd *d); // unix:///.../redis.sock
const char *redisd_unix_path(const struct redisd *d);
const char *redisd_dir(const struct redisd *d); // its temporary folder, for files of the test
int redisd_port(const struct redisd *d);

// redisd_kill ends it by SIGKILL and keeps port and folder; redisd_restart begins again there
// (after a kill if it still runs), with empty memory unless extra_args made it save.
void redisd_kill(struct redisd *d);
void redisd_restart(struct redisd *d);
// redisd_pause stops the process where it stands (SIGSTOP); sockets stay open and silent.
void redisd_pause(struct redisd *d);
void redisd_continue(struct redisd *d);

// redisd_free_port finds a TCP port on loopback that nobody uses now.
int redisd_free_port(void);
// redisd_sentinel starts it as a Sentinel, with a password of its own unless NULL, that watches a
// master on loopback under that name.
struct redisd *redisd_sentinel(const char *master_name, int master_port, const char *password);

#endif
