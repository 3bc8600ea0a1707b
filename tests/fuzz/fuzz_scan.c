// fuzz_scan: any bytes through scan_check; what it takes is walked to the last value. cJSON, a
// parser that shares no code with ours, must take it too and see the same values.
#include "common/base/attrs.h"
#include "common/base/err.h"
#include "common/base/scan.h"
#include "tests/fuzz/fuzz_target.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// cJSON reads at most 63 bytes of a number.
enum { DEPTH_MAX = 64, CJSON_NUMBER_MAX = 62 };

static const char *start, *end;
static bool beyond_cjson;

static void assert_inside(struct span s)
{
    assert(s.at >= start && s.at <= end && s.len <= (size_t)(end - s.at));
}

static bool is_valid(struct span s)
{
    const char *why;
    size_t at;
    return scan_check(s.at, s.len, DEPTH_MAX, &why, &at) == 0;
}

static void read_string(struct scan_value v)
{
    struct strbuf text, again, json;
    struct span plain;
    char head[8];
    strbuf_init(&text, v.raw.len + 1);
    strbuf_init(&json, v.raw.len * 6 + 2);
    strbuf_init(&again, v.raw.len + 1);
    scan_unescape(v, &text);
    assert(!strbuf_failed(&text));
    assert(scan_copy(v, head, sizeof head) == text.len);
    assert(text.len == 0 || memcmp(head, text.at, MIN(text.len, sizeof head)) == 0);
    if (scan_str(v, &plain))
        assert(plain.len == text.len && (text.len == 0 || !memcmp(plain.at, text.at, text.len)));
    // there and back: escaped anew, it is valid and means the same
    struct span bytes = strbuf_span(&text);
    strbuf_add_json(&json, bytes.at, bytes.len);
    assert(!strbuf_failed(&json) && is_valid(strbuf_span(&json)));
    scan_unescape(scan_root(json.at, json.len), &again);
    assert(again.len == text.len && (text.len == 0 || !memcmp(again.at, text.at, text.len)));
    strbuf_fini(&text);
    strbuf_fini(&again);
    strbuf_fini(&json);
}

static void read_number(struct scan_value v)
{
    int64_t whole;
    double num;
    bool is_num = scan_num(v, &num);
    if (scan_int(v, &whole))
        assert(is_num && num == (double)whole);
    else
        assert(!is_num || num != floor(num) || fabs(num) >= 0x1p63 || num == 0 ||
               v.raw.len > 17); // rounded to a whole number, or to zero
    beyond_cjson |= v.raw.len > CJSON_NUMBER_MAX;
}

static void walk(struct scan_value v);

static void walk_object(struct scan_value v)
{
    struct scan_member m;
    struct scan_value first;
    for (size_t pos = 0, last = 0; scan_members(v, &pos, &m); last = pos) {
        assert(pos > last);
        assert_inside(m.key);
        assert(m.key_escaped == (memchr(m.key.at, '\\', m.key.len) != NULL));
        assert(scan_text_cmp(m.key, m.key) == 0);
        bool is_id = scan_text_cmp(m.key, span_of("id")) == 0;
        assert(scan_key_is(&m, "id") == is_id);
        assert(!is_id || scan_get(v, "id", &first));
        read_string((struct scan_value){SCAN_STRING, {m.key.at - 1, m.key.len + 2}});
        walk(m.value);
    }
}

static void walk(struct scan_value v)
{
    assert_inside(v.raw);
    assert(v.raw.len > 0 && is_valid(v.raw));
    struct scan_value again = scan_root(v.raw.at, v.raw.len), item;
    assert(again.type == v.type && again.raw.at == v.raw.at && again.raw.len == v.raw.len);
    if (v.type == SCAN_STRING)
        read_string(v);
    if (v.type == SCAN_NUMBER)
        read_number(v);
    if (v.type == SCAN_OBJECT)
        walk_object(v);
    for (size_t pos = 0, last = 0; scan_items(v, &pos, &item); last = pos) {
        assert(pos > last);
        walk(item);
    }
}

// same_text compares as C strings: cJSON ends a text at its first NUL.
static void same_text(struct scan_value v, const char *theirs)
{
    struct strbuf text;
    strbuf_init(&text, v.raw.len + 1);
    scan_unescape(v, &text);
    assert(strcmp(strbuf_span(&text).at, theirs) == 0);
    strbuf_fini(&text);
}

static void same_value(struct scan_value v, const cJSON *theirs)
{
    static const int types[] = {
        [SCAN_NULL] = cJSON_NULL,     [SCAN_FALSE] = cJSON_False,   [SCAN_TRUE] = cJSON_True,
        [SCAN_NUMBER] = cJSON_Number, [SCAN_STRING] = cJSON_String, [SCAN_ARRAY] = cJSON_Array,
        [SCAN_OBJECT] = cJSON_Object,
    };
    const cJSON *child = theirs->child;
    struct scan_member m;
    struct scan_value item;
    double num;
    assert(theirs->type == types[v.type]);
    if (v.type == SCAN_STRING)
        same_text(v, theirs->valuestring);
    if (v.type == SCAN_NUMBER)
        assert(scan_num(v, &num) ? num == theirs->valuedouble : isinf(theirs->valuedouble));
    for (size_t pos = 0; scan_members(v, &pos, &m); child = child->next) {
        assert(child);
        same_text((struct scan_value){SCAN_STRING, {m.key.at - 1, m.key.len + 2}}, child->string);
        same_value(m.value, child);
    }
    for (size_t pos = 0; scan_items(v, &pos, &item); child = child->next) {
        assert(child);
        same_value(item, child);
    }
    assert(v.type < SCAN_ARRAY || !child);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *why = NULL;
    size_t at = SIZE_MAX;
    start = (const char *)data;
    end = start + size;
    beyond_cjson = false;
    int err = scan_check(start, size, DEPTH_MAX, &why, &at);
    if (err) {
        assert((err == ERR_BAD_JSON || err == ERR_TOO_BIG) && why && at <= size);
        return 0;
    }
    struct scan_value root = scan_root(start, size);
    walk(root);
    if (beyond_cjson)
        return 0;
    cJSON *theirs = cJSON_ParseWithLength(start, size);
    assert(theirs);
    same_value(root, theirs);
    cJSON_Delete(theirs);
    return 0;
}
