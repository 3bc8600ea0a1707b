// account: the API's keys, and which of them the next call takes.
#include "worker/run/account.h"

#include "common/base/err.h"
#include "common/base/log.h"
#include "worker/run/run_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { URL_BYTES_MAX = 2048, REST_FIRST_MS = 60000, REST_MOST_MS = 900000, TRY_MS = 60000 };

static int make_target(struct run *r, const struct conf *c, const char *key,
                       struct http_target **ret)
{
    enum { LINES_MAX = 16 };
    struct strbuf text;
    char url[URL_BYTES_MAX], *lines[LINES_MAX + 1] = {0};
    strbuf_init(&text, 16 * 1024);
    r->provider->headers(key, c->api_version, c->auth, &text);
    size_t n = 0;
    char *rest = text.at;
    for (char *line; n < LINES_MAX && rest && (line = strsep(&rest, "\n")) != NULL;)
        if (line[0])
            lines[n++] = line;
    snprintf(url, sizeof url, "%s%s", c->base_url, r->provider->path);
    int err = text.err; // half a version or half a key would fail every job
    if (!err)
        err = http_target_new(r->http, url, (const char *const *)lines, ret);
    if (text.at)
        explicit_bzero(text.at, text.room);
    strbuf_fini(&text);
    return err;
}

void accounts_hide(const struct conf *c, char *text, size_t len)
{
    enum { KEY_LEAST = 8 }; // a shorter one cannot be told from a word
    struct conf_key keys[CONF_KEYS_MAX];
    int count = len ? conf_keys(c, keys) : 0;
    for (int i = 0; i < count; i++) {
        char *at = text, *end = text + len;
        while (keys[i].len >= KEY_LEAST &&
               (at = memmem(at, (size_t)(end - at), keys[i].key, keys[i].len)) != NULL) {
            memset(at, '*', keys[i].len);
            at += keys[i].len;
        }
    }
}

struct account *accounts_find(const struct accounts *a, const char *name)
{
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->at[i].name, name) == 0)
            return &a->at[i];
    return NULL;
}

static int add_key(struct run *r, const struct conf *c, struct accounts *all,
                   const struct conf_key *key)
{
    struct account *a = accounts_find(all, key->account);
    if (!a) {
        a = &all->at[all->count];
        a->keys = calloc(CONF_KEYS_MAX, sizeof *a->keys);
        if (!a->keys)
            return ERR_NOMEM;
        all->count++;
        memcpy(a->name, key->account, sizeof a->name);
    }
    struct api_key *k = &a->keys[a->count];
    char *text = strndup(key->key, key->len);
    if (!text)
        return ERR_NOMEM;
    memcpy(k->name, key->name, sizeof k->name);
    int err = make_target(r, c, text, &k->target);
    explicit_bzero(text, key->len);
    free(text);
    a->count += err == 0;
    return err;
}

int accounts_make(struct run *r, const struct conf *c, struct accounts *ret)
{
    struct conf_key keys[CONF_KEYS_MAX];
    int count = conf_keys(c, keys), err = 0;
    *ret = (struct accounts){.generation = r->accounts.generation + 1};
    ret->at = calloc(CONF_KEYS_MAX, sizeof *ret->at);
    if (!ret->at)
        return ERR_NOMEM;
    for (int i = 0; i < count && !err; i++)
        err = add_key(r, c, ret, &keys[i]);
    if (err)
        accounts_drop(ret);
    return err;
}

void accounts_drop(struct accounts *all)
{
    for (size_t i = 0; i < all->count; i++) {
        struct account *a = &all->at[i];
        for (size_t k = 0; k < a->count; k++)
            http_target_unref(a->keys[k].target);
        free(a->keys);
    }
    free(all->at);
    *all = (struct accounts){.generation = all->generation};
}

struct api_key *account_pick(const struct run *r, struct account *a, uint64_t now_ms,
                             struct which_key *ret)
{
    size_t best = a->turn % a->count;
    for (size_t i = 0; i < a->count; i++) {
        size_t at = (a->turn + i) % a->count;
        if (a->keys[at].rests_until_ms <= now_ms) {
            best = at;
            break;
        }
        if (a->keys[at].rests_until_ms < a->keys[best].rests_until_ms)
            best = at;
    }
    a->turn = best + 1;
    struct api_key *k = &a->keys[best];
    if (k->rest_ms > 0) { // one call tries it
        k->rests_until_ms = now_ms + TRY_MS;
        k->trying = true;
    }
    *ret = (struct which_key){r->accounts.generation, best};
    return k;
}

static struct api_key *key_of(const struct run *r, struct account *a, struct which_key key)
{
    bool known = a && key.generation == r->accounts.generation && key.at < a->count;
    return known ? &a->keys[key.at] : NULL;
}

bool account_rest(const struct run *r, struct account *a, struct which_key key, int64_t wait_ms,
                  uint64_t now_ms)
{
    struct api_key *k = key_of(r, a, key);
    bool other = false;
    if (!k)
        return true; // of a key that is not in use any more
    for (size_t i = 0; i < a->count; i++)
        other |= &a->keys[i] != k && a->keys[i].rests_until_ms <= now_ms;
    if (a->count == 1)
        return false;
    if (k->rests_until_ms > now_ms && !k->trying)
        return other; // known from a call that was under way beside this one
    k->trying = false;
    log_event(LOG_WARN, "key_rests", log_str("account", a->name), log_str("key", k->name), LOG_END);
    k->rest_ms = k->rest_ms ? MIN(2 * k->rest_ms, (int64_t)REST_MOST_MS) : REST_FIRST_MS;
    k->rests_until_ms = now_ms + (uint64_t)(wait_ms >= 0 ? wait_ms : k->rest_ms);
    return other;
}

void account_well(const struct run *r, struct account *a, struct which_key key)
{
    struct api_key *k = key_of(r, a, key);
    if (k)
        k->rests_until_ms = 0, k->rest_ms = 0, k->trying = false;
}
