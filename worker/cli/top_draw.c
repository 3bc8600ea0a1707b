#include "worker/cli/out.h"
#include "worker/cli/plain.h"
#include "worker/cli/top.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LINE_MAX_BYTES = 1024, NAME_LEAST = 12, NAME_MOST = 48 };

const char *const top_sorts[TOP_SORTS] = {"name", "load", "rate"};

// What a line means for the eye. Nothing hangs on it alone: each state has a word, too.
enum look { LOOK_PLAIN, LOOK_HEAD, LOOK_CHOSEN, LOOK_TROUBLE, LOOK_FAINT, LOOK_TITLE };
static const char *const codes[] = {"", "\x1b[1;36m", "\x1b[7m", "\x1b[33m", "\x1b[2m", "\x1b[1m"};

// --- lines -----------------------------------------------------------------------------------

static void line(struct frame *f, enum look look, const char *fmt, ...) PRINTF(3, 4);
static void line(struct frame *f, enum look look, const char *fmt, ...)
{
    char text[LINE_MAX_BYTES];
    va_list args;
    if (f->rows && f->used >= f->rows)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    size_t fit = f->live ? plain_fit(text, (size_t)f->columns) : strlen(text);
    while (!f->live && fit > 0 && text[fit - 1] == ' ')
        fit--;
    bool dressed = f->colour && codes[look][0];
    if (f->used++ && f->live)
        strbuf_add_str(f->to, "\r\n");
    if (dressed)
        strbuf_add_str(f->to, codes[look]);
    strbuf_add(f->to, text, fit);
    if (dressed)
        strbuf_add_str(f->to, "\x1b[0m");
    strbuf_add_str(f->to, f->live ? "\x1b[K" : "\n");
}

// --- order -----------------------------------------------------------------------------------

static const struct top *sorting; // qsort has no argument of its own
static enum top_section sorting_section;

static double load_of(const struct board *b, enum top_section s, size_t i)
{
    const int64_t *depth;
    switch (s) {
    case TOP_QUEUES:
        depth = b->queues[i].depth;
        return (double)(depth[DEPTH_WAITING] + depth[DEPTH_DELAYED] + depth[DEPTH_ACTIVE]);
    case TOP_POOLS:
        return b->pools[i].quota.accepted;
    case TOP_RUNS:
        return (double)b->runs[i].updated;
    default:
        return (double)b->workers[i].in_flight;
    }
}

static double rate_of(const struct board *b, enum top_section s, size_t i)
{
    switch (s) {
    case TOP_QUEUES:
        return b->queues[i].finished.per_s;
    case TOP_POOLS:
        return b->pools[i].calls.per_s;
    case TOP_RUNS:
        return b->runs[i].succeeded.per_s + b->runs[i].failed.per_s;
    default:
        return (double)b->workers[i].started;
    }
}

static const char *name_of(const struct board *b, enum top_section s, size_t i)
{
    switch (s) {
    case TOP_QUEUES:
        return b->queues[i].name;
    case TOP_POOLS:
        return b->pools[i].name;
    case TOP_RUNS:
        return b->runs[i].name;
    default:
        return b->workers[i].id;
    }
}

static int compare(const void *left, const void *right)
{
    const struct board *b = &sorting->board;
    size_t l = *(const size_t *)left, r = *(const size_t *)right;
    double by_l = 0, by_r = 0;
    if (sorting->sort != TOP_BY_NAME) {
        bool load = sorting->sort == TOP_BY_LOAD;
        by_l = load ? load_of(b, sorting_section, l) : rate_of(b, sorting_section, l);
        by_r = load ? load_of(b, sorting_section, r) : rate_of(b, sorting_section, r);
    }
    if (by_l != by_r)
        return by_l > by_r ? -1 : 1;
    return strcmp(name_of(b, sorting_section, l), name_of(b, sorting_section, r));
}

void top_arrange(struct top *t)
{
    struct board *b = &t->board;
    size_t counts[TOP_SECTIONS] = {b->queue_count, b->pool_count, b->run_count, b->worker_count};
    for (int s = 0; s < TOP_SECTIONS; s++) {
        size_t n = 0;
        for (size_t i = 0; i < counts[s]; i++)
            if (s != TOP_WORKERS || b->workers[i].alive)
                t->order[s][n++] = i;
        t->count[s] = n;
        sorting = t;
        sorting_section = (enum top_section)s;
        qsort(t->order[s], n, sizeof t->order[s][0], compare);
        if (t->chosen[s] >= n)
            t->chosen[s] = n ? n - 1 : 0;
    }
}

// --- rows ------------------------------------------------------------------------------------

// What the other columns take, with a little of the last one.
static const int others[TOP_SECTIONS] = {66, 62, 63, 50};
enum { WIDE = 112, WIDE_MORE = 21 }; // from here on a pool's levels are told in figures

static int name_width(const struct top *t, const struct frame *f, enum top_section s)
{
    bool wide = s == TOP_POOLS && (f->columns == 0 || f->columns >= WIDE);
    int most = NAME_MOST, want = NAME_LEAST;
    if (f->columns)
        most = MIN(most, f->columns - others[s] - (wide ? WIDE_MORE : 0));
    for (size_t n = 0; n < t->count[s]; n++)
        want = MAX(want, (int)strlen(name_of(&t->board, s, t->order[s][n])));
    return MAX(MIN(want, most), NAME_LEAST);
}

// print_row puts the mark and the name before the rest. What is too long keeps its end: pools and
// workers differ there.
static void print_row(struct frame *f, enum look look, int width, const char *name,
                      const char *rest)
{
    int len = (int)strlen(name);
    bool cut = len > width;
    line(f, look, "%s%s%-*s %s", look == LOOK_CHOSEN ? ">" : " ", cut ? "~" : "",
         cut ? width - 1 : width, cut ? name + len - width + 1 : name, rest);
}

#define QUEUE_FORM "%7s %7s %6s %5s %6s %6s %7s  %s%s%s"
#define POOL_FORM "%-16s %6s %6s %*s %*s %*s  %s"
#define RUN_FORM "%7s %6s %6s %6s %6s %6s %8s  %s"
#define WORKER_FORM "%6s %7s %6s  %-8s %s"

static int level_width(const struct frame *f)
{
    return f->columns == 0 || f->columns >= WIDE ? 11 : 4;
}

static void draw_head(struct frame *f, enum top_section s, int width, bool here)
{
    char rest[LINE_MAX_BYTES];
    static const char *const names[] = {"QUEUES", "POOLS", "RUNS", "WORKERS"};
    int level = level_width(f);
    if (s == TOP_QUEUES)
        snprintf(rest, sizeof rest, QUEUE_FORM, "waiting", "delayed", "active", "dead", "done/s",
                 "429/s", "left", "state", "", "");
    else if (s == TOP_POOLS)
        snprintf(rest, sizeof rest, POOL_FORM, "gate", "call/s", "429/s", level, "req", level, "in",
                 level, "out", "why");
    else if (s == TOP_RUNS)
        snprintf(rest, sizeof rest, RUN_FORM, "done", "failed", "done/s", "429s", "in", "out",
                 "cost", "queue");
    else
        snprintf(rest, sizeof rest, WORKER_FORM, "calls", "up", "seen", "version", "queues");
    line(f, LOOK_HEAD, "%s%-*s %s", here ? ">" : " ", width, names[s], rest);
}

static void draw_queue(struct frame *f, const struct board_queue *q, int width, enum look look)
{
    char depth[DEPTHS][PLAIN_WORD], done[PLAIN_WORD], held[PLAIN_WORD], eta[PLAIN_WORD];
    char rest[LINE_MAX_BYTES];
    for (int i = 0; i < DEPTHS; i++)
        plain_count((double)q->depth[i], depth[i]);
    plain_rate(q->finished.per_s, done);
    plain_rate(q->throttles.per_s, held);
    plain_seconds(board_eta_s(q), eta);
    snprintf(rest, sizeof rest, QUEUE_FORM, depth[DEPTH_WAITING], depth[DEPTH_DELAYED],
             depth[DEPTH_ACTIVE], depth[DEPTH_DEAD], done, held, eta, q->paused ? "PAUSED" : "open",
             q->why[0] ? ": " : "", q->why);
    print_row(f, look == LOOK_PLAIN && q->paused ? LOOK_TROUBLE : look, width, q->name, rest);
}

// spell_level writes "4.2k/4.0M", or "93%" where there is little room: what is left of a limit.
static void spell_level(const struct quota *q, enum quota_kind k, bool wide,
                        char ret[2 * PLAIN_WORD])
{
    char left[PLAIN_WORD], limit[PLAIN_WORD];
    double some = q->left[k] > 0 ? q->left[k] : 0;
    plain_count(some, left);
    plain_count(q->limit[k], limit);
    if (q->limit[k] <= 0)
        snprintf(ret, 2 * PLAIN_WORD, "-");
    else if (wide)
        snprintf(ret, 2 * PLAIN_WORD, "%s/%s", left, limit);
    else
        snprintf(ret, 2 * PLAIN_WORD, "%.0f%%", MIN(some / q->limit[k], 9.99) * 100);
}

// spell_gate writes "open", or "SHUT quota 12s"; "SHUT paused" where somebody has to open it.
static void spell_gate(const struct quota *q, int64_t now_ms, char *ret, size_t room)
{
    char until[PLAIN_WORD];
    enum { YEAR_S = 31536000 };
    double left_s = (double)((q->open_at - now_ms + 999) / 1000);
    plain_seconds(left_s, until);
    if (quota_is_open(q, now_ms))
        snprintf(ret, room, "%s", strcmp(q->breaker, "open") == 0 ? "calls break" : "open");
    else
        snprintf(ret, room, "SHUT %s %s", q->cause, left_s < YEAR_S ? until : "");
}

static void draw_pool(struct frame *f, const struct board_pool *p, int64_t now_ms, int width,
                      enum look look)
{
    char level[QUOTA_KINDS][2 * PLAIN_WORD], calls[PLAIN_WORD], held[PLAIN_WORD], gate[64];
    char rest[LINE_MAX_BYTES];
    int room = level_width(f);
    for (int k = 0; k < QUOTA_KINDS; k++)
        spell_level(&p->quota, (enum quota_kind)k, room > 4, level[k]);
    plain_rate(p->calls.per_s, calls);
    plain_rate(p->refused.per_s, held);
    spell_gate(&p->quota, now_ms, gate, sizeof gate);
    bool open = strcmp(gate, "open") == 0;
    snprintf(rest, sizeof rest, POOL_FORM, gate, calls, held, room, level[QUOTA_REQUESTS], room,
             level[QUOTA_INPUT], room, level[QUOTA_OUTPUT], open ? "" : p->quota.why);
    print_row(f, look == LOOK_PLAIN && !open ? LOOK_TROUBLE : look, width, p->name, rest);
}

static void draw_run(struct frame *f, const struct board_run *r, int width, enum look look)
{
    char done[PLAIN_WORD], failed[PLAIN_WORD], rate[PLAIN_WORD], held[PLAIN_WORD], in[PLAIN_WORD],
        out[PLAIN_WORD], cost[PLAIN_WORD], rest[LINE_MAX_BYTES];
    plain_count(r->succeeded.value, done);
    plain_count(r->failed.value, failed);
    plain_rate(r->succeeded.per_s + r->failed.per_s, rate);
    plain_count(r->throttles.value, held);
    plain_count((double)r->tokens_in, in);
    plain_count((double)r->tokens_out, out);
    snprintf(cost, sizeof cost, "$%.2f", r->cost_usd);
    snprintf(rest, sizeof rest, RUN_FORM, done, failed, rate, held, in, out, cost, r->queue);
    print_row(f, look, width, r->name, rest);
}

static void draw_worker(struct frame *f, const struct board_worker *w, int64_t now_ms, int width,
                        enum look look)
{
    char calls[PLAIN_WORD], up[PLAIN_WORD], seen[PLAIN_WORD], rest[LINE_MAX_BYTES];
    plain_count((double)w->in_flight, calls);
    plain_seconds((double)(now_ms - w->started) / 1e3, up);
    plain_seconds((double)MAX(now_ms - w->seen, 0) / 1e3, seen);
    snprintf(rest, sizeof rest, WORKER_FORM, calls, up, seen, w->version, w->queues);
    print_row(f, look, width, w->id, rest);
}

static void draw_row(const struct top *t, struct frame *f, enum top_section s, int width,
                     size_t nth)
{
    const struct board *b = &t->board;
    size_t i = t->order[s][nth];
    bool chosen = f->live && s == t->section && nth == t->chosen[s];
    enum look look = chosen ? LOOK_CHOSEN : LOOK_PLAIN;
    if (s == TOP_QUEUES)
        draw_queue(f, &b->queues[i], width, look);
    else if (s == TOP_POOLS)
        draw_pool(f, &b->pools[i], b->now_ms, width, look);
    else if (s == TOP_RUNS)
        draw_run(f, &b->runs[i], width, look);
    else
        draw_worker(f, &b->workers[i], b->now_ms, width, look);
}

// --- the frame -------------------------------------------------------------------------------

static void draw_title(const struct top *t, struct frame *f)
{
    const struct board *b = &t->board;
    double done = 0, held = 0, failed = 0, left = 0;
    char word[6][PLAIN_WORD], clock[16] = "";
    time_t now = (time_t)(b->now_ms / 1000);
    struct tm tm;
    for (size_t i = 0; i < b->queue_count; i++) {
        done += b->queues[i].finished.per_s;
        held += b->queues[i].throttles.per_s;
        failed += b->queues[i].failed.per_s;
        left += load_of(b, TOP_QUEUES, i);
    }
    if (localtime_r(&now, &tm))
        strftime(clock, sizeof clock, "%H:%M:%S", &tm);
    line(f, LOOK_TITLE, "penstock top  %s  %s", t->redis, clock);
    if (t->trouble) {
        line(f, LOOK_TROUBLE, "no connection to Redis: %s", t->trouble);
        return;
    }
    if (b->refusal[0])
        line(f, LOOK_TROUBLE, "Redis refuses: %s", b->refusal);
    plain_count(left, word[0]);
    plain_rate(done, word[1]);
    plain_rate(held, word[2]);
    plain_rate(failed, word[3]);
    plain_seconds(left == 0 ? 0 : done > 0.001 ? left / done : -1, word[4]);
    line(f, LOOK_PLAIN, "%s to do, %s done/s, %s 429/s, %s failed/s, %s left", word[0], word[1],
         word[2], word[3], word[4]);
}

// share_rows gives each section its lines: all it wants where there is room, and equal parts of
// what is left for those that want more. At least one, which says "none".
static void share_rows(const struct top *t, int room, size_t ret[TOP_SECTIONS])
{
    size_t given = 0;
    for (int s = 0; s < TOP_SECTIONS; s++) {
        ret[s] = 1;
        given++;
    }
    for (bool some = true; some;) {
        some = false;
        for (int s = 0; s < TOP_SECTIONS && (room < 0 || given < (size_t)room); s++)
            if (ret[s] < t->count[s]) {
                ret[s]++;
                given++;
                some = true;
            }
    }
}

static void draw_section(const struct top *t, struct frame *f, enum top_section s, size_t rows)
{
    size_t first = 0, count = t->count[s];
    int width = name_width(t, f, s);
    draw_head(f, s, width, f->live && s == t->section);
    if (count == 0)
        line(f, LOOK_FAINT, " none");
    if (s == t->section && t->chosen[s] >= rows)
        first = t->chosen[s] - rows + 1;
    for (size_t i = first; i < count && i < first + rows; i++)
        draw_row(t, f, s, width, i);
}

static void draw_help(struct frame *f)
{
    static const char *const lines[] = {
        "",
        " q              leave                     p    pause or resume what is chosen",
        " Tab, left, right   another section       s    sort: name, load, rate",
        " up, down, j, k     another row           h, ? this help",
        "",
        " load: jobs that wait or run; of a pool its calls, of a run the latest first",
        " left: how long the queue takes at its present rate",
        " req, in, out: requests and tokens that the ledger thinks are left, of a minute's limit",
        " gate: SHUT says why, and for how long no call starts; p opens it",
        "",
        " any key: back"};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        line(f, LOOK_PLAIN, "%s", lines[i]);
}

static void draw_foot(const struct top *t, struct frame *f)
{
    if (!f->live)
        return;
    while (f->used < f->rows - 1)
        line(f, LOOK_PLAIN, " ");
    if (t->note[0])
        line(f, LOOK_TITLE, "%s", t->note);
    else
        line(f, LOOK_FAINT, "q quit  Tab section  up/down row  s sort: %s  p pause/resume  h help",
             top_sorts[t->sort]);
}

void top_draw(const struct top *t, struct frame *f)
{
    size_t rows[TOP_SECTIONS];
    int total = f->rows;
    if (f->live)
        strbuf_add_str(f->to, "\x1b[H");
    draw_title(t, f);
    if (f->rows)
        f->rows = total > 3 ? total - 1 : total; // the last line is the foot's
    if (t->help) {
        draw_help(f);
    } else {
        share_rows(t, f->live ? total - f->used - TOP_SECTIONS - 1 : -1, rows);
        for (int s = 0; s < TOP_SECTIONS; s++) {
            if (!f->live)
                line(f, LOOK_PLAIN, " ");
            draw_section(t, f, (enum top_section)s, rows[s]);
        }
    }
    f->rows = total;
    draw_foot(t, f);
    if (f->live)
        strbuf_add_str(f->to, "\x1b[J");
}
