#include "common/job/trace.h"

#include "common/base/attrs.h"
#include "common/base/scan.h"

#include <string.h>

enum { TRACEPARENT_LEN = 55 }; // of version 00; a later one may have more after a dash

// hex_run: are the next n bytes lower-case hex digits, and not all zero where that means "none"?
static bool hex_run(const char *at, size_t n, bool zero_is_none)
{
    return strspn(at, "0123456789abcdef") >= n && (!zero_is_none || strspn(at, "0") < n);
}

static bool is_traceparent(const char *s, size_t len)
{
    if (len < TRACEPARENT_LEN || s[2] != '-' || s[35] != '-' || s[52] != '-')
        return false;
    if (len > TRACEPARENT_LEN && (memcmp(s, "00", 2) == 0 || s[TRACEPARENT_LEN] != '-'))
        return false;
    return memcmp(s, "ff", 2) != 0 && hex_run(s, 2, false) && hex_run(s + 3, 32, true) &&
           hex_run(s + 36, 16, true) && hex_run(s + 53, 2, false);
}

bool trace_id(struct span meta, char ret[TRACE_ID_LEN + 1])
{
    struct scan_value v;
    char text[TRACEPARENT_LEN + 2];
    ret[0] = '\0';
    if (!meta.len || !scan_get(scan_root(meta.at, meta.len), "traceparent", &v))
        return false;
    size_t len = scan_copy(v, text, sizeof text - 1);
    text[MIN(len, sizeof text - 1)] = '\0';
    if (!is_traceparent(text, len))
        return false;
    memcpy(ret, text + 3, TRACE_ID_LEN);
    ret[TRACE_ID_LEN] = '\0';
    return true;
}
