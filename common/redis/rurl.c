#include "common/redis/rurl.h"

#include "common/base/err.h"
#include "common/base/strbuf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// DESIGN  A malformed URL may hold the password anywhere ("redis://:secret" lacks its host), so
// complaints quote nothing of it but a port of at most five digits, and names of parameters.

enum {
    PORT_REDIS = 6379,
    PORT_SENTINEL = 26379,
    DB_MAX = 65535,
    // hiredis 0.14 copies a socket's path without its end where it fills sun_path (108 bytes).
    PATH_LEN_MAX = 106,
};

static const char example[] = "write redis://host:6379/0";

struct parse {
    struct rurl url; // what has been read so far
    char *why;
    size_t why_room;
};

static int refuse(struct parse *p, const char *what, const char *instead)
{
    snprintf(p->why, p->why_room, "redis-url: %s; %s", what, instead);
    return ERR_BAD_CONF;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// unescape undoes percent-escapes. "what" is for the complaint.
static int unescape(struct parse *p, struct span from, const char *what, char *ret, size_t room)
{
    char text[96];
    size_t n = 0;
    for (size_t i = 0; i < from.len; i++) {
        int c = (unsigned char)from.at[i];
        if (c == '%') {
            int high = i + 2 < from.len ? hex_digit(from.at[i + 1]) : -1;
            int low = i + 2 < from.len ? hex_digit(from.at[i + 2]) : -1;
            c = high < 0 || low < 0 ? 0 : high * 16 + low;
            i += 2;
        }
        if (c == 0) {
            snprintf(text, sizeof text, "a %% in the %s lacks its two hex digits, or they are 00",
                     what);
            return refuse(p, text, "write %25 for a plain one");
        }
        if (n + 1 >= room) {
            snprintf(text, sizeof text, "the %s is longer than %zu bytes", what, room - 1);
            return refuse(p, text, "use a shorter one");
        }
        ret[n++] = (char)c;
    }
    ret[n] = '\0';
    return 0;
}

// --- small parts ----------------------------------------------------------------------------

static struct span cut(struct span *rest, const char *stops)
{
    size_t len = 0;
    while (len < rest->len && !strchr(stops, rest->at[len]))
        len++;
    struct span head = {rest->at, len};
    *rest = (struct span){rest->at + len, rest->len - len};
    return head;
}

static bool skip(struct span *rest, const char *prefix)
{
    size_t len = strlen(prefix);
    if (rest->len < len || memcmp(rest->at, prefix, len) != 0)
        return false;
    *rest = (struct span){rest->at + len, rest->len - len};
    return true;
}

// number reads digits up to a ceiling; -1 for anything else.
static int number(struct span text, int most)
{
    int n = 0;
    if (text.len == 0 || text.len > 6)
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return -1;
        n = n * 10 + (text.at[i] - '0');
    }
    return n <= most ? n : -1;
}

static bool all_digits(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
    return text.len > 0;
}

static int take_db(struct parse *p, struct span text)
{
    int db = number(text, DB_MAX);
    if (db < 0)
        return refuse(p, "the database is not a number from 0 to 65535", example);
    p->url.db = db;
    return 0;
}

static int take_port(struct parse *p, struct span text, int *ret)
{
    char what[64];
    int port = number(text, 65535);
    if (port > 0) {
        *ret = port;
        return 0;
    }
    if (!all_digits(text) || text.len > 5)
        return refuse(p, "the port is not a number", example);
    snprintf(what, sizeof what, "port %.*s is not 1-65535", (int)text.len, text.at);
    return refuse(p, what, example);
}

static bool is_host(struct span host)
{
    static const char marks[] = ".-_:%"; // colon and percent: IPv6 and its scope
    for (size_t i = 0; i < host.len; i++) {
        unsigned char c = (unsigned char)host.at[i], low = c | 0x20;
        bool plain = (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || c >= 0x80;
        if (!plain && (c == '\0' || !strchr(marks, c)))
            return false;
    }
    return host.len > 0;
}

// take_host_port reads "host", "host:port", "[::1]" or "[::1]:port"; the brackets are not returned.
static int take_host_port(struct parse *p, struct span text, struct span *ret_host, int *ret_port)
{
    bool bracket = skip(&text, "[");
    struct span host = cut(&text, bracket ? "]" : ":");
    if (bracket && !skip(&text, "]"))
        return refuse(p, "an IPv6 address lacks its ]", "write redis://[::1]:6379/0");
    if (!bracket && text.len > 1 && memchr(text.at + 1, ':', text.len - 1))
        return refuse(p, "there is more than one colon after the host",
                      "write redis://host:6379/0, or an IPv6 address as redis://[::1]:6379/0");
    if (!is_host(host))
        return refuse(p, "the host is missing or has a character that no host has", example);
    *ret_host = host;
    if (text.len == 0)
        return 0;
    if (!skip(&text, ":"))
        return refuse(p, "something stands between the ] and the port",
                      "write redis://[::1]:6379/0");
    return take_port(p, text, ret_port);
}

// take_user reads "user:password@" off the authority, where it is there.
static int take_user(struct parse *p, struct span *authority)
{
    const char *at = authority->len ? memrchr(authority->at, '@', authority->len) : NULL;
    if (!at)
        return 0;
    struct span pair = {authority->at, (size_t)(at - authority->at)};
    *authority = (struct span){at + 1, authority->len - pair.len - 1};
    struct span user = cut(&pair, ":");
    if (unescape(p, user, "user", p->url.user, sizeof p->url.user))
        return ERR_BAD_CONF;
    skip(&pair, ":");
    return unescape(p, pair, "password", p->url.password, sizeof p->url.password);
}

// --- parameters -----------------------------------------------------------------------------

static int take_param(struct parse *p, struct span key, struct span value)
{
    static const char known[] = "known are db, and for rediss:// ca, cert and key";
    struct rurl *u = &p->url;
    if (span_is(key, "db"))
        return take_db(p, value);
    bool ca = span_is(key, "ca"), cert = span_is(key, "cert");
    if (!ca && !cert && !span_is(key, "key"))
        return refuse(p, "there is an unknown parameter after the ?", known);
    if (u->kind != RURL_TLS)
        return refuse(p, "ca, cert and key are for TLS", "write rediss://host:6379/0?ca=FILE");
    if (ca)
        return unescape(p, value, "ca", u->ca, sizeof u->ca);
    return cert ? unescape(p, value, "cert", u->cert, sizeof u->cert)
                : unescape(p, value, "key", u->key, sizeof u->key);
}

static int take_params(struct parse *p, struct span rest)
{
    while (skip(&rest, "?") || skip(&rest, "&")) {
        struct span value = cut(&rest, "&"), key = cut(&value, "=");
        skip(&value, "=");
        int err = take_param(p, key, value);
        if (err)
            return err;
    }
    if (!p->url.cert[0] != !p->url.key[0])
        return refuse(p, "cert and key go together", "give both, or neither");
    return 0;
}

// --- one function a kind --------------------------------------------------------------------

static int take_host_url(struct parse *p, struct span authority, struct span path)
{
    struct span host = span_of("127.0.0.1");
    p->url.port = PORT_REDIS;
    if (authority.len > 0 && take_host_port(p, authority, &host, &p->url.port))
        return ERR_BAD_CONF;
    if (host.len >= sizeof p->url.host)
        return refuse(p, "the host is too long", example);
    memcpy(p->url.host, host.at, host.len);
    return path.len > 0 ? take_db(p, path) : 0;
}

static int take_unix_url(struct parse *p, struct span authority, struct span path)
{
    static const char instead[] = "write unix:///path/to/redis.sock";
    struct span full = {path.at - 1, path.len + 1}; // with its slash
    if (authority.len > 0)
        return refuse(p, "a socket's path begins with /", instead);
    if (path.len == 0)
        return refuse(p, "the socket's path is missing", instead);
    if (full.len > PATH_LEN_MAX)
        return refuse(p, "the socket's path is longer than 106 bytes", "use a shorter one");
    memcpy(p->url.host, full.at, full.len);
    return 0;
}

static int take_one_sentinel(struct parse *p, struct span one, struct strbuf *list)
{
    struct span host;
    int port = PORT_SENTINEL;
    if (take_host_port(p, one, &host, &port))
        return ERR_BAD_CONF;
    bool ipv6 = memchr(host.at, ':', host.len) != NULL;
    strbuf_add_fmt(list, "%s%s%.*s%s:%d", list->len ? "," : "", ipv6 ? "[" : "", (int)host.len,
                   host.at, ipv6 ? "]" : "", port);
    return 0;
}

static int take_sentinel_url(struct parse *p, struct span authority, struct span path)
{
    static const char instead[] = "write redis+sentinel://host:26379,host:26379/mymaster/0";
    struct strbuf list;
    int err = 0;
    strbuf_init(&list, sizeof p->url.host - 1);
    if (authority.len == 0)
        return refuse(p, "no Sentinel is named", instead);
    do
        err = take_one_sentinel(p, cut(&authority, ","), &list);
    while (!err && skip(&authority, ","));
    if (!err && strbuf_failed(&list))
        err = refuse(p, "the list of Sentinels is longer than 255 bytes", "name fewer");
    if (!err)
        memcpy(p->url.host, list.at, list.len);
    strbuf_fini(&list);
    struct span master = cut(&path, "/");
    if (!err && master.len == 0)
        err = refuse(p, "the master's name is missing", instead);
    if (!err)
        err = unescape(p, master, "master's name", p->url.master, sizeof p->url.master);
    if (err || !skip(&path, "/") || path.len == 0)
        return err;
    return take_db(p, path);
}

// --- the whole ------------------------------------------------------------------------------

static bool take_scheme(struct span *rest, enum rurl_kind *ret)
{
    static const struct {
        const char *prefix;
        enum rurl_kind kind;
    } schemes[] = {{"redis://", RURL_TCP},
                   {"rediss://", RURL_TLS},
                   {"unix://", RURL_UNIX},
                   {"redis+sentinel://", RURL_SENTINEL}};
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (skip(rest, schemes[i].prefix)) {
            *ret = schemes[i].kind;
            return true;
        }
    return false;
}

static int parse_rest(struct parse *p, struct span rest)
{
    struct span authority = cut(&rest, "/?");
    skip(&rest, "/");
    struct span path = cut(&rest, "?");
    bool has_user = memchr(authority.at, '@', authority.len) != NULL;
    if (authority.len > 0 && !has_user && memchr(path.at, '@', path.len))
        return refuse(p, "a / stands before the @", "in a user or password write %2F for it");
    int err = take_user(p, &authority);
    if (!err && p->url.kind == RURL_UNIX)
        err = take_unix_url(p, authority, path);
    else if (!err && p->url.kind == RURL_SENTINEL)
        err = take_sentinel_url(p, authority, path);
    else if (!err)
        err = take_host_url(p, authority, path);
    return err ? err : take_params(p, rest);
}

int rurl_parse(const char *text, struct rurl *ret, char *ret_why, size_t why_room)
{
    struct parse p = {.why = ret_why, .why_room = why_room};
    struct span rest = span_of(text);
    if (rest.len == 0)
        return refuse(&p, "it is empty", example);
    if (!take_scheme(&rest, &p.url.kind))
        return refuse(&p, "it begins with none of redis://, rediss://, unix://, redis+sentinel://",
                      example);
    int err = parse_rest(&p, rest);
    if (!err)
        *ret = p.url;
    explicit_bzero(&p.url, sizeof p.url);
    return err;
}

void rurl_show(const struct rurl *u, char *ret, size_t room)
{
    char db[16] = "";
    if (u->db != 0)
        snprintf(db, sizeof db, "%d", u->db);
    if (u->kind == RURL_UNIX)
        snprintf(ret, room, "unix://%s%s%s", u->host, db[0] ? "?db=" : "", db);
    else if (u->kind == RURL_SENTINEL)
        snprintf(ret, room, "redis+sentinel://%s/%s%s%s", u->host, u->master, db[0] ? "/" : "", db);
    else
        snprintf(ret, room, strchr(u->host, ':') ? "%s://[%s]:%d%s%s" : "%s://%s:%d%s%s",
                 u->kind == RURL_TLS ? "rediss" : "redis", u->host, u->port, db[0] ? "/" : "", db);
}
