// rlink: the life of a link.
//
//   DOWN --timer--> CONNECTING --socket--> GREETING --PONG--> UP
//    ^                  |                      |               |
//    +---- rlink_lost --+----------------------+---------------+      any --close--> CLOSED
//
// DESIGN  One timer serves every state: DOWN waits for the next try, CONNECTING and GREETING have a
// time limit, UP watches the patience of the oldest call. Reconnecting is only ever the timer's
// duty. What must not run on hiredis' stack, or inside rlink_call and rlink_kick, waits for the
// idle handle: failed calls, the report of DOWN, the next address, the writing of queued commands.
#include "common/redis/rlink.h"

#include "common/base/err.h"
#include "common/base/rnd.h"
#include "common/redis/rlink_int.h"

#include <assert.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONNECT_TIMEOUT_MS = 5000,
    PATIENCE_MS = 10000,
    BACKOFF_CAP_MS = 2000,
    BACKOFF_FIRST_MS = 50,
    // After a process was stopped and goes on, its timers run before it has read what arrived
    // meanwhile: so much more is granted before silence is believed.
    DOUBT_MS = 50,
};

static const unsigned may_go[] = {
    [RLINK_DOWN] = BIT(RLINK_CONNECTING) | BIT(RLINK_CLOSED),
    [RLINK_CONNECTING] = BIT(RLINK_GREETING) | BIT(RLINK_DOWN) | BIT(RLINK_CLOSED),
    [RLINK_GREETING] = BIT(RLINK_UP) | BIT(RLINK_DOWN) | BIT(RLINK_CLOSED),
    [RLINK_UP] = BIT(RLINK_DOWN) | BIT(RLINK_CLOSED),
    [RLINK_CLOSED] = 0,
};

static void link_go(struct rlink *l, enum rlink_state next)
{
    assert(may_go[l->state] & BIT(next));
    l->state = next;
}

// --- connecting -----------------------------------------------------------------------------

static void begin_try(struct rlink *l)
{
    const char *host;
    int port;
    link_go(l, RLINK_CONNECTING);
    if (l->guide && l->guide->cluster && rcluster_where(l->guide->cluster, l->key, &host, &port))
        rdial_start(l, host, port);
    else if (l->cluster && rcluster_seed(l->cluster, l->tries, &host, &port))
        rdial_start(l, host, port);
    else if (l->url->kind == RURL_SENTINEL)
        rsentinel_begin(l);
    else
        rdial_start(l, l->url->host, l->url->kind == RURL_UNIX ? 0 : l->url->port);
}

static void drop_socket(struct rlink *l)
{
    struct rsock *s = l->sock;
    l->sock = NULL;
    if (s)
        rsock_drop(s);
}

// fail_there adds where it was to the reason.
static void fail_there(struct rlink *l, const char *why)
{
    char where[RLINK_WHY_MAX];
    rdial_where(l, where, sizeof where);
    rlink_try_failed(l, "%s (%s)", why, where);
}

void rlink_connected(struct rlink *l)
{
    char why[RLINK_WHY_MAX];
    if (rsock_talks_to_itself(l->sock)) {
        fail_there(l, "Connection refused");
    } else if (l->url->kind == RURL_TLS && rtls_start(l->sock, why, sizeof why)) {
        fail_there(l, why);
    } else if (l->sentinel.asking) {
        rsentinel_ask(l);
    } else {
        link_go(l, RLINK_GREETING);
        rlink_arm(l, l->connect_timeout_ms);
        rgreet_start(l);
    }
}

void rlink_try_failed(struct rlink *l, const char *fmt, ...)
{
    char why[RLINK_WHY_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    bool connecting = l->state == RLINK_CONNECTING;
    if (connecting && rdial_has_more(l)) {
        l->next_step = rdial_next;
    } else if (connecting && l->sentinel.asking && rsentinel_has_more(l)) {
        l->next_step = rsentinel_next;
    } else {
        rlink_lost(l, "%s", why);
        return;
    }
    drop_socket(l);
    rlink_soon(l);
}

void rlink_gone(struct rlink *l, const char *why)
{
    l->sock = NULL;
    fail_there(l, why);
}

void rlink_up(struct rlink *l)
{
    link_go(l, RLINK_UP);
    uv_timer_stop(&l->timer);
    l->watch_ms = 0;
    l->up_ms = l->heard_ms = uv_now(l->loop);
    l->told_down = false;
    if (l->cluster)
        rcluster_reconsider(l->cluster, NULL);
    else if (l->on_state)
        l->on_state(l, RLINK_UP, "connected", l->arg);
}

// --- losing it ------------------------------------------------------------------------------

// next_wait_ms doubles from try to try; half of it is jitter, so that a fleet does not return as
// one. A link that comes up and breaks at once goes on where it was.
static int64_t next_wait_ms(struct rlink *l)
{
    if (l->state == RLINK_UP && uv_now(l->loop) - l->up_ms >= (uint64_t)l->backoff_cap_ms)
        l->tries = 0;
    int64_t wait_ms = MIN(BACKOFF_FIRST_MS, l->backoff_cap_ms);
    for (int i = 0; i < l->tries && wait_ms < l->backoff_cap_ms; i++)
        wait_ms = MIN(wait_ms * 2, l->backoff_cap_ms);
    l->tries++;
    return wait_ms - (int64_t)rnd_below((uint64_t)wait_ms / 2 + 1);
}

void rlink_lost(struct rlink *l, const char *fmt, ...)
{
    int64_t wait_ms = next_wait_ms(l);
    va_list args;
    va_start(args, fmt);
    vsnprintf(l->why, sizeof l->why, fmt, args);
    va_end(args);
    link_go(l, RLINK_DOWN);
    l->next_step = NULL;
    l->sentinel.asking = false;
    rcalls_give_up(&l->calls);
    drop_socket(l);
    rlink_arm(l, wait_ms);
    if (!l->told_down) {
        l->told_down = l->tell_down = true;
        memcpy(l->first_why, l->why, sizeof l->first_why);
    }
    rlink_soon(l);
}

void rlink_kick(struct rlink *l, const char *why)
{
    assert(l->state != RLINK_CLOSED);
    if (l->cluster)
        rcluster_kick(l->cluster, why);
    if (l->state != RLINK_DOWN)
        rlink_lost(l, "%s", why);
}

// --- the timer ------------------------------------------------------------------------------

void rlink_heard(struct rlink *l)
{
    l->heard_ms = uv_now(l->loop);
    l->doubted = false;
}

// deadline_ms: the oldest call's patience counts from when it became the oldest, or from the last
// sign of life.
static uint64_t deadline_ms(const struct rlink *l, const struct rcall *oldest)
{
    return MAX(oldest->sent_ms, l->heard_ms) + (uint64_t)oldest->patience_ms;
}

// watch makes sure that the timer looks no later than the oldest call's deadline. It is left alone
// where it looks earlier, which is nearly always.
static void watch(struct rlink *l)
{
    const struct rcall *oldest = rcalls_oldest(&l->calls);
    if (!oldest)
        return;
    uint64_t due_ms = deadline_ms(l, oldest), now_ms = uv_now(l->loop);
    if (l->watch_ms != 0 && l->watch_ms <= due_ms)
        return;
    rlink_arm(l, due_ms > now_ms ? (int64_t)(due_ms - now_ms) : 0);
    l->watch_ms = due_ms;
}

static void look_at_patience(struct rlink *l)
{
    const struct rcall *oldest = rcalls_oldest(&l->calls);
    l->watch_ms = 0;
    if (!oldest || uv_now(l->loop) < deadline_ms(l, oldest)) {
        watch(l);
    } else if (!l->doubted) {
        rlink_arm(l, DOUBT_MS);
        l->doubted = true;
        l->watch_ms = uv_now(l->loop) + DOUBT_MS;
    } else {
        rlink_lost(l, "Redis has been silent for %lld ms", (long long)oldest->patience_ms);
    }
}

static void time_out(struct rlink *l, const char *what)
{
    char why[RLINK_WHY_MAX];
    snprintf(why, sizeof why, "%s within %lld ms", what, (long long)l->connect_timeout_ms);
    fail_there(l, why);
}

static void on_timer(uv_timer_t *t)
{
    struct rlink *l = t->data;
    if (l->state == RLINK_DOWN)
        begin_try(l);
    else if (l->state == RLINK_CONNECTING)
        time_out(l, l->dial.lookup ? "the name was not resolved" : "no connection");
    else if (l->state == RLINK_GREETING && rtls_is_shaking(l->sock))
        time_out(l, "the TLS handshake was not answered");
    else if (l->state == RLINK_GREETING)
        time_out(l, "the greeting was not answered");
    else
        look_at_patience(l);
}

void rlink_arm(struct rlink *l, int64_t after_ms)
{
    l->watch_ms = 0;
    l->doubted = false;
    uv_timer_start(&l->timer, on_timer, (uint64_t)after_ms, 0);
}

// --- soon -----------------------------------------------------------------------------------

static void on_handle_closed(uv_handle_t *h)
{
    rlink_handle_closed(h->data);
}

void rlink_handle_closed(struct rlink *l)
{
    if (--l->handles > 0)
        return;
    void (*closed)(void *) = l->closed;
    void *arg = l->closed_arg;
    rcalls_fini(&l->calls);
    rcluster_free(l->cluster);
    rwatch_free(l->watch);
    free(l);
    if (closed)
        closed(arg);
}

static void finish_close(struct rlink *l)
{
    uv_close((uv_handle_t *)&l->timer, on_handle_closed);
    uv_close((uv_handle_t *)&l->idle, on_handle_closed);
}

static void report_down(struct rlink *l)
{
    if (!l->tell_down)
        return;
    l->tell_down = false;
    if (l->state == RLINK_CLOSED)
        return;
    if (l->cluster)
        rcluster_reconsider(l->cluster, l->first_why); // its own socket is not the service
    else if (l->on_state)
        l->on_state(l, RLINK_DOWN, l->first_why, l->arg);
}

static void take_step(struct rlink *l)
{
    void (*step)(struct rlink *) = l->next_step;
    l->next_step = NULL;
    if (step)
        step(l);
}

static void on_soon(uv_idle_t *h)
{
    struct rlink *l = h->data;
    uv_idle_stop(h);
    if (l->sock)
        rsock_flush(l->sock);
    report_down(l);
    rcalls_answer_late(&l->calls);
    if (l->cluster)
        rcluster_answer_late(l->cluster);
    take_step(l);
    bool all_told =
        list_is_empty(&l->calls.late) && (!l->cluster || list_is_empty(&l->cluster->late));
    if (l->state == RLINK_CLOSED && all_told)
        finish_close(l);
}

void rlink_soon(struct rlink *l)
{
    uv_idle_start(&l->idle, on_soon);
}

// --- calls ----------------------------------------------------------------------------------

// is_demoted: what is there is no master (any more). Before Redis 7, a script's error is wrapped.
static bool is_demoted(const struct reply *r)
{
    return reply_is_error(r, "READONLY") || reply_is_error(r, "MASTERDOWN") ||
           (reply_is_error(r, "ERR") && strstr(reply_text(r), ": -READONLY "));
}

// is_elsewhere: a cluster's word that the key of this link is to be asked for at another node, or
// at a better time.
static bool is_elsewhere(struct rlink *l, const struct reply *r)
{
    if (l->alone || l->cluster || !rcluster_is_moving(r))
        return false;
    if (l->guide && l->guide->cluster)
        rcluster_heard(l->guide->cluster, r, l->dial.host);
    return true;
}

static void on_answer(redisAsyncContext *ctx, void *tree, void *arg)
{
    (void)arg;
    struct rsock *s = rsock_of(ctx, tree);
    const struct reply *reply = tree;
    if (!s)
        return;
    struct rlink *l = s->link;
    l->answered_ms = uv_now(l->loop);
    rcalls_answer(&l->calls, reply_is_error(reply, "") ? ERR_REDIS : 0, reply);
    if (ctx->data != s)
        return; // the callback kicked or closed the link
    l->demoted = is_demoted(reply);
    if (l->demoted || is_elsewhere(l, reply))
        rlink_lost(l, "%s", reply_text(reply));
    else
        watch(l);
}

int rlink_call(struct rlink *l, int argc, const char **argv, const size_t *lens,
               int64_t patience_ms, rlink_cb cb, void *arg)
{
    assert(l->state != RLINK_CLOSED);
    if (l->cluster)
        return rcluster_call(l->cluster, argc, argv, lens, patience_ms, cb, arg);
    return rlink_call_here(l, argc, argv, lens, patience_ms, cb, arg);
}

int rlink_call_node(struct rlink *l, size_t nth, int argc, const char **argv, const size_t *lens,
                    int64_t patience_ms, rlink_cb cb, void *arg)
{
    if (l->cluster)
        return rcluster_call_node(l->cluster, nth, argc, argv, lens, patience_ms, cb, arg);
    return rlink_call_here(l, argc, argv, lens, patience_ms, cb, arg);
}

int rlink_call_each(struct rlink *l, int argc, const char **argv, const size_t *lens, rlink_cb cb,
                    void *arg)
{
    assert(l->state != RLINK_CLOSED);
    if (l->cluster)
        return rcluster_call_each(l->cluster, argc, argv, lens, cb, arg);
    return rlink_call_here(l, argc, argv, lens, 0, cb, arg);
}

int rlink_call_here(struct rlink *l, int argc, const char **argv, const size_t *lens,
                    int64_t patience_ms, rlink_cb cb, void *arg)
{
    assert(l->state != RLINK_CLOSED && argc > 0 && cb);
    if (l->state != RLINK_UP)
        return ERR_LINK_DOWN;
    // Not the loop's time, which stands still while a long callback runs.
    struct rcall what = {.cb = cb, .arg = arg, .sent_ms = uv_hrtime() / 1000000};
    what.patience_ms = patience_ms > 0 ? patience_ms : l->patience_ms;
    struct rcall *call;
    int err = rcalls_add(&l->calls, &what, &call);
    if (err)
        return err;
    err = rsock_send(l->sock, on_answer, NULL, argc, argv, lens);
    if (err) {
        rcalls_forget(&l->calls, call);
        return err;
    }
    l->calls_made++;
    watch(l);
    return 0;
}

// --- opening, closing, looking --------------------------------------------------------------

static int64_t or_default(int64_t value, int64_t otherwise)
{
    return value > 0 ? value : otherwise;
}

static void silence_sigpipe(void)
{
    struct sigaction now, ignore = {.sa_handler = SIG_IGN};
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        sigaction(SIGPIPE, &ignore, NULL);
}

static void init_handles(struct rlink *l)
{
    uv_timer_init(l->loop, &l->timer);
    uv_idle_init(l->loop, &l->idle);
    l->timer.data = l->idle.data = l;
    l->handles = 2;
}

int rlink_open(struct uv_loop_s *loop, const struct rlink_options *opt, struct rlink **ret)
{
    if (opt->url->kind == RURL_TLS && !rlink_has_tls())
        return ERR_BAD_CONF;
    struct rlink *l = calloc(1, sizeof *l);
    if (!l)
        return ERR_NOMEM;
    l->loop = loop;
    l->url = opt->url;
    l->connect_timeout_ms = or_default(opt->connect_timeout_ms, CONNECT_TIMEOUT_MS);
    l->patience_ms = or_default(opt->patience_ms, PATIENCE_MS);
    l->backoff_cap_ms = or_default(opt->backoff_cap_ms, BACKOFF_CAP_MS);
    snprintf(l->client_name, sizeof l->client_name, "%s", opt->client_name ? opt->client_name : "");
    l->on_state = opt->on_state;
    l->arg = opt->arg;
    l->guide = opt->guide;
    l->key = opt->key;
    l->alone = opt->alone;
    l->state = RLINK_DOWN;
    rcalls_init(&l->calls);
    if (l->url->kind == RURL_SENTINEL)
        rsentinel_init(l);
    silence_sigpipe();
    init_handles(l);
    if (l->url->kind == RURL_SENTINEL && !l->guide)
        rwatch_start(l);
    rlink_arm(l, 0);
    *ret = l;
    return 0;
}

void rlink_close(struct rlink *l, void (*closed)(void *arg), void *arg)
{
    if (l->state == RLINK_CLOSED)
        return;
    link_go(l, RLINK_CLOSED);
    l->closed = closed;
    l->closed_arg = arg;
    l->next_step = NULL;
    rcalls_give_up(&l->calls);
    rdial_stop(l);
    drop_socket(l);
    uv_timer_stop(&l->timer);
    if (l->cluster)
        rcluster_close(l->cluster);
    if (l->watch)
        rwatch_close(l->watch);
    rlink_soon(l);
}

bool rlink_is_up(const struct rlink *l)
{
    return l->cluster ? l->cluster->up && l->state != RLINK_CLOSED : l->state == RLINK_UP;
}

const char *rlink_why(const struct rlink *l)
{
    return l->cluster && l->cluster->why[0] ? l->cluster->why : l->why;
}

int rlink_slot(const struct rlink *l, const char *key)
{
    return l->cluster ? rslot_of_key(span_of(key)) : 0;
}

bool rlink_is_cluster(const struct rlink *l)
{
    return l->cluster != NULL;
}

size_t rlink_nodes(const struct rlink *l)
{
    size_t count = 0;
    if (!l->cluster)
        return 0;
    list_each(&l->cluster->nodes, k) count +=
        rcluster_holds(l->cluster, CONTAINER_OF(k, const struct rnode, link));
    return count;
}

uint64_t rlink_last_answer_ms(const struct rlink *l)
{
    return l->answered_ms;
}

size_t rlink_outstanding(const struct rlink *l)
{
    return l->calls.waiting.count + l->calls.late.count + (l->cluster ? l->cluster->errands : 0);
}

uint64_t rlink_calls_made(const struct rlink *l)
{
    return l->calls_made;
}
