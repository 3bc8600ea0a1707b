// bench_http: what the HTTP client costs. It keeps a number of calls in flight against a URL and
// prints calls a second, CPU a call, memory a call in flight and how many connections there were.
//
//   bench_http [-c in_flight] [-n calls] [-b body_bytes] [-a ca_file] [-i pause_ms] URL
//
// With -i the calls are made one at a time with a pause before each, and the time from http_submit
// to the first byte of the answer is printed instead.
#include "common/base/clock.h"
#include "common/base/err.h"
#include "worker/http/client.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

static struct {
    uv_loop_t loop;
    uv_timer_t pause;
    struct http_client *client;
    struct http_target *target;
    char *body;
    size_t body_len;
    long in_flight, calls, started, done, failed;
    long pause_ms;
    long rss_before_kib, rss_full_kib, sockets;
    uint64_t *first_us;
    int example; // an error that occurred
    char example_text[160];
} b = {.in_flight = 64, .calls = 100000, .body_len = 400};

static long rss_kib(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%*d %ld", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static long count_sockets(void)
{
    long count = 0;
    char path[300], to[64];
    DIR *dir = opendir("/proc/self/fd");
    for (struct dirent *e; dir && (e = readdir(dir));) {
        snprintf(path, sizeof path, "/proc/self/fd/%s", e->d_name);
        ssize_t len = readlink(path, to, sizeof to);
        count += len > 7 && memcmp(to, "socket:", 7) == 0;
    }
    if (dir)
        closedir(dir);
    return count;
}

static double cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void submit(void);

static void on_pause(uv_timer_t *timer)
{
    (void)timer;
    submit();
}

static void on_answer(struct http_answer *a, void *arg)
{
    (void)arg;
    b.first_us[b.done++] = a->first_byte_us;
    if (a->error || a->status != 200) {
        b.failed++;
        b.example = a->error;
        snprintf(b.example_text, sizeof b.example_text, "%s", a->error_text);
    }
    if (b.done == b.calls / 2) {
        b.rss_full_kib = rss_kib();
        b.sockets = count_sockets();
    }
    if (b.started < b.calls && b.pause_ms)
        uv_timer_start(&b.pause, on_pause, (uint64_t)b.pause_ms, 0);
    else if (b.started < b.calls)
        submit();
    else if (b.done == b.calls)
        uv_stop(&b.loop);
}

static void submit(void)
{
    b.started++;
    struct span body = {b.body, b.body_len};
    int err = http_submit(b.target, body, 600000, on_answer, NULL, NULL);
    if (err) {
        fprintf(stderr, "http_submit: %s\n", err_text(err));
        exit(1);
    }
}

static int by_value(const void *x, const void *y)
{
    uint64_t p = *(const uint64_t *)x, q = *(const uint64_t *)y;
    return p < q ? -1 : p > q;
}

static void report(double seconds, double cpu)
{
    double n = (double)b.calls;
    printf("calls %ld, in flight %ld, failed %ld", b.calls, b.in_flight, b.failed);
    if (b.failed)
        printf(" (%s: %s)", err_name(b.example), b.example_text);
    printf("\ncalls/s %.0f, CPU us/call %.1f\n", n / seconds, cpu / n);
    printf("RSS KiB/call in flight %.1f (%.1f MiB in all), sockets %ld\n",
           (double)(b.rss_full_kib - b.rss_before_kib) / (double)b.in_flight,
           (double)b.rss_full_kib / 1024, b.sockets);
    qsort(b.first_us, (size_t)b.calls, sizeof *b.first_us, by_value);
    printf("first byte us: p50 %llu, p99 %llu, most %llu\n",
           (unsigned long long)b.first_us[b.calls / 2],
           (unsigned long long)b.first_us[b.calls * 99 / 100],
           (unsigned long long)b.first_us[b.calls - 1]);
}

static void setup(const char *url, const char *ca_file)
{
    struct http_options opt = {
        .connect_timeout_ms = 30000,
        .idle_timeout_ms = 60000,
        .body_bytes_max = 1 << 20,
        .ca_file = ca_file,
        .calls_max = (int)b.in_flight,
    };
    const char *headers[] = {"content-type: application/json", "accept: application/json",
                             "x-api-key: sk-ant-bench-0123456789", "anthropic-version: 2023-06-01",
                             NULL};
    uv_loop_init(&b.loop);
    uv_timer_init(&b.loop, &b.pause);
    b.body = malloc(b.body_len + 1);
    memset(b.body, 'x', b.body_len + 1);
    b.first_us = calloc((size_t)b.calls, sizeof *b.first_us);
    int err = http_client_new(&b.loop, &opt, &b.client);
    if (!err)
        err = http_target_new(b.client, url, headers, &b.target);
    if (err) {
        fprintf(stderr, "%s: %s\n", url, err_text(err));
        exit(1);
    }
}

int main(int argc, char **argv)
{
    const char *ca_file = NULL;
    for (int o; (o = getopt(argc, argv, "c:n:b:a:i:")) != -1;) {
        if (o == 'c')
            b.in_flight = atol(optarg);
        else if (o == 'n')
            b.calls = atol(optarg);
        else if (o == 'b')
            b.body_len = (size_t)atol(optarg);
        else if (o == 'a')
            ca_file = optarg;
        else if (o == 'i')
            b.pause_ms = atol(optarg);
        else
            return 2;
    }
    if (optind >= argc) {
        fprintf(stderr, "usage: bench_http [-c in_flight] [-n calls] [-b bytes] [-a ca] URL\n");
        return 2;
    }
    if (b.pause_ms)
        b.in_flight = 1;
    setup(argv[optind], ca_file);
    b.rss_before_kib = rss_kib();
    double cpu = cpu_us();
    uint64_t start = clock_mono_us();
    for (long i = 0; i < b.in_flight && i < b.calls; i++)
        submit();
    uv_run(&b.loop, UV_RUN_DEFAULT);
    report((double)(clock_mono_us() - start) / 1e6, cpu_us() - cpu);
    http_target_unref(b.target);
    http_client_close(b.client, NULL, NULL);
    uv_close((uv_handle_t *)&b.pause, NULL);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    free(b.body);
    free(b.first_us);
    return uv_loop_close(&b.loop) != 0;
}
