// clock: a library for LD_PRELOAD; the program's clock is ahead of the machine's by the number of
// microseconds (int64) that the file CLOCK_FILE holds at that moment. Its monotonic clock is not
// touched, as where a clock is set. (libfaketime does not stand beside redis-server's allocator.)
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *ahead;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("CLOCK_FILE");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *at = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, file, 0);
    ahead = at == MAP_FAILED ? NULL : at;
}

int clock_gettime(clockid_t id, struct timespec *ret)
{
    long err = syscall(SYS_clock_gettime, id, ret);
    if (err || !ahead || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE))
        return (int)err;
    int64_t ns = ret->tv_sec * 1000000000LL + ret->tv_nsec + *ahead * 1000;
    *ret = (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    return 0;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *ret = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *ret)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (ret)
        *ret = now.tv_sec;
    return now.tv_sec;
}
