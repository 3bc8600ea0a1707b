#include "tests/support/nginxd.h"

#include "common/base/strbuf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { READY_STEPS_MAX = 4000, STEP_MS = 3, START_TRIES_MAX = 5 };

struct nginxd {
    char dir[64], ca[96], other_ca[96], conf[96];
    int ports[NGINXD_PORTS];
    pid_t pid;
};

static void die(const char *what)
{
    fprintf(stderr, "nginxd: %s (%s)\n", what, strerror(errno));
    abort();
}

static const char *find(const char *const *paths)
{
    for (; *paths; paths++)
        if (access(*paths, X_OK) == 0)
            return *paths;
    return NULL;
}

static const char *nginx_path(void)
{
    static const char *const paths[] = {"/usr/sbin/nginx", "/usr/local/sbin/nginx",
                                        "/usr/bin/nginx", NULL};
    return find(paths);
}

static const char *openssl_path(void)
{
    static const char *const paths[] = {"/usr/bin/openssl", "/usr/local/bin/openssl", NULL};
    return find(paths);
}

const char *nginxd_missing(void)
{
    return !nginx_path() ? "nginx" : !openssl_path() ? "openssl" : NULL;
}

// spawn starts a program in the folder, its output in a file there.
static pid_t spawn(const struct nginxd *n, const char *const *argv)
{
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        die("fork");
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || chdir(n->dir))
        _exit(126);
    int out = open("output", O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(out, 1);
    dup2(out, 2);
    execv(argv[0], (char *const *)argv);
    _exit(127);
}

static void run(const struct nginxd *n, const char *const *argv)
{
    int status;
    pid_t pid = spawn(n, argv);
    if (waitpid(pid, &status, 0) != pid || status != 0)
        die(argv[1]);
}

static void make_ca(const struct nginxd *n, const char *key, const char *cert)
{
    const char *const argv[] = {openssl_path(),
                                "req",
                                "-x509",
                                "-newkey",
                                "ec",
                                "-pkeyopt",
                                "ec_paramgen_curve:prime256v1",
                                "-nodes",
                                "-keyout",
                                key,
                                "-out",
                                cert,
                                "-subj",
                                "/CN=test",
                                "-days",
                                "2",
                                NULL};
    run(n, argv);
}

static void put(const struct nginxd *n, const char *name, const char *text)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", n->dir, name);
    FILE *f = fopen(path, "w");
    if (!f || fputs(text, f) < 0 || fclose(f))
        die(path);
}

static void make_certificates(struct nginxd *n)
{
    make_ca(n, "ca.key", "ca.pem");
    make_ca(n, "other.key", "other.pem");
    put(n, "san", "subjectAltName=IP:127.0.0.1\n");
    const char *const ask[] = {openssl_path(),  "req",
                               "-newkey",       "ec",
                               "-pkeyopt",      "ec_paramgen_curve:prime256v1",
                               "-nodes",        "-keyout",
                               "server.key",    "-out",
                               "server.csr",    "-subj",
                               "/CN=127.0.0.1", NULL};
    const char *const sign[] = {openssl_path(), "x509",   "-req",   "-in",    "server.csr",
                                "-CA",          "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                                "-extfile",     "san",    "-days",  "2",      "-out",
                                "server.pem",   NULL};
    run(n, ask);
    run(n, sign);
    snprintf(n->ca, sizeof n->ca, "%s/ca.pem", n->dir);
    snprintf(n->other_ca, sizeof n->other_ca, "%s/other.pem", n->dir);
}

static int free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) ||
        getsockname(fd, (struct sockaddr *)&at, &len))
        die("free port");
    close(fd);
    return ntohs(at.sin_port);
}

static void write_conf(struct nginxd *n, int upstream_port)
{
    static const char *const extra[NGINXD_PORTS] = {
        [NGINXD_H2] = "ssl http2; ",
        [NGINXD_H1] = "ssl; ",
        [NGINXD_NARROW] = "ssl http2; http2_max_concurrent_streams 8; ",
        [NGINXD_BRIEF] = "ssl http2; keepalive_requests 20; ",
        [NGINXD_STRICT] = "ssl http2; client_max_body_size 1k; ",
    };
    struct strbuf conf;
    strbuf_init(&conf, 1 << 16);
    strbuf_add_str(&conf, "daemon off; master_process off; pid pid; error_log error.log warn;\n"
                          "events { worker_connections 4096; }\nhttp {\naccess_log off;\n"
                          "client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3;\n"
                          "uwsgi_temp_path t4; scgi_temp_path t5; client_max_body_size 64m;\n"
                          "ssl_certificate server.pem; ssl_certificate_key server.key;\n"
                          "add_header x-conn $connection always;\n"
                          "add_header x-proto $server_protocol always;\n");
    for (int i = 0; i < NGINXD_PORTS; i++) {
        n->ports[i] = free_port();
        strbuf_add_fmt(&conf, "server { listen 127.0.0.1:%d backlog=1024 %s", n->ports[i],
                       extra[i]);
        if (i == NGINXD_BRIEF)
            strbuf_add_str(&conf, "location / { return 200 '{}'; } }\n");
        else
            strbuf_add_fmt(&conf,
                           "location / { proxy_pass http://127.0.0.1:%d; proxy_http_version 1.1; "
                           "proxy_set_header Connection ''; } }\n",
                           upstream_port);
    }
    strbuf_add_str(&conf, "}\n");
    put(n, "nginx.conf", conf.at);
    strbuf_fini(&conf);
}

static bool accepts(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool yes = connect(fd, (struct sockaddr *)&at, sizeof at) == 0;
    close(fd);
    return yes;
}

// try_start fails where nginx gave up, most likely because a port was taken meanwhile.
static bool try_start(struct nginxd *n)
{
    const char *const argv[] = {nginx_path(), "-e", "error.log", "-p", n->dir, "-c", n->conf, NULL};
    n->pid = spawn(n, argv);
    for (int i = 0, step = 0; i < NGINXD_PORTS; step++) {
        if (accepts(n->ports[i])) {
            i++;
            continue;
        }
        if (waitpid(n->pid, NULL, WNOHANG) != 0)
            return false;
        if (step > READY_STEPS_MAX)
            die("nginx does not get ready");
        nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000}, NULL);
    }
    return waitpid(n->pid, NULL, WNOHANG) == 0; // and not another that has the ports
}

void nginxd_restart(struct nginxd *n)
{
    if (!try_start(n))
        die("nginx does not start");
}

struct nginxd *nginxd_start(int upstream_port)
{
    struct nginxd *n = calloc(1, sizeof *n);
    if (!n)
        die("no memory");
    snprintf(n->dir, sizeof n->dir, "/tmp/penstock-nginx-XXXXXX");
    if (!mkdtemp(n->dir))
        die("mkdtemp");
    snprintf(n->conf, sizeof n->conf, "%s/nginx.conf", n->dir);
    make_certificates(n);
    for (int tries = 0; tries < START_TRIES_MAX; tries++) {
        write_conf(n, upstream_port);
        if (try_start(n))
            return n;
    }
    die("nginx does not start");
    return NULL;
}

void nginxd_kill(struct nginxd *n)
{
    kill(n->pid, SIGKILL);
    waitpid(n->pid, NULL, 0);
    n->pid = 0;
}

static int on_file(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

void nginxd_stop(struct nginxd *n)
{
    if (!n)
        return;
    if (n->pid)
        nginxd_kill(n);
    nftw(n->dir, on_file, 8, FTW_DEPTH | FTW_PHYS);
    free(n);
}

int nginxd_port(const struct nginxd *n, enum nginxd_port which)
{
    return n->ports[which];
}

const char *nginxd_ca(const struct nginxd *n)
{
    return n->ca;
}

const char *nginxd_other_ca(const struct nginxd *n)
{
    return n->other_ca;
}
