// batch_show: what a person sees of a run: one line that is written anew on a terminal, a line
// every ten seconds elsewhere, and the last word.
#include "common/base/clock.h"
#include "worker/cli/batch.h"

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

static void spell_time(double seconds, char *ret, size_t room)
{
    uint64_t s = (uint64_t)seconds;
    if (s < 60)
        snprintf(ret, room, "%llus", (unsigned long long)s);
    else if (s < 3600)
        snprintf(ret, room, "%llum%02llus", (unsigned long long)s / 60, (unsigned long long)s % 60);
    else
        snprintf(ret, room, "%lluh%02llum", (unsigned long long)s / 3600,
                 (unsigned long long)s / 60 % 60);
}

static uint64_t total(const struct batch *b)
{
    return b->plan.known ? b->plan.lines : b->plan.done + b->pushed;
}

// spell_count writes "1.2M" for what is large.
static void spell_count(int64_t n, char *ret, size_t room)
{
    if (n >= 10000000)
        snprintf(ret, room, "%.1fM", (double)n / 1e6);
    else if (n >= 10000)
        snprintf(ret, room, "%.1fk", (double)n / 1e3);
    else
        snprintf(ret, room, "%lld", (long long)n);
}

static void write_line(const struct batch *b, char *ret, size_t room)
{
    char in[24], out[24], eta[40] = "", cost[64] = "";
    uint64_t done = b->plan.done + batch_ended(b), all = total(b);
    double usd = (double)(b->spent + b->since_poll) / 1e9;
    spell_count(b->tokens_in, in, sizeof in);
    spell_count(b->tokens_out, out, sizeof out);
    if (b->rate > 0 && b->plan.known && all > done) {
        char text[24];
        spell_time((double)(all - done) / b->rate, text, sizeof text);
        snprintf(eta, sizeof eta, "  %s left", text);
    }
    if (usd > 0 && b->plan.known && done)
        snprintf(cost, sizeof cost, "  $%.2f of ~$%.2f", usd, usd * (double)all / (double)done);
    else if (usd > 0)
        snprintf(cost, sizeof cost, "  $%.2f", usd);
    snprintf(ret, room,
             "%llu/%llu%s  %.1f/s  429s %lld  retries %lld  failed %llu  tokens %s/%s%s%s%s%s",
             (unsigned long long)done, (unsigned long long)all, b->plan.known ? "" : "+", b->rate,
             (long long)b->throttles, (long long)b->retries, (unsigned long long)b->failed, in, out,
             cost, eta, b->paused ? "  PAUSED" : "",
             rlink_is_up(sync_link(b->redis)) ? "" : "  no connection to Redis");
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
    write_line(b, line, sizeof line);
    if (!live) {
        fprintf(stderr, "%s\n", line);
        return;
    }
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col < 20)
        size.ws_col = 80;
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
    char took[24];
    double seconds = (double)(clock_mono_ms() - b->started_ms) / 1e3;
    uint64_t left_out = b->plan.known ? b->plan.faulty : b->faulty;
    FILE *to = b->out.regular ? stdout : stderr;
    if (b->stopping)
        tell_rest(b);
    spell_time(seconds, took, sizeof took);
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
