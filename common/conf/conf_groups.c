// conf_groups: which models share one quota, "claude-opus-4*=opus-4,claude-sonnet-4*=sonnet-4".
#include "common/base/err.h"
#include "common/conf/conf_int.h"

#include <string.h>

static const char GROUP_BYTES[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
static const char MODEL_BYTES[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/@-";

struct item { // "model=group" or "start*=group"
    struct span model, group;
    bool is_start;
};

// next_item cuts the first item off *rest. False where nothing is left.
static bool next_item(struct span *rest, struct span *ret)
{
    if (!rest->at)
        return false;
    const char *comma = rest->len ? memchr(rest->at, ',', rest->len) : NULL;
    *ret = (struct span){rest->at, comma ? (size_t)(comma - rest->at) : rest->len};
    *rest = comma ? (struct span){comma + 1, rest->len - ret->len - 1} : (struct span){NULL, 0};
    while (ret->len && ret->at[0] == ' ')
        ret->at++, ret->len--;
    while (ret->len && ret->at[ret->len - 1] == ' ')
        ret->len--;
    return true;
}

static bool only_of(struct span s, const char *bytes)
{
    for (size_t i = 0; i < s.len; i++)
        if (!s.at[i] || !strchr(bytes, s.at[i]))
            return false;
    return s.len > 0;
}

static bool read_item(struct span text, struct item *ret)
{
    const char *equals = text.len ? memchr(text.at, '=', text.len) : NULL;
    if (!equals)
        return false;
    ret->model = (struct span){text.at, (size_t)(equals - text.at)};
    ret->group = (struct span){equals + 1, text.len - ret->model.len - 1};
    ret->is_start = ret->model.len > 1 && ret->model.at[ret->model.len - 1] == '*';
    ret->model.len -= ret->is_start;
    return only_of(ret->model, MODEL_BYTES) && only_of(ret->group, GROUP_BYTES) &&
           ret->group.len < CONF_NAME_BYTES;
}

int conf_check_groups(char *text, char *ret_why, size_t room)
{
    struct span rest = span_of(text), one;
    struct item item;
    while (next_item(&rest, &one)) {
        if (read_item(one, &item))
            continue;
        snprintf(ret_why, room,
                 "\"%.*s\" is no group; write MODEL=GROUP with commas between, a * may end a "
                 "model: claude-opus-4*=opus-4,claude-sonnet-4*=sonnet-4",
                 (int)(one.len > 80 ? 80 : one.len), one.at);
        return ERR_BAD_CONF;
    }
    return 0;
}

struct span conf_group(const struct conf *c, struct span model)
{
    struct span rest = span_of(c->model_groups ? c->model_groups : ""), one;
    struct item it;
    while (next_item(&rest, &one)) {
        if (!read_item(one, &it) || model.len < it.model.len)
            continue;
        bool same = it.is_start || model.len == it.model.len;
        if (same && memcmp(model.at, it.model.at, it.model.len) == 0)
            return it.group;
    }
    return (struct span){NULL, 0};
}
