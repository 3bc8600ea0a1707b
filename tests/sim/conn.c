#include "tests/sim/conn.h"

#include "common/base/err.h"
#include "tests/sim/control.h"

#include <stdlib.h>
#include <string.h>

enum {
    EARLY_MAX_BYTES = 1 << 20, // pipelined bytes that wait while an answer is under way
    LINGER_MS = 2000,          // how long a refused sender may go on before it is cut
    OUT_FLUSH_BYTES = 256 << 10,
};

enum conn_state {
    CONN_READING, // for a request to be whole
    CONN_WAITING, // an answer is due at a time
    CONN_WRITING, // the kernel took only a part of the answer
    CONN_HANGING, // the answer never comes
    CONN_LINGER,  // we have said our last; what still comes is dropped
    CONN_CLOSED,
};

struct conn {
    uv_tcp_t tcp;
    uv_timer_t timer;
    struct list_link link;
    struct server *server;
    enum conn_state state;
    bool control, has_call;
    bool feeding;   // within feed(): it writes when it has done
    bool stalled;   // not reading: too much waits already
    bool in_chunks; // within a chunked body; its head is in `head`
    bool continued; // 100-continue has been sent
    uint8_t handles;
    struct next after; // what follows when `timer` rings or the write is done
    struct strbuf in;  // of the next request, as far as it did not come whole
    size_t need_bytes; // `in` must hold so many before it is worth another look
    struct strbuf head, body;
    struct http_chunks chunks;
    uv_write_t write;
    char *unwritten; // owned, while CONN_WRITING
    struct call call;
};

static void proceed(struct conn *c, struct next next);
static void feed(struct conn *c, const char *at, size_t len);
static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *ret);
static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf);

static void on_closed(uv_handle_t *h)
{
    struct conn *c = h->data;
    if (--c->handles > 0)
        return;
    strbuf_fini(&c->in);
    strbuf_fini(&c->head);
    strbuf_fini(&c->body);
    free(c->unwritten);
    free(c);
}

// leave forgets the connection; its handles may be closing still.
static bool leave(struct conn *c, enum ending how)
{
    if (c->state == CONN_CLOSED)
        return false;
    c->state = CONN_CLOSED;
    list_remove(&c->server->connections, &c->link);
    if (!c->control)
        c->server->sim->stats.connections_now--;
    if (c->has_call)
        api_end(c->server->sim, &c->call, how);
    c->has_call = false;
    uv_close((uv_handle_t *)&c->timer, on_closed);
    return true;
}

static void close_fin(struct conn *c, enum ending how)
{
    if (leave(c, how))
        uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void close_rst(struct conn *c, enum ending how)
{
    if (leave(c, how) && uv_tcp_close_reset(&c->tcp, on_closed))
        uv_close((uv_handle_t *)&c->tcp, on_closed);
}

void conn_reset(struct list_link *link)
{
    close_rst(CONTAINER_OF(link, struct conn, link), END_CUT);
}

bool conn_is_spared(const struct list_link *link)
{
    const struct conn *c = CONTAINER_OF(link, struct conn, link);
    return c->control || c->feeding;
}

static void on_linger_over(uv_timer_t *t)
{
    close_fin(t->data, END_CUT);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    (void)status; // the connection is closed by its reader or its timer
    free(req);
}

// linger sends FIN and waits for the client's, so that a client that still sends its body gets to
// read our answer instead of a reset.
static void linger(struct conn *c)
{
    uv_shutdown_t *req = malloc(sizeof *req);
    if (!req || uv_shutdown(req, (uv_stream_t *)&c->tcp, on_shutdown)) {
        free(req);
        close_fin(c, END_CUT);
        return;
    }
    c->state = CONN_LINGER;
    uv_timer_start(&c->timer, on_linger_over, LINGER_MS, 0);
}

static void answered(struct conn *c, enum ending how)
{
    if (c->has_call)
        api_end(c->server->sim, &c->call, how);
    c->has_call = false;
}

// resume goes on with what is already here, and with reading, when an answer is out.
static void resume(struct conn *c)
{
    if (c->state == CONN_READING && c->in.len)
        feed(c, NULL, 0);
    bool busy = c->state == CONN_WAITING || c->state == CONN_WRITING || c->state == CONN_CLOSED;
    if (c->stalled && !busy) {
        c->stalled = false;
        uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
    }
}

static void on_due(uv_timer_t *t)
{
    struct conn *c = t->data;
    proceed(c, c->after);
    resume(c);
}

// wait_us arms the timer against the true time: the loop's own may be some milliseconds old.
static void wait_us(struct conn *c, uint64_t delay_us)
{
    uint64_t due_ms = (clock_mono_us() + delay_us + 500) / 1000, loop_ms = uv_now(c->server->loop);
    c->state = CONN_WAITING;
    uv_timer_start(&c->timer, on_due, due_ms > loop_ms ? due_ms - loop_ms : 0, 0);
}

static void on_written(uv_write_t *req, int status)
{
    struct conn *c = req->data;
    free(c->unwritten);
    c->unwritten = NULL;
    if (c->state == CONN_CLOSED)
        return;
    if (status) {
        close_fin(c, END_CLIENT_GONE);
        return;
    }
    proceed(c, c->after);
    resume(c);
}

// write_out sends what the callback has gathered. False: it went only in part (or not at all), and
// `next` follows when the rest has gone.
static bool write_out(struct conn *c, struct next next)
{
    struct strbuf *out = &c->server->out;
    if (out->len == 0)
        return true;
    uv_buf_t buf = uv_buf_init(out->at, (unsigned)out->len);
    int sent = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
    if (sent == (int)out->len) {
        strbuf_clear(out);
        return true;
    }
    size_t from = sent > 0 ? (size_t)sent : 0, left = out->len - from;
    c->unwritten = sent >= 0 || sent == UV_EAGAIN ? malloc(left) : NULL;
    if (c->unwritten) {
        memcpy(c->unwritten, out->at + from, left);
        buf = uv_buf_init(c->unwritten, (unsigned)left);
        c->after = next;
        c->state = CONN_WRITING;
        c->write.data = c;
    }
    strbuf_clear(out);
    if (!c->unwritten || uv_write(&c->write, (uv_stream_t *)&c->tcp, &buf, 1, on_written))
        close_fin(c, END_CLIENT_GONE);
    return false;
}

// finish does what comes after the last byte of an answer.
static void finish(struct conn *c, struct next next)
{
    bool broken =
        c->call.fault != FAULT_NONE && c->call.fault != FAULT_STATUS && c->call.fault != FAULT_HTML;
    switch (next.what) {
    case NEXT_DONE:
        answered(c, END_ANSWERED);
        c->state = CONN_READING;
        break;
    case NEXT_CLOSE:
        answered(c, broken ? END_CUT : END_ANSWERED);
        linger(c);
        break;
    case NEXT_RESET:
        close_rst(c, END_CUT);
        break;
    case NEXT_HANG:
        c->state = CONN_HANGING;
        break;
    case NEXT_WRITE:
        break;
    }
}

// proceed takes the steps of an answer until there is something to wait for. Within feed() whole
// answers stay in `out`: requests that came in one read are answered by one write.
static void proceed(struct conn *c, struct next next)
{
    while (next.what == NEXT_WRITE && next.delay_us == 0)
        next = api_write(c->server->sim, &c->call, &c->server->out);
    bool may_wait = c->feeding && next.what == NEXT_DONE && c->server->out.len < OUT_FLUSH_BYTES;
    if (!may_wait && !write_out(c, next))
        return;
    if (next.delay_us) {
        c->after = (struct next){next.what, 0};
        wait_us(c, next.delay_us);
        return;
    }
    finish(c, next);
}

// handle has one whole request.
static void handle(struct conn *c, const struct http_head *h, struct span body)
{
    static const char control_path[] = "/sim/";
    struct sim *s = c->server->sim;
    size_t len = sizeof control_path - 1;
    struct next next;
    c->continued = false;
    c->need_bytes = 0;
    if (h->path.len >= len && memcmp(h->path.at, control_path, len) == 0)
        next = control_begin(s, h, body, &c->call);
    else if (c->control)
        next = api_refuse(s, 404, &c->call);
    else
        next = api_begin(s, h, body, &c->call);
    c->has_call = true;
    c->state = CONN_WAITING;
    proceed(c, next);
}

static void refuse(struct conn *c, int status)
{
    struct next next = api_refuse(c->server->sim, status, &c->call);
    c->has_call = true;
    c->state = CONN_WAITING;
    proceed(c, next);
}

static size_t body_max(const struct conn *c)
{
    return (size_t)c->server->sim->set.body_max_bytes;
}

static void invite_body(struct conn *c, const struct http_head *h)
{
    if (!h->expects_continue || c->continued)
        return;
    c->continued = true;
    strbuf_add_str(&c->server->out, "HTTP/1.1 100 Continue\r\n\r\n");
}

// eat_chunks takes its part of a chunked body. The head was kept aside.
static size_t eat_chunks(struct conn *c, const char *at, size_t len)
{
    struct http_head h;
    int64_t used = http_chunks_feed(&c->chunks, at, len, &c->body);
    if (used < 0) {
        refuse(c, used == ERR_TOO_BIG ? 413 : 400);
        return len;
    }
    if (c->chunks.state != CHUNK_DONE)
        return (size_t)used;
    c->in_chunks = false;
    if (http_head_parse(c->head.at, c->head.len, &h) == 1)
        handle(c, &h, strbuf_span(&c->body));
    strbuf_fini(&c->head);
    strbuf_fini(&c->body);
    return (size_t)used;
}

// eat takes a whole request, or as much of a chunked one as there is. 0 = more is needed.
static size_t eat(struct conn *c, const char *at, size_t len)
{
    struct http_head h;
    if (c->in_chunks)
        return eat_chunks(c, at, len);
    int got = http_head_parse(at, len, &h);
    if (got == HTTP_PARTIAL)
        return 0;
    if (got < 0 || h.body_bytes > body_max(c)) {
        refuse(c, got < 0 ? -got : 413);
        return len;
    }
    if (h.chunked) {
        invite_body(c, &h);
        strbuf_init(&c->head, HTTP_HEAD_MAX_BYTES);
        strbuf_add(&c->head, at, h.bytes);
        strbuf_init(&c->body, body_max(c));
        c->chunks = (struct http_chunks){.state = CHUNK_SIZE};
        c->in_chunks = true;
        return h.bytes;
    }
    if (len - h.bytes < h.body_bytes) {
        invite_body(c, &h);
        c->need_bytes = h.bytes + (size_t)h.body_bytes;
        return 0;
    }
    handle(c, &h, (struct span){at + h.bytes, (size_t)h.body_bytes});
    return h.bytes + (size_t)h.body_bytes;
}

// keep stores what was not eaten for the next time.
static void keep(struct conn *c, bool was_kept, const char *at, size_t len)
{
    bool wanted = c->state == CONN_READING || c->state == CONN_WAITING || c->state == CONN_WRITING;
    if (was_kept && wanted && len) {
        memmove(c->in.at, at, len);
        strbuf_cut(&c->in, len);
    } else if (was_kept) {
        strbuf_fini(&c->in);
    } else if (wanted && len) {
        strbuf_add(&c->in, at, len);
    }
    if (c->state != CONN_READING && c->state != CONN_CLOSED && c->in.len > EARLY_MAX_BYTES) {
        uv_read_stop((uv_stream_t *)&c->tcp);
        c->stalled = true;
    }
}

// feed goes through bytes that arrived (or were kept, with at NULL), request by request.
static void feed(struct conn *c, const char *at, size_t len)
{
    bool was_kept = c->in.len > 0;
    size_t used = 0;
    if (was_kept) {
        strbuf_add(&c->in, at, len);
        if (strbuf_failed(&c->in)) {
            close_fin(c, END_CUT);
            return;
        }
        at = c->in.at;
        len = c->in.len;
    }
    c->feeding = true;
    while (c->state == CONN_READING && used < len && len - used >= c->need_bytes) {
        size_t eaten = eat(c, at + used, len - used);
        if (eaten == 0)
            break;
        used += eaten;
    }
    c->feeding = false;
    keep(c, was_kept, at + used, len - used);
    if (c->state == CONN_READING) // in all other states it has been written
        write_out(c, (struct next){NEXT_DONE, 0});
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *ret)
{
    struct conn *c = h->data;
    (void)suggested;
    *ret = uv_buf_init(c->server->in, sizeof c->server->in);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    struct conn *c = stream->data;
    if (c->state == CONN_CLOSED || got == 0)
        return;
    if (got < 0)
        close_fin(c, c->state == CONN_HANGING ? END_HUNG : END_CLIENT_GONE);
    else if (c->state == CONN_READING || c->state == CONN_WAITING || c->state == CONN_WRITING)
        feed(c, buf->base, (size_t)got);
    strbuf_clear(&c->server->out);
}

static void note_connection(struct sim *s)
{
    s->stats.connections++;
    if (++s->stats.connections_now > s->stats.connections_max)
        s->stats.connections_max = s->stats.connections_now;
}

void conn_accept(struct server *v, uv_stream_t *listening, bool control)
{
    struct conn *c = calloc(1, sizeof *c);
    if (!c || uv_tcp_init(v->loop, &c->tcp)) {
        free(c);
        return;
    }
    c->server = v;
    c->control = control;
    c->handles = 2;
    c->tcp.data = c->timer.data = c;
    uv_timer_init(v->loop, &c->timer);
    strbuf_init(&c->in, body_max(c) + HTTP_HEAD_MAX_BYTES + EARLY_MAX_BYTES + sizeof v->in);
    list_append(&v->connections, &c->link);
    if (!control)
        note_connection(v->sim);
    if (uv_accept(listening, (uv_stream_t *)&c->tcp)) {
        close_fin(c, END_CUT);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}
