#include "common/redis/rslot.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

// crc16: the one of XMODEM, as the cluster specification has it (polynomial 0x1021, from 0).
static uint16_t crc16(struct span s)
{
    uint16_t crc = 0;
    for (size_t i = 0; i < s.len; i++) {
        crc = (uint16_t)(crc ^ (unsigned char)s.at[i] << 8);
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
    }
    return crc;
}

// hash_tag: what of a key is hashed; the whole key where it has no tag.
static struct span hash_tag(struct span key)
{
    const char *open = key.len ? memchr(key.at, '{', key.len) : NULL;
    if (!open)
        return key;
    size_t rest = key.len - (size_t)(open + 1 - key.at);
    const char *shut = rest ? memchr(open + 1, '}', rest) : NULL;
    if (!shut || shut == open + 1)
        return key;
    return (struct span){open + 1, (size_t)(shut - open - 1)};
}

int rslot_of_key(struct span key)
{
    return crc16(hash_tag(key)) % RSLOT_COUNT;
}

static bool is_one_of(struct span word, const char *const *all, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(all[i]) == word.len && strncasecmp(word.at, all[i], word.len) == 0)
            return true;
    return false;
}

// slot_of_pattern: all keys that fit "penstock:{Q}:run:*" lie in one slot.
static int slot_of_pattern(struct span pattern)
{
    struct span tag = hash_tag(pattern);
    if (tag.len == pattern.len)
        return -1;
    for (size_t i = 0; i < tag.len; i++)
        if (strchr("*?[\\", tag.at[i]))
            return -1;
    return rslot_of_key(pattern);
}

static bool is(struct span word, const char *text)
{
    return is_one_of(word, &text, 1);
}

// behind gives the place of what follows a word of the command; argc where there is none.
static int behind(const char *text, int argc, const char **argv, const size_t *lens)
{
    for (int i = 1; i + 1 < argc; i++)
        if (is((struct span){argv[i], lens[i]}, text))
            return i + 1;
    return argc;
}

int rslot_of_command(int argc, const char **argv, const size_t *lens)
{
    static const char *const keyless[] = {"SCRIPT",  "INFO", "TIME",   "PING",   "CLUSTER",
                                          "CLIENT",  "ACL",  "CONFIG", "ROLE",   "WAIT",
                                          "COMMAND", "ECHO", "DBSIZE", "MEMORY", "LATENCY"};
    static const char *const scripted[] = {"EVALSHA", "EVAL", "EVALSHA_RO", "EVAL_RO", "FCALL"};
    struct span name = {argv[0], lens[0]};
    int at = 1;
    if (is_one_of(name, keyless, ARRAY_LEN(keyless)))
        return -1;
    if (is_one_of(name, scripted, ARRAY_LEN(scripted)))
        at = argc > 2 && lens[2] == 1 && argv[2][0] == '0' ? argc : 3;
    else if (is(name, "XREAD") || is(name, "XREADGROUP"))
        at = behind("STREAMS", argc, argv, lens);
    else if (is(name, "SCAN"))
        at = behind("MATCH", argc, argv, lens);
    if (at >= argc)
        return -1;
    struct span key = {argv[at], lens[at]};
    return is(name, "SCAN") ? slot_of_pattern(key) : rslot_of_key(key);
}
