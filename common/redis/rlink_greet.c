// rlink_greet: what is said first on a new connection, all of it at once: AUTH, SELECT, CLIENT
// SETNAME, ROLE where a Sentinel sent us or a write was refused, and a PING, whose answer means
// that Redis is there, has let us in and has loaded its data. Then, whether it is a node of a
// cluster: any error that CLUSTER SLOTS meets means that it is not.
#include "common/base/err.h"
#include "common/redis/rlink_int.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum step { STEP_AUTH, STEP_SELECT, STEP_NAME, STEP_ROLE, STEP_PING, STEP_SLOTS };

static const char *const names[] = {"AUTH", "SELECT", "CLIENT SETNAME",
                                    "ROLE", "PING",   "CLUSTER SLOTS"};

void rgreet_refusal(const struct rlink *l, const char *what, const struct reply *r, char *ret,
                    size_t room)
{
    const char *text = reply_text(r), *secret = l->url->password;
    // Old servers repeat the words of a command they do not know.
    if (secret[0] && strstr(text, secret))
        snprintf(ret, room, "%s was refused", what);
    else
        snprintf(ret, room, "%s was refused: %s", what, text);
}

static void refuse(struct rlink *l, enum step step, const struct reply *r)
{
    char why[RLINK_WHY_MAX];
    rgreet_refusal(l, names[step], r, why, sizeof why);
    rlink_lost(l, "%s", why);
}

// is_pong: an error that only says "you may not PING" means the same.
static bool is_pong(const struct reply *r)
{
    return strcmp(reply_text(r), "PONG") == 0 || reply_is_error(r, "NOPERM");
}

static bool is_master(const struct reply *role)
{
    struct span word;
    return reply_str(reply_at(role, 0), &word) && span_is(word, "master");
}

static int say(struct rlink *l, enum step step, int argc, const char **argv);

static void ask_slots(struct rlink *l)
{
    const char *slots[] = {"CLUSTER", "SLOTS"};
    if (l->alone || l->guide || l->url->kind == RURL_SENTINEL)
        rlink_up(l);
    else if (say(l, STEP_SLOTS, 2, slots))
        rlink_lost(l, "the greeting could not be sent");
}

static void take_slots(struct rlink *l, const struct reply *r)
{
    int err = rcluster_learn(l, r, l->dial.port ? l->dial.host : "127.0.0.1");
    if (!err)
        rlink_up(l);
    else
        rlink_lost(l, "%s", err == ERR_NOMEM ? err_text(err) : "its cluster serves no slot yet");
}

static void take_answer(struct rlink *l, enum step step, const struct reply *r)
{
    if (step == STEP_NAME)
        return; // a name is a courtesy; an ACL may forbid it
    if (step == STEP_PING && is_pong(r))
        ask_slots(l);
    else if (step == STEP_SLOTS)
        take_slots(l, r);
    else if (step == STEP_ROLE && reply_is_error(r, "NOPERM") && l->url->kind != RURL_SENTINEL)
        return; // then the next write tells
    else if (reply_is_error(r, ""))
        refuse(l, step, r);
    else if (step == STEP_ROLE && !is_master(r))
        rlink_lost(l, l->url->kind == RURL_SENTINEL
                          ? "the server that Sentinel named is not a master"
                          : "it is a replica, no master");
    else if (step == STEP_PING)
        rlink_lost(l, "what answers there is not Redis");
}

static void on_answer(redisAsyncContext *ctx, void *reply, void *arg)
{
    struct rsock *s = rsock_of(ctx, reply);
    if (s)
        take_answer(s->link, (enum step)(uintptr_t)arg, reply);
}

static int say(struct rlink *l, enum step step, int argc, const char **argv)
{
    return rsock_send(l->sock, on_answer, (void *)(uintptr_t)step, argc, argv, NULL);
}

int rgreet_auth(struct rlink *l, redisCallbackFn *fn, void *arg)
{
    const char *with_user[] = {"AUTH", l->url->user, l->url->password};
    const char *without[] = {"AUTH", l->url->password};
    if (l->url->user[0])
        return rsock_send(l->sock, fn, arg, 3, with_user, NULL);
    return rsock_send(l->sock, fn, arg, 2, without, NULL);
}

void rgreet_start(struct rlink *l)
{
    char db[16];
    const char *select[] = {"SELECT", db}, *role[] = {"ROLE"}, *ping[] = {"PING"};
    const char *name[] = {"CLIENT", "SETNAME", l->client_name};
    int err = 0;
    snprintf(db, sizeof db, "%d", l->url->db);
    if (l->url->user[0] || l->url->password[0])
        err = rgreet_auth(l, on_answer, (void *)(uintptr_t)STEP_AUTH);
    if (!err && l->url->db != 0)
        err = say(l, STEP_SELECT, 2, select);
    if (!err && l->client_name[0])
        err = say(l, STEP_NAME, 3, name);
    if (!err && (l->url->kind == RURL_SENTINEL || l->demoted))
        err = say(l, STEP_ROLE, 1, role);
    if (!err)
        err = say(l, STEP_PING, 1, ping);
    if (err)
        rlink_lost(l, "the greeting could not be sent");
}
