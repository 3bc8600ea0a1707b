// log: one JSON line per event on standard error. Event names come from a closed list
// (docs/logging.md; scripts/eventscan.py compares). Prompts, answers and keys are never arguments.
//
//   log_event(LOG_WARN, "pool_shut", log_str("pool", name), log_int("for_ms", ms), LOG_END);
#ifndef PENSTOCK_BASE_LOG_H
#define PENSTOCK_BASE_LOG_H

#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_JSON, LOG_TEXT };

struct log_field {
    const char *key; // NULL ends the list
    const char *str; // a string value, or NULL for a number
    size_t len;
    int64_t num;
};

#define LOG_END ((struct log_field){0})

static inline struct log_field log_int(const char *key, int64_t num)
{
    return (struct log_field){.key = key, .num = num};
}

static inline struct log_field log_bytes(const char *key, const char *at, size_t len)
{
    return (struct log_field){.key = key, .str = at ? at : "", .len = len};
}

static inline struct log_field log_str(const char *key, const char *str)
{
    return log_bytes(key, str, str ? __builtin_strlen(str) : 0);
}

void log_setup(enum log_level least, enum log_format format);
// log_to sends lines to a descriptor instead of standard error (tests).
void log_to(int fd);
// log_level_parse reads "debug", "info", "warn" or "error"; -1 for anything else.
int log_level_parse(const char *name);
// log_event writes one line; values longer than 512 bytes are cut. A line that would pass 8 KiB all
// the same is written without its fields, with "fields_dropped":1 in their place.
void log_event_at(enum log_level level, const char *event, const struct log_field *fields);
#define log_event(level, event, ...)                                                               \
    log_event_at(level, event, (const struct log_field[]){__VA_ARGS__})

#endif
