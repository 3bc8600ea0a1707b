#include "worker/cli/out.h"

#include <stdio.h>
#include <string.h>

enum { OUT_BYTES_MAX = 64 << 20, OUT_NAME_WIDTH = 18 };

static void print_json(struct span s)
{
    struct strbuf b;
    strbuf_init(&b, OUT_BYTES_MAX);
    strbuf_add_json(&b, s.at ? s.at : "", s.len);
    fwrite(b.at ? b.at : "\"\"", 1, b.at ? b.len : 2, stdout);
    strbuf_fini(&b);
}

static void print_name(struct out *o, struct span name)
{
    if (o->json) {
        if (o->some)
            putchar(',');
        print_json(name);
        putchar(':');
    } else {
        printf("%*s%-*.*s ", 2 * o->indent, "", OUT_NAME_WIDTH, (int)name.len, name.at);
    }
    o->some = true;
}

void out_begin(struct out *o, const char *name)
{
    if (o->json && name)
        print_name(o, span_of(name));
    if (o->json)
        putchar('{');
    else if (name)
        printf("%s%*s%s\n", o->some && o->indent == 0 ? "\n" : "", 2 * o->indent, "", name);
    if (name)
        o->indent++;
    o->some = false;
}

void out_end(struct out *o)
{
    if (o->json)
        putchar('}');
    else if (!o->some && o->indent)
        printf("%*snone\n", 2 * o->indent, "");
    if (o->indent)
        o->indent--;
    else if (o->json)
        putchar('\n');
    o->some = true;
}

void out_text(struct out *o, const char *name, struct span value)
{
    print_name(o, span_of(name));
    if (o->json)
        print_json(value);
    else
        printf("%.*s\n", (int)value.len, value.at ? value.at : "");
}

void out_str(struct out *o, const char *name, const char *value)
{
    out_text(o, name, span_of(value));
}

void out_int(struct out *o, const char *name, int64_t n)
{
    print_name(o, span_of(name));
    printf(o->json ? "%lld" : "%lld\n", (long long)n);
}

void out_number(struct out *o, const char *name, double n)
{
    print_name(o, span_of(name));
    printf(o->json ? "%.9g" : "%.9g\n", n);
}

void out_bool(struct out *o, const char *name, bool yes)
{
    print_name(o, span_of(name));
    if (o->json)
        fputs(yes ? "true" : "false", stdout);
    else
        puts(yes ? "yes" : "no");
}

bool out_is_number(struct span s)
{
    size_t i = s.len && s.at[0] == '-' ? 1 : 0, digits = 0, dots = 0;
    if (i + 1 < s.len && s.at[i] == '0' && s.at[i + 1] != '.')
        return false;
    for (size_t at = i; at < s.len; at++) {
        if (s.at[at] >= '0' && s.at[at] <= '9')
            digits++;
        else if (s.at[at] == '.' && digits && ++dots == 1 && at + 1 < s.len)
            continue;
        else
            return false;
    }
    return digits > 0 && digits < 19;
}

void out_field(struct out *o, struct span name, struct span value)
{
    if (!o->json && value.len == 0)
        return;
    print_name(o, name);
    if (o->json && !out_is_number(value))
        print_json(value);
    else
        printf(o->json ? "%.*s" : "%.*s\n", (int)value.len, value.at);
}

void out_hash(struct out *o, const struct reply *hash)
{
    for (size_t i = 0; i + 1 < reply_count(hash); i += 2) {
        struct span name, value;
        if (reply_str(reply_at(hash, i), &name) && reply_str(reply_at(hash, i + 1), &value))
            out_field(o, name, value);
    }
}
