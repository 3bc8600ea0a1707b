// rlink_uv: a hiredis context on a uv_poll. hiredis' own adapter is not used: the one of 0.14.1
// drops every event that carries an error, and with it each refused connection; both ask the kernel
// once more for every command sent.
//
// DESIGN  hiredis frees a context by itself after an error and tells so by its cleanup hook, which
// is therefore the only place where a socket ends: the poll handle is stopped there, before hiredis
// closes the descriptor. A socket let go while hiredis is on the stack is doomed and freed when it
// has returned (0.14.1 cannot free inside its connect callback).
// Commands are not written one by one: the wish to write that comes with a command is put off to
// the loop's next turn and served by one write without asking epoll; the poll handle waits for room
// only after the kernel has refused some of it.
#include "common/base/err.h"
#include "common/redis/rlink_int.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

// TCP keepalive finds a dead host under a link with nothing outstanding: 15 s idle, 3 probes.
enum { KEEPALIVE_IDLE_S = 15, KEEPALIVE_STEP_S = 5, KEEPALIVE_PROBES = 3 };

enum { COMMAND_KEPT_BYTES = 128 * 1024 }; // a larger buffer for commands is freed after its use

static void on_poll(uv_poll_t *h, int status, int events);

static void set_mask(struct rsock *s, int mask)
{
    if (mask == s->mask)
        return;
    s->mask = mask;
    if (mask)
        uv_poll_start(&s->poll, mask, on_poll);
    else
        uv_poll_stop(&s->poll);
}

static void on_add_read(void *p)
{
    struct rsock *s = p;
    set_mask(s, s->mask | UV_READABLE);
}

static void on_del_read(void *p)
{
    struct rsock *s = p;
    set_mask(s, s->mask & ~UV_READABLE);
}

static void on_add_write(void *p)
{
    struct rsock *s = p;
    if (!s->queueing || !s->connected) {
        set_mask(s, s->mask | UV_WRITABLE);
    } else if (!(s->mask & UV_WRITABLE)) {
        s->flush_due = true;
        rlink_soon(s->link);
    }
}

static void on_del_write(void *p)
{
    struct rsock *s = p;
    set_mask(s, s->mask & ~UV_WRITABLE);
}

static void on_poll_closed(uv_handle_t *h)
{
    struct rsock *s = h->data;
    struct rlink *l = s->link;
    strbuf_fini(&s->command);
    free(s);
    rlink_handle_closed(l);
}

// on_cleanup: hiredis is about to close the descriptor.
static void on_cleanup(void *p)
{
    struct rsock *s = p;
    redisAsyncContext *ctx = s->ctx;
    char why[RLINK_WHY_MAX];
    snprintf(why, sizeof why, "%s", ctx->c.errstr[0] ? ctx->c.errstr : "the connection ended");
    rtls_explain(s, why, sizeof why);
    bool wanted = ctx->data != NULL;
    ctx->data = NULL;
    s->ctx = NULL;
    uv_poll_stop(&s->poll);
    uv_close((uv_handle_t *)&s->poll, on_poll_closed);
    if (wanted)
        rlink_gone(s->link, why);
}

// is_welcome: an answer may come now. What comes unasked must not reach hiredis, which asserts that
// it does not; an error (too many clients) and the end of the stream it understands.
static bool is_welcome(const struct rsock *s)
{
    char first;
    if (!s->connected || s->tls || s->doomed || s->pending > 0)
        return true;
    return recv(s->ctx->c.fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) != 1 || first == '-';
}

// after_io: hiredis is off the stack.
static void after_io(struct rsock *s)
{
    if (s->ctx && s->doomed)
        redisAsyncFree(s->ctx);
    if (!s->ctx)
        return;
    // hiredis_ssl may take an old wish to read (after a session ticket, say) for the cause of a
    // write that was cut short, and would wait for the answer to a command it has not finished
    // sending.
    if (s->tls && !s->flush_due && sdslen(s->ctx->c.obuf) > 0 && rtls_wants_write(s))
        set_mask(s, s->mask | UV_WRITABLE);
    s->stuck = s->connected && (s->mask & UV_WRITABLE);
}

static void run_hiredis(struct rsock *s, int events)
{
    s->busy = true;
    if (s->tls)
        rtls_before_io(s);
    if (events & UV_READABLE)
        redisAsyncHandleRead(s->ctx);
    if ((events & UV_WRITABLE) && s->ctx && !s->doomed)
        redisAsyncHandleWrite(s->ctx);
    s->busy = false;
    after_io(s);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct rsock *s = h->data;
    if (status < 0) {
        s->mask = 0; // libuv has stopped the handle; hiredis finds out what is wrong
        events = UV_READABLE | UV_WRITABLE;
    } else if (s->connected && ((events & UV_READABLE) || s->stuck)) {
        rlink_heard(s->link);
    }
    if ((events & UV_READABLE) && !is_welcome(s))
        rlink_lost(s->link, "an answer came that nobody asked for");
    else
        run_hiredis(s, events);
}

void rsock_flush(struct rsock *s)
{
    bool due = s->flush_due && !(s->mask & UV_WRITABLE);
    s->flush_due = false;
    if (due && s->ctx && sdslen(s->ctx->c.obuf) > 0)
        run_hiredis(s, UV_WRITABLE);
}

static void on_connect(const redisAsyncContext *ctx, int status)
{
    struct rsock *s = ctx->data;
    if (!s || status != REDIS_OK)
        return; // the cleanup that follows tells
    s->connected = true;
    rlink_connected(s->link);
}

static void set_up_fd(int fd, bool tcp)
{
    int on = 1, idle = KEEPALIVE_IDLE_S, step = KEEPALIVE_STEP_S, probes = KEEPALIVE_PROBES;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (!tcp)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &step, sizeof step);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

static struct rsock *adopt(struct rlink *l, redisAsyncContext *ctx)
{
    struct rsock *s = calloc(1, sizeof *s);
    if (!s || uv_poll_init(l->loop, &s->poll, ctx->c.fd)) {
        free(s);
        return NULL;
    }
    strbuf_init(&s->command, (size_t)RSOCK_BACKLOG_BYTES_MAX * 2);
    s->link = l;
    s->ctx = ctx;
    s->poll.data = s;
    l->handles++;
    ctx->data = s;
    ctx->ev.data = s;
    ctx->ev.addRead = on_add_read;
    ctx->ev.delRead = on_del_read;
    ctx->ev.addWrite = on_add_write;
    ctx->ev.delWrite = on_del_write;
    ctx->ev.cleanup = on_cleanup;
    redisAsyncSetConnectCallback(ctx, on_connect); // waits for the socket to become writable
    return s;
}

int rsock_open(struct rlink *l, const char *where, int port, struct rsock **ret, char *ret_why,
               size_t why_room)
{
    redisAsyncContext *ctx = port ? redisAsyncConnect(where, port) : redisAsyncConnectUnix(where);
    snprintf(ret_why, why_room, "%s", err_text(ERR_NOMEM));
    if (!ctx)
        return ERR_NOMEM;
    if (ctx->err) {
        snprintf(ret_why, why_room, "%s", ctx->errstr);
        redisAsyncFree(ctx);
        return ERR_CONNECT;
    }
    set_up_fd(ctx->c.fd, port != 0);
    struct rsock *s = adopt(l, ctx);
    if (!s) {
        redisAsyncFree(ctx);
        return ERR_NOMEM;
    }
    *ret = s;
    return 0;
}

void rsock_drop(struct rsock *s)
{
    if (!s->ctx)
        return;
    s->ctx->data = NULL; // from here on, its callbacks find nobody
    s->doomed = s->busy;
    // Inside a callback hiredis puts the end off until that returns, and looks at no further
    // answer.
    if (!s->busy || (s->ctx->c.flags & REDIS_IN_CALLBACK))
        redisAsyncFree(s->ctx);
}

static bool fits(const struct rsock *s, int argc, const size_t *lens)
{
    size_t room = RSOCK_BACKLOG_BYTES_MAX - MIN(sdslen(s->ctx->c.obuf), RSOCK_BACKLOG_BYTES_MAX);
    for (int i = 0; i < argc && lens; i++) {
        if (lens[i] > room)
            return false;
        room -= lens[i];
    }
    return room > 0;
}

static char *put_count(char *to, char mark, size_t n)
{
    char digits[24], *at = digits + sizeof digits;
    do
        *--at = (char)('0' + n % 10);
    while (n /= 10);
    size_t len = (size_t)(digits + sizeof digits - at);
    *to++ = mark;
    memcpy(to, at, len);
    memcpy(to + len, "\r\n", 2);
    return to + len + 2;
}

// write_command puts a command into s->command as Redis reads it. hiredis does that too, but char
// by char: it was a tenth of all instructions that a job cost.
static int write_command(struct rsock *s, int argc, const char **argv, const size_t *lens)
{
    enum { FRAME_BYTES = 32 }; // of an argument: its length, two line ends
    size_t need = FRAME_BYTES;
    for (int i = 0; i < argc; i++)
        need += FRAME_BYTES + (lens ? lens[i] : strlen(argv[i]));
    strbuf_clear(&s->command);
    int err = strbuf_reserve(&s->command, need);
    if (err)
        return err;
    char *to = put_count(s->command.at, '*', (size_t)argc);
    for (int i = 0; i < argc; i++) {
        size_t len = lens ? lens[i] : strlen(argv[i]);
        to = put_count(to, '$', len);
        memcpy(to, argv[i], len);
        memcpy(to + len, "\r\n", 2);
        to += len + 2;
    }
    *to = '\0'; // hiredis looks for the command's name with strchr
    s->command.len = (size_t)(to - s->command.at);
    return 0;
}

int rsock_send(struct rsock *s, redisCallbackFn *fn, void *arg, int argc, const char **argv,
               const size_t *lens)
{
    if (!s->ctx || s->doomed)
        return ERR_LINK_DOWN;
    if (!fits(s, argc, lens))
        return ERR_TOO_BIG;
    int err = write_command(s, argc, argv, lens);
    if (err)
        return err;
    s->queueing = true;
    int status = redisAsyncFormattedCommand(s->ctx, fn, arg, s->command.at, s->command.len);
    s->queueing = false;
    if (s->command.room > COMMAND_KEPT_BYTES)
        strbuf_fini(&s->command);
    s->pending += status == REDIS_OK;
    return status == REDIS_OK ? 0 : ERR_LINK_DOWN;
}

struct rsock *rsock_of(const redisAsyncContext *ctx, const void *reply)
{
    struct rsock *s = ctx->data;
    const redisReader *r = ctx->c.reader;
    if (!s || !reply)
        return NULL;
    // hiredis asserts that what comes next was asked for, unless it is an error.
    if (--s->pending > 0 || r->pos >= r->len || r->buf[r->pos] == '-')
        return s;
    rlink_lost(s->link, "an answer came that nobody asked for");
    return NULL;
}

bool rsock_talks_to_itself(const struct rsock *s)
{
    struct sockaddr_storage us, them;
    socklen_t us_len = sizeof us, them_len = sizeof them;
    if (getsockname(s->ctx->c.fd, (struct sockaddr *)&us, &us_len) ||
        getpeername(s->ctx->c.fd, (struct sockaddr *)&them, &them_len))
        return false;
    return (us.ss_family == AF_INET || us.ss_family == AF_INET6) && us_len == them_len &&
           memcmp(&us, &them, us_len) == 0;
}
