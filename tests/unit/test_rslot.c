// test_rslot: the slot of a key and of a command, as every node of a Redis Cluster sees it.
#include "common/base/attrs.h"
#include "common/redis/rslot.h"
#include "tests/support/tap.h"

#include <stdio.h>
#include <string.h>

static void keys_have_the_slots_that_redis_gives_them(void **state)
{
    // What CLUSTER KEYSLOT of Redis 7.0.15 answers.
    static const struct {
        const char *key;
        int slot;
    } cases[] = {
        {"123456789", 12739},
        {"", 0},
        {"foo", 12182},
        {"penstock:workers", 9996},
        {"penstock:{default}:jobs", 5718},
        {"penstock:{default}:", 5718},
        {"{user1000}.following", 3443},
        {"{user1000}.followers", 3443},
        {"foo{}{bar}", 8363},
        {"foo{{bar}}zap", 4015},
        {"foo{bar}{zap}", 5061},
        {"foo{bar", 15278},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (rslot_of_key(span_of(cases[i].key)) != cases[i].slot)
            fail_msg("%s: %d, not %d", cases[i].key, rslot_of_key(span_of(cases[i].key)),
                     cases[i].slot);
}

static int slot_of(const char *words)
{
    char copy[256], *rest = copy;
    const char *argv[16];
    size_t lens[16];
    int argc = 0;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *at; (at = strsep(&rest, " ")) != NULL && argc < 16; argc++) {
        argv[argc] = at;
        lens[argc] = strlen(at);
    }
    return rslot_of_command(argc, argv, lens);
}

static void commands_have_the_slot_of_their_first_key(void **state)
{
    static const char *const foo[] = {"GET foo",
                                      "LPUSH foo x",
                                      "BLMOVE foo foo RIGHT RIGHT 5",
                                      "del foo",
                                      "EVALSHA sha 1 foo bar",
                                      "EVALSHA sha 2 foo foox a",
                                      "HMGET foo",
                                      "XREAD COUNT 5 BLOCK 9 STREAMS foo 0"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(foo); i++)
        if (slot_of(foo[i]) != 12182)
            fail_msg("%s: %d", foo[i], slot_of(foo[i]));
}

static void commands_without_a_key_go_anywhere(void **state)
{
    static const char *const none[] = {"PING",          "SCRIPT LOAD x",     "INFO server", "TIME",
                                       "CLUSTER SLOTS", "EVALSHA sha 0 foo", "GET"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        if (slot_of(none[i]) != -1)
            fail_msg("%s: %d", none[i], slot_of(none[i]));
}

static void a_scan_goes_where_its_pattern_says(void **state)
{
    (void)state;
    assert_int_equal(slot_of("SCAN 0 MATCH penstock:{default}:run:* COUNT 10"), 5718);
    assert_int_equal(slot_of("SCAN 0 COUNT 10 MATCH penstock:{default}:run:*"), 5718);
    assert_int_equal(slot_of("SCAN 0 MATCH penstock:pool:{*}"), -1);
    assert_int_equal(slot_of("SCAN 0 MATCH penstock:*"), -1);
    assert_int_equal(slot_of("SCAN 0"), -1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TAP("keys have the slots that redis gives them", keys_have_the_slots_that_redis_gives_them),
        TAP("commands have the slot of their first key", commands_have_the_slot_of_their_first_key),
        TAP("commands without a key go anywhere", commands_without_a_key_go_anywhere),
        TAP("a scan goes where its pattern says", a_scan_goes_where_its_pattern_says),
    };
    return cmocka_run_group_tests_name("rslot", tests, NULL, NULL);
}
