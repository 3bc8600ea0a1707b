// sync: Redis for a command line: one call at a time, on a loop of its own, with its answer in hand
// when the function returns.
#ifndef PENSTOCK_CLI_SYNC_H
#define PENSTOCK_CLI_SYNC_H

#include "common/conf/conf.h"
#include "common/queue/script.h"

struct sync;

enum { SYNC_WHY_MAX = 512 };

// Reads an answer while it lasts. err is 0 or ERR_REDIS (reply is the error then).
typedef void (*sync_fn)(int err, const struct reply *reply, void *arg);

// sync_open connects. 0, or an error with one line in ret_why that says what to do.
int sync_open(const struct conf *conf, struct sync **ret, char *ret_why,
              size_t why_room) MUST_CHECK;
void sync_close(struct sync *s);

// sync_call and sync_script run one command to its end. 0 or ERR_REDIS as fn was told;
// ERR_LINK_DOWN where the connection broke (fn has not run).
int sync_call(struct sync *s, int argc, const char **argv, const size_t *lens, int64_t patience_ms,
              sync_fn fn, void *arg) MUST_CHECK;
int sync_script(struct sync *s, enum script script, const char *key, const struct args *args,
                sync_fn fn, void *arg) MUST_CHECK;
// sync_words is sync_call with NUL-terminated words, ended by NULL.
int sync_words(struct sync *s, sync_fn fn, void *arg, ...) MUST_CHECK;
// sync_node_words sends a command without a key to one node: 0 up to (not with) sync_nodes.
int sync_node_words(struct sync *s, size_t nth, sync_fn fn, void *arg, ...) MUST_CHECK;
size_t sync_nodes(const struct sync *s); // 1 where there is no cluster

// sync_text copies a string answer into *ret (cleared first). True where there was one.
bool sync_text(struct sync *s, struct strbuf *ret, const char *verb, const char *key);
// sync_field does the same for one field of a hash.
bool sync_field(struct sync *s, struct strbuf *ret, const char *key, const char *field);
int64_t sync_int(struct sync *s, const char *verb, const char *key, int64_t otherwise);
// The link and its loop, for what is better done many at once.
struct rlink *sync_link(struct sync *s);
struct uv_loop_s *sync_loop(struct sync *s);
const char *sync_why(const struct sync *s); // of the latest failure

#endif
