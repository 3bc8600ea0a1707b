// conf_man: the table of settings as a part of a manual page (man(7)), and for shell completion.
#include "common/conf/conf_int.h"

#include <string.h>

void conf_man_text(const char *text, FILE *out)
{
    bool begins = true; // of a line: a dot or a quote there would be a request
    for (; *text; text++) {
        if (begins && (*text == '.' || *text == '\''))
            fputs("\\&", out);
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
        begins = *text == '\n';
    }
}

static void man_row(const struct conf_row *row, FILE *out)
{
    fputs(".TP\n", out);
    if (row->flag) {
        fputs(".BR ", out);
        conf_man_text("--", out);
        conf_man_text(row->flag, out);
        fprintf(out, " =\\fI%s\\fR \", \" ", row->kind);
    } else {
        fputs(".B ", out);
    }
    conf_man_text(row->name, out);
    fputc('\n', out);
    conf_man_text(row->help, out);
    fputs(".\n", out);
    if (row->type == CONF_INT) {
        fprintf(out, "%lld to %lld%s%s.\n", (long long)row->least, (long long)row->most,
                row->unit[0] ? " " : "", row->unit);
    } else if (row->type == CONF_WORD) {
        fputs("One of: ", out);
        conf_man_text(row->words, out);
        fputs(".\n", out);
    }
    if (row->initial) {
        fputs("Default: \\fB", out);
        conf_man_text(row->initial, out);
        fputs("\\fR.\n", out);
    }
}

void conf_man(enum conf_program who, FILE *out)
{
    const char *group = NULL, *shown = NULL;
    for (size_t i = 0; i < conf_rows_len; i++) {
        const struct conf_row *row = &conf_rows[i];
        group = row->group ? row->group : group;
        if (!(row->who & who))
            continue;
        if (group != shown) {
            fputs(".SS ", out);
            conf_man_text(group, out);
            fputc('\n', out);
        }
        shown = group;
        man_row(row, out);
    }
}

void conf_each_flag(enum conf_program who, void (*fn)(const struct conf_flag *flag, void *arg),
                    void *arg)
{
    for (size_t i = 0; i < conf_rows_len; i++) {
        const struct conf_row *row = &conf_rows[i];
        if (!(row->who & who) || !row->flag)
            continue;
        struct conf_flag flag = {row->flag, row->kind, row->type == CONF_WORD ? row->words : NULL,
                                 row->help};
        fn(&flag, arg);
    }
}
