#include "common/redis/reply.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

static const redisReply *tree(const struct reply *r)
{
    return (const redisReply *)r;
}

static bool is_type(const struct reply *r, int type)
{
    return r && tree(r)->type == type;
}

bool reply_is_null(const struct reply *r)
{
    return !r || is_type(r, REDIS_REPLY_NIL);
}

// digits_to_int reads "-12" strictly: nothing before, between or after, and within int64.
static bool digits_to_int(const char *at, size_t len, int64_t *ret)
{
    bool minus = len > 0 && at[0] == '-';
    uint64_t n = 0, most = minus ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    size_t i = minus ? 1 : 0;
    if (i == len)
        return false;
    for (; i < len; i++) {
        unsigned digit = (unsigned char)at[i] - (unsigned)'0';
        if (digit > 9 || n > (most - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *ret = minus ? (int64_t)(0 - n) : (int64_t)n;
    return true;
}

bool reply_int(const struct reply *r, int64_t *ret)
{
    struct span text;
    if (is_type(r, REDIS_REPLY_INTEGER)) {
        *ret = tree(r)->integer;
        return true;
    }
    return reply_str(r, &text) && digits_to_int(text.at, text.len, ret);
}

int64_t reply_int_or(const struct reply *r, int64_t otherwise)
{
    int64_t n;
    return reply_int(r, &n) ? n : otherwise;
}

double reply_num_or(const struct reply *r, double otherwise)
{
    struct span s;
    int64_t n;
    if (reply_str(r, &s))
        return span_num(s, otherwise);
    return reply_int(r, &n) ? (double)n : otherwise;
}

bool reply_str(const struct reply *r, struct span *ret)
{
    if (!is_type(r, REDIS_REPLY_STRING) && !is_type(r, REDIS_REPLY_STATUS))
        return false;
    *ret = (struct span){tree(r)->str, tree(r)->len};
    return true;
}

const char *reply_text(const struct reply *r)
{
    if (is_type(r, REDIS_REPLY_STATUS) || is_type(r, REDIS_REPLY_ERROR))
        return tree(r)->str;
    return "";
}

bool reply_is_error(const struct reply *r, const char *code)
{
    size_t len = strlen(code);
    if (!is_type(r, REDIS_REPLY_ERROR) || strncmp(tree(r)->str, code, len) != 0)
        return false;
    char after = tree(r)->str[len];
    return len == 0 || after == ' ' || after == '\0';
}

size_t reply_count(const struct reply *r)
{
    return is_type(r, REDIS_REPLY_ARRAY) ? tree(r)->elements : 0;
}

const struct reply *reply_at(const struct reply *r, size_t i)
{
    return i < reply_count(r) ? (const struct reply *)tree(r)->element[i] : NULL;
}

// --- a tree of our own ----------------------------------------------------------------------

static redisReply *new_node(int type)
{
    redisReply *r = calloc(1, sizeof *r);
    if (r)
        r->type = type;
    return r;
}

struct reply *reply_new(size_t count)
{
    redisReply *r = new_node(REDIS_REPLY_ARRAY);
    if (!r)
        return NULL;
    r->element = calloc(count ? count : 1, sizeof(redisReply *));
    r->elements = r->element ? count : 0;
    for (size_t i = 0; i < r->elements; i++) {
        r->element[i] = new_node(REDIS_REPLY_NIL);
        if (!r->element[i])
            r->elements = i;
    }
    if (r->element && r->elements == count)
        return (struct reply *)r;
    reply_free((struct reply *)r);
    return NULL;
}

void reply_free(struct reply *of)
{
    redisReply *r = (redisReply *)of;
    if (!r)
        return;
    for (size_t i = 0; i < r->elements; i++)
        reply_free((struct reply *)r->element[i]);
    free(r->element);
    free(r->str);
    free(r);
}

// copy_text: strings, statuses and errors.
static struct reply *copy_text(const redisReply *from)
{
    redisReply *r = new_node(from->type);
    if (!r)
        return NULL;
    r->str = malloc(from->len + 1);
    if (!r->str) {
        free(r);
        return NULL;
    }
    memcpy(r->str, from->str, from->len);
    r->str[from->len] = '\0';
    r->len = from->len;
    return (struct reply *)r;
}

struct reply *reply_copy(const struct reply *of)
{
    const redisReply *from = tree(of);
    if (!from)
        return NULL;
    if (from->str)
        return copy_text(from);
    if (from->type != REDIS_REPLY_ARRAY) {
        redisReply *r = new_node(from->type);
        if (r)
            r->integer = from->integer;
        return (struct reply *)r;
    }
    struct reply *array = reply_new(from->elements);
    for (size_t i = 0; array && i < from->elements; i++)
        reply_put(array, i, reply_copy((const struct reply *)from->element[i]));
    return array;
}

struct reply *reply_part(struct reply *array, size_t i)
{
    return i < reply_count(array) ? (struct reply *)((redisReply *)array)->element[i] : NULL;
}

void reply_put(struct reply *array, size_t i, struct reply *one)
{
    if (!one || i >= reply_count(array)) {
        reply_free(one);
        return;
    }
    redisReply **at = &((redisReply *)array)->element[i];
    reply_free((struct reply *)*at);
    *at = (redisReply *)one;
}
