// penstock top: queues, pools, runs and workers on a full screen, once a second. Where there is no
// terminal to draw on: one snapshot, after a second in which rates were measured.
#include "common/base/err.h"
#include "worker/cli/out.h"
#include "worker/cli/plain.h"
#include "worker/cli/term.h"
#include "worker/cli/top.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum { FRAME_BYTES_MAX = 1 << 20, EVERY_MS = 1000, EVERY_LEAST_MS = 100 };
enum { SIGNALS = 6 };
static const int signals[SIGNALS] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP, SIGCONT};

struct live {
    struct top top;
    struct cli *cli;
    int64_t every_ms;
    uv_timer_t tick;
    uv_poll_t keys;
    uv_signal_t signals[SIGNALS];
    struct strbuf frame;
    char subject[256]; // what the question was about
    bool asking, asked_pool, asked_pause, again, over, caught_up;
    char change[TOP_NOTE]; // what the answer will be told as
};

static void draw(struct live *l)
{
    struct frame f = {.to = &l->frame, .live = true};
    struct rlink *link = sync_link(l->cli->redis);
    strbuf_clear(&l->frame);
    term_size(&f.rows, &f.columns);
    f.colour = cli_colour();
    l->top.trouble = rlink_is_up(link) ? NULL : rlink_why(link);
    top_arrange(&l->top);
    top_draw(&l->top, &f);
    term_show(&l->frame);
}

static void on_fresh(struct board *b)
{
    struct live *l = b->owner;
    bool again = b->more_names && !l->caught_up;
    l->caught_up = true;
    if (again)
        board_ask(b); // at once, but once a tick: what was just learnt has no figures yet
    draw(l);
}

static void on_tick(uv_timer_t *t)
{
    struct live *l = t->data;
    l->caught_up = false;
    board_ask(&l->top.board);
    if (!rlink_is_up(sync_link(l->cli->redis)))
        draw(l);
}

// --- pause and resume ------------------------------------------------------------------------

static int change_pool(struct live *l);

static void on_changed(int err, const struct reply *reply, void *arg)
{
    struct live *l = arg;
    bool new_script = err == ERR_REDIS && reply_is_error(reply, "NOSCRIPT") && !l->again;
    l->again = new_script; // it has been loaded by now
    if (new_script && change_pool(l) == 0)
        return;
    if (err)
        snprintf(l->top.note, TOP_NOTE, "not done: %.120s",
                 err == ERR_LINK_DOWN ? "no connection to Redis" : reply_text(reply));
    else
        snprintf(l->top.note, TOP_NOTE, "%s", l->change);
    plain_clean(l->top.note);
    board_ask(&l->top.board);
    draw(l);
}

static int change_queue(struct live *l)
{
    char key[CLI_KEY_MAX];
    key_queue(l->cli->conf.prefix, l->subject, "paused", key, sizeof key);
    const char *argv[] = {l->asked_pause ? "SET" : "DEL", key, "paused in penstock top"};
    size_t lens[] = {3, strlen(key), strlen(argv[2])};
    return rlink_call(sync_link(l->cli->redis), l->asked_pause ? 3 : 2, argv, lens, 0, on_changed,
                      l);
}

static int change_pool(struct live *l)
{
    static struct args args;
    char key[CLI_KEY_MAX];
    key_pool(l->cli->conf.prefix, l->subject, key, sizeof key);
    args_clear(&args);
    if (l->asked_pause) {
        args_add_str(&args, "paused");
        args_add_int(&args, -1);
        args_add_int(&args, 0);
        args_add_str(&args, "paused in penstock top");
    } else {
        args_add_int(&args, 0);
        args_add_int(&args, 0);
    }
    return script_call(sync_link(l->cli->redis),
                       l->asked_pause ? SCRIPT_POOL_SHUT : SCRIPT_POOL_OPEN, key, &args, on_changed,
                       l);
}

// change does what was asked, on y; any other key leaves all as it is.
static void change(struct live *l, bool yes)
{
    l->top.note[0] = '\0';
    l->asking = false;
    if (yes) {
        snprintf(l->change, sizeof l->change, "%.100s is %s", l->subject,
                 l->asked_pause ? "paused" : "open");
        if (l->asked_pool ? change_pool(l) : change_queue(l))
            snprintf(l->top.note, TOP_NOTE, "not done: no connection to Redis");
    }
}

static void ask_change(struct live *l)
{
    struct top *t = &l->top;
    size_t i = t->order[t->section][t->chosen[t->section]];
    l->asked_pool = t->section == TOP_POOLS;
    if ((!l->asked_pool && t->section != TOP_QUEUES) || t->count[t->section] == 0) {
        snprintf(t->note, TOP_NOTE, "queues and pools can be paused: choose one (Tab, up, down)");
        return;
    }
    if (l->asked_pool) {
        struct board_pool *p = &t->board.pools[i];
        l->asked_pause = quota_is_open(&p->quota, t->board.now_ms);
        snprintf(l->subject, sizeof l->subject, "%s", p->name);
    } else {
        l->asked_pause = !t->board.queues[i].paused;
        snprintf(l->subject, sizeof l->subject, "%s", t->board.queues[i].name);
    }
    l->asking = true;
    snprintf(t->note, TOP_NOTE, "%s %s %.100s? y/n", l->asked_pause ? "pause" : "resume",
             l->asked_pool ? "pool" : "queue", l->subject);
}

// --- keys ------------------------------------------------------------------------------------

static void move(struct live *l, int sections, int rows)
{
    struct top *t = &l->top;
    t->section = (enum top_section)(((int)t->section + sections + TOP_SECTIONS) % TOP_SECTIONS);
    if (rows < 0 && t->chosen[t->section] > 0)
        t->chosen[t->section]--;
    if (rows > 0)
        t->chosen[t->section]++; // top_arrange keeps it in bounds
}

static void press(struct live *l, char key)
{
    struct top *t = &l->top;
    if (l->asking) {
        change(l, key == 'y' || key == 'Y');
        return;
    }
    t->note[0] = '\0';
    if (t->help && key != 'q') {
        t->help = false;
        return;
    }
    if (key == 'q' || key == 'Q')
        l->over = true;
    else if (key == 's')
        t->sort = (enum top_sort)((t->sort + 1) % TOP_SORTS);
    else if (key == 'p')
        ask_change(l);
    else if (key == 'h' || key == '?')
        t->help = true;
    else if (key == '\t' || key == 'l')
        move(l, 1, 0);
    else if (key == 'j' || key == 'k')
        move(l, 0, key == 'j' ? 1 : -1);
}

// press_arrow takes what follows ESC [ or ESC O.
static void press_arrow(struct live *l, char key)
{
    if (l->asking)
        change(l, false);
    l->top.note[0] = '\0';
    if (key == 'A' || key == 'B')
        move(l, 0, key == 'B' ? 1 : -1);
    else if (key == 'C' || key == 'D' || key == 'Z')
        move(l, key == 'C' ? 1 : -1, 0);
}

static void on_keys(uv_poll_t *p, int status, int events)
{
    struct live *l = p->data;
    char keys[64];
    (void)events;
    ssize_t n = status < 0 ? 0 : read(STDIN_FILENO, keys, sizeof keys);
    if (n <= 0) { // the terminal has gone
        l->over = true;
        return;
    }
    for (ssize_t i = 0; i < n && !l->over; i++) {
        if (keys[i] != '\x1b') {
            press(l, keys[i]);
        } else if (i + 2 < n && (keys[i + 1] == '[' || keys[i + 1] == 'O')) {
            press_arrow(l, keys[i + 2]);
            i += 2;
        } else {
            press(l, ' '); // Escape: no, or back
        }
    }
    if (!l->over)
        draw(l);
}

static void on_signal(uv_signal_t *s, int signum)
{
    struct live *l = s->data;
    if (signum == SIGTSTP) {
        term_leave();
        kill(getpid(), SIGSTOP); // goes on here, after fg
    }
    if ((signum == SIGTSTP || signum == SIGCONT) && term_enter())
        l->over = true;
    if (signum == SIGINT || signum == SIGTERM || signum == SIGHUP)
        l->over = true;
    else
        draw(l);
}

// --- the loop --------------------------------------------------------------------------------

static void on_scripts(int err, const char *why, void *arg)
{
    (void)err, (void)why, (void)arg; // who may not load them hears so when a pool is to be paused
}

static int watch(struct live *l)
{
    uv_loop_t *loop = sync_loop(l->cli->redis);
    l->top.board.fresh = on_fresh;
    l->top.board.owner = l;
    uv_timer_init(loop, &l->tick);
    l->tick.data = l->keys.data = l;
    if (uv_poll_init(loop, &l->keys, STDIN_FILENO))
        return cli_fail(l->cli, EXIT_USAGE, "standard input cannot be watched");
    for (int i = 0; i < SIGNALS; i++) {
        uv_signal_init(loop, &l->signals[i]);
        l->signals[i].data = l;
        uv_signal_start(&l->signals[i], on_signal, signals[i]);
    }
    int err = script_load_all(sync_link(l->cli->redis), on_scripts, NULL);
    if (!err)
        err = term_enter();
    uv_poll_start(&l->keys, UV_READABLE, on_keys);
    uv_timer_start(&l->tick, on_tick, 0, (uint64_t)l->every_ms);
    while (!err && !l->over)
        uv_run(loop, UV_RUN_ONCE);
    term_leave();
    uv_close((uv_handle_t *)&l->keys, NULL);
    uv_close((uv_handle_t *)&l->tick, NULL);
    for (int i = 0; i < SIGNALS; i++)
        uv_close((uv_handle_t *)&l->signals[i], NULL);
    l->top.board.fresh = board_ignore;
    sync_close(l->cli->redis); // answers that are under way still find their board
    l->cli->redis = NULL;
    return err ? cli_fail(l->cli, EXIT_NO_REDIS, "it cannot begin: %s", err_text(err)) : 0;
}

static int show_once(struct live *l)
{
    struct frame f = {.to = &l->frame};
    int code = board_read(&l->top.board);
    if (code)
        return code;
    top_arrange(&l->top);
    if (l->cli->json) {
        top_json(&l->top);
        return 0;
    }
    top_draw(&l->top, &f);
    fwrite(l->frame.at ? l->frame.at : "", 1, l->frame.len, stdout);
    return 0;
}

static int show_where(struct live *l)
{
    struct rurl url;
    char why[SYNC_WHY_MAX];
    if (rurl_parse(l->cli->conf.redis_url, &url, why, sizeof why) == 0)
        rurl_show(&url, l->top.redis, sizeof l->top.redis);
    plain_clean(l->top.redis);
    return board_begin(&l->top.board);
}

int cmd_top(struct cli *c)
{
    const char *every = cli_option(c, "interval");
    int64_t every_ms = every ? cli_ms(every) : EVERY_MS;
    if (c->argc)
        return cli_fail(c, EXIT_USAGE, "no argument wanted; --queue NAME shows one queue alone");
    if (every_ms < EVERY_LEAST_MS)
        return cli_fail(c, EXIT_USAGE, "--interval %s: write a time of 100ms or more", every);
    struct live *l = calloc(1, sizeof *l);
    if (!l)
        return cli_fail(c, EXIT_USAGE, "out of memory");
    l->cli = l->top.board.cli = c;
    l->every_ms = every_ms;
    l->top.sort = TOP_BY_LOAD;
    strbuf_init(&l->frame, FRAME_BYTES_MAX);
    int code = cli_connect(c);
    if (!code)
        code = show_where(l);
    if (!code && !c->json && !cli_option(c, "once") && term_is_full())
        code = watch(l);
    else if (!code)
        code = show_once(l);
    strbuf_fini(&l->frame);
    free(l);
    return code;
}
