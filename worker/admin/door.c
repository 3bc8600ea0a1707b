#include "worker/admin/door.h"

#include "worker/admin/admin_int.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *header(struct request *q, const char *name)
{
    const char *value = MHD_lookup_connection_value(q->connection, MHD_HEADER_KIND, name);
    return value ? value : "";
}

// same_token compares in a time that does not tell how much of it was right.
static bool same_token(const char *given, const char *token)
{
    size_t len = strlen(token), given_len = strlen(given);
    unsigned char differs = given_len != len;
    for (size_t i = 0; i < len; i++)
        differs |= (unsigned char)(token[i] ^ (i < given_len ? given[i] : 0));
    return differs == 0;
}

bool door_has_token(struct request *q)
{
    const char *token = q->admin->conf->http_token, *given = header(q, "Authorization");
    if (!token || !token[0])
        return true;
    return strncasecmp(given, "Bearer ", 7) == 0 && same_token(given + 7, token);
}

// door_is_own_host: without a token, a name that a stranger's DNS points at this machine must not
// let the stranger's page read it: only addresses and localhost are taken.
bool door_is_own_host(struct request *q)
{
    char host[128];
    unsigned char raw[16];
    if (q->admin->conf->http_token && q->admin->conf->http_token[0])
        return true;
    snprintf(host, sizeof host, "%s", header(q, "Host"));
    char *at = host, *colon = strrchr(host, ':');
    if (host[0] == '[') {
        at = host + 1;
        at[strcspn(at, "]")] = '\0';
        return inet_pton(AF_INET6, at, raw) == 1;
    }
    if (colon)
        *colon = '\0';
    return !host[0] || strcasecmp(host, "localhost") == 0 || inet_pton(AF_INET, host, raw) == 1;
}

// door_may_act: a page of another site cannot send this header without our leave, which we never
// give.
bool door_may_act(struct request *q)
{
    const char *origin = header(q, "Origin"), *site = header(q, "Sec-Fetch-Site");
    const char *after = strstr(origin, "://");
    if (!header(q, "X-Penstock")[0])
        return false;
    if (site[0] && strcmp(site, "same-origin") != 0)
        return false;
    return !origin[0] || (after && strcasecmp(after + 3, header(q, "Host")) == 0);
}
