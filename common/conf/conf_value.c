// conf_value: one text becomes one setting's value, or a reason that says what to write instead.
// A reason quotes what was written, except where that may hold a password.
#include "common/base/attrs.h"
#include "common/base/err.h"
#include "common/conf/conf_int.h"

#include <assert.h>
#include <string.h>

const char **conf_text_of(struct conf *c, const struct conf_row *row)
{
    assert(row->type != CONF_INT);
    return (const char **)((char *)c + row->at);
}

int64_t *conf_int_of(struct conf *c, const struct conf_row *row)
{
    assert(row->type == CONF_INT);
    return (int64_t *)((char *)c + row->at);
}

// quoted gives a printable form of what the user wrote, cut to fit a message.
static const char *quoted(const char *text, char *ret, size_t room)
{
    size_t len = 0, most = room - 6;
    ret[len++] = '"';
    for (; *text && len < most; text++)
        ret[len++] = *text >= 0x20 && *text < 0x7f ? *text : '?';
    memcpy(ret + len, *text ? "...\"" : "\"", *text ? 5 : 2);
    return ret;
}

static int set_int(struct conf *c, const struct conf_row *row, const char *text, char *ret_why,
                   size_t room)
{
    char shown[48];
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || text[digits]) {
        snprintf(ret_why, room, "%s is not a whole number; write %s%s, such as %s",
                 quoted(text, shown, sizeof shown), row->write,
                 row->unit[0] ? " in plain digits" : "", row->initial);
        return ERR_BAD_CONF;
    }
    int64_t value = 0;
    for (const char *p = text; *p && value <= row->most; p++)
        value = value * 10 + (*p - '0'); // cannot overflow: most is far below INT64_MAX / 10
    if (value < row->least || value > row->most) {
        snprintf(ret_why, room, "%.*s%s is not %lld-%lld; write %s, such as %s",
                 digits > 24 ? 24 : (int)digits, text, digits > 24 ? "..." : "",
                 (long long)row->least, (long long)row->most, row->write, row->initial);
        return ERR_BAD_CONF;
    }
    *conf_int_of(c, row) = value;
    return 0;
}

// known_word finds text in a list separated by blanks; the list's own bytes are not terminated.
static bool known_word(const char *words, const char *text)
{
    size_t len = strlen(text);
    for (const char *p = words; len && *p; p += strspn(p, " ")) {
        size_t span = strcspn(p, " ");
        if (span == len && memcmp(p, text, len) == 0)
            return true;
        p += span;
    }
    return false;
}

static int set_word(struct conf *c, const struct conf_row *row, const char *text, char *ret_why,
                    size_t room)
{
    char shown[48];
    if (!known_word(row->words, text)) {
        snprintf(ret_why, room, "%s is not a word it knows; write one of: %s",
                 quoted(text, shown, sizeof shown), row->words);
        return ERR_BAD_CONF;
    }
    char *copy = conf_own(c, text, strlen(text));
    if (!copy)
        return ERR_NOMEM;
    *conf_text_of(c, row) = copy;
    return 0;
}

static int set_secret(struct conf *c, const struct conf_row *row, const char *text, char *ret_why,
                      size_t room)
{
    static const char blanks[] = " \t\r\n";
    text += strspn(text, blanks);
    size_t len = strlen(text);
    while (len && strchr(blanks, text[len - 1]))
        len--;
    if (len == 0 || len > CONF_SECRET_BYTES_MAX) {
        snprintf(ret_why, room, len ? "is longer than %d bytes" : "holds only blanks",
                 CONF_SECRET_BYTES_MAX);
        return ERR_BAD_CONF;
    }
    for (size_t i = 0; i < len; i++)
        if (text[i] <= 0x20 || text[i] >= 0x7f) {
            snprintf(ret_why, room,
                     "holds %s; write the secret alone, on one line, with nothing around it",
                     strchr("\r\n", text[i]) ? "more than one line"
                     : text[i] == ' '        ? "a blank in its middle"
                                             : "something other than printable ASCII");
            return ERR_BAD_CONF;
        }
    char *copy = conf_own(c, text, len);
    if (!copy)
        return ERR_NOMEM;
    *conf_text_of(c, row) = copy;
    return 0;
}

static int set_text(struct conf *c, const struct conf_row *row, const char *text, char *ret_why,
                    size_t room)
{
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            snprintf(ret_why, room, "holds a control character, such as a line break");
            return ERR_BAD_CONF;
        }
    char *copy = conf_own(c, text, strlen(text));
    if (!copy)
        return ERR_NOMEM;
    int err = row->check ? row->check(copy, ret_why, room) : 0;
    if (!err)
        *conf_text_of(c, row) = copy;
    return err;
}

int conf_set(struct conf *c, const struct conf_row *row, const char *text, char *ret_why,
             size_t room)
{
    switch (row->type) {
    case CONF_TEXT:
        return set_text(c, row, text, ret_why, room);
    case CONF_INT:
        return set_int(c, row, text, ret_why, room);
    case CONF_WORD:
        return set_word(c, row, text, ret_why, room);
    case CONF_SECRET:
        return set_secret(c, row, text, ret_why, room);
    }
    return ERR_BAD_CONF;
}
