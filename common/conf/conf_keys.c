// conf_keys: the file of several API keys (ANTHROPIC_API_KEYS_FILE): a line for each,
// "NAME KEY" or "NAME KEY org=ORG". No message repeats what a line holds.
#include "common/base/attrs.h"
#include "common/base/err.h"
#include "common/conf/conf_int.h"

#include <stdio.h>
#include <string.h>

enum { KEYS_FILE_BYTES_MAX = CONF_KEYS_MAX * (CONF_SECRET_BYTES_MAX + 256) };

static const char SHAPE[] = "write NAME KEY, or NAME KEY org=ORG";

// word gives the next word of a line, which may also be parted by `also`; NULL = there is none.
static const char *word(const char **line, char also, size_t *ret_len)
{
    const char parted[] = {' ', '\t', '\r', '\n', also, '\0'};
    const char *at = *line + strspn(*line, " \t\r");
    size_t len = strcspn(at, parted);
    *line = at + len;
    *ret_len = len;
    return len ? at : NULL;
}

static bool take_name(const char *at, size_t len, char ret[CONF_NAME_BYTES])
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    if (!at || len >= CONF_NAME_BYTES || strspn(at, allowed) < len)
        return false;
    memcpy(ret, at, len);
    ret[len] = '\0';
    return true;
}

static bool key_is_sane(const char *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (at[i] <= 0x20 || at[i] >= 0x7f)
            return false;
    return len <= CONF_SECRET_BYTES_MAX;
}

// read_line fills one key. NULL, or what is wrong with the line.
static const char *read_line(const char *line, struct conf_key *ret)
{
    size_t len, rest;
    const char *name = word(&line, '=', &len);
    if (!take_name(name, len, ret->name))
        return "a name is 1-64 of A-Z a-z 0-9 . _ -";
    line += strspn(line, " \t");
    line += *line == '=';
    ret->key = word(&line, ' ', &ret->len);
    if (!ret->key || !key_is_sane(ret->key, ret->len))
        return SHAPE;
    memcpy(ret->account, ret->name, sizeof ret->account);
    const char *more = word(&line, ' ', &len);
    if (more && (len < 5 || strncmp(more, "org=", 4) != 0))
        return SHAPE;
    if (more && !take_name(more + 4, len - 4, ret->account))
        return "an ORG is 1-64 of A-Z a-z 0-9 . _ -";
    return word(&line, ' ', &rest) ? SHAPE : NULL;
}

static const char *repeats(const struct conf_key *all, size_t count, const struct conf_key *one)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(all[i].name, one->name) == 0)
            return "names a key that a line above has named already";
        if (all[i].len == one->len && memcmp(all[i].key, one->key, one->len) == 0)
            return "holds the key of a line above once more";
    }
    return NULL;
}

// read_text parses the file's text. How many keys, or ERR_BAD_CONF with the line that is wrong.
static int read_text(const char *text, struct conf_key *ret, size_t room, char *ret_why,
                     size_t why_room)
{
    size_t count = 0;
    int number = 1;
    for (const char *line = text; *line; number++) {
        struct conf_key one = {0};
        const char *at = line + strspn(line, " \t\r"), *why = NULL;
        line += strcspn(line, "\n");
        line += *line == '\n';
        if (!*at || *at == '\n' || *at == '#')
            continue;
        why = count == room ? "is one key too many; 64 are allowed" : read_line(at, &one);
        why = why ? why : repeats(ret, count, &one);
        if (why) {
            snprintf(ret_why, why_room, "line %d: %s", number, why);
            return ERR_BAD_CONF;
        }
        ret[count++] = one;
    }
    if (count == 0)
        snprintf(ret_why, why_room, "holds no key; %s, one a line", SHAPE);
    return count ? (int)count : ERR_BAD_CONF;
}

int conf_keys(const struct conf *c, struct conf_key ret[CONF_KEYS_MAX])
{
    char why[CONF_WHY_MAX];
    if (!c->api_keys) {
        const char *key = c->api_key ? c->api_key : "";
        ret[0] = (struct conf_key){.name = "main", .account = "main", .key = key};
        ret[0].len = strlen(key);
        return 1;
    }
    return read_text(c->api_keys, ret, CONF_KEYS_MAX, why, sizeof why); // read once already
}

int conf_read_keys(struct conf *c, char *ret_why, size_t why_room)
{
    char *text, why[CONF_WHY_MAX - 256] = "out of memory";
    size_t len;
    int err = conf_slurp(c->api_keys_file, KEYS_FILE_BYTES_MAX, &text, &len, why, sizeof why);
    if (err) {
        snprintf(ret_why, why_room, "ANTHROPIC_API_KEYS_FILE: %s", why);
        return err;
    }
    struct conf_key all[CONF_KEYS_MAX];
    int count = read_text(text, all, CONF_KEYS_MAX, why, sizeof why);
    c->api_keys = count > 0 ? conf_own(c, text, len) : NULL;
    c->api_key = count > 0 ? conf_own(c, all[0].key, all[0].len) : NULL;
    conf_wipe(text, len);
    if (count > 0)
        return c->api_keys && c->api_key ? 0 : ERR_NOMEM;
    snprintf(ret_why, why_room, "ANTHROPIC_API_KEYS_FILE: %.200s %s", c->api_keys_file, why);
    return count;
}
