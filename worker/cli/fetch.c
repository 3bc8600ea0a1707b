#include "worker/cli/fetch.h"

#include "common/base/err.h"
#include "common/base/scan.h"

#include <string.h>
#include <uv.h>

struct round {
    struct fetch *of;
    size_t pending;
    bool broke;
};

static void on_result(int err, const struct reply *reply, void *arg)
{
    struct round *r = arg;
    struct span text;
    r->pending--;
    r->broke = r->broke || err == ERR_LINK_DOWN;
    if (err == 0 && reply_str(reply, &text))
        r->of->take(text, r->of->arg);
}

bool fetch_add(struct fetch *f, struct span id)
{
    if (f->count < FETCH_MAX && id_is_valid(id.at, id.len)) {
        memcpy(f->ids[f->count], id.at, id.len);
        f->ids[f->count++][id.len] = '\0';
    }
    return f->count == FETCH_MAX;
}

int fetch_run(struct cli *c, struct fetch *f)
{
    struct round r = {.of = f};
    struct rlink *link = sync_link(c->redis);
    for (size_t i = 0; i < f->count && !r.broke; i++) {
        char key[CLI_KEY_MAX];
        cli_id_key(c, "result", f->ids[i], key);
        const char *argv[] = {"GET", key};
        size_t lens[] = {3, strlen(key)};
        if (rlink_call(link, 2, argv, lens, 0, on_result, &r))
            r.broke = true;
        else
            r.pending++;
    }
    while (r.pending)
        uv_run(sync_loop(c->redis), UV_RUN_ONCE);
    f->count = 0;
    return r.broke ? cli_fail(c, EXIT_NO_REDIS, "the connection to Redis broke: %s; run it again",
                              rlink_why(link))
                   : 0;
}

bool fetch_field_is(struct span result, const char *field, const char *text)
{
    struct scan_value value;
    struct span word;
    return scan_get(scan_root(result.at, result.len), field, &value) && scan_str(value, &word) &&
           span_is(word, text);
}
