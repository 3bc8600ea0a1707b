#include "worker/cli/keeper.h"

#include "common/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KNOWN_MAX = 16, RANKS = 8, FDS_MAX = 1024 };

struct known {
    int rank;
    pid_t pid;
    int fd; // of the process itself: a number may be another's by the time it is used
};

// become_nobody lets go of all that is the other's: its terminal, its files, its locks.
static void become_nobody(int keep)
{
    int none = open("/dev/null", O_RDWR);
    setsid();
    prctl(PR_SET_NAME, "penstock-keeper");
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    for (int fd = 0; fd < 3; fd++)
        dup2(none, fd);
    for (int fd = 3; fd < FDS_MAX; fd++)
        if (fd != keep)
            close(fd);
    if (chdir("/")) // where it stands does not matter
        return;
}

static void wait_for(const struct known *k)
{
    struct pollfd gone = {.fd = k->fd, .events = POLLIN};
    while (poll(&gone, 1, -1) < 0 && errno == EINTR)
        ;
}

static void end_rank(struct known *all, size_t count, int rank)
{
    for (size_t i = 0; i < count; i++)
        if (all[i].rank == rank && all[i].fd >= 0)
            pidfd_send_signal(all[i].fd, SIGTERM, NULL, 0);
    for (size_t i = 0; i < count; i++)
        if (all[i].rank == rank && all[i].fd >= 0)
            wait_for(&all[i]);
}

static bool read_one(int fd, struct known *ret)
{
    ssize_t n;
    do
        n = read(fd, ret, sizeof *ret);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof *ret; // smaller than a pipe's atomic write: whole, or the end
}

static void keep(int fd, const char *mark)
{
    struct known all[KNOWN_MAX];
    size_t count = 0;
    while (count < KNOWN_MAX && read_one(fd, &all[count])) {
        all[count].fd = pidfd_open(all[count].pid, 0);
        count++;
    }
    int there = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    for (int rank = 0; rank < RANKS; rank++)
        end_rank(all, count, rank);
    if (there >= 0)
        unlink(mark);
    _exit(0);
}

int keeper_start(struct keeper *k, const char *mark)
{
    char path[1100];
    int ends[2];
    snprintf(path, sizeof path, "%s", mark);
    if (pipe2(ends, O_CLOEXEC))
        return ERR_IO;
    pid_t pid = fork();
    if (pid == 0) {
        become_nobody(ends[0]);
        keep(ends[0], path);
    }
    close(ends[0]);
    if (pid < 0) {
        close(ends[1]);
        return ERR_IO;
    }
    *k = (struct keeper){pid, ends[1]};
    return 0;
}

void keeper_know(const struct keeper *k, int rank)
{
    struct known me = {.rank = rank, .pid = getpid(), .fd = -1};
    if (write(k->fd, &me, sizeof me) != (ssize_t)sizeof me)
        _exit(127); // nobody would end us
}

void keeper_end(struct keeper *k)
{
    int status;
    if (!k->pid)
        return;
    close(k->fd);
    while (waitpid(k->pid, &status, 0) < 0 && errno == EINTR)
        ;
    *k = (struct keeper){0};
}
