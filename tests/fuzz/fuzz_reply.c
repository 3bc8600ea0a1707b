// fuzz_reply: whatever a server says, its answers are read without a crash, and a copy says the
// same. Input: bytes as they come from a socket, any number of replies.
#include "common/redis/reply.h"
#include "tests/fuzz/fuzz_target.h"

#include <assert.h>
#include <hiredis/hiredis.h>
#include <math.h>
#include <string.h>

enum { DEPTH_MAX = 9, ELEMENTS_MAX = 9999 };

static void same(const struct reply *a, const struct reply *b, int depth)
{
    struct span x = {0}, y = {0};
    int64_t n = 0, m = 0;
    assert(reply_is_null(a) == reply_is_null(b));
    assert(reply_int(a, &n) == reply_int(b, &m) && n == m);
    assert(reply_int_or(a, 7) == reply_int_or(b, 7));
    assert(reply_str(a, &x) == reply_str(b, &y) && x.len == y.len);
    assert(x.len == 0 || memcmp(x.at, y.at, x.len) == 0);
    assert(!isnan(reply_num_or(a, 1.5)));
    assert(strcmp(reply_text(a), reply_text(b)) == 0);
    assert(reply_is_error(a, "MOVED") == reply_is_error(b, "MOVED"));
    assert(reply_count(a) == reply_count(b) && !reply_at(a, reply_count(a)));
    for (size_t i = 0; i < reply_count(a) && depth < DEPTH_MAX; i++)
        same(reply_at(a, i), reply_at(b, i), depth + 1);
}

// is_modest: hiredis makes room for as many elements as a server announces.
static int is_modest(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (data[i] == '*' || data[i] == '%' || data[i] == '~' || data[i] == '>') {
            long long count = 0;
            for (size_t k = i + 1; k < size && data[k] >= '0' && data[k] <= '9'; k++)
                count = count > ELEMENTS_MAX ? count : count * 10 + (data[k] - '0');
            if (count > ELEMENTS_MAX)
                return 0;
        }
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!is_modest(data, size))
        return 0;
    redisReader *reader = redisReaderCreate();
    void *got = NULL;
    assert(reader);
    redisReaderFeed(reader, (const char *)data, size);
    while (redisReaderGetReply(reader, &got) == REDIS_OK && got) {
        struct reply *copy = reply_copy((struct reply *)got);
        same((struct reply *)got, copy, 0);
        reply_free(copy);
        freeReplyObject(got);
        got = NULL;
    }
    redisReaderFree(reader);
    return 0;
}
