// manual: penstock.1. The build makes the file of it (penstock --print-man).
#include "worker/cli/cli.h"
#include "worker/cli/pages.h"

#include <ctype.h>
#include <string.h>

static void text(const char *s)
{
    conf_man_text(s, stdout);
}

// sentence prints a help line as one: a capital, a full stop.
static void sentence(const char *s)
{
    char first[2] = {(char)toupper((unsigned char)s[0]), '\0'};
    text(first);
    text(s + 1);
    puts(s[strlen(s) - 1] == '.' ? "" : ".");
}

static void print_verb(const struct cli_verb *v)
{
    fputs(".SS \"penstock ", stdout);
    text(v->name);
    fputs(" [options]", stdout);
    if (v->args[0])
        fputc(' ', stdout);
    text(v->args);
    puts("\"");
    sentence(v->help);
    for (const struct cli_option *o = v->options; o->name; o++) {
        puts(".TP");
        fputs(".B ", stdout);
        text("--");
        text(o->name);
        if (o->value)
            printf(" \\fI%s\\fR", o->value);
        putchar('\n');
        sentence(o->help);
    }
}

void pages_man(void)
{
    puts(".TH PENSTOCK 1 \"\" \"penstock " PENSTOCK_VERSION "\" \"Penstock\"\n"
         ".SH NAME\n"
         "penstock \\- push prompts through a rate\\-limited API, by way of Redis\n"
         ".SH SYNOPSIS\n"
         ".B penstock\n\\fIverb\\fR [\\fIoptions\\fR] [\\fIarguments\\fR]\n"
         ".SH DESCRIPTION\n"
         ".B penstock\n"
         "puts jobs on queues in Redis, reads their results, shows how things stand and acts on "
         "them.\n"
         "The calls are made by\n.BR penstock\\-worker (8).\n"
         "\\fBpenstock run\\fR takes a file of prompts to a file of results, and starts a Redis "
         "and a worker of its own where none is there.\n"
         ".SH VERBS\n"
         "Options may stand anywhere. \\fB\\-o\\fR is \\fB\\-\\-output\\fR; \\fB\\-\\-\\fR ends "
         "the options.");
    for (const struct cli_verb *v = cli_verbs; v->name; v++)
        print_verb(v);
    puts(".SH SETTINGS\n"
         "A flag wins over the environment, that over the settings file, that over the default.");
    conf_man(CONF_CLI, stdout);
    puts(".SH \"EXIT STATUS\"");
    for (const struct cli_exit *e = cli_exits; e->meaning; e++) {
        printf(".TP\n.B %d\n", e->code);
        sentence(e->meaning);
    }
    puts(".SH ENVIRONMENT\n"
         "The settings above; \\fBNO_COLOR\\fR: no colours; \\fBTERM\\fR=dumb: no full screen and "
         "no line that is written anew;\n"
         "\\fBXDG_STATE_HOME\\fR: where \\fBpenstock run\\fR keeps the data of its own Redis "
         "(default: ~/.local/state).\n"
         ".SH EXAMPLES\n"
         ".nf\n"
         "penstock push \"Tell me a short story\" \\-\\-wait \\-\\-text\n"
         "penstock run prompts.jsonl \\-o results.jsonl \\-\\-max\\-cost 10\n"
         "penstock top\n"
         "penstock dead retry \\-\\-cause timeout\n"
         ".fi\n"
         ".SH \"SEE ALSO\"\n.BR penstock\\-worker (8)");
}
