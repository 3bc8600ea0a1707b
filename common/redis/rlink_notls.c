// rlink_notls: stands in for rlink_tls.c where hiredis was built without TLS (Debian 12).
#include "common/base/err.h"
#include "common/redis/rlink_int.h"

#include <stdio.h>

bool rlink_has_tls(void)
{
    return false;
}

int rtls_start(struct rsock *s, char *ret_why, size_t why_room)
{
    (void)s;
    snprintf(ret_why, why_room, "this build has no TLS for Redis");
    return ERR_BAD_CONF;
}

void rtls_before_io(struct rsock *s)
{
    (void)s;
}

bool rtls_wants_write(const struct rsock *s)
{
    (void)s;
    return false;
}

bool rtls_is_shaking(const struct rsock *s)
{
    (void)s;
    return false;
}

void rtls_explain(const struct rsock *s, char *ret_why, size_t why_room)
{
    (void)s, (void)ret_why, (void)why_room;
}
