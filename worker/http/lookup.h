// lookup: the addresses of a host name, asked for on a thread of its own and told on the loop.
//
// libcurl would start a thread for each transfer that meets an unknown name (hundreds in a ramp),
// and taking such a transfer back would block the loop until the name server has answered. Here it
// is one thread a name, and it can be abandoned at once. Private to this folder.
#ifndef PENSTOCK_HTTP_LOOKUP_H
#define PENSTOCK_HTTP_LOOKUP_H

#include "common/base/attrs.h"

#include <uv.h>

struct lookup;
struct curl_hub;

// why is NULL where there are addresses: "1.2.3.4,[::1]", as CURLOPT_RESOLVE wants them.
typedef void (*lookup_cb)(const char *addresses, const char *why, void *arg);

// lookup_start: if it returns 0, cb runs once from the loop, unless lookup_abandon came first.
int lookup_start(struct curl_hub *hub, const char *host, lookup_cb cb, void *arg,
                 struct lookup **ret) MUST_CHECK;
void lookup_abandon(struct lookup *l); // harmless on NULL

#endif
