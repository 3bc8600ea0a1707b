// penstock: the command line. Words: settings' flags and the verb's own options anywhere, then the
// verb's arguments. All of --help comes from two tables, the settings' and the verbs'.
#include "common/base/err.h"
#include "worker/cli/cli.h"
#include "worker/cli/pages.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

#define DEFAULT_REDIS_URL "redis://127.0.0.1:6379"

const char *cli_option(const struct cli *c, const char *name)
{
    for (int i = 0; c->verb->options[i].name; i++)
        if (strcmp(c->verb->options[i].name, name) == 0)
            return c->given[i];
    return NULL;
}

int cli_fail(const struct cli *c, int code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "penstock%s%s: ", c->verb ? " " : "", c->verb ? c->verb->name : "");
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    return code;
}

int cli_connect(struct cli *c)
{
    char why[SYNC_WHY_MAX];
    int err = sync_open(&c->conf, &c->redis, why, sizeof why);
    if (!err)
        return 0;
    return cli_fail(c, err == ERR_BAD_CONF ? EXIT_USAGE : EXIT_NO_REDIS, "%s", why);
}

int cli_lost(const struct cli *c)
{
    return cli_fail(c, EXIT_NO_REDIS, "%s", sync_why(c->redis));
}

void cli_key(const struct cli *c, const char *name, char ret[CLI_KEY_MAX])
{
    key_queue(c->conf.prefix, c->queue, name, ret, CLI_KEY_MAX);
}

void cli_id_key(const struct cli *c, const char *kind, const char *id, char ret[CLI_KEY_MAX])
{
    char name[ID_BYTES_MAX + 16];
    snprintf(name, sizeof name, "%s:%s", kind, id);
    cli_key(c, name, ret);
}

int64_t cli_ms(const char *text)
{
    char *end;
    double n = strtod(text, &end);
    if (end == text || n < 0 || n > 1e9)
        return -1;
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (strcmp(end, units[i].unit) == 0)
            return (int64_t)(n * units[i].ms);
    return -1;
}

int64_t cli_count(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 15 || text[digits])
        return -1;
    int64_t n = strtoll(text, NULL, 10);
    return n > 0 ? n : -1;
}

bool cli_colour(void)
{
    const char *no = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) && !(no && no[0]);
}

static void help_verb(const struct cli_verb *v)
{
    printf("usage: penstock %s [options] %s\n\n%s\n\n", v->name, v->args, v->help);
    for (const struct cli_option *o = v->options; o->name; o++) {
        char left[40];
        snprintf(left, sizeof left, "--%s%s%s", o->name, o->value ? " " : "",
                 o->value ? o->value : "");
        printf("  %-24s %s\n", left, o->help);
    }
    puts("\nSettings (--redis-url and the others) are listed by penstock --help.");
}

static void help_all(void)
{
    puts("penstock: push prompts through a rate-limited API, by way of Redis.\n\n"
         "usage: penstock VERB [options] [arguments]\n\nverbs:");
    for (const struct cli_verb *v = cli_verbs; v->name; v++)
        printf("  %-10s %s\n", v->name, v->help);
    puts("\npenstock VERB --help tells a verb's options. Exit codes:\n");
    for (const struct cli_exit *e = cli_exits; e->meaning; e++)
        printf("  %d  %s\n", e->code, e->meaning);
    putchar('\n');
    conf_help(CONF_CLI, stdout);
}

static const struct cli_verb *find_verb(const char *word)
{
    for (const struct cli_verb *v = cli_verbs; v->name; v++)
        if (strcmp(v->name, word) == 0)
            return v;
    return NULL;
}

// take_option reads --name, --name value or --name=value where it is one of the verb's own. Returns
// how many words it took, 0 where it is not the verb's, -1 where it is wrong.
static int take_option(struct cli *c, int left, char **words)
{
    const char *name = words[0] + 2, *equals = strchr(name, '=');
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    for (int i = 0; c->verb->options[i].name; i++) {
        const struct cli_option *o = &c->verb->options[i];
        if (strlen(o->name) != len || strncmp(o->name, name, len) != 0)
            continue;
        if (!o->value) {
            c->given[i] = "";
            return equals ? cli_fail(c, -1, "--%s takes no value", o->name) : 1;
        }
        if (!equals && left < 2)
            return cli_fail(c, -1, "--%s needs a value: %s", o->name, o->value);
        c->given[i] = equals ? equals + 1 : words[1];
        return equals ? 1 : 2;
    }
    return 0;
}

// sort_words parts the words into the verb's options, settings' flags and the verb's arguments.
static int sort_words(struct cli *c, int argc, char **argv, char **flags, int *ret_flags)
{
    bool only_args = false;
    for (int i = 0; i < argc;) {
        static char output[] = "--output";
        char *word = argv[i] = strcmp(argv[i], "-o") == 0 ? output : argv[i];
        if (only_args || strncmp(word, "--", 2) != 0) {
            if (!c->verb && !only_args) {
                c->verb = find_verb(word);
                if (!c->verb)
                    return cli_fail(c, EXIT_USAGE, "no verb %s; penstock --help lists them", word);
            } else {
                c->argv[c->argc++] = word;
            }
            i++;
        } else if (word[2] == '\0') {
            only_args = true;
            i++;
        } else {
            int took = c->verb ? take_option(c, argc - i, argv + i) : 0;
            if (took < 0)
                return EXIT_USAGE;
            if (took == 0) {
                flags[(*ret_flags)++] = word;
                took = 1;
                if (!strchr(word, '=') && i + 1 < argc)
                    flags[(*ret_flags)++] = argv[i + took++];
            }
            i += took;
        }
    }
    return 0;
}

static const char *first_queue(struct cli *c)
{
    static struct conf_queue all[1000];
    char why[CONF_WHY_MAX];
    int count = conf_queues(&c->conf, all, ARRAY_LEN(all), why, sizeof why);
    return count > 0 ? all[0].name : "default";
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

// is_redis_named: naming what is the default anyway is naming it, too.
static bool is_redis_named(const struct cli *c, int count, char **flags)
{
    for (int i = 0; i < count; i++)
        if (strncmp(flags[i], "--redis-url", 11) == 0)
            return true;
    return getenv("PENSTOCK_REDIS_URL") || strcmp(c->conf.redis_url, DEFAULT_REDIS_URL) != 0;
}

// load_settings: check goes on where another verb would end.
static int load_settings(struct cli *c, int count, char **flags)
{
    static struct faults faults;
    char why[CONF_WHY_MAX];
    int used;
    if (c->verb->run == cmd_check) {
        c->faults = &faults;
        if (faults_load(CONF_CLI, count, flags, environ, &c->conf, &faults) == 0)
            return 0;
        return cli_fail(c, EXIT_USAGE, "%s", faults.count ? faults.at[0] : "out of memory");
    }
    if (conf_load(CONF_CLI, count, flags, environ, &c->conf, &used, why, sizeof why))
        return cli_fail(c, EXIT_USAGE, "%s", why);
    return 0;
}

static int run(struct cli *c, int argc, char **argv)
{
    int flag_count = 0;
    char **flags = calloc((size_t)argc + 1, sizeof *flags);
    c->argv = calloc((size_t)argc + 1, sizeof *c->argv);
    if (!flags || !c->argv)
        return cli_fail(c, EXIT_USAGE, "out of memory");
    int code = sort_words(c, argc, argv, flags, &flag_count);
    if (!code && !c->verb)
        code = cli_fail(c, EXIT_USAGE, "no verb is named; penstock --help lists them");
    if (!code && c->argc && !c->verb->args[0])
        code =
            cli_fail(c, EXIT_USAGE, "no argument wanted, but there is \"%s\"; penstock %s --help",
                     c->argv[0], c->verb->name);
    if (!code)
        code = load_settings(c, flag_count, flags);
    if (!code)
        c->redis_named = is_redis_named(c, flag_count, flags);
    free(flags);
    if (code)
        return code;
    conf_scrub_env(environ); // no key in our environment, nor in that of what we start
    c->json = cli_option(c, "json") != NULL;
    c->queue = cli_option(c, "queue") ? cli_option(c, "queue") : first_queue(c);
    if (!name_is_valid(c->queue, strlen(c->queue)))
        code = cli_fail(c, EXIT_USAGE, "queue: 1-64 characters of A-Z a-z 0-9 . _ -");
    else
        code = c->verb->run(c);
    sync_close(c->redis);
    conf_fini(&c->conf);
    return code;
}

int main(int argc, char **argv)
{
    struct cli c = {0};
    signal(SIGPIPE, SIG_DFL);                             // `penstock ... | head` ends quietly
    bool asks = argc > 1 && strcmp(argv[1], "help") == 0; // penstock help [VERB]
    const struct cli_verb *v = argc > 1 + asks ? find_verb(argv[1 + asks]) : NULL;
    if (argc < 2 || asks || wants_help(argc, argv)) {
        const char *word = argc > 1 + asks ? argv[1 + asks] : "-";
        if (!v && word[0] != '-')
            return cli_fail(&c, EXIT_USAGE, "no verb %s; penstock --help lists them", word);
        if (v)
            help_verb(v);
        else
            help_all();
        return argc < 2 ? EXIT_USAGE : EXIT_ALL_WELL;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("penstock " PENSTOCK_VERSION);
        return EXIT_ALL_WELL;
    }
    if (strcmp(argv[1], "--print-man") == 0) { // for the build
        pages_man();
        return EXIT_ALL_WELL;
    }
    int code = run(&c, argc - 1, argv + 1);
    free(c.argv);
    if (fflush(stdout) != 0 && code == EXIT_ALL_WELL)
        code = EXIT_SOME_FAILED;
    return code;
}
