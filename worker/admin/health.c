// health: is it alive, may it claim; and asking another process the first of the two.
#include "common/base/clock.h"
#include "worker/admin/admin_int.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

// SILENT_MS: a worker whose Redis has not answered for so long is of no use to anyone.
enum { SILENT_MS = 60000, PATIENCE_S = 4 };

static void say(struct strbuf *b, const char *status, const char *why, const struct run_view *v)
{
    strbuf_add_str(b, "{\"status\":");
    strbuf_add_json_str(b, status);
    strbuf_add_str(b, ",\"why\":");
    strbuf_add_json_str(b, why);
    strbuf_add_str(b, ",\"worker\":");
    strbuf_add_json_str(b, v->worker);
    strbuf_add_fmt(b, ",\"redis_up\":%s}\n", v->redis_up ? "true" : "false");
}

int health_live(const struct admin *a, struct strbuf *b)
{
    struct run_view v;
    run_see(a->run, &v);
    uint64_t now_ms = clock_mono_ms();
    uint64_t since = v.last_answer_ms ? now_ms - v.last_answer_ms : now_ms - a->opened_ms;
    bool well = since < SILENT_MS;
    say(b, well ? "alive" : "stuck", well ? "" : "Redis has not answered for a minute", &v);
    return well ? 200 : 503;
}

int health_ready(const struct admin *a, struct strbuf *b)
{
    struct run_view v;
    run_see(a->run, &v);
    bool ready = run_is_ready(a->run);
    const char *why = ready                   ? ""
                      : v.mode != RUN_WORKING ? "it is draining"
                      : v.last_answer_ms == 0 ? "Redis has never answered"
                      : v.redis_up            ? "Redis does not answer"
                                              : "no connection to Redis";
    say(b, ready ? "ready" : "not ready", why, &v);
    return ready ? 200 : 503;
}

// ------------------------------------------------------------------------------------ asking

static int connect_to(const char *http)
{
    struct sockaddr_storage at = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&at;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&at;
    const char *colon = strrchr(http, ':');
    struct timeval patience = {.tv_sec = PATIENCE_S};
    char host[64];
    bool six = http[0] == '[';
    snprintf(host, sizeof host, "%.*s", (int)(colon - http - 2 * six), http + six);
    uint16_t port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    at.ss_family = six ? AF_INET6 : AF_INET;
    if (six) {
        inet_pton(AF_INET6, host, &v6->sin6_addr);
        v6->sin6_port = port;
        if (strcmp(host, "::") == 0)
            v6->sin6_addr = in6addr_loopback;
    } else {
        inet_pton(AF_INET, strcmp(host, "0.0.0.0") == 0 ? "127.0.0.1" : host, &v4->sin_addr);
        v4->sin_port = port;
    }
    int fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&at, six ? sizeof *v6 : sizeof *v4)) {
        close(fd);
        return -1;
    }
    return fd;
}

int admin_healthcheck(const struct conf *conf)
{
    static const char ask[] =
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    char answer[64] = "";
    size_t len = 0;
    if (!conf->http) {
        fputs("penstock-worker: PENSTOCK_HTTP is off: there is nobody to ask\n", stderr);
        return 1;
    }
    int fd = connect_to(conf->http);
    if (fd < 0) {
        fprintf(stderr, "penstock-worker: nobody answers on %s\n", conf->http);
        return 1;
    }
    if (send(fd, ask, sizeof ask - 1, MSG_NOSIGNAL) == (ssize_t)sizeof ask - 1)
        for (ssize_t n = 1; n > 0 && len<16; len += n> 0 ? (size_t)n : 0)
            n = recv(fd, answer + len, sizeof answer - 1 - len, 0);
    close(fd);
    if (strncmp(answer, "HTTP/1.1 200", 12) == 0)
        return 0;
    fprintf(stderr, "penstock-worker: %s is not well\n", conf->http);
    return 1;
}
