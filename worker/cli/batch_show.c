// batch_show: what a person sees of a run: one line that is written anew on a terminal, a line
// every ten seconds elsewhere, and the last word.
#include "common/base/clock.h"
#include "worker/cli/batch.h"
#include "worker/cli/plain.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PLAIN_EVERY_MS = 10000, NARROW = 110 };

static bool on_terminal(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

static uint64_t total(const struct batch *b)
{
    return b->plan.known ? b->plan.lines : b->plan.done + b->pushed;
}

// spell_left tells how long the rest takes: by the quota that binds, unless something else holds
// the run up more, as its present rate shows.
static void spell_left(const struct batch *b, uint64_t left, char *ret, size_t room)
{
    enum { RATE_IS_STEADY_MS = 15000 };
    char word[PLAIN_WORD];
    enum quota_kind kind;
    static const char *const kinds[] = {"requests", "tokens in", "tokens out"};
    bool steady = clock_mono_ms() - b->started_ms > RATE_IS_STEADY_MS;
    double by_quota = plan_seconds(b, left, &kind);
    double by_rate = b->rate > 0 ? (double)left / b->rate : -1;
    ret[0] = '\0';
    bool binds = by_quota >= 0 && (!steady || by_quota > 0.8 * by_rate);
    if (!binds && by_rate < 0)
        return;
    plain_seconds(binds ? by_quota : by_rate, word);
    snprintf(ret, room, "  %s left%s%s%s", word, binds ? " (" : "", binds ? kinds[kind] : "",
             binds ? ")" : "");
}

// write_line says the same in fewer words where the line is narrow; what matters most comes first.
static void write_line(const struct batch *b, bool narrow, char *ret, size_t room)
{
    char in[PLAIN_WORD], out[PLAIN_WORD], eta[64] = "", cost[64] = "";
    uint64_t done = b->plan.done + batch_ended(b), all = total(b);
    double usd = (double)(b->spent + b->since_poll) / 1e9;
    plain_count((double)b->tokens_in, in);
    plain_count((double)b->tokens_out, out);
    if (b->plan.known && all > done)
        spell_left(b, all - done, eta, sizeof eta);
    if (usd > 0 && b->plan.known && done)
        snprintf(cost, sizeof cost, narrow ? "  $%.2f/~%.2f" : "  $%.2f of ~$%.2f", usd,
                 usd * (double)all / (double)done);
    else if (usd > 0)
        snprintf(cost, sizeof cost, "  $%.2f", usd);
    snprintf(ret, room,
             narrow ? "%llu/%llu%s  %.1f/s%s%s%s%s  429s %lld  failed %llu  retries %lld  %s/%s tok"
                    : "%llu/%llu%s  %.1f/s%s%s%s%s  429s %lld  failed %llu  retries %lld  "
                      "tokens %s/%s",
             (unsigned long long)done, (unsigned long long)all, b->plan.known ? "" : "+", b->rate,
             b->paused ? "  PAUSED" : "",
             rlink_is_up(sync_link(b->redis)) ? "" : "  no connection to Redis", eta, cost,
             (long long)b->throttles, (unsigned long long)b->failed, (long long)b->retries, in,
             out);
}

void show_progress(struct batch *b, bool last)
{
    char line[400];
    struct winsize size = {.ws_col = 80};
    uint64_t now_ms = clock_mono_ms();
    bool live = on_terminal();
    if (!live && !last && now_ms - b->shown_ms < PLAIN_EVERY_MS)
        return;
    b->shown_ms = now_ms;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col < 20)
        size.ws_col = 80;
    write_line(b, live && size.ws_col < NARROW, line, sizeof line);
    if (!live) {
        fprintf(stderr, "%s\n", line);
        return;
    }
    fprintf(stderr, "\r\x1b[K%.*s%s", size.ws_col - 1, line, last ? "\n" : "");
}

static void tell_rest(const struct batch *b)
{
    size_t with = b->window.pushed;
    if (b->over_budget)
        fprintf(stderr,
                "penstock run: stopped: the next job could pass --max-cost %.2f; %.4f is "
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
    if (b->failed)
        fprintf(stderr, "The failed ones say why in the output; run the same command with "
                        "--retry-failed to repeat them.\n");
}
