// penstock stats: how things stand, once: depths, counters, pools, workers.
#include "worker/cli/cli.h"

#include <string.h>

// out: either lines for people or members of one JSON object.
struct out {
    bool json, some;
};

static void section(struct out *o, const char *name)
{
    if (o->json)
        printf("%s\"%s\":{", o->some ? "," : "", name);
    else
        printf("%s%s\n", o->some ? "\n" : "", name);
    o->some = false;
}

static void section_end(struct out *o)
{
    if (o->json)
        putchar('}');
    else if (!o->some)
        puts("  none");
    o->some = true;
}

static bool is_number(struct span s)
{
    bool digits = false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] >= '0' && s.at[i] <= '9')
            digits = true;
        else if (s.at[i] != '.' && !(i == 0 && s.at[i] == '-'))
            return false;
    }
    return digits && (s.at[0] != '0' || s.len == 1 || s.at[1] == '.');
}

static void member(struct out *o, struct span name, struct span value)
{
    struct strbuf b;
    strbuf_init(&b, 1 << 20);
    strbuf_add_json(&b, name.at, name.len);
    strbuf_add_char(&b, ':');
    if (is_number(value))
        strbuf_add_span(&b, value);
    else
        strbuf_add_json(&b, value.at, value.len);
    if (o->json)
        printf("%s%s", o->some ? "," : "", b.at);
    else if (value.len)
        printf("  %-16.*s %.*s\n", (int)name.len, name.at, (int)value.len, value.at);
    strbuf_fini(&b);
    o->some = true;
}

static void member_int(struct out *o, const char *name, int64_t n)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)n);
    member(o, span_of(name), span_of(text));
}

static void print_hash(int err, const struct reply *reply, void *arg)
{
    for (size_t i = 0; err == 0 && i + 1 < reply_count(reply); i += 2) {
        struct span name, value;
        if (reply_str(reply_at(reply, i), &name) && reply_str(reply_at(reply, i + 1), &value))
            member(arg, name, value);
    }
}

static void print_depths(struct cli *c, struct out *o)
{
    static const struct {
        const char *name, *verb, *key;
    } all[] = {{"waiting", "LLEN", "jobs"},
               {"delayed", "ZCARD", "delayed"},
               {"active", "ZCARD", "active"},
               {"dead", "ZCARD", "dead"}};
    char key[CLI_KEY_MAX];
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        cli_key(c, all[i].key, key);
        member_int(o, all[i].name, sync_int(c->redis, all[i].verb, key, 0));
    }
    struct strbuf reason;
    strbuf_init(&reason, 4096);
    cli_key(c, "paused", key);
    if (sync_text(c->redis, &reason, "GET", key))
        member(o, span_of("paused"), reason.len ? strbuf_span(&reason) : span_of("yes"));
    strbuf_fini(&reason);
}

int cmd_stats(struct cli *c)
{
    struct out o = {.json = c->json};
    char key[CLI_KEY_MAX];
    int code = cli_connect(c);
    if (code)
        return code;
    if (o.json)
        putchar('{');
    section(&o, "depth");
    print_depths(c, &o);
    section_end(&o);
    section(&o, "counters");
    cli_key(c, "stats", key);
    int err = sync_words(c->redis, print_hash, &o, "HGETALL", key, NULL);
    section_end(&o);
    if (o.json)
        puts("}");
    return err ? cli_fail(c, EXIT_NO_REDIS, "%s", sync_why(c->redis)) : EXIT_ALL_WELL;
}
