// scan: strict RFC 8259 JSON in UTF-8, read in place. Nothing is copied and no tree is built: a
// text is checked once as a whole (scan_check), and after that its parts are borrowed spans.
//
// Strict means: no trailing bytes, no control characters in strings, no lone surrogate escapes,
// no leading zeros, no BOM, well-formed UTF-8, nesting up to a stated depth.
#ifndef PENSTOCK_BASE_SCAN_H
#define PENSTOCK_BASE_SCAN_H

#include "common/base/strbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SCAN_DEPTH_MAX = 1024 }; // the deepest nesting that anyone may allow

enum scan_type {
    SCAN_NULL,
    SCAN_FALSE,
    SCAN_TRUE,
    SCAN_NUMBER,
    SCAN_STRING,
    SCAN_ARRAY,
    SCAN_OBJECT
};

struct scan_value {
    enum scan_type type;
    struct span raw; // the value's own bytes, a string's quotes included
};

struct scan_member {
    struct span key; // between the quotes, escapes not yet undone
    bool key_escaped;
    struct scan_value value;
};

// scan_check verifies a whole text. On failure *ret_why is a short fixed phrase ("a control
// character in a string") and *ret_at the byte it was seen at. ERR_BAD_JSON, or ERR_TOO_BIG where
// arrays and objects nest deeper than depth_max (at most SCAN_DEPTH_MAX).
int scan_check(const char *text, size_t len, int depth_max, const char **ret_why,
               size_t *ret_at) MUST_CHECK;

// What follows trusts that the text has passed scan_check. A value of another type than the
// function is about has no members, no items, no text and no number.

struct scan_value scan_root(const char *text, size_t len); // the text's one value, no blanks around
// scan_members / scan_items walk an object / an array: start with *pos = 0, stop at false. A walk
// is linear in the bytes of the object or array, whatever is inside.
static inline bool scan_members(struct scan_value object, size_t *pos, struct scan_member *ret);
static inline bool scan_items(struct scan_value array, size_t *pos, struct scan_value *ret);
// scan_key_is compares after undoing escapes: "\u0069d" is "id". key: at most 64 bytes.
bool scan_key_is(const struct scan_member *m, const char *key);
// scan_get finds the first member of that name (scan_key_is); false where there is none or where v
// is no object.
bool scan_get(struct scan_value v, const char *key, struct scan_value *ret);

// scan_str gives the bytes between the quotes where the string has no escapes; else false.
bool scan_str(struct scan_value v, struct span *ret);
// scan_unescape appends the string's text, escapes undone.
void scan_unescape(struct scan_value v, struct strbuf *out);
// scan_copy writes the first `room` bytes of the string's text, escapes undone and without a NUL,
// and gives the whole text's length, which may be more.
size_t scan_copy(struct scan_value v, char *ret, size_t room);
// scan_text_cmp orders two texts that stand between quotes, by their bytes after undoing escapes.
int scan_text_cmp(struct span a, struct span b);
// scan_int reads a number that is a whole number within int64 (1e3 and 1.0 count; 1.5 does not).
bool scan_int(struct scan_value v, int64_t *ret);
// scan_num reads a number that a finite double can stand for (1e400 does not count). It expects the
// C locale's decimal point, which a program has unless it calls setlocale.
bool scan_num(struct scan_value v, double *ret);

// The steps behind scan_members and scan_items. These two are inline because a scan_value passed
// through memory at every step costs as much as the step.
bool scan_member_at(struct span object, size_t *pos, struct scan_member *ret);
bool scan_item_at(struct span array, size_t *pos, struct scan_value *ret);

static inline bool scan_members(struct scan_value object, size_t *pos, struct scan_member *ret)
{
    return object.type == SCAN_OBJECT && scan_member_at(object.raw, pos, ret);
}

static inline bool scan_items(struct scan_value array, size_t *pos, struct scan_value *ret)
{
    return array.type == SCAN_ARRAY && scan_item_at(array.raw, pos, ret);
}

#endif
