// conf_check: what a text must look like to be a URL, a prefix, a model or an address. No message
// quotes a value, since URLs may hold passwords.
#include "common/base/attrs.h"
#include "common/base/err.h"
#include "common/conf/conf_int.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char LETTERS_DIGITS[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

static bool only_of(const char *text, const char *more, size_t most)
{
    size_t len = 0;
    for (; text[len]; len++)
        if (!strchr(LETTERS_DIGITS, text[len]) && !strchr(more, text[len]))
            return false;
    return len >= 1 && len <= most;
}

static int refuse(char *ret_why, size_t room, const char *why)
{
    snprintf(ret_why, room, "%s", why);
    return ERR_BAD_CONF;
}

// conf_check_redis_url looks at the scheme only: common/redis/rurl reads the rest.
int conf_check_redis_url(char *text, char *ret_why, size_t room)
{
    static const char *const schemes[] = {"redis://", "rediss://", "redis+sentinel://", "unix://"};
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (strncmp(text, schemes[i], strlen(schemes[i])) == 0)
            return 0;
    return refuse(ret_why, room,
                  "does not begin with redis://, rediss://, redis+sentinel:// or unix://; write "
                  "redis://HOST:PORT, such as redis://127.0.0.1:6379");
}

int conf_check_prefix(char *text, char *ret_why, size_t room)
{
    if (only_of(text, "._-:", 64))
        return 0;
    return refuse(ret_why, room, "a prefix is 1-64 of A-Z a-z 0-9 . _ - : and has no braces");
}

int conf_check_version(char *text, char *ret_why, size_t room)
{
    if (only_of(text, ".-", 64))
        return 0;
    return refuse(ret_why, room, "is not a version of the API; write a date, such as 2023-06-01");
}

int conf_check_model(char *text, char *ret_why, size_t room)
{
    if (only_of(text, "._:/@-", 128))
        return 0;
    return refuse(ret_why, room, "a model is 1-128 of A-Z a-z 0-9 . _ : / @ -");
}

static bool is_port(const char *text, long least)
{
    size_t digits = strspn(text, "0123456789");
    long port = digits && digits <= 5 && !text[digits] ? strtol(text, NULL, 10) : -1;
    return port >= least && port <= 65535;
}

// authority_is_sane checks HOST, HOST:PORT, [V6] or [V6]:PORT.
static bool authority_is_sane(const char *at, size_t len)
{
    char host[256];
    if (len == 0 || len >= sizeof host)
        return false;
    memcpy(host, at, len);
    host[len] = '\0';
    char *port = NULL;
    if (host[0] == '[') {
        char *close = strchr(host, ']');
        unsigned char raw[16];
        if (!close || (close[1] && close[1] != ':'))
            return false;
        port = close[1] ? close + 2 : NULL;
        *close = '\0';
        return inet_pton(AF_INET6, host + 1, raw) == 1 && (!port || is_port(port, 1));
    }
    char *colon = strchr(host, ':');
    if (colon) {
        *colon = '\0';
        port = colon + 1;
    }
    return only_of(host, ".-_", 253) && (!port || is_port(port, 1));
}

// strip_slashes shortens text by its trailing slashes.
static void strip_slashes(char *text)
{
    size_t len = strlen(text);
    while (len && text[len - 1] == '/')
        text[--len] = '\0';
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), tail = strlen(end);
    return len >= tail && strcmp(text + len - tail, end) == 0;
}

int conf_check_base_url(char *text, char *ret_why, size_t room)
{
    bool tls = strncasecmp(text, "https://", 8) == 0;
    if (!tls && strncasecmp(text, "http://", 7) != 0)
        return refuse(ret_why, room,
                      "does not begin with https:// or http://; write the API's address, such as "
                      "https://api.anthropic.com");
    const char *host = text + (tls ? 8 : 7);
    strip_slashes(text + (tls ? 8 : 7));
    size_t len = strcspn(host, "/?#");
    if (memchr(host, '@', len))
        return refuse(ret_why, room,
                      "holds a user or a password; leave out what stands before the @: the key "
                      "goes into ANTHROPIC_API_KEY or ANTHROPIC_API_KEY_FILE");
    if (strpbrk(text, "?# "))
        return refuse(ret_why, room,
                      "holds a query, a fragment or a blank; write the bare address");
    if (!authority_is_sane(host, len))
        return refuse(ret_why, room,
                      "holds no valid host and port; write https://HOST or https://HOST:PORT");
    if (ends_with(host, "/v1") || strstr(host, "/v1/"))
        return refuse(ret_why, room,
                      "leave /v1 and what follows it out: the path of the API is added to it");
    return 0;
}

int conf_check_proxy(char *text, char *ret_why, size_t room)
{
    static const char *const schemes[] = {"http",    "https",  "socks4",
                                          "socks4a", "socks5", "socks5h"};
    const char *colons = strstr(text, "://");
    bool known = !colons;
    for (size_t i = 0; colons && i < ARRAY_LEN(schemes); i++)
        known |= strlen(schemes[i]) == (size_t)(colons - text) &&
                 strncmp(text, schemes[i], strlen(schemes[i])) == 0;
    const char *rest = colons ? colons + 3 : text;
    const char *at = strrchr(rest, '@');
    const char *host = at ? at + 1 : rest;
    size_t len = strcspn(host, "/");
    if (known && authority_is_sane(host, len) && (!host[len] || !host[len + 1]))
        return 0;
    return refuse(ret_why, room,
                  "is not a proxy's address; write http://HOST:PORT, or https, socks4, socks4a, "
                  "socks5 or socks5h in place of http");
}

// usd reads an amount of dollars as billionths; -1 = it is none.
static int64_t usd(const char *text)
{
    int64_t nano = 0;
    int digits = 0, after = -1;
    for (; *text; text++) {
        if (*text == '.' && after < 0) {
            after = 0;
            continue;
        }
        if (*text < '0' || *text > '9' || after >= 9 || nano > INT64_MAX / 100)
            return -1;
        nano = nano * 10 + (*text - '0');
        digits++;
        after += after >= 0;
    }
    for (int i = after < 0 ? 0 : after; digits && i < 9; i++)
        nano = nano > INT64_MAX / 10 ? -1 : nano * 10;
    return digits ? nano : -1;
}

int64_t conf_nano_usd(const char *text)
{
    int64_t nano = text ? usd(text) : 0;
    return nano > 0 ? nano : 0;
}

int conf_check_usd(char *text, char *ret_why, size_t room)
{
    int64_t nano = usd(text);
    if (nano >= 0 && nano <= 1000000 * INT64_C(1000000000))
        return 0;
    return refuse(ret_why, room, "is no amount; write dollars, such as 25 or 12.50, up to 1000000");
}

int conf_check_http(char *text, char *ret_why, size_t room)
{
    unsigned char raw[16];
    char *colon = strrchr(text, ':');
    if (strcmp(text, "off") == 0)
        return 0;
    bool good = false;
    if (colon && is_port(colon + 1, 0)) {
        *colon = '\0';
        char *close = text[0] == '[' ? strchr(text, ']') : NULL;
        if (close && close + 1 == colon) {
            *close = '\0';
            good = inet_pton(AF_INET6, text + 1, raw) == 1;
            *close = ']';
        } else {
            good = inet_pton(AF_INET, text, raw) == 1;
        }
        *colon = ':';
    }
    if (good)
        return 0;
    return refuse(ret_why, room,
                  "is not ADDRESS:PORT; write an address of this machine and a port, such as "
                  "127.0.0.1:9470, 0.0.0.0:9470 or [::1]:9470, or off");
}
