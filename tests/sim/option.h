// option: one row of the table of settings (settings.c), and the ways to read and to show a value
// (option.c).
#ifndef PENSTOCK_SIM_OPTION_H
#define PENSTOCK_SIM_OPTION_H

#include "tests/sim/settings.h"

struct option {
    const char *name, *arg, *help;
    int (*set)(struct settings *s, const struct option *o, const char *value);
    void (*show)(const struct settings *s, const struct option *o, struct strbuf *out);
    size_t at;                // where in struct settings
    size_t room;              // of a text
    double min, max;          // of a number
    const char *const *words; // of a choice
    bool at_start;            // cannot change at run time
};

// Each kind has a pair: option_set_KIND reads a value (0 or ERR_BAD_CONF), option_show_KIND writes
// it as option_set_KIND would read it.
#define OPTION_KINDS(XX)                                                                           \
    XX(number)                                                                                     \
    XX(flag) XX(text) XX(choice) XX(spread) XX(fail) XX(trouble) XX(key) XX(limit) XX(ramp)
#define XX(kind)                                                                                   \
    int option_set_##kind(struct settings *s, const struct option *o, const char *value);          \
    void option_show_##kind(const struct settings *s, const struct option *o, struct strbuf *out);
OPTION_KINDS(XX)
#undef XX

#endif
