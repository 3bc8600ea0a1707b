// batch_show: what a person sees of a run: one line that is written anew on a terminal, a line
// every ten seconds elsewhere, and the last word.
#include "common/base/clock.h"
#include "worker/cli/batch.h"
#include "worker/cli/plain.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PLAIN_EVERY_MS = 10000 };

static bool on_terminal(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

static uint64_t total(const struct batch *b)
{
    return b->plan.known ? b->plan.lines : b->plan.done + b->pushed;
}

// form: the same line in fewer words, where the terminal is narrow.
enum form { FORM_WIDE, FORM_SHORT, FORM_SHORTEST, FORMS };

// spell_left tells how long the rest takes: by the quota that binds, unless something else holds
// the run up more, as its present rate shows.
static void spell_left(const struct batch *b, uint64_t left, enum form form, char *ret, size_t room)
{
    enum { RATE_IS_STEADY_MS = 15000 };
    char word[PLAIN_WORD];
    enum quota_kind kind;
    static const char *const kinds[] = {"requests", "tokens in", "tokens out"};
    bool steady = clock_mono_ms() - b->started_ms > RATE_IS_STEADY_MS;
    double by_quota = plan_seconds(b, left, &kind);
    double by_rate = b->rate > 0 ? (double)left / b->rate : -1;
    ret[0] = '\0';
    bool binds = by_quota >= 0 && by_quota > (steady ? 0.8 : 0.2) * by_rate;
    if (!binds && by_rate < 0)
        return;
    plain_seconds(binds ? by_quota : by_rate, word);
    if (binds && form != FORM_SHORTEST)
        snprintf(ret, room, "%s left (%s)", word, kinds[kind]);
    else
        snprintf(ret, room, "%s left", word);
}

static void spell_cost(const struct batch *b, enum form form, char *ret, size_t room)
{
    uint64_t done = b->plan.done + batch_ended(b);
    double usd = (double)(b->spent + b->since_poll) / 1e9;
    ret[0] = '\0';
    if (usd > 0 && b->plan.known && batch_ended(b))
        snprintf(ret, room, form == FORM_WIDE ? "$%.2f of ~$%.2f" : "$%.2f/~%.2f", usd,
                 usd * (double)total(b) / (double)done);
    else if (usd > 0)
        snprintf(ret, room, "$%.2f", usd);
}

static void add_word(struct strbuf *line, enum form form, const char *word)
{
    if (word[0])
        strbuf_add_fmt(line, "%s%s",
                       line->len == 0          ? ""
                       : form == FORM_SHORTEST ? " "
                                               : "  ",
                       word);
}

// write_line puts what matters most first: a terminal may be narrower than any form.
static void write_line(const struct batch *b, enum form form, struct strbuf *line)
{
    char in[PLAIN_WORD], out[PLAIN_WORD], word[96];
    uint64_t done = b->plan.done + batch_ended(b), all = total(b);
    plain_count((double)b->tokens_in, in);
    plain_count((double)b->tokens_out, out);
    strbuf_clear(line);
    strbuf_add_fmt(line, "%llu/%llu%s", (unsigned long long)done, (unsigned long long)all,
                   b->plan.known ? "" : "+");
    snprintf(word, sizeof word, form == FORM_SHORTEST ? "%.0f/s" : "%.1f/s", b->rate);
    add_word(line, form, word);
    add_word(line, form, b->paused ? "PAUSED" : "");
    if (limits_trouble(b)) {
        snprintf(word, sizeof word, "SHUT: %s", limits_trouble(b));
        add_word(line, form, word);
    }
    add_word(line, form, rlink_is_up(sync_link(b->redis)) ? "" : "no connection to Redis");
    if (b->plan.known && all > done)
        spell_left(b, all - done, form, word, sizeof word);
    else
        word[0] = '\0';
    add_word(line, form, word);
    spell_cost(b, form, word, sizeof word);
    add_word(line, form, word);
    snprintf(word, sizeof word, "429s %lld", (long long)b->throttles);
    add_word(line, form, word);
    snprintf(word, sizeof word, form == FORM_SHORTEST ? "fail %llu" : "failed %llu",
             (unsigned long long)b->failed);
    add_word(line, form, word);
    snprintf(word, sizeof word, form == FORM_SHORTEST ? "retry %lld" : "retries %lld",
             (long long)b->retries);
    add_word(line, form, word);
    snprintf(word, sizeof word, form == FORM_WIDE ? "tokens %s/%s" : "%s/%s tok", in, out);
    add_word(line, form, word);
}

static void draw_line(struct batch *b, size_t columns, bool last)
{
    struct strbuf line;
    strbuf_init(&line, 4096);
    for (int form = FORM_WIDE; form < FORMS; form++) {
        write_line(b, (enum form)form, &line);
        if (line.len < columns)
            break;
    }
    if (columns < SIZE_MAX)
        fprintf(stderr, "\r\x1b[K%.*s%s", (int)MIN(columns - 1, line.len), line.at ? line.at : "",
                last ? "\n" : "");
    else
        fprintf(stderr, "%s\n", line.at ? line.at : "");
    strbuf_fini(&line);
}

void show_progress(struct batch *b, bool last)
{
    struct winsize size = {.ws_col = 80};
    uint64_t now_ms = clock_mono_ms();
    bool live = on_terminal();
    if (!live && !last && now_ms - b->shown_ms < PLAIN_EVERY_MS)
        return;
    b->shown_ms = now_ms;
    if (last && now_ms > b->started_ms) // of all of it
        b->rate = (double)batch_ended(b) * 1e3 / (double)(now_ms - b->started_ms);
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col < 20)
        size.ws_col = 80;
    draw_line(b, live ? size.ws_col : SIZE_MAX, last);
}

void show_note(struct batch *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "%spenstock run: ", on_terminal() ? "\r\x1b[K" : "");
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    b->shown_ms = clock_mono_ms();
}

static void tell_rest(const struct batch *b)
{
    size_t with = b->window.pushed;
    if (b->over_budget)
        fprintf(stderr,
                "penstock run: stopped: the next job could pass --max-cost %g; %.4f is "
                "spent. Raise it and run the same command to go on.\n",
                (double)b->max_cost / 1e9, (double)(b->spent + b->since_poll) / 1e9);
    else
        fprintf(stderr, "penstock run: paused. The same command goes on from here.\n");
    if (!with || b->own)
        return;
    if (b->held)
        fprintf(stderr,
                "%zu jobs had been handed over; those whose calls have begun will end, the others "
                "wait.\nTo let the workers go on without this command: penstock resume --run %s "
                "--queue %s\n",
                with, b->run, b->cli->queue);
    else
        fprintf(stderr, "%zu jobs have been handed over and will be worked off.\n", with);
    fprintf(stderr,
            "Their results are kept for the next start. To cancel them: penstock cancel --run %s "
            "--queue %s\n",
            b->run, b->cli->queue);
}

void show_summary(struct batch *b)
{
    char took[PLAIN_WORD];
    double seconds = (double)(clock_mono_ms() - b->started_ms) / 1e3;
    uint64_t left_out = b->plan.known ? b->plan.faulty : b->faulty;
    FILE *to = b->out.regular ? stdout : stderr;
    if (b->stopping)
        tell_rest(b);
    plain_seconds(seconds, took);
    if (b->cli->json)
        fprintf(to,
                "{\"run\":\"%s\",\"succeeded\":%llu,\"failed\":%llu,\"before\":%llu,"
                "\"left_out\":%llu,\"unfinished\":%zu,\"pushed\":%llu,\"throttles\":%lld,"
                "\"cost_usd\":%.9g,\"seconds\":%.3f,\"stopped\":%s}\n",
                b->run, (unsigned long long)b->ok, (unsigned long long)b->failed,
                (unsigned long long)b->plan.done, (unsigned long long)left_out, b->window.pushed,
                (unsigned long long)b->pushed, (long long)b->throttles, (double)b->spent / 1e9,
                seconds, b->stopping ? "true" : "false");
    else
        fprintf(stderr,
                "run %s: %llu succeeded, %llu failed, %llu were done before, %llu left out; "
                "%s, $%.4f\n",
                b->run, (unsigned long long)b->ok, (unsigned long long)b->failed,
                (unsigned long long)b->plan.done, (unsigned long long)left_out, took,
                (double)b->spent / 1e9);
    if (b->out.failed)
        fprintf(stderr, "%llu of those done before had failed; --retry-failed repeats them.\n",
                (unsigned long long)b->out.failed);
    if (b->failed)
        fprintf(stderr, "The failed ones say why in the output; run the same command with "
                        "--retry-failed to repeat them.\n");
}
