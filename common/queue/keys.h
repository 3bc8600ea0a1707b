// keys: every key name in one place (docs/protocol.md, Names).
#ifndef PENSTOCK_QUEUE_KEYS_H
#define PENSTOCK_QUEUE_KEYS_H

#include <stddef.h>

enum { KEY_BYTES_MAX = 512 };

// key_queue writes `<prefix>:{<queue>}:<name>`; name "" gives the stem that scripts take as
// KEYS[1].
void key_queue(const char *prefix, const char *queue, const char *name, char *ret, size_t room);
// key_pool writes `<prefix>:pool:{<pool>}`.
void key_pool(const char *prefix, const char *pool, char *ret, size_t room);
// key_workers writes `<prefix>:workers`; key_worker `<prefix>:worker:<id>`.
void key_workers(const char *prefix, char *ret, size_t room);
void key_worker(const char *prefix, const char *id, char *ret, size_t room);

#endif
