#include "worker/cli/private.h"

#include "common/base/clock.h"
#include "common/base/err.h"
#include "worker/cli/childenv.h"
#include "worker/cli/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PATH_MAX_BYTES = 1024,
    REDIS_READY_MS = 60000, // it may have a large file to load
    SIM_READY_MS = 5000,
    DRAIN_MS = 660000, // as long as a call may take, and more
    TELL_MS = 2000,
    END_MS = 10000,
    ORPHANS_MS = 700000,
    LEASE_MS = 5000,
    STEP_MS = 10,
    KEY_FD = 3, // where a worker finds its key: KEY_PATH
    LOCK_MS = 5000,
    WORDS_MAX = 24,
};

#define KEY_PATH "/dev/fd/3"

enum child { CHILD_REDIS, CHILD_WORKER, CHILD_SIM, CHILDREN };
static const char *const child_names[] = {"redis-server", "penstock-worker", "penstock-sim"};

struct private
{
    struct cli *cli;
    pid_t pids[CHILDREN];       // 0 = not running
    char state[PATH_MAX_BYTES]; // the user's folder for it
    char run_dir[64]; // of the socket, where state is too long a path for one; "" = not made
    char socket[120];
    char url[136], base_url[136], programs[PATH_MAX_BYTES];
    char why[PATH_MAX_BYTES + 128];
    struct keeper keeper;
    int lock;
};

static void nap(void)
{
    struct timespec t = {0, STEP_MS * 1000000};
    nanosleep(&t, NULL);
}

static int make_dirs(char *path)
{
    for (char *at = path + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        int failed = mkdir(path, 0700) && errno != EEXIST;
        *at = '/';
        if (failed)
            return ERR_IO;
    }
    return mkdir(path, 0700) && errno != EEXIST ? ERR_IO : 0;
}

static void mark_of(const struct private *p, char ret[PATH_MAX_BYTES + 16])
{
    snprintf(ret, PATH_MAX_BYTES + 16, "%s/ending", p->state);
}

// lock_soon waits for what a killed run has left: its redis-server holds the lock until the calls
// that had begun have ended, which the keeper's mark tells. Another run that works is not waited
// for.
static bool lock_soon(const struct private *p)
{
    char mark[PATH_MAX_BYTES + 16];
    bool told = false;
    mark_of(p, mark);
    for (int waited_ms = 0; waited_ms < ORPHANS_MS; waited_ms += STEP_MS) {
        if (flock(p->lock, LOCK_EX | LOCK_NB) == 0) {
            unlink(mark);
            return true;
        }
        if (waited_ms > LOCK_MS && access(mark, F_OK))
            return false;
        if (waited_ms > TELL_MS && !told && access(mark, F_OK) == 0) {
            fprintf(stderr, "penstock run: the last one was killed; waiting for the calls that it "
                            "had begun, so that none is made twice\n");
            told = true;
        }
        nap();
    }
    return false;
}

// place_socket: a socket's path is at most 107 bytes long.
static int place_socket(struct private *p)
{
    if (strlen(p->state) < 90) {
        snprintf(p->socket, sizeof p->socket, "%.100s/redis.sock", p->state);
    } else {
        snprintf(p->run_dir, sizeof p->run_dir, "/tmp/penstock-XXXXXX");
        if (!mkdtemp(p->run_dir)) {
            p->run_dir[0] = '\0';
            return cli_fail(p->cli, EXIT_USAGE, "/tmp: %s", strerror(errno));
        }
        snprintf(p->socket, sizeof p->socket, "%s/redis.sock", p->run_dir);
    }
    snprintf(p->url, sizeof p->url, "unix://%s", p->socket);
    return 0;
}

// find_folders: answers of the simulator must never be taken for the API's, so they live apart.
static int find_folders(struct private *p, bool simulate)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    bool own = state && state[0] == '/';
    if (!own && !(home && home[0] == '/'))
        return cli_fail(p->cli, EXIT_USAGE,
                        "no HOME to keep state in; name a Redis with --redis-url");
    snprintf(p->state, sizeof p->state, "%s%s/penstock/%s", own ? state : home,
             own ? "" : "/.local/state", simulate ? "simulated" : "default");
    if (make_dirs(p->state))
        return cli_fail(p->cli, EXIT_USAGE, "%s: %s", p->state, strerror(errno));
    char file[PATH_MAX_BYTES + 8];
    snprintf(file, sizeof file, "%s/lock", p->state);
    p->lock = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (p->lock < 0 || !lock_soon(p))
        return cli_fail(
            p->cli, EXIT_USAGE,
            "another penstock run uses the private Redis in %s; wait for it, or start a "
            "redis-server and a penstock-worker for both",
            p->state);
    ssize_t len = readlink("/proc/self/exe", p->programs, sizeof p->programs - 1);
    char *slash = len > 0 ? memrchr(p->programs, '/', (size_t)len) : NULL;
    *(slash ? slash : p->programs) = '\0';
    return place_socket(p);
}

// --- children --------------------------------------------------------------------------------

// child: what one is started with.
struct start {
    enum child which;
    const char *path;
    const char *argv[WORDS_MAX];
    char **envp; // NULL = nothing but PATH and HOME
    int out_fd;  // -1 = the log
    int key_fd;  // to be its third; -1 = none
};

// ranks: the worker ends before the Redis and the API that it needs to end well.
static const int ranks[CHILDREN] = {[CHILD_WORKER] = 0, [CHILD_REDIS] = 1, [CHILD_SIM] = 2};

static void become(struct private *p, const struct start *s)
{
    keeper_know(&p->keeper, ranks[s->which]);
    char log[PATH_MAX_BYTES + 32];
    snprintf(log, sizeof log, "%s/%s.log", p->state, child_names[s->which]);
    int log_fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600), none = open("/dev/null", O_RDWR);
    setsid(); // Ctrl-C is for the one who is asked, not for all it has started
    if (log_fd < 0 || none < 0)
        _exit(127);
    dup2(none, STDIN_FILENO);
    dup2(s->out_fd >= 0 ? s->out_fd : log_fd, STDOUT_FILENO);
    dup2(log_fd, STDERR_FILENO);
    if (s->key_fd >= 0 && s->key_fd != KEY_FD)
        dup2(s->key_fd, KEY_FD);
    else if (s->key_fd >= 0)
        fcntl(KEY_FD, F_SETFD, 0);
    for (int fd = s->key_fd >= 0 ? KEY_FD + 1 : KEY_FD; fd < 256; fd++)
        close(fd);
    sigset_t all;
    sigemptyset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    signal(SIGPIPE, SIG_DFL);
    execvpe(s->path, (char *const *)s->argv, s->envp);
    _exit(127);
}

static int launch(struct private *p, const struct start *s)
{
    pid_t pid = fork();
    if (pid < 0)
        return cli_fail(p->cli, EXIT_USAGE, "%s: %s", s->path, strerror(errno));
    if (pid == 0)
        become(p, s);
    p->pids[s->which] = pid;
    return 0;
}

static bool has_ended(struct private *p, enum child which)
{
    int status;
    if (!p->pids[which] || waitpid(p->pids[which], &status, WNOHANG) != p->pids[which])
        return false;
    p->pids[which] = 0;
    return true;
}

// last_words gives the last line of a child's log.
static void last_words(struct private *p, enum child which)
{
    char log[PATH_MAX_BYTES + 32], text[400] = "";
    snprintf(log, sizeof log, "%s/%s.log", p->state, child_names[which]);
    FILE *f = fopen(log, "re");
    while (f && fgets(text, sizeof text, f))
        ;
    if (f)
        fclose(f);
    text[strcspn(text, "\n")] = '\0';
    snprintf(p->why, sizeof p->why, "the %s we had started has ended: %.300s (%.400s)",
             child_names[which], text[0] ? text : "is it installed?", log);
}

const char *private_trouble(struct private *p)
{
    for (int i = 0; i < CHILDREN; i++)
        if (has_ended(p, (enum child)i)) {
            last_words(p, (enum child)i);
            return p->why;
        }
    return NULL;
}

static const char *program(struct private *p, enum child which, char *ret, size_t room)
{
    snprintf(ret, room, "%s/%s", p->programs, child_names[which]);
    return access(ret, X_OK) == 0 ? ret : child_names[which];
}

// make_env: the settings of the user, less what is secret, and what is ours to set.
static void make_env(struct private *p, bool has_key, struct childenv *e)
{
    const struct conf *conf = &p->cli->conf;
    childenv_make(e, conf);
    childenv_set(e, "PENSTOCK_REDIS_URL", p->url);
    childenv_set(e, "PENSTOCK_QUEUES", p->cli->queue);
    childenv_set(e, "PENSTOCK_HTTP", "off");
    childenv_set_int(e, "PENSTOCK_DRAIN_MS", DRAIN_MS);
    if (!getenv("PENSTOCK_LEASE_MS")) // nobody else is there: after a kill, wait no longer
        childenv_set_int(e, "PENSTOCK_LEASE_MS", LEASE_MS);
    childenv_set(e, "ANTHROPIC_BASE_URL", p->base_url[0] ? p->base_url : conf->base_url);
    if (has_key)
        childenv_set(e, "ANTHROPIC_API_KEY_FILE", KEY_PATH);
    else if (conf->api_key_file && !p->base_url[0])
        childenv_set(e, "ANTHROPIC_API_KEY_FILE", conf->api_key_file);
    else if (conf->api_keys_file && !p->base_url[0])
        childenv_set(e, "ANTHROPIC_API_KEYS_FILE", conf->api_keys_file);
}

// --- one after the other ---------------------------------------------------------------------

static int start_redis(struct private *p)
{
    static char *nothing[] = {NULL};
    struct start s = {.which = CHILD_REDIS,
                      .path = "redis-server",
                      .argv = {"redis-server", "--port",           "0",   "--unixsocket",
                               p->socket,      "--unixsocketperm", "700", "--dir",
                               p->state,       "--appendonly",     "yes", "--appendfsync",
                               "everysec",     "--save",           "",    "--maxmemory-policy",
                               "noeviction",   "--daemonize",      "no",  NULL},
                      .envp = nothing,
                      .out_fd = -1,
                      .key_fd = p->lock}; // the data is in use until Redis has ended
    int code = launch(p, &s);
    p->cli->conf.redis_url = p->url;
    uint64_t until_ms = clock_mono_ms() + REDIS_READY_MS;
    while (!code) {
        char why[SYNC_WHY_MAX];
        if (access(p->socket, F_OK) == 0 &&
            sync_open(&p->cli->conf, &p->cli->redis, why, sizeof why) == 0)
            return 0;
        if (private_trouble(p))
            return cli_fail(p->cli, EXIT_NO_REDIS, "%s", p->why);
        if (clock_mono_ms() > until_ms)
            return cli_fail(p->cli, EXIT_NO_REDIS, "the private redis-server does not get ready");
        nap();
    }
    return code;
}

// read_url waits for the line in which the simulator says where it listens.
static int read_url(struct private *p, int fd)
{
    char text[2048];
    size_t len = 0;
    uint64_t until_ms = clock_mono_ms() + SIM_READY_MS;
    while (len + 1 < sizeof text && clock_mono_ms() < until_ms) {
        ssize_t n = read(fd, text + len, sizeof text - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
        text[len] = '\0';
        char *at = strstr(text, "listening on "), *end = at ? strchr(at, '\n') : NULL;
        if (!end)
            continue;
        snprintf(p->base_url, sizeof p->base_url, "%.*s", (int)(end - at) - 13, at + 13);
        return 0;
    }
    return cli_fail(p->cli, EXIT_USAGE,
                    "penstock-sim did not start; is it installed beside penstock?");
}

static int start_sim(struct private *p)
{
    char path[PATH_MAX_BYTES + 32];
    static char *nothing[] = {NULL};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return cli_fail(p->cli, EXIT_USAGE, "%s", strerror(errno));
    struct start s = {.which = CHILD_SIM,
                      .path = program(p, CHILD_SIM, path, sizeof path),
                      .argv = {"penstock-sim", "--listen", "127.0.0.1:0", "--quiet", "--rpm",
                               "4000", "--latency", "lognormal:450:0.7:100:3000", NULL},
                      .envp = nothing,
                      .out_fd = ends[1],
                      .key_fd = -1};
    int code = launch(p, &s);
    close(ends[1]);
    if (!code)
        code = read_url(p, ends[0]);
    close(ends[0]);
    return code;
}

static int start_worker(struct private *p)
{
    char path[PATH_MAX_BYTES + 32];
    struct childenv env;
    int ends[2] = {-1, -1};
    const char *key = p->base_url[0] ? "simulated" : p->cli->conf.api_key;
    bool has_key = key && key[0] && (p->base_url[0] || !p->cli->conf.api_key_file);
    if (has_key &&
        (pipe2(ends, O_CLOEXEC) || write(ends[1], key, strlen(key)) != (ssize_t)strlen(key)))
        return cli_fail(p->cli, EXIT_USAGE, "%s", strerror(errno));
    make_env(p, has_key, &env);
    struct start s = {.which = CHILD_WORKER,
                      .path = program(p, CHILD_WORKER, path, sizeof path),
                      .argv = {"penstock-worker", NULL},
                      .envp = env.at,
                      .out_fd = -1,
                      .key_fd = ends[0]};
    if (has_key)
        close(ends[1]);
    int code = launch(p, &s);
    if (has_key)
        close(ends[0]);
    childenv_fini(&env);
    return code;
}

static bool lacks_key(const struct cli *c)
{
    return !(c->conf.api_key && c->conf.api_key[0]) && !c->conf.api_key_file &&
           !c->conf.api_keys_file && strstr(c->conf.base_url, "api.anthropic.com");
}

int private_start(struct cli *c, bool simulate, struct private **ret)
{
    struct private *p = calloc(1, sizeof *p);
    if (!p)
        return cli_fail(c, EXIT_USAGE, "out of memory");
    p->cli = c;
    p->lock = -1;
    *ret = p;
    if (!simulate && lacks_key(c))
        return cli_fail(
            c, EXIT_USAGE,
            "no Redis is named and none is on this machine, so a worker of our own would "
            "do the calls; for that set ANTHROPIC_API_KEY, or try --simulate");
    char mark[PATH_MAX_BYTES + 16];
    int code = find_folders(p, simulate);
    mark_of(p, mark);
    if (!code && keeper_start(&p->keeper, mark))
        code = cli_fail(c, EXIT_USAGE, "no process can be started: %s", strerror(errno));
    if (!code && simulate)
        code = start_sim(p);
    if (!code)
        code = start_redis(p);
    if (!code)
        code = start_worker(p);
    return code;
}

// on_hurry: Ctrl-C while the last calls end. The keeper sees to the rest.
static void on_hurry(int signum)
{
    (void)signum;
    _exit(EXIT_STOPPED);
}

static void end_child(struct private *p, enum child which, int64_t patience_ms)
{
    uint64_t began_ms = clock_mono_ms();
    bool told = false, again = false;
    if (!p->pids[which])
        return;
    kill(p->pids[which], SIGTERM);
    while (!has_ended(p, which)) {
        uint64_t passed_ms = clock_mono_ms() - began_ms;
        if (which == CHILD_WORKER && passed_ms > TELL_MS && !told) {
            fprintf(stderr, "penstock run: calls that have begun are let end; Ctrl-C leaves now, "
                            "and they end without us\n");
            told = true;
        }
        if (passed_ms > (uint64_t)patience_ms && !again) {
            kill(p->pids[which], SIGTERM); // a worker hands back what it holds
            again = true;
        }
        nap();
    }
}

void private_stop(struct private *p)
{
    if (!p)
        return;
    signal(SIGINT, on_hurry);
    signal(SIGTERM, on_hurry);
    end_child(p, CHILD_WORKER, DRAIN_MS);
    end_child(p, CHILD_REDIS, END_MS);
    end_child(p, CHILD_SIM, END_MS);
    keeper_end(&p->keeper);
    if (p->socket[0])
        unlink(p->socket);
    if (p->run_dir[0])
        rmdir(p->run_dir);
    if (p->lock >= 0)
        close(p->lock);
    free(p);
}
