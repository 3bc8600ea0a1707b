// server: libmicrohttpd on the worker's loop (turn.c says when). Whatever a client does, an answer
// is short work: it is built from memory, and what Redis must be asked for suspends the connection
// meanwhile.
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "worker/admin/admin_int.h"
#include "worker/admin/door.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char default_http[] = "127.0.0.1:9470";
static const char json[] = "application/json; charset=utf-8";

// ------------------------------------------------------------------------------------ answers

static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static enum MHD_Result send_response(struct request *q, int status, struct MHD_Response *r,
                                     const char *type)
{
    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, "Content-Type", type);
    MHD_add_response_header(r, "Cache-Control", "no-store");
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(r, "Content-Security-Policy", policy);
    if (status == 401)
        MHD_add_response_header(r, "WWW-Authenticate", "Bearer realm=\"penstock\"");
    if (status == 429)
        MHD_add_response_header(r, "Retry-After", "1");
    enum MHD_Result sent = MHD_queue_response(q->connection, (unsigned)status, r);
    MHD_destroy_response(r);
    return sent;
}

static enum MHD_Result send_answer(struct request *q)
{
    size_t len = q->answer.len;
    bool failed = strbuf_failed(&q->answer);
    char *text = failed ? NULL : strbuf_take(&q->answer);
    struct MHD_Response *r =
        MHD_create_response_from_buffer(text ? len : 0, text ? text : (char *)"",
                                        text ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    return send_response(q, failed ? 500 : q->status, r, q->type);
}

void server_refuse(struct request *q, int status, const char *why)
{
    strbuf_clear(&q->answer);
    strbuf_add_str(&q->answer, "{\"error\":");
    strbuf_add_json_str(&q->answer, why);
    strbuf_add_str(&q->answer, "}\n");
    q->status = status;
    q->type = json;
    q->done = true;
}

void server_wake(struct request *q)
{
    q->done = true;
    if (!list_is_linked(&q->link))
        return;
    list_remove(&q->admin->asking, &q->link);
    MHD_resume_connection(q->connection);
}

static bool send_page(struct request *q, const char *path, enum MHD_Result *ret)
{
    struct asset asset;
    if (!asset_find(path, &asset))
        return false;
    struct MHD_Response *r =
        MHD_create_response_from_buffer(asset.len, (char *)asset.at, MHD_RESPMEM_PERSISTENT);
    *ret = send_response(q, 200, r, asset.type);
    return true;
}

// ------------------------------------------------------------------------------------ requests

static void plain(struct request *q, int status, const char *type)
{
    q->status = status;
    q->type = type;
    q->done = true;
}

static void route_get(struct request *q, const char *path)
{
    struct admin *a = q->admin;
    bool known = true;
    a->watched_ms = clock_mono_ms();
    if (strcmp(path, "/metrics") == 0) {
        metrics_write(a, &q->answer);
        plain(q, 200, "text/plain; version=0.0.4; charset=utf-8");
    } else {
        q->status = 200;
        q->type = json;
        known = strncmp(path, "/api/", 5) == 0 && api_get(q, path + 5);
    }
    if (!known)
        server_refuse(q, 404, "there is no such page");
}

static void route_post(struct request *q, const char *path)
{
    q->status = 200;
    q->type = json;
    if (!door_may_act(q))
        server_refuse(q, 403, "an action needs the header X-Penstock: 1, and no other site's page");
    else if (q->admin->readonly)
        server_refuse(q, 403, "this worker's pages are read-only (PENSTOCK_HTTP_READONLY)");
    else if (strncmp(path, "/api/", 5) != 0 || !action_post(q, path + 5))
        server_refuse(q, 404, "there is no such action");
}

static enum MHD_Result probe(struct request *q, bool live)
{
    q->status = live ? health_live(q->admin, &q->answer) : health_ready(q->admin, &q->answer);
    q->type = json;
    return send_answer(q);
}

static enum MHD_Result route(struct request *q, const char *path, const char *method)
{
    enum MHD_Result sent;
    bool get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    bool post = strcmp(method, "POST") == 0;
    if (get && strcmp(path, "/healthz") == 0)
        return probe(q, true);
    if (get && strcmp(path, "/readyz") == 0)
        return probe(q, false);
    if (!door_is_own_host(q))
        server_refuse(q, 421, "ask by an address or by localhost, or set PENSTOCK_HTTP_TOKEN");
    else if (get && send_page(q, path, &sent))
        return sent;
    else if (!door_has_token(q))
        server_refuse(q, 401, "send the header Authorization: Bearer and PENSTOCK_HTTP_TOKEN");
    else if (get && strcmp(path, "/events") == 0)
        return events_begin(q);
    else if (get)
        route_get(q, path);
    else if (post)
        route_post(q, path);
    else
        server_refuse(q, 405, "GET or POST");
    if (q->done)
        return send_answer(q);
    list_append(&q->admin->asking, &q->link);
    MHD_suspend_connection(q->connection);
    return MHD_YES;
}

static struct peer *peer_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **state)
{
    struct request *q = *state;
    (void)version;
    if (!q) {
        q = calloc(1, sizeof *q);
        if (!q)
            return MHD_NO;
        q->admin = cls;
        q->connection = c;
        strbuf_init(&q->body, BODY_BYTES_MAX);
        strbuf_init(&q->answer, PAGE_BYTES_MAX);
        *state = q;
        return MHD_YES;
    }
    if (*size) {
        strbuf_add(&q->body, data, *size);
        *size = 0;
        return strbuf_failed(&q->body) ? MHD_NO : MHD_YES;
    }
    if (q->admin->closing && !q->done)
        server_refuse(q, 503, "the worker is ending");
    if (q->done)
        return send_answer(q);
    bool probe = strcmp(url, "/healthz") == 0 || strcmp(url, "/readyz") == 0;
    if (!probe && !turn_is_its(q))
        return turn_defer(q);
    struct peer *p = peer_of(c);
    if (p)
        p->busy = true;
    return route(q, url, method);
}

static void on_completed(void *cls, struct MHD_Connection *c, void **state,
                         enum MHD_RequestTerminationCode why)
{
    struct request *q = *state;
    struct peer *p = peer_of(c);
    (void)cls, (void)why;
    if (p) {
        p->busy = false;
        p->since_ms = clock_mono_ms();
    }
    if (!q)
        return;
    if (list_is_linked(&q->link))
        list_remove(q->deferred ? &q->admin->deferred : &q->admin->asking, &q->link);
    if (q->ask)
        q->ask->request = NULL;
    strbuf_fini(&q->body);
    strbuf_fini(&q->answer);
    free(q);
    *state = NULL;
}

// ------------------------------------------------------------------------------------ connections

// make_room closes the connection that has kept us waiting longest, if there are too many: whoever
// holds connections open keeps nobody out.
static void make_room(struct admin *a)
{
    if (a->peers.count <= CONNECTIONS_MAX)
        return;
    struct peer *oldest = NULL;
    list_each(&a->peers, k)
    {
        struct peer *p = CONTAINER_OF(k, struct peer, link);
        if (!p->busy && p->fd >= 0 && (!oldest || p->since_ms < oldest->since_ms))
            oldest = p;
    }
    if (oldest) {
        shutdown(oldest->fd, SHUT_RDWR);
        oldest->fd = -1;
    }
}

static void on_connection(void *cls, struct MHD_Connection *c, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct admin *a = cls;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
        struct peer *p = calloc(1, sizeof *p);
        *context = p;
        if (!p)
            return;
        p->fd = info ? info->connect_fd : -1;
        p->since_ms = clock_mono_ms();
        list_append(&a->peers, &p->link);
        make_room(a);
    } else if (*context) {
        struct peer *p = *context;
        list_remove(&a->peers, &p->link);
        free(p);
        *context = NULL;
    }
}

// drop_slow ends what dribbles: a request must be whole in time, and so must the wait for one.
static void drop_slow(struct admin *a, uint64_t now_ms)
{
    list_each(&a->peers, k)
    {
        struct peer *p = CONTAINER_OF(k, struct peer, link);
        if (p->busy || p->fd < 0 || now_ms - p->since_ms < HEAD_WAIT_MS)
            continue;
        shutdown(p->fd, SHUT_RDWR);
        p->fd = -1;
    }
}

// ------------------------------------------------------------------------------------ the loop

static void on_second(uv_timer_t *h)
{
    struct admin *a = h->data;
    uint64_t now_ms = clock_mono_ms();
    uint64_t late = now_ms > a->second_due_ms ? now_ms - a->second_due_ms : 0;
    if (now_ms - a->lag_turn >= 30000) {
        a->lag_ms[1] = a->lag_ms[0];
        a->lag_ms[0] = 0;
        a->lag_turn = now_ms;
    }
    a->lag_ms[0] = MAX(a->lag_ms[0], late);
    a->second_due_ms = now_ms + 1000;
    uv_timer_start(&a->second, on_second, 1000, 0);
    turn_begin(a);
    drop_slow(a, now_ms);
    sample_take(a, now_ms);
    events_publish(a);
    turn_end(a);
    server_run(a);
}

static int listen_on(const char *http, int *ret_fd, int *ret_port, char *host, size_t room)
{
    struct sockaddr_storage at = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&at;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&at;
    const char *colon = strrchr(http, ':');
    bool six = http[0] == '[';
    socklen_t len = six ? sizeof *v6 : sizeof *v4;
    int one = 1;
    snprintf(host, room, "%.*s", (int)(colon - http - 2 * six), http + six);
    at.ss_family = six ? AF_INET6 : AF_INET;
    if (six) {
        inet_pton(AF_INET6, host, &v6->sin6_addr);
        v6->sin6_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    } else {
        inet_pton(AF_INET, host, &v4->sin_addr);
        v4->sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    }
    int fd = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, len) || listen(fd, 128) ||
        getsockname(fd, (struct sockaddr *)&at, &len)) {
        int err = errno;
        close(fd);
        return err;
    }
    *ret_port = ntohs(six ? v6->sin6_port : v4->sin_port);
    *ret_fd = fd;
    return 0;
}

static bool is_loopback(const char *http)
{
    return strncmp(http, "127.", 4) == 0 || strncmp(http, "[::1]", 5) == 0;
}

static void quiet(void *cls, const char *fmt, va_list args)
{
    (void)cls, (void)fmt, (void)args; // what a client did wrong is no event of ours
}

static int start_daemon(struct admin *a)
{
    a->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, a,
        MHD_OPTION_EXTERNAL_LOGGER, quiet, NULL, MHD_OPTION_LISTEN_SOCKET, a->socket,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX * 2, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)HEAD_WAIT_MS / 1000, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_BYTES_MAX,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, a, MHD_OPTION_END);
    if (!a->daemon)
        return ERR_NOMEM;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(a->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    a->poll.data = a->prepare.data = a->timeout.data = a->second.data = a;
    uv_poll_init(a->loop, &a->poll, info->epoll_fd);
    uv_prepare_init(a->loop, &a->prepare);
    uv_timer_init(a->loop, &a->timeout);
    uv_timer_init(a->loop, &a->second);
    a->handles = 4;
    turn_start(a);
    a->second_due_ms = clock_mono_ms() + 1000;
    uv_timer_start(&a->second, on_second, 1000, 0);
    return 0;
}

static int refuse_address(const char *http, int err, char *ret_why, size_t room)
{
    snprintf(ret_why, room, "PENSTOCK_HTTP: cannot serve on %s: %s; name another address, or off",
             http, strerror(err));
    return ERR_BAD_CONF;
}

int admin_check(const struct conf *conf, char *ret_why, size_t why_room)
{
    if (!conf->http || is_loopback(conf->http) || (conf->http_token && conf->http_token[0]))
        return 0;
    snprintf(ret_why, why_room,
             "PENSTOCK_HTTP: %s can be reached from elsewhere: set PENSTOCK_HTTP_TOKEN too",
             conf->http);
    return ERR_BAD_CONF;
}

int admin_open(struct uv_loop_s *loop, const struct conf *conf, struct run *run, struct admin **ret,
               char *ret_why, size_t why_room)
{
    *ret = NULL;
    if (!conf->http)
        return 0;
    struct admin *a = calloc(1, sizeof *a);
    if (!a)
        return ERR_NOMEM;
    int err = listen_on(conf->http, &a->socket, &a->port, a->host, sizeof a->host);
    if (err) {
        free(a);
        if (err != EADDRINUSE || strcmp(conf->http, default_http) != 0)
            return refuse_address(conf->http, err, ret_why, why_room);
        log_event(LOG_WARN, "http_off", log_str("http", conf->http),
                  log_str("why", "another program has that port; name one in PENSTOCK_HTTP"),
                  LOG_END);
        return 0;
    }
    a->loop = loop;
    a->opened_ms = clock_mono_ms();
    a->opened_wall_ms = clock_wall_ms();
    a->conf = conf;
    a->run = run;
    a->readonly = conf->http_readonly && strcmp(conf->http_readonly, "yes") == 0;
    list_init(&a->peers);
    list_init(&a->watchers);
    list_init(&a->asking);
    list_init(&a->deferred);
    err = sample_init(a);
    if (!err)
        err = start_daemon(a);
    if (err) {
        close(a->socket);
        sample_fini(a);
        free(a);
        return err;
    }
    log_event(LOG_INFO, "http_up", log_str("host", a->host), log_int("port", a->port), LOG_END);
    *ret = a;
    return 0;
}

// ------------------------------------------------------------------------------------ the end

void admin_gone(struct admin *a)
{
    if (a->handles || a->asks || !a->closing)
        return;
    void (*closed)(void *) = a->closed;
    void *arg = a->closed_arg;
    sample_fini(a);
    free(a);
    closed(arg);
}

static void on_handle_closed(uv_handle_t *h)
{
    struct admin *a = h->data;
    a->handles--;
    admin_gone(a);
}

void api_heard(int err, const struct reply *reply, void *arg)
{
    struct ask *ask = arg;
    struct admin *a = ask->admin;
    struct request *q = ask->request;
    a->asks--;
    if (ask->action)
        log_event(LOG_INFO, "admin_action", log_str("action", ask->note), log_str("who", ask->who),
                  log_str("result", err ? err_text(err) : "done"), LOG_END);
    if (q) {
        q->ask = NULL;
        ask->heard(q, err, reply);
        server_wake(q);
    }
    free(ask);
    if (a->closing)
        admin_gone(a);
    else
        server_run(a);
}

void admin_reload(struct admin *a, const struct conf *conf)
{
    if (a)
        a->conf = conf;
}

void admin_close(struct admin *a, void (*closed)(void *arg), void *arg)
{
    if (!a) {
        closed(arg);
        return;
    }
    a->closing = true;
    a->closed = closed;
    a->closed_arg = arg;
    events_end(a);
    while (turn_resume(a))
        ;
    list_each(&a->asking, k)
    {
        struct request *q = CONTAINER_OF(k, struct request, link);
        server_refuse(q, 503, "the worker is ending");
        server_wake(q);
    }
    uv_poll_stop(&a->poll); // before its descriptor is closed
    MHD_run(a->daemon);
    MHD_stop_daemon(a->daemon);
    a->daemon = NULL;
    uv_close((uv_handle_t *)&a->poll, on_handle_closed);
    uv_close((uv_handle_t *)&a->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&a->timeout, on_handle_closed);
    uv_close((uv_handle_t *)&a->second, on_handle_closed);
}
