#include "common/base/log.h"

#include "common/base/clock.h"
#include "common/base/strbuf.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 8192, VALUE_BYTES_MAX = 512 };

static const char *const names[] = {"debug", "info", "warn", "error"};
static enum log_level least_level = LOG_INFO;
static enum log_format line_format = LOG_JSON;
static int out_fd = STDERR_FILENO;

void log_setup(enum log_level least, enum log_format format)
{
    least_level = least;
    line_format = format;
}

void log_to(int fd)
{
    out_fd = fd;
}

int log_level_parse(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(name, names[i]) == 0)
            return (int)i;
    return -1;
}

static void add_time(struct strbuf *b)
{
    int64_t now_ms = clock_wall_ms();
    time_t s = (time_t)(now_ms / 1000);
    struct tm tm;
    char text[40];
    gmtime_r(&s, &tm);
    size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    strbuf_add(b, text, len);
    strbuf_add_fmt(b, ".%03dZ", (int)(now_ms % 1000));
}

static void add_value(struct strbuf *b, const struct log_field *f)
{
    if (f->str)
        strbuf_add_json(b, f->str, MIN(f->len, (size_t)VALUE_BYTES_MAX));
    else
        strbuf_add_int(b, f->num);
}

static void write_json(struct strbuf *b, enum log_level level, const char *event,
                       const struct log_field *fields)
{
    strbuf_add_str(b, "{\"t\":\"");
    add_time(b);
    strbuf_add_fmt(b, "\",\"lvl\":\"%s\",\"ev\":\"%s\"", names[level], event);
    for (const struct log_field *f = fields; f->key; f++) {
        strbuf_add_fmt(b, ",\"%s\":", f->key);
        add_value(b, f);
    }
    strbuf_add_str(b, "}\n");
}

static void write_text(struct strbuf *b, enum log_level level, const char *event,
                       const struct log_field *fields)
{
    add_time(b);
    strbuf_add_fmt(b, " %-5s %s", names[level], event);
    for (const struct log_field *f = fields; f->key; f++) {
        strbuf_add_fmt(b, " %s=", f->key);
        add_value(b, f);
    }
    strbuf_add_char(b, '\n');
}

static void write_line(struct strbuf *b, enum log_level level, const char *event,
                       const struct log_field *fields)
{
    if (line_format == LOG_JSON)
        write_json(b, level, event, fields);
    else
        write_text(b, level, event, fields);
}

void log_event_at(enum log_level level, const char *event, const struct log_field *fields)
{
    if (level < least_level)
        return;
    struct strbuf b;
    strbuf_init(&b, LINE_BYTES_MAX);
    write_line(&b, level, event, fields);
    if (strbuf_failed(&b)) { // too long a line: the event must not be lost with its fields
        const struct log_field instead[] = {log_int("fields_dropped", 1), LOG_END};
        strbuf_clear(&b);
        write_line(&b, level, event, instead);
    }
    ssize_t unused = strbuf_failed(&b) ? 0 : write(out_fd, b.at, b.len);
    (void)unused; // nowhere to report a log that cannot be written
    strbuf_fini(&b);
}
