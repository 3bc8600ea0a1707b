#include "worker/provider/excerpt.h"

#include <string.h>
#include <strings.h>

enum { PAGE_BYTES_MAX = 32 * 1024, KEY_BYTES_LEAST = 8 };

// line: a bounded copy in which runs of blanks and control characters become one space.
struct line {
    char *at;
    size_t len, room;
    bool gap;
};

static void line_add(struct line *l, const char *bytes, size_t len)
{
    size_t need = len + (l->gap && l->len > 0);
    if (l->room == 0 || l->len + need >= l->room) {
        l->room = 0; // full: nothing shorter may slip in later
        return;
    }
    if (l->gap && l->len > 0)
        l->at[l->len++] = ' ';
    memcpy(l->at + l->len, bytes, len);
    l->len += len;
    l->gap = false;
}

static bool is_key_char(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' ||
           c == '_' || c == '*';
}

void excerpt_hide(char *text)
{
    static const char mark[] = "sk-";
    char *from = text, *to = text;
    while (*from) {
        bool starts =
            (from == text || !is_key_char(from[-1])) && strncmp(from, mark, sizeof mark - 1) == 0;
        size_t len = 0;
        while (starts && is_key_char(from[len]))
            len++;
        if (len < KEY_BYTES_LEAST) {
            *to++ = *from++;
            continue;
        }
        memcpy(to, "sk-...", 6); // no longer than what it replaces
        to += 6;
        from += len;
    }
    *to = '\0';
}

static size_t sequence_len(unsigned char c)
{
    return c < 0xC0 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

void excerpt_string(struct scan_value v, char *ret, size_t room)
{
    struct line l = {.at = ret, .room = room};
    struct strbuf text;
    ret[0] = '\0';
    if (v.type != SCAN_STRING)
        return;
    strbuf_init(&text, v.raw.len + 1); // undoing escapes never lengthens
    scan_unescape(v, &text);
    for (size_t i = 0, step; i < text.len && l.room; i += step) {
        unsigned char c = (unsigned char)text.at[i];
        step = MIN(sequence_len(c), text.len - i);
        bool is_control =
            c < 0x20 || c == 0x7F || (c == 0xC2 && (unsigned char)text.at[i + 1] < 0xA0);
        if (is_control || c == ' ')
            l.gap = true;
        else
            line_add(&l, text.at + i, step);
    }
    ret[l.len] = '\0';
    strbuf_fini(&text);
    excerpt_hide(ret);
}

void excerpt_word(struct span s, char *ret, size_t room)
{
    size_t len = 0;
    for (size_t i = 0; i < s.len && len + 1 < room; i++)
        if (s.at[i] > ' ' && s.at[i] < 0x7F)
            ret[len++] = s.at[i];
    ret[len] = '\0';
}

static bool starts_with(struct span s, size_t at, const char *text)
{
    size_t len = strlen(text);
    return s.len - at >= len && strncasecmp(s.at + at, text, len) == 0;
}

// tag_end gives the place after the tag, comment, script or style that starts at i.
static size_t tag_end(struct span s, size_t i)
{
    const char *close = starts_with(s, i, "<!--")      ? "-->"
                        : starts_with(s, i, "<script") ? "</script>"
                        : starts_with(s, i, "<style")  ? "</style>"
                                                       : ">";
    while (i < s.len && !starts_with(s, i, close))
        i++;
    return MIN(i + strlen(close), s.len);
}

// A tag starts with a letter, a slash or an exclamation mark: "3 < 4" is text.
static bool is_tag(struct span s, size_t i)
{
    char next = i + 1 < s.len ? s.at[i + 1] : ' ';
    return s.at[i] == '<' &&
           (next == '/' || next == '!' || ((next | 0x20) >= 'a' && (next | 0x20) <= 'z'));
}

void excerpt_page(struct span s, char *ret, size_t room)
{
    struct line l = {.at = ret, .room = MIN(room, EXCERPT_PAGE_CHARS + 1)};
    s.len = MIN(s.len, PAGE_BYTES_MAX);
    for (size_t i = 0; i < s.len && l.room;) {
        if (is_tag(s, i)) {
            i = tag_end(s, i);
            l.gap = true;
            continue;
        }
        if (s.at[i] > ' ' && s.at[i] < 0x7F)
            line_add(&l, &s.at[i], 1);
        else
            l.gap = true;
        i++;
    }
    ret[l.len] = '\0';
    excerpt_hide(ret);
}
