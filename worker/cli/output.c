#include "worker/cli/output.h"

#include "common/base/err.h"
#include "common/base/scan.h"
#include "worker/cli/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OUTPUT_FLUSH_BYTES = 256 * 1024, OUTPUT_BUF_MAX = 1 << 30 };

static int write_all(int fd, const char *at, size_t len)
{
    while (len) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ERR_IO;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

int output_flush(struct output *o)
{
    int err = o->buf.len ? write_all(o->fd, o->buf.at, o->buf.len) : 0;
    strbuf_clear(&o->buf);
    if (o->buf.room > 4 * OUTPUT_FLUSH_BYTES) { // one large result: do not keep its memory
        strbuf_fini(&o->buf);
        strbuf_init(&o->buf, OUTPUT_BUF_MAX);
    }
    return err;
}

int output_add(struct output *o, struct span result)
{
    size_t at = o->buf.len;
    strbuf_add_span(&o->buf, result);
    strbuf_add_char(&o->buf, '\n');
    if (strbuf_failed(&o->buf))
        return ERR_NOMEM;
    for (char *c = o->buf.at + at; (c = strpbrk(c, "\r\n")) != NULL && c[1]; c++)
        *c = ' ';
    return o->buf.len >= OUTPUT_FLUSH_BYTES ? output_flush(o) : 0;
}

// note_line takes note of a line of the file. 1 = it is to be kept, 0 = dropped, or an error.
static int note_line(struct output *o, struct span line, bool retry_failed)
{
    const char *why;
    size_t at;
    struct scan_value root, id, status;
    struct span word;
    if (scan_check(line.at, line.len, SCAN_DEPTH_MAX, &why, &at))
        return ERR_BAD_JSON;
    root = scan_root(line.at, line.len);
    if (!scan_get(root, "id", &id) || !scan_str(id, &word) || !scan_get(root, "status", &status))
        return ERR_BAD_JSON;
    bool good = span_is(status.raw, "\"succeeded\"");
    if (!good && retry_failed) {
        o->dropped++;
        return 0;
    }
    int fresh = idset_add(&o->done, hash_of(word));
    if (fresh == 1)
        good ? o->succeeded++ : o->failed++;
    return fresh < 0 ? fresh : 1;
}

struct pass {
    struct output *o;
    const char *path;
    bool retry_failed, rewrite; // rewrite: what is kept goes into a new file
    struct output kept;         // that file
    uint64_t whole;             // bytes of whole lines
};

static int read_lines(struct pass *p, struct reader *r, char *ret_why)
{
    struct span line;
    int n;
    while ((n = reader_next(r, &line)) == 1 && r->whole && !r->too_long) {
        p->whole = r->offset;
        if (line.len == 0)
            continue;
        int kept = note_line(p->o, line, p->retry_failed);
        if (kept == ERR_BAD_JSON)
            snprintf(
                ret_why, OUTPUT_WHY_MAX,
                "%s: line %llu is no result; is this the right file? Name another with --output",
                p->path, (unsigned long long)r->number);
        if (kept == 1 && p->rewrite)
            kept = output_add(&p->kept, line);
        if (kept < 0)
            return kept;
    }
    return n < 0 ? n : 0;
}

// put_in_place makes the new file the one of that name.
static int put_in_place(struct pass *p, const char *fresh)
{
    struct output *o = p->o;
    int err = output_flush(&p->kept);
    if (!err && (fsync(p->kept.fd) || rename(fresh, p->path)))
        err = ERR_IO;
    if (err) {
        unlink(fresh);
        close(p->kept.fd);
        return err;
    }
    close(o->fd);
    o->fd = p->kept.fd;
    return 0;
}

static int reread(struct output *o, const char *path, bool retry_failed, size_t line_max,
                  char *ret_why)
{
    struct pass p = {.o = o, .path = path, .retry_failed = retry_failed, .rewrite = retry_failed};
    struct reader r;
    char fresh[4096];
    snprintf(fresh, sizeof fresh, "%s.new", path);
    if (retry_failed) {
        p.kept.fd = open(fresh, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
        if (p.kept.fd < 0 || flock(p.kept.fd, LOCK_EX | LOCK_NB))
            return ERR_IO;
        strbuf_init(&p.kept.buf, OUTPUT_BUF_MAX);
    }
    reader_init(&r, o->fd, line_max, false);
    int err = read_lines(&p, &r, ret_why);
    reader_fini(&r);
    if (retry_failed && !err)
        err = put_in_place(&p, fresh);
    else if (retry_failed)
        unlink(fresh), close(p.kept.fd);
    else if (!err && ftruncate(o->fd, (off_t)p.whole))
        err = ERR_IO;
    strbuf_fini(&p.kept.buf);
    return err;
}

int output_peek(struct output *o, const char *path, bool retry_failed, size_t line_max,
                char ret_why[OUTPUT_WHY_MAX])
{
    struct stat st;
    struct reader r;
    struct pass p = {.o = o, .path = path, .retry_failed = retry_failed};
    *o = (struct output){.fd = STDOUT_FILENO};
    int fd = strcmp(path, "-") == 0 ? -1 : open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && (strcmp(path, "-") == 0 || errno == ENOENT))
        return 0;
    int err = fd < 0 || fstat(fd, &st) ? ERR_IO : 0;
    if (!err && S_ISREG(st.st_mode)) {
        reader_init(&r, fd, line_max, false);
        err = read_lines(&p, &r, ret_why);
        reader_fini(&r);
    }
    if (err == ERR_IO)
        snprintf(ret_why, OUTPUT_WHY_MAX, "%s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return err;
}

int output_open(struct output *o, const char *path, bool retry_failed, size_t line_max,
                char ret_why[OUTPUT_WHY_MAX])
{
    struct stat st;
    *o = (struct output){.fd = STDOUT_FILENO};
    strbuf_init(&o->buf, OUTPUT_BUF_MAX);
    if (strcmp(path, "-") == 0)
        return 0;
    snprintf(ret_why, OUTPUT_WHY_MAX, "%s: ", path);
    size_t head = strlen(ret_why);
    o->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    int err = o->fd < 0 || fstat(o->fd, &st) ? ERR_IO : 0;
    if (!err && S_ISREG(st.st_mode)) {
        o->regular = true;
        if (flock(o->fd, LOCK_EX | LOCK_NB)) {
            snprintf(ret_why, OUTPUT_WHY_MAX, "%s: another penstock run is writing it", path);
            return ERR_BAD_CONF;
        }
        err = reread(o, path, retry_failed, line_max, ret_why);
    }
    if (err == ERR_IO)
        snprintf(ret_why + head, OUTPUT_WHY_MAX - head, "%s", strerror(errno));
    return err;
}

int output_close(struct output *o)
{
    int err = output_flush(o);
    if (o->regular) {
        if (fdatasync(o->fd) && !err)
            err = ERR_IO;
        close(o->fd);
    }
    strbuf_fini(&o->buf);
    idset_fini(&o->done);
    return err;
}
