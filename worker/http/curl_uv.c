#include "worker/http/curl_uv.h"

#include "common/base/err.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

// libcurl may want to be called again at once; so many laps are run before the loop gets its turn.
enum { LAPS_MAX = 4 };

struct curl_sock {
    uv_poll_t poll;
    struct curl_hub *hub;
    struct curl_uv *m;
    int fd;
    int want;  // UV_READABLE | UV_WRITABLE: what libcurl waits for; 0 = nothing, it is idle
    int armed; // what the poll waits for; may be more than want
    bool has_poll;
    bool ours;   // made by curl_uv_socket, so that its end should be told by on_close_socket
    bool proven; // it was seen alive after a transfer, so that its end will be told
    ino_t inode; // of the socket that had this descriptor
};

// ---- sockets

static struct curl_sock *sock_find(struct curl_hub *hub, int fd)
{
    return fd >= 0 && (size_t)fd < hub->room ? hub->by_fd[fd] : NULL;
}

static struct curl_sock *sock_new(struct curl_uv *m, int fd, bool ours)
{
    struct curl_hub *hub = m->hub;
    if ((size_t)fd >= hub->room) {
        size_t room = MAX((size_t)fd + 1, hub->room * 2);
        struct curl_sock **by_fd = realloc(hub->by_fd, room * sizeof *by_fd);
        if (!by_fd)
            return NULL;
        for (size_t i = hub->room; i < room; i++)
            by_fd[i] = NULL;
        hub->by_fd = by_fd;
        hub->room = room;
    }
    assert(!hub->by_fd[fd]);
    struct curl_sock *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->hub = hub;
    s->m = m;
    s->fd = fd;
    s->ours = ours;
    hub->by_fd[fd] = s;
    return s;
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct curl_sock *s = handle->data;
    struct curl_hub *hub = s->hub;
    free(s);
    curl_hub_handle_closed(hub);
}

// sock_end must run before close(fd): uv_close stops the poll at once, while the descriptor is
// still the socket's and not that of the next one to get the same number.
static void sock_end(struct curl_sock *s)
{
    s->hub->by_fd[s->fd] = NULL;
    s->want = s->armed = 0;
    if (s->has_poll)
        uv_close((uv_handle_t *)&s->poll, on_poll_closed);
    else
        free(s);
}

// sock_gone: the socket is closed or about to be.
static void sock_gone(struct curl_sock *s)
{
    struct curl_uv *m = s->m;
    bool counted = s->ours;
    sock_end(s);
    if (counted && --m->sockets == 0)
        m->on_emptied(m);
}

// sock_is_closed: libcurl 7.88 closes a socket that did not become a connection (a time-out, a
// failed TLS handshake, the slower of two addresses) without calling anybody. Then the descriptor
// is nothing, or something else, when libcurl says that it does not wait for it any more.
static bool sock_is_closed(const struct curl_sock *s)
{
    struct stat now;
    return fstat(s->fd, &now) != 0 || now.st_ino != s->inode;
}

static void drive(struct curl_uv *m, curl_socket_t fd, int mask);
static void sock_arm(struct curl_sock *s);

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct curl_sock *s = poll->data;
    struct curl_hub *hub = s->hub;
    int fd = s->fd;
    if (!s->want) { // idle, and the server has closed: libcurl sees that before it uses it again
        uv_poll_stop(poll);
        s->armed = 0;
        return;
    }
    int mask = (events & UV_READABLE ? CURL_CSELECT_IN : 0) |
               (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);
    if (status < 0) { // libuv has stopped the handle
        // IN as well: behind a reset there may be an answer yet to be read, and libcurl would not
        // look for it if told of the error alone.
        mask = CURL_CSELECT_ERR | CURL_CSELECT_IN;
        s->armed = 0;
    }
    drive(s->m, fd, mask);
    s = sock_find(hub, fd);
    if (status < 0 && s && &s->poll == poll)
        sock_arm(s);
    hub->on_turn(hub);
}

static int sock_make_poll(struct curl_sock *s)
{
    int err = uv_poll_init(s->hub->loop, &s->poll, s->fd);
    if (err)
        return err;
    s->poll.data = s;
    s->has_poll = true;
    s->hub->handles++;
    return 0;
}

// sock_arm starts the poll where libcurl wants more than it waits for, or where a write event is
// no longer wanted (it would fire for ever). A failure is left to the call's own time-outs.
static void sock_arm(struct curl_sock *s)
{
    bool too_much = s->armed & ~s->want & UV_WRITABLE;
    if (!s->want || (!(s->want & ~s->armed) && !too_much))
        return;
    if (!s->has_poll && sock_make_poll(s))
        return;
    if (uv_poll_start(&s->poll, s->want, on_poll) == 0)
        s->armed = s->want;
}

static void sock_unwanted(struct curl_sock *s)
{
    // What is not ours is libcurl's own, such as a resolver's pipe: closed without a word as well.
    if (!s->ours || (!s->proven && sock_is_closed(s))) {
        sock_gone(s);
        return;
    }
    s->proven = true;
    s->want = 0;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socketp)
{
    (void)easy;
    (void)socketp;
    struct curl_uv *m = arg;
    struct curl_sock *s = sock_find(m->hub, fd);
    if (what == CURL_POLL_REMOVE) {
        if (s)
            sock_unwanted(s);
        return 0;
    }
    if (!s)
        s = sock_new(m, fd, false);
    if (!s)
        return 0;
    s->want = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    sock_arm(s);
    return 0;
}

curl_socket_t curl_uv_socket(struct curl_uv *m, const struct curl_sockaddr *addr)
{
    struct stat made;
    int fd = socket(addr->family, addr->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, addr->protocol);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    struct curl_sock *s = sock_find(m->hub, fd);
    if (s)
        sock_gone(s); // its number is free again, so it has been closed
    s = fstat(fd, &made) ? NULL : sock_new(m, fd, true);
    if (!s) {
        close(fd);
        return CURL_SOCKET_BAD;
    }
    s->inode = made.st_ino;
    m->sockets++;
    return fd;
}

int on_close_socket(void *curl_uv, curl_socket_t fd)
{
    struct curl_uv *m = curl_uv;
    struct curl_sock *s = sock_find(m->hub, fd);
    if (s)
        sock_gone(s);
    return close(fd);
}

// ---- the multi handle

static void apply_timeout(struct curl_uv *m);

static void drain(struct curl_uv *m)
{
    int left;
    CURLMsg *msg;
    while ((msg = curl_multi_info_read(m->multi, &left)))
        if (msg->msg == CURLMSG_DONE)
            m->on_done(m, msg->easy_handle, msg->data.result);
}

// drive lets libcurl act and then always looks for what has ended: the count of running transfers
// says nothing about one that has just failed.
static void drive(struct curl_uv *m, curl_socket_t fd, int mask)
{
    int running;
    assert(!m->driving);
    m->driving = true;
    curl_multi_socket_action(m->multi, fd, mask, &running);
    drain(m);
    for (int lap = 1; m->timeout_told && m->timeout_ms == 0 && lap < LAPS_MAX; lap++) {
        m->timeout_ms = -1;
        curl_multi_socket_action(m->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        drain(m);
    }
    m->driving = false;
    apply_timeout(m);
}

static void on_timer(uv_timer_t *timer)
{
    struct curl_uv *m = timer->data;
    struct curl_hub *hub = m->hub;
    m->timeout_ms = -1;
    drive(m, CURL_SOCKET_TIMEOUT, 0);
    hub->on_turn(hub);
}

static void apply_timeout(struct curl_uv *m)
{
    if (!m->timeout_told)
        return;
    m->timeout_told = false;
    if (m->timeout_ms < 0)
        uv_timer_stop(&m->timer);
    else
        uv_timer_start(&m->timer, on_timer, (uint64_t)m->timeout_ms, 0);
}

// libcurl changes its mind many times within one drive; only the last word reaches the loop.
static int on_curl_timeout(CURLM *multi, long timeout_ms, void *arg)
{
    (void)multi;
    struct curl_uv *m = arg;
    m->timeout_ms = timeout_ms;
    m->timeout_told = true;
    if (!m->driving)
        apply_timeout(m);
    return 0;
}

int curl_uv_init(struct curl_uv *m, struct curl_hub *hub)
{
    m->hub = hub;
    m->timeout_ms = -1;
    m->multi = curl_multi_init();
    if (!m->multi)
        return ERR_NOMEM;
    curl_multi_setopt(m->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(m->multi, CURLMOPT_SOCKETDATA, m);
    curl_multi_setopt(m->multi, CURLMOPT_TIMERFUNCTION, on_curl_timeout);
    curl_multi_setopt(m->multi, CURLMOPT_TIMERDATA, m);
    uv_timer_init(hub->loop, &m->timer);
    m->timer.data = m;
    hub->handles++;
    return 0;
}

void curl_uv_kick(struct curl_uv *m)
{
    drive(m, CURL_SOCKET_TIMEOUT, 0);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct curl_uv *m = handle->data;
    struct curl_hub *hub = m->hub;
    m->on_freed(m);
    curl_hub_handle_closed(hub);
}

void curl_uv_close(struct curl_uv *m)
{
    m->driving = true; // whatever libcurl asks for while it closes is not for the loop any more
    curl_multi_cleanup(m->multi);
    m->multi = NULL;
    for (size_t fd = 0; fd < m->hub->room; fd++)
        if (m->hub->by_fd[fd] && m->hub->by_fd[fd]->m == m)
            sock_gone(m->hub->by_fd[fd]);
    uv_close((uv_handle_t *)&m->timer, on_timer_closed);
}

void curl_hub_handle_closed(struct curl_hub *hub)
{
    assert(hub->handles > 0);
    hub->handles--;
    hub->on_closed(hub);
}

void curl_hub_fini(struct curl_hub *hub)
{
    free(hub->by_fd);
    hub->by_fd = NULL;
    hub->room = 0;
}
