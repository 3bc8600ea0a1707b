// rurl: where Redis is, read from one setting.
//
//   redis://[user[:password]@]host[:port][/db]      rediss://... the same over TLS
//   unix:///path/to/socket[?db=N]                   unix://user:password@/path...
//   redis+sentinel://[user[:password]@]host:port[,host:port...]/master-name[/db]
//
// Percent-escapes are undone in user and password. TLS files come as query parameters
// (?ca=FILE&cert=FILE&key=FILE).
#ifndef PENSTOCK_REDIS_RURL_H
#define PENSTOCK_REDIS_RURL_H

#include "common/base/attrs.h"

#include <stdbool.h>
#include <stddef.h>

enum rurl_kind { RURL_TCP, RURL_TLS, RURL_UNIX, RURL_SENTINEL };

struct rurl {
    enum rurl_kind kind;
    char host[256]; // or the socket's path; Sentinel: "host:port,host:port"
    int port;
    int db;
    char user[128], password[512];
    char master[128];
    char ca[256], cert[256], key[256];
};

// rurl_parse: 0, or ERR_BAD_CONF with one line in ret_why that says what to write instead. Neither
// carries the password.
int rurl_parse(const char *text, struct rurl *ret, char *ret_why, size_t why_room) MUST_CHECK;
// rurl_show writes the URL without user and password, for logs and people.
void rurl_show(const struct rurl *u, char *ret, size_t room);

#endif
