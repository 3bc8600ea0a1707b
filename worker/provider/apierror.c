#include "worker/provider/apierror.h"

#include "worker/provider/excerpt.h"

#include <stdio.h>

enum { ERROR_DEPTH_MAX = 64 };

// copy_member copies a member that is a string, unless ret has something already.
static void copy_member(struct scan_value object, const char *name, char *ret, size_t room)
{
    struct scan_value v;
    if (!ret[0] && scan_get(object, name, &v))
        excerpt_string(v, ret, room);
}

static void copy_word(struct scan_value object, const char *name, char *ret, size_t room)
{
    struct scan_value v;
    struct span s;
    if (!ret[0] && scan_get(object, name, &v) && scan_str(v, &s))
        excerpt_word(s, ret, room);
}

void apierror_json(struct scan_value root, struct outcome *o)
{
    struct scan_value error, details;
    copy_word(root, "request_id", o->request_id, sizeof o->request_id);
    if (scan_get(root, "error", &error) && error.type == SCAN_OBJECT) {
        copy_word(error, "type", o->error_type, sizeof o->error_type);
        copy_word(error, "status", o->error_type, sizeof o->error_type); // Google's name for it
        if (scan_get(error, "details", &details))
            copy_word(details, "error_code", o->error_code, sizeof o->error_code);
        copy_word(error, "code", o->error_code, sizeof o->error_code);
        copy_member(error, "message", o->message, sizeof o->message);
        return;
    }
    copy_member(root, "error", o->message, sizeof o->message); // {"error": "words"}
    copy_member(root, "message", o->message, sizeof o->message);
    copy_member(root, "detail", o->message, sizeof o->message);
    if (!o->message[0])
        return;
    copy_word(root, "type", o->error_type, sizeof o->error_type);
    copy_word(root, "code", o->error_code, sizeof o->error_code);
}

void apierror_read(struct span body, struct outcome *o)
{
    const char *why;
    char page[EXCERPT_PAGE_CHARS + 1];
    size_t at;
    if (body.len && scan_check(body.at, body.len, ERROR_DEPTH_MAX, &why, &at) == 0)
        apierror_json(scan_root(body.at, body.len), o);
    if (o->message[0])
        return;
    excerpt_page(body, page, sizeof page);
    if (page[0])
        snprintf(o->message, sizeof o->message, "HTTP %d: %s", o->http_status, page);
    else
        snprintf(o->message, sizeof o->message, "HTTP %d with %s", o->http_status,
                 body.len ? "an unreadable body" : "an empty body");
}
