// action: the few things a viewer may do. Each is one command or script, and one line in the log
// with who asked for it.
#include "common/base/err.h"
#include "worker/admin/admin_int.h"

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <math.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDS_MAX = 100 };

// name_who writes where the request came from, and whom it says it is of.
static void name_who(struct request *q, char *ret, size_t room)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(q->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *at = info ? info->client_addr : NULL;
    const char *name =
        MHD_lookup_connection_value(q->connection, MHD_HEADER_KIND, "X-Penstock-Who");
    char host[64] = "?";
    if (at && at->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)at)->sin_addr, host, sizeof host);
    else if (at && at->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)at)->sin6_addr, host, sizeof host);
    snprintf(ret, room, "%.64s%s%s", name ? name : "", name && name[0] ? "@" : "", host);
}

static const char *text_of(const cJSON *body, const char *name)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(body, name);
    return cJSON_IsString(v) ? v->valuestring : "";
}

static void heard_done(struct request *q, int err, const struct reply *reply)
{
    size_t done = 0, left = 0;
    if (err) {
        server_refuse(q, 503, err == ERR_LINK_DOWN ? "no connection to Redis" : reply_text(reply));
        return;
    }
    for (size_t i = 1; i < reply_count(reply); i++) {
        done += reply_int_or(reply_at(reply, i), 0) == 1;
        left += reply_int_or(reply_at(reply, i), 0) == 2;
    }
    strbuf_add_fmt(&q->answer, "{\"done\":%zu,\"left\":%zu}\n", reply_count(reply) ? done : 1,
                   left);
}

static void heard_pool(struct request *q, int err, const struct reply *reply)
{
    heard_done(q, err, reply);
    run_look_again(q->admin->run);
}

static void tell(struct request *q, int argc, const char **argv, const char *note,
                 void (*heard)(struct request *q, int err, const struct reply *reply))
{
    struct ask *ask = api_ask_new(q, heard);
    if (!ask) {
        server_refuse(q, 503, "out of memory");
        return;
    }
    ask->action = true;
    snprintf(ask->note, sizeof ask->note, "%s", note);
    name_who(q, ask->who, sizeof ask->who);
    if (run_tell(q->admin->run, argc, argv, api_heard, ask))
        api_ask_failed(q, ask);
}

// ------------------------------------------------------------------------------------ queues

static void pause_queue(struct request *q, const cJSON *body, bool pause)
{
    char key[600], note[256];
    const char *name = text_of(body, "queue"), *why = text_of(body, "reason");
    const char *stem = api_queue(q->admin, name);
    if (!stem) {
        server_refuse(q, 404, "queue is none of this worker's");
        return;
    }
    snprintf(key, sizeof key, "%spaused", stem);
    snprintf(note, sizeof note, "%s queue %s", pause ? "pause" : "resume", name);
    const char *set[] = {"SET", key, why[0] ? why : "paused from the dashboard"};
    const char *del[] = {"DEL", key};
    tell(q, pause ? 3 : 2, pause ? set : del, note, heard_done);
}

static void dead(struct request *q, const cJSON *body, const char *what)
{
    char note[256];
    const char *argv[IDS_MAX + 2] = {what, api_queue(q->admin, text_of(body, "queue"))};
    const cJSON *ids = cJSON_GetObjectItemCaseSensitive(body, "ids"), *id;
    int argc = 2;
    if (!argv[1]) {
        server_refuse(q, 404, "queue is none of this worker's");
        return;
    }
    cJSON_ArrayForEach(id, ids)
    {
        if (argc < IDS_MAX + 2 && cJSON_IsString(id))
            argv[argc++] = id->valuestring;
    }
    if (argc == 2 || cJSON_GetArraySize(ids) > IDS_MAX) {
        server_refuse(q, 400, "ids: name 1 to 100 jobs");
        return;
    }
    snprintf(note, sizeof note, "%s %d of queue %s, the first %.64s", what, argc - 2,
             text_of(body, "queue"), argv[2]);
    tell(q, argc, argv, note, heard_done);
}

static void cancel(struct request *q, const cJSON *body)
{
    char key[600], note[256];
    const char *id = text_of(body, "id"), *stem = api_queue(q->admin, text_of(body, "queue"));
    if (!stem || !id[0] || strlen(id) > 128) {
        server_refuse(q, stem ? 400 : 404, stem ? "id: name one job" : "queue is none of ours");
        return;
    }
    snprintf(key, sizeof key, "%scancel", stem);
    snprintf(note, sizeof note, "cancel %s of queue %s", id, text_of(body, "queue"));
    const char *argv[] = {"SADD", key, id};
    tell(q, 3, argv, note, heard_done);
}

static void cancel_run(struct request *q, const cJSON *body)
{
    char who[160];
    const char *run = text_of(body, "run"), *queue = text_of(body, "queue");
    if (!api_queue(q->admin, queue)) {
        server_refuse(q, 404, "queue is none of this worker's");
        return;
    }
    if (!name_is_valid(run, strlen(run))) {
        server_refuse(q, 400, "run: name one run");
        return;
    }
    name_who(q, who, sizeof who);
    int err = cancel_run_start(q->admin, queue, run, who);
    if (err == ERR_TOO_BIG)
        server_refuse(q, 409, "another run is being cancelled; try again when that is done");
    else if (err)
        server_refuse(q, 503, err_text(err));
    else
        strbuf_add_str(&q->answer, "{\"begun\":true}\n");
    q->done = true;
}

// ------------------------------------------------------------------------------------ pools

static void pause_pool(struct request *q, const cJSON *body, bool pause)
{
    char note[256];
    struct pool_view p;
    const char *name = text_of(body, "pool"), *why = text_of(body, "reason");
    if (!api_pool(q->admin, name, &p)) {
        server_refuse(q, 404, "pool is none that this worker has met");
        return;
    }
    snprintf(note, sizeof note, "%s pool %.200s", pause ? "pause" : "resume", name);
    const char *shut[] = {"pool_shut", p.key, "paused",
                          "-1",        "0",   why[0] ? why : "paused from the dashboard"};
    const char *open[] = {"pool_open", p.key, "0", "0"};
    tell(q, pause ? 6 : 4, pause ? shut : open, note, heard_pool);
}

static int kind_of(const char *word)
{
    for (int k = 0; k < KINDS; k++)
        if (strcmp(word, kind_name((enum kind)k)) == 0)
            return k;
    return -1;
}

// limit_pool sets a limit of one's own beside the API's, or takes it away (docs/governor.md).
static void limit_pool(struct request *q, const cJSON *body)
{
    char note[256], value[32] = "";
    struct pool_view p;
    const char *name = text_of(body, "pool"), *kind = text_of(body, "kind");
    const cJSON *n = cJSON_GetObjectItemCaseSensitive(body, "per_minute");
    double most = cJSON_IsNumber(n) ? n->valuedouble : 0;
    bool set = !cJSON_IsNull(n);
    if (!api_pool(q->admin, name, &p))
        server_refuse(q, 404, "pool is none that this worker has met");
    else if (kind_of(kind) < 0)
        server_refuse(q, 400, "kind: requests, input or output");
    else if (!n || (set && (most < 1 || most > 1e12 || most != floor(most))))
        server_refuse(q, 400, "per_minute: a whole number of 1 or more, or null for no limit");
    if (q->done)
        return;
    if (set)
        snprintf(value, sizeof value, "%.0f", most);
    snprintf(note, sizeof note, "limit pool %.160s %s %s", name, kind, set ? value : "none");
    const char *argv[] = {"pool_limit", p.key, kind, value};
    tell(q, 4, argv, note, heard_pool);
}

bool action_post(struct request *q, const char *path)
{
    cJSON *body = cJSON_ParseWithLength(q->body.at ? q->body.at : "", q->body.len);
    bool known = true;
    if (!cJSON_IsObject(body))
        server_refuse(q, 400, "the body is no JSON object");
    else if (strcmp(path, "queues/pause") == 0 || strcmp(path, "queues/resume") == 0)
        pause_queue(q, body, path[7] == 'p');
    else if (strcmp(path, "pools/pause") == 0 || strcmp(path, "pools/resume") == 0)
        pause_pool(q, body, path[6] == 'p');
    else if (strcmp(path, "pools/limit") == 0)
        limit_pool(q, body);
    else if (strcmp(path, "dead/retry") == 0)
        dead(q, body, "dead_retry");
    else if (strcmp(path, "dead/drop") == 0)
        dead(q, body, "dead_drop");
    else if (strcmp(path, "cancel") == 0)
        cancel(q, body);
    else if (strcmp(path, "runs/cancel") == 0)
        cancel_run(q, body);
    else
        known = false;
    cJSON_Delete(body);
    return known;
}
