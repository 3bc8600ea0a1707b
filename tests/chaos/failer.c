// failer: a library for LD_PRELOAD; one allocation of the program fails, counted from its start.
//
//   FAILER_AT=n     the n-th malloc, calloc or realloc is the one; 0 = none
//   FAILER_HOW      once: it gives NULL; on: it and all after it do; dies: the process dies there
//   FAILER_FILE     gets a byte when it has come to that, and at the end the count of all
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);

static atomic_long count;
static long at;
static enum { ONCE, ON, DIES } how;
static int file = -1;

__attribute__((constructor)) static void begin(void)
{
    const char *n = getenv("FAILER_AT"), *word = getenv("FAILER_HOW"),
               *path = getenv("FAILER_FILE");
    at = n ? atol(n) : 0;
    how = !word || strcmp(word, "once") == 0 ? ONCE : strcmp(word, "on") == 0 ? ON : DIES;
    if (path)
        file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    count = 0;
}

__attribute__((destructor)) static void end(void)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%ld\n", (long)count);
    if (file >= 0 && write(file, text, (size_t)len) < 0)
        return;
}

static int fails(void)
{
    long n = atomic_fetch_add(&count, 1) + 1;
    if (at == 0 || n < at || (n > at && how != ON))
        return 0;
    if (n == at && file >= 0 && write(file, "!", 1) < 0)
        return 0;
    if (how == DIES)
        raise(SIGKILL);
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t n)
{
    return fails() ? NULL : __libc_malloc(n);
}
void *calloc(size_t n, size_t size)
{
    return fails() ? NULL : __libc_calloc(n, size);
}
void *realloc(void *p, size_t n)
{
    return fails() ? NULL : __libc_realloc(p, n);
}
