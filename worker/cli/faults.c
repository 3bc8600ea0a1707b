#include "worker/cli/faults.h"

#include "common/base/err.h"

#include <stdlib.h>
#include <string.h>

// trial: copies of the words and the environment, from which things can be left out.
struct trial {
    char **argv, **envp;
    int argc;
};

static char **copy_list(char **list, size_t count)
{
    char **copy = calloc(count + 1, sizeof *copy);
    if (copy && count)
        memcpy(copy, list, count * sizeof *copy);
    return copy;
}

static bool drop_variable(struct trial *t, const char *name, size_t len)
{
    for (char **v = t->envp; *v; v++) {
        if (strncmp(*v, name, len) != 0 || (*v)[len] != '=')
            continue;
        for (; *v; v++)
            v[0] = v[1];
        return true;
    }
    return false;
}

// drop_flag leaves out "--name=value", or "--name" and the word behind it.
static bool drop_flag(struct trial *t, const char *flag, size_t len)
{
    for (int i = 0; i < t->argc; i++) {
        char end = strncmp(t->argv[i], flag, len) == 0 ? t->argv[i][len] : 'x';
        if (end != '=' && end != '\0')
            continue;
        int words = end == '=' || i + 1 == t->argc ? 1 : 2;
        for (int k = i; k + words <= t->argc; k++)
            t->argv[k] = t->argv[k + words]; // its NULL too
        t->argc -= words;
        return true;
    }
    return false;
}

// drop leaves out what a reason is about. It begins with the name of a flag or a variable, else it
// is about a line of the settings file, and the file is left out.
static bool drop(struct trial *t, const char *why)
{
    static const char file[] = "PENSTOCK_SETTINGS_FILE", flag[] = "--settings-file";
    const char *name = strncmp(why, "unknown flag ", 13) == 0 ? why + 13 : why;
    size_t len = strcspn(name, ":=; ");
    if (strncmp(name, "--", 2) == 0 ? drop_flag(t, name, len) : drop_variable(t, name, len))
        return true;
    return drop_flag(t, flag, sizeof flag - 1) || drop_variable(t, file, sizeof file - 1);
}

int faults_load(enum conf_program who, int argc, char **argv, char **envp, struct conf *ret,
                struct faults *f)
{
    size_t variables = 0;
    while (envp[variables])
        variables++;
    struct trial t = {
        .argv = copy_list(argv, (size_t)argc), .envp = copy_list(envp, variables), .argc = argc};
    int used, err = t.argv && t.envp ? ERR_BAD_CONF : ERR_NOMEM;
    while (err == ERR_BAD_CONF && f->count < FAULTS_MAX) {
        char *why = f->at[f->count];
        err = conf_load(who, t.argc, t.argv, t.envp, ret, &used, why, CONF_WHY_MAX);
        if (err != ERR_BAD_CONF)
            break;
        f->count++;
        if (!drop(&t, why))
            break;
    }
    free(t.argv);
    free(t.envp);
    return err;
}
