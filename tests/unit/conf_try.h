// conf_try: load settings from words written in a test, and say what should have come of it.
#ifndef PENSTOCK_TESTS_UNIT_CONF_TRY_H
#define PENSTOCK_TESTS_UNIT_CONF_TRY_H

#include "common/base/err.h"
#include "common/conf/conf.h"
#include "tests/support/tap.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct loaded {
    struct conf c;
    int err, used;
    char why[CONF_WHY_MAX];
};

static inline int count_words(char **words)
{
    int n = 0;
    while (words[n])
        n++;
    return n;
}

static inline struct loaded load_as(enum conf_program who, char **argv, char **envp)
{
    struct loaded l = {.used = -1};
    l.err = conf_load(who, count_words(argv), argv, envp, &l.c, &l.used, l.why, sizeof l.why);
    return l;
}

#define WORDS(...) ((char **)(const char *[]){__VA_ARGS__, NULL})
#define NOTHING ((char **)(const char *[]){NULL})

static inline struct loaded load_env(char **envp)
{
    return load_as(CONF_WORKER, NOTHING, envp);
}

static inline struct loaded load_args(char **argv)
{
    return load_as(CONF_WORKER, argv, NOTHING);
}

// refused asserts that loading failed with a message that holds every piece, and frees nothing.
static inline void refused(const struct loaded *l, const char *piece)
{
    if (l->err != ERR_BAD_CONF || !strstr(l->why, piece) || strchr(l->why, '\n'))
        fail_msg("err %d, \"%s\" should hold \"%s\"", l->err, l->why, piece);
}

static inline void accepted(const struct loaded *l)
{
    if (l->err)
        fail_msg("refused: %s", l->why);
}

static inline void write_file(char path[32], const char *text)
{
    snprintf(path, 32, "/tmp/test_conf.XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

#endif
