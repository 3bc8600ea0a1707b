// conf_queues: the list of queues and their weights, "interactive:10,bulk:1".
#include "common/base/err.h"
#include "common/conf/conf_int.h"

#include <stdlib.h>
#include <string.h>

enum { QUEUES_MAX = 1000, WEIGHT_MAX = 1000 };

static const char NAME_BYTES[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

// read_weight reads plain digits from 1 to WEIGHT_MAX; 0 = something else stands there.
static int64_t read_weight(const char *at, size_t len)
{
    int64_t weight = 0;
    if (len == 0 || len > 4)
        return 0;
    for (size_t i = 0; i < len; i++) {
        if (at[i] < '0' || at[i] > '9')
            return 0;
        weight = weight * 10 + (at[i] - '0');
    }
    return weight <= WEIGHT_MAX ? weight : 0;
}

// read_item reads "name" or "name:weight". A reason goes to ret_why.
static int read_item(const char *at, size_t len, struct conf_queue *ret, char *ret_why, size_t room)
{
    int shown = len > 80 ? 80 : (int)len;
    const char *colon = memchr(at, ':', len);
    size_t name_len = colon ? (size_t)(colon - at) : len, good = 0;
    while (good < name_len && strchr(NAME_BYTES, at[good]))
        good++;
    if (name_len == 0 || good < name_len || name_len >= sizeof ret->name) {
        snprintf(
            ret_why, room,
            len ? "\"%.*s\" is no queue; a name is 1-64 of A-Z a-z 0-9 . _ -, a weight may "
                  "follow: bulk:1"
                : "%.*sa name is missing; write names with commas between: interactive:10,bulk:1",
            shown, at);
        return ERR_BAD_CONF;
    }
    int64_t weight = colon ? read_weight(colon + 1, len - name_len - 1) : 1;
    if (weight == 0) {
        snprintf(ret_why, room, "\"%.*s\": a weight is a whole number, 1-%d, such as bulk:1", shown,
                 at, WEIGHT_MAX);
        return ERR_BAD_CONF;
    }
    memcpy(ret->name, at, name_len);
    ret->name[name_len] = '\0';
    ret->weight = weight;
    return 0;
}

static bool is_among(const struct conf_queue *known, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(known[i].name, name) == 0)
            return true;
    return false;
}

static int read_list(const char *text, struct conf_queue *ret, size_t room, char *ret_why,
                     size_t why_room)
{
    size_t count = 0;
    for (const char *p = text;; p++) {
        p += strspn(p, " ");
        size_t span = strcspn(p, ","), len = span;
        while (len && p[len - 1] == ' ')
            len--;
        if (count == room) {
            snprintf(ret_why, why_room, "names more than %zu queues", room);
            return ERR_BAD_CONF;
        }
        int err = read_item(p, len, &ret[count], ret_why, why_room);
        if (err)
            return err;
        if (is_among(ret, count, ret[count].name)) {
            snprintf(ret_why, why_room, "names the queue %s twice", ret[count].name);
            return ERR_BAD_CONF;
        }
        count++;
        p += span;
        if (!*p)
            return (int)count;
    }
}

int conf_check_queues(char *text, char *ret_why, size_t room)
{
    struct conf_queue *list = calloc(QUEUES_MAX, sizeof *list);
    if (!list)
        return ERR_NOMEM;
    int count = read_list(text, list, QUEUES_MAX, ret_why, room);
    free(list);
    return count < 0 ? count : 0;
}

int conf_queues(const struct conf *c, struct conf_queue *ret, size_t room, char *ret_why,
                size_t why_room)
{
    struct conf_queue *list = calloc(QUEUES_MAX, sizeof *list);
    char why[CONF_WHY_MAX] = "out of memory";
    int count =
        list ? read_list(c->queues, list, room < QUEUES_MAX ? room : QUEUES_MAX, why, sizeof why)
             : ERR_NOMEM;
    if (count > 0)
        memcpy(ret, list, (size_t)count * sizeof *list);
    else
        snprintf(ret_why, why_room, "PENSTOCK_QUEUES: %s", why);
    free(list);
    return count;
}
