// link: the connections to Redis, and what is done each time it is there: load the scripts, ask
// what kind of Redis this is, keep what we hold, and only then work.
#include "worker/run/link.h"

#include "common/base/err.h"
#include "common/base/log.h"
#include "worker/run/run_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool info_field(struct span info, const char *name, char *ret, size_t room)
{
    size_t len = strlen(name);
    for (const char *at = info.at; at && at < info.at + info.len;) {
        const char *end = memchr(at, '\n', info.len - (size_t)(at - info.at));
        size_t line = end ? (size_t)(end - at) : info.len - (size_t)(at - info.at);
        if (line > len && memcmp(at, name, len) == 0 && at[len] == ':') {
            snprintf(ret, room, "%.*s", (int)(line - len - 1), at + len + 1);
            ret[strcspn(ret, "\r")] = '\0';
            return true;
        }
        at = end ? end + 1 : NULL;
    }
    return false;
}

// hold_recovery: after Redis was away nothing is recovered for one lease, so that living holders
// can renew what ran out meanwhile.
static void hold_recovery(struct run *r, struct span info)
{
    uint64_t now_ms = clock_mono_ms(), lease = (uint64_t)r->conf->lease_ms;
    char id[64] = "", uptime[32] = "0";
    info_field(info, "run_id", id, sizeof id);
    info_field(info, "uptime_in_seconds", uptime, sizeof uptime);
    uint64_t up_ms = strtoull(uptime, NULL, 10) * 1000;
    bool restarted = r->redis_run_id[0] ? strcmp(id, r->redis_run_id) != 0 : up_ms < lease;
    bool was_away = r->link_lost_ms && now_ms - r->link_lost_ms >= lease / 6;
    snprintf(r->redis_run_id, sizeof r->redis_run_id, "%s", id);
    if (restarted)
        r->recover_from_ms = MAX(r->recover_from_ms, now_ms + lease - MIN(up_ms, lease));
    if (was_away)
        r->recover_from_ms = MAX(r->recover_from_ms, now_ms + lease);
}

// warn_unsafe says once where this Redis may lose jobs, and what to write instead.
static void warn_unsafe(struct run *r, struct span info)
{
    static const struct {
        const char *field, *safe, *what, *set;
    } all[] = {
        {"maxmemory_policy", "noeviction", "it may throw jobs away when its memory is full",
         "maxmemory-policy noeviction"},
        {"aof_enabled", "1", "it keeps no append-only file: a restart of it loses jobs",
         "appendonly yes"},
    };
    unsigned found = 0;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        char value[64];
        if (!info_field(info, all[i].field, value, sizeof value) || !strcmp(value, all[i].safe))
            continue;
        found |= BIT(i);
        if (!(r->unsafe & BIT(i)))
            log_event(LOG_WARN, "redis_unsafe", log_str("redis", r->url_shown),
                      log_str("why", all[i].what), log_str("found", value),
                      log_str("set", all[i].set), LOG_END);
    }
    r->unsafe = found;
}

static void become_ready(struct run *r)
{
    uint64_t now_ms = clock_mono_ms();
    r->ready = true;
    r->stats.reconnects += r->began != 0;
    r->beat_at_ms = 0;
    bool first = r->began == 0;
    if (first)
        r->began = run_now(r);
    for (size_t i = 0; i < r->queue_count; i++) {
        struct wqueue *q = &r->queues[i];
        q->hot = !q->refused;
        q->send_at_ms = 0;
        q->renew_at_ms = now_ms; // first of all: keep what we hold
        q->tick_at_ms = now_ms;
        if (r->url.kind == RURL_SENTINEL && r->stats.reconnects && q->waiter)
            rlink_kick(q->waiter, "the master may be another"); // the old one may keep it waiting
    }
    log_event(LOG_INFO, "redis_up", log_str("redis", r->url_shown), LOG_END);
    if (first)
        gate_eager(r);
    pump(r);
}

static void on_info(int err, const struct reply *reply, void *arg)
{
    struct run *r = arg;
    struct span info = {"", 0};
    if (err == ERR_LINK_DOWN)
        return;
    reply_str(reply, &info);
    hold_recovery(r, info);
    warn_unsafe(r, info);
    become_ready(r);
}

static void on_scripts(int err, const char *why, void *arg)
{
    struct run *r = arg;
    const char *argv[] = {"INFO", "server", "memory", "persistence"};
    size_t lens[] = {4, 6, 6, 11};
    if (err == 0)
        err = rlink_call(r->link, 4, argv, lens, 0, on_info, r);
    if (err && err != ERR_LINK_DOWN) {
        log_event(LOG_ERROR, "redis_refused", log_str("why", why), LOG_END);
        rlink_kick(r->link, "its scripts could not be loaded");
    }
}

static void on_link_state(struct rlink *link, enum rlink_state state, const char *why, void *arg)
{
    struct run *r = arg;
    if (state == RLINK_UP) {
        int err = script_load_all(link, on_scripts, r);
        (void)err; // the link has gone again, and will report it
    } else if (state == RLINK_DOWN) {
        if (r->ready || !r->link_lost_ms)
            log_event(LOG_WARN, "redis_down", log_str("redis", r->url_shown), log_str("why", why),
                      LOG_END);
        r->link_lost_ms = r->ready || !r->link_lost_ms ? clock_mono_ms() : r->link_lost_ms;
        r->ready = false;
    }
}

int link_open(struct run *r, struct rlink **ret, const struct wqueue *waiter)
{
    struct rlink_options opt = {
        .url = &r->url,
        .client_name = waiter ? "penstock-wait" : "penstock-worker",
        .on_state = waiter ? NULL : on_link_state,
        .arg = r,
        .guide = waiter ? r->link : NULL,
        .key = waiter ? waiter->jobs : NULL,
    };
    return rlink_open(r->loop, &opt, ret);
}
