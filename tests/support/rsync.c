#include "tests/support/rsync.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct rsync {
    redisContext *ctx;
    redisReply *last;
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "rsync: %s: %s\n", what, why);
    abort();
}

struct rsync *rsync_open(const struct redisd *d)
{
    struct rsync *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->ctx = redisConnectUnix(redisd_unix_path(d));
    if (!s->ctx || s->ctx->err)
        die("no connection", s->ctx ? s->ctx->errstr : "no memory");
    return s;
}

void rsync_close(struct rsync *s)
{
    if (!s)
        return;
    if (s->last)
        freeReplyObject(s->last);
    redisFree(s->ctx);
    free(s);
}

static const redisReply *keep(struct rsync *s, const char *what, redisReply *reply)
{
    if (s->last)
        freeReplyObject(s->last);
    s->last = reply;
    if (!reply)
        die(what, s->ctx->errstr);
    return reply;
}

static const redisReply *do_v(struct rsync *s, const char *format, va_list args)
{
    return keep(s, format, redisvCommand(s->ctx, format, args));
}

const redisReply *rsync_do(struct rsync *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const redisReply *r = do_v(s, format, args);
    va_end(args);
    return r;
}

const redisReply *rsync_argv(struct rsync *s, int argc, const char **argv, const size_t *lens)
{
    return keep(s, argv[0], redisCommandArgv(s->ctx, argc, argv, lens));
}

long long rsync_int(struct rsync *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const redisReply *r = do_v(s, format, args);
    va_end(args);
    if (r->type != REDIS_REPLY_INTEGER)
        die(format, r->type == REDIS_REPLY_ERROR ? r->str : "not an integer");
    return r->integer;
}

const char *rsync_str(struct rsync *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const redisReply *r = do_v(s, format, args);
    va_end(args);
    if (r->type == REDIS_REPLY_NIL)
        return NULL;
    if (r->type != REDIS_REPLY_STRING && r->type != REDIS_REPLY_STATUS)
        die(format, r->type == REDIS_REPLY_ERROR ? r->str : "not a string");
    return r->str;
}
