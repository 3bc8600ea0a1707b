#include "worker/cli/reader.h"

#include "common/base/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READER_ROOM = 256 * 1024 };

void reader_init(struct reader *r, int fd, size_t ceiling, bool quoted)
{
    *r = (struct reader){.fd = fd, .ceiling = ceiling, .quoted = quoted};
}

void reader_fini(struct reader *r)
{
    free(r->at);
    r->at = NULL;
}

// fill makes room behind what is there and reads more: 1, 0 at the end of the file, or an error.
static int fill(struct reader *r)
{
    if (r->begin > 0) {
        memmove(r->at, r->at + r->begin, r->end - r->begin);
        r->end -= r->begin;
        r->begin = 0;
    }
    if (r->end == r->room) {
        size_t room = r->room ? r->room * 2 : READER_ROOM;
        char *more = realloc(r->at, room);
        if (!more)
            return ERR_NOMEM;
        r->at = more;
        r->room = room;
    }
    for (;;) {
        ssize_t n = read(r->fd, r->at + r->end, r->room - r->end);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ERR_IO;
        r->over = n == 0;
        r->end += (size_t)n;
        return n > 0;
    }
}

// find_end looks for the line break that ends the record, from *at on. `inside` lasts between
// calls.
static bool find_end(const struct reader *r, size_t *at, bool *inside)
{
    if (!r->quoted) {
        const char *hit = r->end > *at ? memchr(r->at + *at, '\n', r->end - *at) : NULL;
        *at = hit ? (size_t)(hit - r->at) : r->end;
        return hit != NULL;
    }
    for (; *at < r->end; ++*at) {
        if (r->at[*at] == '"')
            *inside = !*inside;
        else if (r->at[*at] == '\n' && !*inside)
            return true;
    }
    return false;
}

// skip_rest throws away what is left of a record that is too long.
static int skip_rest(struct reader *r)
{
    for (;;) {
        const char *hit = memchr(r->at + r->begin, '\n', r->end - r->begin);
        size_t gone = hit ? (size_t)(hit - r->at) + 1 - r->begin : r->end - r->begin;
        r->begin += gone;
        r->offset += gone;
        if (hit)
            return 0;
        int n = fill(r);
        if (n <= 0)
            return n;
    }
}

static void give(struct reader *r, size_t end, bool whole, struct span *ret)
{
    static const char mark[] = "\xEF\xBB\xBF"; // that some programs begin a text with
    *ret = (struct span){r->at + r->begin, end - r->begin};
    r->record_offset = r->offset;
    if (r->number == 0 && ret->len >= 3 && memcmp(ret->at, mark, 3) == 0) {
        *ret = (struct span){ret->at + 3, ret->len - 3};
        r->record_offset += 3;
    }
    r->whole = whole;
    r->too_long = false;
    r->number++;
    r->offset += end - r->begin + whole;
    r->begin = end + whole;
    if (whole && ret->len && ret->at[ret->len - 1] == '\r')
        ret->len--;
}

int reader_next(struct reader *r, struct span *ret)
{
    size_t seen = 0; // bytes of the record that have been looked at
    bool inside = false;
    for (;;) {
        size_t at = r->begin + seen;
        bool found = find_end(r, &at, &inside);
        if (found || (r->over && r->end > r->begin)) {
            give(r, at, found, ret);
            return 1;
        }
        if (r->over)
            return 0;
        seen = r->end - r->begin;
        if (seen > r->ceiling) {
            int err = skip_rest(r);
            *ret = (struct span){"", 0};
            r->number++;
            r->too_long = true;
            return err ? err : 1;
        }
        int n = fill(r);
        if (n < 0)
            return n;
    }
}
