// penstock-sim: flags, signals, exit code.
#include "common/base/rnd.h"
#include "tests/sim/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

struct program {
    struct sim sim;
    struct server server;
    uv_loop_t loop;
    uv_signal_t signals[2];
};

static void on_signal(uv_signal_t *h, int number)
{
    struct program *p = h->data;
    (void)number;
    server_stop(&p->server);
    for (size_t i = 0; i < ARRAY_LEN(p->signals); i++)
        if (!uv_is_closing((uv_handle_t *)&p->signals[i]))
            uv_close((uv_handle_t *)&p->signals[i], NULL);
}

static void watch_signals(struct program *p)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        uv_signal_init(&p->loop, &p->signals[i]);
        p->signals[i].data = p;
        uv_signal_start(&p->signals[i], on_signal, numbers[i]);
    }
    signal(SIGPIPE, SIG_IGN);
}

static void raise_file_limit(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        setrlimit(RLIMIT_NOFILE, &l);
    }
}

static void sim_init(struct sim *s)
{
    s->born_us = clock_mono_us();
    s->born_wall_ms = clock_wall_ms();
    ledger_init(&s->ledger);
    stats_init(&s->stats, (uint64_t)s->set.log_size);
    if (s->set.seed > 0)
        rnd_seed((uint64_t)s->set.seed);
}

static void sim_fini(struct sim *s)
{
    phases_clear(&s->phases);
    script_clear(&s->script);
    stats_fini(&s->stats);
    ledger_fini(&s->ledger);
}

static void announce(const struct server *v)
{
    if (v->control.tcp)
        printf("penstock-sim: control on %s\n", v->control.url);
    printf("penstock-sim: listening on %s\n", v->api.url);
    fflush(stdout);
}

static void sum_up(const struct sim *s)
{
    const struct stats *t = &s->stats;
    if (!s->set.quiet)
        printf("penstock-sim: %llu requests, %llu accepted, %llu over the quota, %llu too early\n",
               (unsigned long long)t->requests, (unsigned long long)t->accepted,
               (unsigned long long)t->refused, (unsigned long long)t->early);
}

static int serve(struct program *p)
{
    char why[WHY_MAX_BYTES] = "";
    int err = server_open(&p->server, &p->sim, &p->loop, why);
    watch_signals(p);
    if (err) {
        fprintf(stderr, "penstock-sim: %s\n", why);
        on_signal(&p->signals[0], 0);
    } else {
        announce(&p->server);
    }
    uv_run(&p->loop, UV_RUN_DEFAULT);
    if (!err)
        sum_up(&p->sim);
    server_fini(&p->server);
    return err;
}

int main(int argc, char **argv)
{
    static struct program p; // large
    char why[WHY_MAX_BYTES] = "";
    settings_init(&p.sim.set);
    int got = settings_args(&p.sim.set, argc, argv, why);
    if (got) {
        if (got < 0)
            fprintf(stderr, "penstock-sim: %s\n", why);
        return got < 0 ? 2 : 0;
    }
    raise_file_limit();
    sim_init(&p.sim);
    if (uv_loop_init(&p.loop))
        return 1;
    int err = serve(&p);
    int open_handles = uv_loop_close(&p.loop);
    sim_fini(&p.sim);
    if (open_handles)
        fprintf(stderr, "penstock-sim: something was left open: %s\n", uv_strerror(open_handles));
    return err || open_handles ? 1 : 0;
}
