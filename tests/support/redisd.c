#include "tests/support/redisd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ARGS_MAX = 64, START_TRIES_MAX = 5, READY_MS_MAX = 20000, STEP_MS = 3 };

struct redisd {
    const char *const *extra_args;
    struct redisd *next; // of those not yet stopped
    pid_t pid;           // 0 while it does not run
    int port;
    bool sentinel;
    char dir[64], sock[96], url[64], unix_url[112], conf[96];
};

// A test that fails does not reach its redisd_stop: what is left in this list is stopped at exit,
// by the process that began it (a child that exits must not).
static struct redisd *unstopped;
static pid_t owner;

static void die(const char *what)
{
    fprintf(stderr, "redisd: %s (%s)\n", what, strerror(errno));
    abort();
}

int redisd_free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) ||
        getsockname(fd, (struct sockaddr *)&at, &len))
        die("no free port");
    close(fd);
    return ntohs(at.sin_port);
}

static void set_port(struct redisd *d, int port)
{
    d->port = port;
    snprintf(d->url, sizeof d->url, "redis://127.0.0.1:%d", port);
}

static void exec_server(const struct redisd *d, pid_t parent)
{
    const char *binary = getenv("PENSTOCK_REDIS_SERVER"), *argv[ARGS_MAX];
    char port[16], log[96];
    int n = 0;
    snprintf(port, sizeof port, "%d", d->port);
    snprintf(log, sizeof log, "%s/redis.log", d->dir);
    argv[n++] = binary ? binary : "redis-server";
    if (d->sentinel)
        argv[n++] = d->conf;
    const char *fixed[] = {"--port",
                           port,
                           "--bind",
                           "127.0.0.1",
                           "--unixsocket",
                           d->sock,
                           "--dir",
                           d->dir,
                           "--logfile",
                           log,
                           "--save",
                           "",
                           "--repl-diskless-sync-delay",
                           "0"};
    // A Sentinel refuses the settings of a store.
    int count = (int)(sizeof fixed / sizeof *fixed) - (d->sentinel ? 4 : 0);
    for (int i = 0; i < count; i++)
        argv[n++] = fixed[i];
    if (d->sentinel)
        argv[n++] = "--sentinel";
    for (const char *const *a = d->extra_args; a && *a && n < ARGS_MAX - 1; a++)
        argv[n++] = *a;
    argv[n] = NULL;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1); // the test was gone before the line above
    execvp(argv[0], (char **)argv);
    _exit(127);
}

// answers: a PING came back with anything at all ("+PONG", "-NOAUTH ...", "-LOADING ...").
static bool answers(const struct redisd *d)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = 1};
    char got[64];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("no socket");
    memcpy(at.sun_path, d->sock, strlen(d->sock) + 1);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    bool ok = connect(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
              send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6 && recv(fd, got, sizeof got, 0) > 0 &&
              strncmp(got, "-LOADING", 8) != 0;
    close(fd);
    return ok;
}

// launch: true once it answers; false if it ended by itself (its port was taken meanwhile).
static bool launch(struct redisd *d)
{
    struct timespec step = {.tv_nsec = STEP_MS * 1000000};
    pid_t parent = getpid();
    unlink(d->sock);
    d->pid = fork();
    if (d->pid < 0)
        die("no fork");
    if (d->pid == 0)
        exec_server(d, parent);
    for (int waited_ms = 0; waited_ms < READY_MS_MAX; waited_ms += STEP_MS) {
        if (answers(d))
            return true;
        if (waitpid(d->pid, NULL, WNOHANG) == d->pid) {
            d->pid = 0;
            return false;
        }
        nanosleep(&step, NULL);
    }
    die("the server does not answer");
    return false;
}

static void show_log(const struct redisd *d)
{
    char path[96], line[512];
    snprintf(path, sizeof path, "%s/redis.log", d->dir);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        fputs(line, stderr);
    if (f)
        fclose(f);
}

static void write_sentinel_conf(const struct redisd *d, const char *master_name, int master_port,
                                const char *password)
{
    FILE *f = fopen(d->conf, "w");
    if (!f)
        die("cannot write the Sentinel's file");
    fprintf(f, "sentinel monitor %s 127.0.0.1 %d 1\n", master_name, master_port);
    fprintf(f, "sentinel down-after-milliseconds %s 500\n", master_name);
    fprintf(f, "sentinel failover-timeout %s 3000\n", master_name);
    if (password)
        fprintf(f, "requirepass %s\n", password);
    fclose(f);
}

static void stop_all(void)
{
    while (unstopped && getpid() == owner)
        redisd_stop(unstopped);
}

static struct redisd *new_server(const char *const *extra_args)
{
    struct redisd *d = calloc(1, sizeof *d);
    if (!d)
        die("no memory");
    if (!owner)
        atexit(stop_all);
    owner = getpid();
    d->extra_args = extra_args;
    d->next = unstopped;
    unstopped = d;
    snprintf(d->dir, sizeof d->dir, "/tmp/penstock-redisd-XXXXXX");
    if (!mkdtemp(d->dir))
        die("no temporary folder");
    snprintf(d->sock, sizeof d->sock, "%s/redis.sock", d->dir);
    snprintf(d->conf, sizeof d->conf, "%s/sentinel.conf", d->dir);
    snprintf(d->unix_url, sizeof d->unix_url, "unix://%s", d->sock);
    return d;
}

static struct redisd *start_somewhere(struct redisd *d)
{
    for (int i = 0; i < START_TRIES_MAX; i++) {
        set_port(d, redisd_free_port());
        if (launch(d))
            return d;
    }
    show_log(d);
    die("redis-server does not start");
    return NULL;
}

struct redisd *redisd_start(const char *const *extra_args)
{
    return start_somewhere(new_server(extra_args));
}

struct redisd *redisd_sentinel(const char *master_name, int master_port, const char *password)
{
    struct redisd *d = new_server(NULL);
    d->sentinel = true;
    write_sentinel_conf(d, master_name, master_port, password);
    return start_somewhere(d);
}

void redisd_kill(struct redisd *d)
{
    if (!d->pid)
        return;
    kill(d->pid, SIGKILL);
    while (waitpid(d->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    d->pid = 0;
}

void redisd_restart(struct redisd *d)
{
    redisd_kill(d);
    if (!launch(d)) {
        show_log(d);
        die("redis-server does not start again");
    }
}

void redisd_pause(struct redisd *d)
{
    siginfo_t unused;
    kill(d->pid, SIGSTOP);
    waitid(P_PID, (id_t)d->pid, &unused, WSTOPPED | WNOWAIT); // it takes effect a little later
}

void redisd_continue(struct redisd *d)
{
    kill(d->pid, SIGCONT);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

void redisd_stop(struct redisd *d)
{
    struct redisd **at = &unstopped;
    if (!d)
        return;
    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    redisd_kill(d);
    nftw(d->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(d);
}

const char *redisd_url(const struct redisd *d)
{
    return d->url;
}

const char *redisd_unix_url(const struct redisd *d)
{
    return d->unix_url;
}

const char *redisd_unix_path(const struct redisd *d)
{
    return d->sock;
}

const char *redisd_dir(const struct redisd *d)
{
    return d->dir;
}

int redisd_port(const struct redisd *d)
{
    return d->port;
}
