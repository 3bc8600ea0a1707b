// conf_keep: what happens to settings after they were loaded: who owns their strings, what a
// running program takes over from a second load, and how secrets leave memory.
#include "common/base/err.h"
#include "common/conf/conf_int.h"

#include <stdlib.h>
#include <string.h>

struct owned {
    struct owned *next;
    size_t len;
    char text[]; // NUL-terminated
};

char *conf_own(struct conf *c, const char *text, size_t len)
{
    struct owned *o = malloc(sizeof *o + len + 1);
    if (!o)
        return NULL;
    memcpy(o->text, text, len);
    o->text[len] = '\0';
    o->len = len;
    o->next = c->owned;
    c->owned = o;
    return o->text;
}

void conf_fini(struct conf *c)
{
    for (struct owned *o = c->owned, *next; o; o = next) {
        next = o->next;
        explicit_bzero(o->text, o->len);
        free(o);
    }
    *c = (struct conf){0};
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

// keep_text gives fresh a copy of old's value. Whether the two differed goes to *ret_changed.
static int keep_text(const struct conf_row *row, struct conf *old, struct conf *fresh,
                     bool *ret_changed)
{
    const char *was = *conf_text_of(old, row), **is = conf_text_of(fresh, row);
    if (same_text(was, *is))
        return 0;
    // A value that may hold a password was wiped from the environment (conf_scrub_env), so that
    // finding the default now does not mean that anyone changed it.
    bool gone = row->hidden && same_text(*is, row->initial);
    const char *copy = was ? conf_own(fresh, was, strlen(was)) : NULL;
    if (was && !copy)
        return ERR_NOMEM;
    *is = copy;
    *ret_changed = !gone;
    return 0;
}

static int keep_row(const struct conf_row *row, struct conf *old, struct conf *fresh,
                    bool *ret_changed)
{
    if (row->type == CONF_INT) {
        *ret_changed = *conf_int_of(old, row) != *conf_int_of(fresh, row);
        *conf_int_of(fresh, row) = *conf_int_of(old, row);
        return 0;
    }
    return keep_text(row, old, fresh, ret_changed);
}

int conf_keep(const struct conf *old, struct conf *fresh, char *ret_kept, size_t kept_room)
{
    struct conf was = *old; // keep_row only reads it
    size_t used = 0;
    ret_kept[0] = '\0';
    for (size_t i = 0; i < conf_rows_len; i++) {
        const struct conf_row *row = &conf_rows[i];
        bool changed = false, lost = row->type == CONF_SECRET && !*conf_text_of(fresh, row);
        if (row->reload && !lost)
            continue;
        int err = keep_row(row, &was, fresh, &changed);
        if (err)
            return err;
        if (changed && used < kept_room)
            used += (size_t)snprintf(ret_kept + used, kept_room - used, "%s%s", used ? " " : "",
                                     row->name);
    }
    return 0;
}

void conf_scrub_env(char **envp)
{
    for (char **e = envp; e && *e; e++) {
        char *equals = strchr(*e, '=');
        const struct conf_row *row = equals ? conf_row_by_name(*e, (size_t)(equals - *e)) : NULL;
        if (row && row->hidden)
            explicit_bzero(equals + 1, strlen(equals + 1));
    }
    for (size_t i = 0; i < conf_rows_len; i++)
        if (conf_rows[i].hidden)
            unsetenv(conf_rows[i].name);
}

static bool is_known_or_exempt(const char *name, size_t len)
{
    return conf_row_by_name(name, len) || strncmp(name, "PENSTOCK_TEST_", 14) == 0 ||
           (len == 14 && memcmp(name, "PENSTOCK_FAULT", 14) == 0);
}

int conf_unknown_env(char **envp, struct conf_stranger *ret, size_t room)
{
    size_t count = 0;
    for (char **e = envp; e && *e && count < room; e++) {
        size_t len = strcspn(*e, "=");
        if (strncmp(*e, "PENSTOCK_", 9) != 0 || is_known_or_exempt(*e, len))
            continue;
        snprintf(ret[count].name, sizeof ret[count].name, "%.*s", (int)len, *e);
        ret[count++].near = conf_near_name(*e, len);
    }
    return (int)count;
}
