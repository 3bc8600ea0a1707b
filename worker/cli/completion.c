// penstock completion: what a shell needs to complete verbs, options and their values.
#include "worker/cli/cli.h"
#include "worker/cli/out.h"
#include "worker/cli/pages.h"

#include <ctype.h>
#include <string.h>

// next_subword finds the next word that a verb's arguments begin with literally: "list" of
// "list | show ID". False at the end.
static bool next_subword(const char **at, char ret[32])
{
    while (**at) {
        const char *from = *at;
        size_t len = strcspn(from, "|"), word = strspn(from, "abcdefghijklmnopqrstuvwxyz");
        *at = from + len + strspn(from + len, "| ");
        if (word > 0 && word < 32 && (from[word] == ' ' || !from[word])) {
            memcpy(ret, from, word);
            ret[word] = '\0';
            return true;
        }
    }
    return false;
}

static void print_verbs(void)
{
    for (const struct cli_verb *v = cli_verbs; v->name; v++)
        printf("%s%s", v == cli_verbs ? "" : " ", v->name);
}

// --- bash ------------------------------------------------------------------------------------

// BASH_FILES has bash complete a file's name itself, blanks and all.
#define BASH_FILES "compopt -o default 2>/dev/null"

static void bash_flag(const struct conf_flag *f, void *arg)
{
    (void)arg;
    printf(" --%s", f->name);
}

// bash_value completes what follows a flag: one of some words, a file, or nothing that is known.
static void bash_value(const struct conf_flag *f, void *arg)
{
    (void)arg;
    printf("    --%s) ", f->name);
    if (f->words)
        printf("COMPREPLY=($(compgen -W '%s' -- \"$cur\"))", f->words);
    else if (strcmp(f->kind, "FILE") == 0)
        fputs(BASH_FILES, stdout);
    else
        putchar(':');
    puts("; return ;;");
}

static void bash_verb(const struct cli_verb *v)
{
    const char *at = v->args;
    char word[32];
    printf("    %s)\n        case $prev in\n", v->name);
    for (const struct cli_option *o = v->options; o->name; o++)
        if (o->value)
            printf("        --%s%s) %s; return ;;\n", o->name,
                   strcmp(o->name, "output") == 0 ? " | -o" : "",
                   strcmp(o->value, "FILE") == 0 ? BASH_FILES : ":");
    puts("        esac");
    fputs("        options='", stdout);
    for (const struct cli_option *o = v->options; o->name; o++)
        printf("%s--%s", o == v->options ? "" : " ", o->name);
    printf("'\n        files='%s' words='", strstr(v->args, "FILE") ? "yes" : "");
    while (next_subword(&at, word))
        printf("%s ", word);
    puts("'\n        ;;");
}

void pages_bash(void)
{
    puts(
        "# bash completion for penstock and penstock-worker; made by penstock completion bash\n"
        "# --name=value is three words to bash: cur and prev are what the value and the name are.\n"
        "_penstock_words() {\n"
        "    cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
        "    [[ $cur == '=' ]] && cur='' && return\n"
        "    [[ $prev == '=' ]] && prev=${COMP_WORDS[COMP_CWORD-2]}\n"
        "}\n"
        "_penstock_setting() {\n"
        "    local cur=$1 prev=$2\n"
        "    case $prev in");
    conf_each_flag(CONF_WORKER | CONF_CLI, bash_value, NULL);
    fputs("    *) return 1 ;;\n"
          "    esac\n"
          "}\n"
          "_penstock() {\n"
          "    local cur prev\n"
          "    _penstock_words\n"
          "    local verb='' options='' words='' files='' i verbs='",
          stdout);
    print_verbs();
    puts("'\n"
         "    COMPREPLY=()\n"
         "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "        if [[ \" $verbs \" == *\" ${COMP_WORDS[i]} \"* ]]; then\n"
         "            verb=${COMP_WORDS[i]}\n"
         "            break\n"
         "        fi\n"
         "    done\n"
         "    case $verb in\n"
         "    '') words=$verbs options='--help --version' ;;");
    for (const struct cli_verb *v = cli_verbs; v->name; v++)
        bash_verb(v);
    fputs("    esac\n"
          "    _penstock_setting \"$cur\" \"$prev\" && return\n"
          "    if [[ $cur == -* ]]; then\n"
          "        COMPREPLY=($(compgen -W \"$options --help",
          stdout);
    conf_each_flag(CONF_CLI, bash_flag, NULL);
    fputs("\" -- \"$cur\"))\n"
          "    elif [[ -n $words ]]; then\n"
          "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
          "    elif [[ -n $files ]]; then\n"
          "        " BASH_FILES "\n"
          "    fi\n"
          "}\n"
          "_penstock_worker() {\n"
          "    local cur prev\n"
          "    _penstock_words\n"
          "    COMPREPLY=()\n"
          "    _penstock_setting \"$cur\" \"$prev\" && return\n"
          "    COMPREPLY=($(compgen -W \"--help --version --healthcheck",
          stdout);
    conf_each_flag(CONF_WORKER, bash_flag, NULL);
    puts("\" -- \"$cur\"))\n"
         "}\n"
         "complete -F _penstock penstock\n"
         "complete -F _penstock_worker penstock-worker");
}

// --- zsh -------------------------------------------------------------------------------------

// zsh_text prints what stands in a single-quoted part of _arguments or _describe.
static void zsh_text(const char *s)
{
    for (; *s; s++) {
        if (*s == '\'')
            fputs("'\\''", stdout);
        else if (strchr("[]:\\", *s))
            printf("\\%c", *s);
        else
            putchar(*s);
    }
}

static void zsh_option(const char *name, const char *value, const char *words, const char *help)
{
    printf(" \\\n            '--%s%s[", name, value ? "=" : "");
    zsh_text(help);
    putchar(']');
    if (value) {
        putchar(':');
        zsh_text(value);
        putchar(':');
        if (words)
            printf("(%s)", words);
        else if (strcmp(value, "FILE") == 0)
            fputs("_files", stdout);
    }
    putchar('\'');
}

static void zsh_flag(const struct conf_flag *f, void *arg)
{
    (void)arg;
    zsh_option(f->name, f->kind, f->words, f->help);
}

static void zsh_verb(const struct cli_verb *v)
{
    const char *at = v->args;
    char word[32];
    bool some = false;
    printf("    %s)\n        _arguments", v->name);
    for (const struct cli_option *o = v->options; o->name; o++)
        zsh_option(o->name, o->value, NULL, o->help);
    conf_each_flag(CONF_CLI, zsh_flag, NULL);
    fputs(" \\\n            ", stdout);
    while (next_subword(&at, word)) {
        printf("%s%s", some ? " " : "'*:word:(", word);
        some = true;
    }
    puts(some ? ")'\n        ;;" : "'*:argument:_files'\n        ;;");
}

void pages_zsh(void)
{
    puts("#compdef penstock penstock-worker\n"
         "# zsh completion; made by penstock completion zsh\n"
         "if [[ $service == penstock-worker ]]; then\n"
         "    _arguments '--help' '--version' '--healthcheck'");
    fputs("    _arguments", stdout);
    conf_each_flag(CONF_WORKER, zsh_flag, NULL);
    puts("\n    return\n"
         "fi\n"
         "local -a verbs\n"
         "verbs=(");
    for (const struct cli_verb *v = cli_verbs; v->name; v++) {
        printf("    '%s:", v->name);
        zsh_text(v->help);
        puts("'");
    }
    puts(")\n"
         "if (( CURRENT == 2 )); then\n"
         "    _describe verb verbs\n"
         "    return\n"
         "fi\n"
         "case $words[2] in");
    for (const struct cli_verb *v = cli_verbs; v->name; v++)
        zsh_verb(v);
    puts("esac");
}

// --- fish ------------------------------------------------------------------------------------

static void fish_text(const char *s)
{
    putchar('\'');
    for (; *s; s++)
        printf(*s == '\'' || *s == '\\' ? "\\%c" : "%c", *s);
    putchar('\'');
}

static void fish_option(const char *when, const char *name, const char *value, const char *words,
                        const char *help)
{
    bool file = value && strcmp(value, "FILE") == 0;
    printf("complete -c %s -l %s%s", when, name, !value ? "" : file ? " -r" : " -x");
    if (words) {
        fputs(" -a ", stdout);
        fish_text(words);
    }
    fputs(" -d ", stdout);
    fish_text(help);
    putchar('\n');
}

static void fish_flag(const struct conf_flag *f, void *arg)
{
    fish_option(arg, f->name, f->kind, f->words, f->help);
}

void pages_fish(void)
{
    char when[96], word[32];
    puts("# fish completion for penstock and penstock-worker; made by penstock completion fish");
    for (const struct cli_verb *v = cli_verbs; v->name; v++) {
        const char *at = v->args;
        printf("complete -c penstock -f -n __fish_use_subcommand -a %s -d ", v->name);
        fish_text(v->help);
        putchar('\n');
        snprintf(when, sizeof when, "penstock -n '__fish_seen_subcommand_from %s'", v->name);
        for (const struct cli_option *o = v->options; o->name; o++)
            fish_option(when, o->name, o->value, NULL, o->help);
        while (next_subword(&at, word))
            printf("complete -c %s -f -a %s\n", when, word);
    }
    char cli[] = "penstock", worker[] = "penstock-worker";
    conf_each_flag(CONF_CLI, fish_flag, cli);
    conf_each_flag(CONF_WORKER, fish_flag, worker);
}

// pages_json prints the same table for programs.
static void pages_json(void)
{
    struct out o = {.json = true};
    out_begin(&o, NULL);
    for (const struct cli_verb *v = cli_verbs; v->name; v++) {
        out_begin(&o, v->name);
        out_str(&o, "arguments", v->args);
        out_str(&o, "help", v->help);
        out_begin(&o, "options");
        for (const struct cli_option *option = v->options; option->name; option++) {
            out_begin(&o, option->name);
            out_str(&o, "value", option->value ? option->value : "");
            out_str(&o, "help", option->help);
            out_end(&o);
        }
        out_end(&o);
        out_end(&o);
    }
    out_end(&o);
}

int cmd_completion(struct cli *c)
{
    const char *shell = c->argc == 1 ? c->argv[0] : "";
    if (c->json)
        pages_json();
    else if (strcmp(shell, "bash") == 0)
        pages_bash();
    else if (strcmp(shell, "zsh") == 0)
        pages_zsh();
    else if (strcmp(shell, "fish") == 0)
        pages_fish();
    else
        return cli_fail(c, EXIT_USAGE, "for which shell? bash, zsh or fish");
    return 0;
}
