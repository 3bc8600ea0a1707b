// conf_show: the table of settings for people: --help and docs/configuration.md.
#include "common/conf/conf_int.h"

#include <string.h>

enum { HELP_WIDTH = 80, HELP_COLUMN = 29 };

// print_wrapped writes text in lines that fit from HELP_COLUMN to HELP_WIDTH. The first line goes
// on where the caller stands, at HELP_COLUMN.
static void print_wrapped(FILE *out, const char *text)
{
    size_t room = HELP_WIDTH - HELP_COLUMN;
    for (;;) {
        size_t len = strlen(text);
        if (len <= room) {
            fprintf(out, "%s\n", text);
            return;
        }
        size_t cut = room;
        while (cut && text[cut] != ' ')
            cut--;
        if (!cut)
            cut = strcspn(text, " ");
        fprintf(out, "%.*s\n%*s", (int)cut, text, HELP_COLUMN, "");
        text += cut + strspn(text + cut, " ");
    }
}

// describe_value writes what a value may be: "1-20000", "1000-3600000 ms", "full equal additive".
static void describe_value(const struct conf_row *row, char *ret, size_t room)
{
    ret[0] = '\0';
    if (row->type == CONF_INT)
        snprintf(ret, room, "%lld-%lld%s%s", (long long)row->least, (long long)row->most,
                 row->unit[0] ? " " : "", row->unit);
    else if (row->type == CONF_WORD)
        snprintf(ret, room, "%s", row->words);
}

static void help_row(const struct conf_row *row, FILE *out)
{
    char left[64], range[96], line[256];
    if (row->flag)
        snprintf(left, sizeof left, "  --%s %s", row->flag, row->kind);
    else
        snprintf(left, sizeof left, "  (no flag)");
    fprintf(out, "%-*s", HELP_COLUMN, left);
    print_wrapped(out, row->help);
    describe_value(row, range, sizeof range);
    snprintf(line, sizeof line, "%s%s%s%s%s", row->name, range[0] ? ": " : "", range,
             row->initial ? ", default " : "", row->initial ? row->initial : "");
    fprintf(out, "%*s", HELP_COLUMN, "");
    print_wrapped(out, line);
}

void conf_help(enum conf_program who, FILE *out)
{
    const char *group = NULL, *shown = NULL;
    fprintf(out,
            "Settings. Each is a flag, --NAME=VALUE, and an environment variable. A flag wins\n"
            "over the environment, that over the settings file, that over the default.\n");
    for (size_t i = 0; i < conf_rows_len; i++) {
        const struct conf_row *row = &conf_rows[i];
        group = row->group ? row->group : group;
        if (!(row->who & who))
            continue;
        if (group != shown)
            fprintf(out, "\n%s\n", group);
        shown = group;
        help_row(row, out);
    }
}

static const char *programs(const struct conf_row *row)
{
    return row->who == CONF_WORKER ? "worker" : row->who == CONF_CLI ? "cli" : "both";
}

static void markdown_value(const struct conf_row *row, FILE *out)
{
    char range[96];
    describe_value(row, range, sizeof range);
    if (row->type == CONF_SECRET)
        fprintf(out, "secret");
    else if (row->type == CONF_TEXT)
        fprintf(out, "%s", row->kind);
    else if (row->type == CONF_INT)
        fprintf(out, "%s", range);
    for (const char *p = row->type == CONF_WORD ? range : ""; *p; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");
        fprintf(out, "%s`%.*s`", p == range ? "" : ", ", (int)len, p);
        p += len;
    }
}

void conf_markdown(FILE *out)
{
    fprintf(out, "| variable | flag | value | default | program | reload | meaning |\n"
                 "|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < conf_rows_len; i++) {
        const struct conf_row *row = &conf_rows[i];
        fprintf(out, "| `%s` | ", row->name);
        fprintf(out, row->flag ? "`--%s` | " : "%s | ", row->flag ? row->flag : "none");
        markdown_value(row, out);
        fprintf(out, row->initial ? " | `%s` | " : " | %s | ",
                row->initial ? row->initial : "none");
        fprintf(out, "%s | %s | %s |\n", programs(row), row->reload ? "yes" : "no", row->help);
    }
}
