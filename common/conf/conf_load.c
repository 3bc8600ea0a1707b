// conf_load: where values come from. default < settings file < environment < flag; only the value
// that wins is looked at, so a flag mends a bad variable.
#include "common/base/attrs.h"
#include "common/base/err.h"
#include "common/conf/conf_int.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum origin { FROM_NOWHERE, FROM_FILE, FROM_ENV, FROM_FLAG };

struct given {
    const char *text; // borrowed from argv, envp or the settings file's buffer
    enum origin origin;
    int line; // FROM_FILE
};

struct load {
    enum conf_program who;
    struct given given[CONF_ROWS_MAX]; // by row
    char *file;                        // the settings file; owned, wiped
    size_t file_len;
    const char *file_name;
    struct conf conf;
    char *why; // the caller's
    size_t room;
};

static int say(struct load *l, const char *fmt, ...) PRINTF(2, 3);
static int say(struct load *l, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(l->why, l->room, fmt, args);
    va_end(args);
    return ERR_BAD_CONF;
}

static struct given *given_for(struct load *l, const struct conf_row *row)
{
    return &l->given[row - conf_rows];
}

static void read_env(struct load *l, char **envp)
{
    for (char **e = envp; e && *e; e++) {
        const char *equals = strchr(*e, '=');
        if (!equals || !equals[1]) // an empty value counts as unset
            continue;
        const struct conf_row *row = conf_row_by_name(*e, (size_t)(equals - *e));
        if (!row || !(row->who & l->who) || given_for(l, row)->text)
            continue;
        *given_for(l, row) = (struct given){equals + 1, FROM_ENV, 0};
    }
}

// secret_by_flag finds the secret that a refused flag was meant for.
static const struct conf_row *secret_by_flag(const char *flag, size_t len)
{
    static const struct {
        const char *flag, *name;
    } wanted[] = {
        {"api-key", "ANTHROPIC_API_KEY"}, {"anthropic-api-key", "ANTHROPIC_API_KEY"},
        {"key", "ANTHROPIC_API_KEY"},     {"http-token", "PENSTOCK_HTTP_TOKEN"},
        {"token", "PENSTOCK_HTTP_TOKEN"},
    };
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        if (strlen(wanted[i].flag) == len && memcmp(wanted[i].flag, flag, len) == 0)
            return conf_row_by_name(wanted[i].name, strlen(wanted[i].name));
    return NULL;
}

// refuse_flag says why a flag is not taken. It repeats the flag's name and never its value.
static int refuse_flag(struct load *l, const char *flag, size_t len)
{
    int shown = len > 40 ? 40 : (int)len;
    const struct conf_row *secret = secret_by_flag(flag, len);
    if (secret)
        return say(l,
                   "--%.*s is no flag, since others can see a command line; put the secret into "
                   "the environment (%s) or a file (%s)",
                   shown, flag, secret->name,
                   secret == conf_row_by_name("ANTHROPIC_API_KEY", 17) ? "ANTHROPIC_API_KEY_FILE"
                                                                       : "PENSTOCK_SETTINGS_FILE");
    if (conf_row_by_flag(flag, len))
        return say(l, "--%.*s is a setting of penstock-worker, not of penstock", shown, flag);
    const char *near = conf_near_flag(l->who, flag, len);
    if (near)
        return say(l, "unknown flag --%.*s; did you mean --%s?", shown, flag, near);
    return say(l, "unknown flag --%.*s; --help lists them", shown, flag);
}

// read_flags takes flags off the front of argv. How many words it took goes to *ret_used.
static int read_flags(struct load *l, int argc, char **argv, int *ret_used)
{
    int used = 0;
    while (used < argc && argv[used][0] == '-' && argv[used][1]) {
        const char *word = argv[used++];
        if (strcmp(word, "--") == 0)
            break;
        if (word[1] != '-')
            return say(l, "unknown flag %.2s; flags are written --NAME=VALUE, --help lists them",
                       word);
        size_t len = strcspn(word + 2, "=");
        const struct conf_row *row = conf_row_by_flag(word + 2, len);
        if (!row || !(row->who & l->who))
            return refuse_flag(l, word + 2, len);
        const char *value = word[2 + len] ? word + 3 + len : used < argc ? argv[used++] : "";
        if (!*value || (!word[2 + len] && strncmp(value, "--", 2) == 0))
            return say(l, "--%s needs a value: --%s=%s", row->flag, row->flag, row->kind);
        *given_for(l, row) = (struct given){value, FROM_FLAG, 0};
    }
    *ret_used = used;
    return 0;
}

// tidy_line cuts blanks off both ends of a line, in place.
static char *tidy_line(char *line)
{
    line += strspn(line, " \t");
    size_t len = strlen(line);
    while (len && strchr(" \t\r", line[len - 1]))
        line[--len] = '\0';
    return line;
}

// unquote gives the value without the quotes it may stand in.
static char *unquote(char *value)
{
    size_t len = strlen(value);
    if (len < 2 || (value[0] != '"' && value[0] != '\'') || value[len - 1] != value[0])
        return value;
    value[len - 1] = '\0';
    return value + 1;
}

static int read_file_line(struct load *l, char *line, int number)
{
    line = tidy_line(line);
    if (!*line || *line == '#')
        return 0;
    size_t equals = strcspn(line, "="), len = equals;
    if (!line[equals])
        return say(l, "%.200s line %d: write NAME=value", l->file_name, number);
    while (len && strchr(" \t", line[len - 1]))
        len--;
    const struct conf_row *row = conf_row_by_name(line, len);
    if (!row || row == conf_rows) { // the first row is the file itself
        const char *near = row ? NULL : conf_near_name(line, len);
        return say(l, "%.200s line %d: %.*s is no setting%s%s%s", l->file_name, number,
                   len > 64 ? 64 : (int)len, line, row ? " of this file" : "",
                   near ? "; did you mean " : "", near ? near : "");
    }
    char *value = unquote(tidy_line(line + equals + 1));
    struct given *given = given_for(l, row);
    if (*value && row->who & l->who && given->origin <= FROM_FILE)
        *given = (struct given){value, FROM_FILE, number};
    return 0;
}

static int read_file(struct load *l)
{
    char why[CONF_WHY_MAX - 64] = "out of memory";
    l->file_name = l->given[0].text;
    if (!l->file_name)
        return 0;
    int err =
        conf_slurp(l->file_name, CONF_TEXT_BYTES_MAX, &l->file, &l->file_len, why, sizeof why);
    if (err) {
        say(l, "PENSTOCK_SETTINGS_FILE: %s", why);
        return err;
    }
    int number = 1;
    for (char *line = l->file, *next; line && !err; line = next, number++) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        err = read_file_line(l, line, number);
    }
    return err;
}

// drop_outdone: a key that the environment or a flag names outdoes the settings file's, whichever
// of the ways it is named by.
static void drop_outdone(struct load *l)
{
    static const char *const names[] = {"ANTHROPIC_API_KEY", "ANTHROPIC_API_KEY_FILE",
                                        "ANTHROPIC_API_KEYS_FILE"};
    bool outdone = false;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        outdone |= given_for(l, conf_row_by_name(names[i], strlen(names[i])))->origin > FROM_FILE;
    for (size_t i = 0; outdone && i < ARRAY_LEN(names); i++) {
        struct given *g = given_for(l, conf_row_by_name(names[i], strlen(names[i])));
        if (g->origin == FROM_FILE)
            *g = (struct given){0};
    }
}

// take_all gives every row the value that won, or its default.
static int take_all(struct load *l)
{
    char why[CONF_WHY_MAX - 128] = "";
    for (size_t i = 0; i < conf_rows_len; i++) {
        const struct conf_row *row = &conf_rows[i];
        const struct given *g = &l->given[i];
        const char *text = g->text ? g->text : row->initial;
        int err = text ? conf_set(&l->conf, row, text, why, sizeof why) : 0;
        if (err == ERR_NOMEM) {
            say(l, "out of memory");
            return err;
        }
        if (err && g->origin == FROM_FLAG)
            return say(l, "--%s: %s", row->flag, why);
        if (err && g->origin == FROM_FILE)
            return say(l, "%.100s line %d: %s: %s", l->file_name, g->line, row->name, why);
        if (err)
            return say(l, "%s: %s", row->name, why);
    }
    return 0;
}

// agree looks at what concerns more than one setting.
static int agree(struct load *l)
{
    struct conf *c = &l->conf;
    if (c->api_keys_file && (c->api_key || c->api_key_file))
        return say(l, "ANTHROPIC_API_KEYS_FILE and %s are both set; choose one",
                   c->api_key ? "ANTHROPIC_API_KEY" : "ANTHROPIC_API_KEY_FILE");
    if (c->api_key && c->api_key_file)
        return say(l, "ANTHROPIC_API_KEY and ANTHROPIC_API_KEY_FILE are both set; choose one");
    if (c->backoff_cap_ms < c->backoff_base_ms)
        return say(l,
                   "PENSTOCK_BACKOFF_CAP_MS: %lld is less than PENSTOCK_BACKOFF_BASE_MS, %lld; "
                   "write at least as much",
                   (long long)c->backoff_cap_ms, (long long)c->backoff_base_ms);
    if (c->ca_file && access(c->ca_file, R_OK) != 0)
        return say(l, "PENSTOCK_CA_FILE: %.200s cannot be read", c->ca_file);
    if (strcmp(c->http, "off") == 0)
        c->http = NULL;
    return l->who == CONF_WORKER ? conf_read_key(c, l->why, l->room) : 0;
}

int conf_load(enum conf_program who, int argc, char **argv, char **envp, struct conf *ret,
              int *ret_used, char *ret_why, size_t why_room)
{
    struct load *l = calloc(1, sizeof *l);
    if (!l) {
        snprintf(ret_why, why_room, "out of memory");
        return ERR_NOMEM;
    }
    l->who = who;
    l->why = ret_why;
    l->room = why_room;
    int used = 0;
    read_env(l, envp);
    int err = read_flags(l, argc, argv, &used);
    if (!err)
        err = read_file(l);
    drop_outdone(l);
    if (!err)
        err = take_all(l);
    if (!err)
        err = agree(l);
    if (err) {
        conf_fini(&l->conf);
    } else {
        *ret = l->conf;
        *ret_used = used;
    }
    conf_wipe(l->file, l->file_len);
    free(l);
    return err;
}
