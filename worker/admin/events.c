// events: /events, server-sent events. Once a second all watchers get the same text; who is slow
// skips what was meanwhile, so a watcher that does not read costs one buffer and no more.
#include "worker/admin/admin_int.h"

#include <stdlib.h>
#include <string.h>

static void frame_unref(struct frame *f)
{
    if (!f || --f->refs > 0)
        return;
    strbuf_fini(&f->text);
    free(f);
}

static void next_frame(struct watcher *w, struct frame *f)
{
    frame_unref(w->frame);
    w->frame = f;
    w->sent = 0;
    if (f)
        f->refs++;
}

static ssize_t on_room(void *cls, uint64_t pos, char *buf, size_t max)
{
    struct watcher *w = cls;
    (void)pos;
    if (w->frame && w->sent == w->frame->text.len)
        next_frame(w, w->admin->latest != w->frame ? w->admin->latest : NULL);
    if (!w->frame) {
        if (w->admin->closing)
            return MHD_CONTENT_READER_END_OF_STREAM;
        w->asleep = true;
        MHD_suspend_connection(w->connection);
        return 0;
    }
    size_t n = MIN(max, w->frame->text.len - w->sent);
    memcpy(buf, w->frame->text.at + w->sent, n);
    w->sent += n;
    return (ssize_t)n;
}

static void on_gone(void *cls)
{
    struct watcher *w = cls;
    if (list_is_linked(&w->link))
        list_remove(&w->admin->watchers, &w->link);
    next_frame(w, NULL);
    free(w);
}

static struct frame *frame_new(const struct admin *a)
{
    struct frame *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->refs = 1;
    strbuf_init(&f->text, PAGE_BYTES_MAX);
    strbuf_add_str(&f->text, "data: ");
    view_overview(a, &f->text);
    strbuf_add_str(&f->text, "\n\n");
    if (strbuf_failed(&f->text)) {
        frame_unref(f);
        return NULL;
    }
    return f;
}

static void refresh(struct admin *a)
{
    struct frame *f = frame_new(a);
    if (!f)
        return;
    frame_unref(a->latest);
    a->latest = f;
}

enum MHD_Result events_begin(struct request *q)
{
    struct admin *a = q->admin;
    struct watcher *w = a->watchers.count < WATCHERS_MAX ? calloc(1, sizeof *w) : NULL;
    struct MHD_Response *r =
        w ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16 * 1024, on_room, w, on_gone)
          : NULL;
    if (!r) {
        free(w);
        r = MHD_create_response_from_buffer(0, (char *)"", MHD_RESPMEM_PERSISTENT);
        enum MHD_Result sent = MHD_queue_response(q->connection, 503, r);
        MHD_destroy_response(r);
        return sent;
    }
    w->admin = a;
    w->connection = q->connection;
    list_append(&a->watchers, &w->link);
    refresh(a);
    next_frame(w, a->latest);
    MHD_add_response_header(r, "Content-Type", "text/event-stream");
    MHD_add_response_header(r, "Cache-Control", "no-store");
    MHD_add_response_header(r, "X-Accel-Buffering", "no");
    enum MHD_Result sent = MHD_queue_response(q->connection, 200, r);
    MHD_destroy_response(r);
    return sent;
}

static void rouse(struct watcher *w)
{
    if (!w->asleep)
        return;
    w->asleep = false;
    MHD_resume_connection(w->connection);
}

void events_publish(struct admin *a)
{
    if (!a->watchers.count)
        return;
    refresh(a);
    list_each(&a->watchers, k)
    {
        struct watcher *w = CONTAINER_OF(k, struct watcher, link);
        if (w->asleep && a->latest) {
            next_frame(w, a->latest);
            rouse(w);
        }
    }
}

size_t events_watchers(const struct admin *a)
{
    return a->watchers.count;
}

void events_end(struct admin *a)
{
    list_each(&a->watchers, k) rouse(CONTAINER_OF(k, struct watcher, link));
    frame_unref(a->latest);
    a->latest = NULL;
}
