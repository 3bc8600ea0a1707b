// bench_scan: what reading JSON costs. ns a job of about 1 KB for scan_check, job_parse and, to
// compare, cJSON_Parse + cJSON_Delete; then ns a byte over larger texts of several kinds.
//
//   bench_scan [seconds a row]        each row is the best of five rounds, in CPU time
#include "common/base/attrs.h"
#include "common/base/scan.h"
#include "common/job/job.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 5 };

typedef void (*work_fn)(const char *text, size_t len);

static void work_check(const char *text, size_t len)
{
    const char *why;
    size_t at;
    if (scan_check(text, len, JOB_DEPTH_MAX, &why, &at))
        abort();
}

static void work_walk(const char *text, size_t len)
{
    struct scan_value root = scan_root(text, len), v;
    struct scan_member m;
    for (size_t pos = 0; scan_members(root, &pos, &m);)
        ;
    for (size_t pos = 0; scan_items(root, &pos, &v);)
        ;
}

static void work_parse(const char *text, size_t len)
{
    static struct job job;
    static struct job_fault fault;
    if (job_parse(text, len, len, &job, &fault))
        abort();
}

static void work_cjson(const char *text, size_t len)
{
    cJSON *tree = cJSON_ParseWithLength(text, len);
    if (!tree)
        abort();
    cJSON_Delete(tree);
}

static uint64_t cpu_us(void) // of this process: a busy machine does not count
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static double round_ns(work_fn work, const char *text, size_t len, uint64_t for_us)
{
    uint64_t start_us = cpu_us(), spent_us = 0, times = 0;
    for (uint64_t batch = 1; spent_us < for_us; batch *= 2) {
        for (uint64_t i = 0; i < batch; i++)
            work(text, len);
        times += batch;
        spent_us = cpu_us() - start_us;
    }
    return (double)spent_us * 1000 / (double)times;
}

static double best_ns(work_fn work, const char *text, size_t len, double seconds)
{
    double best = 0;
    for (int i = 0; i < ROUNDS; i++) {
        double ns = round_ns(work, text, len, (uint64_t)(seconds * 1e6 / ROUNDS));
        best = i == 0 || ns < best ? ns : best;
    }
    return best;
}

static void row(const char *name, struct strbuf *text, bool is_job, double seconds)
{
    double check = best_ns(work_check, text->at, text->len, seconds);
    double walk = best_ns(work_walk, text->at, text->len, seconds);
    double parse = is_job ? best_ns(work_parse, text->at, text->len, seconds) : 0;
    double cjson = best_ns(work_cjson, text->at, text->len, seconds);
    double len = (double)text->len;
    printf("%-26s %9zu B %9.0f %9.0f %9.0f %9.0f ns   %6.3f %6.3f %6.3f %6.3f ns/B\n", name,
           text->len, check, walk, parse, cjson, check / len, walk / len, parse / len, cjson / len);
    strbuf_fini(text);
}

static void add_times(struct strbuf *b, const char *part, size_t upto)
{
    while (b->len < upto)
        strbuf_add_str(b, part);
}

static struct strbuf text_of(const char *opening, const char *part, size_t upto,
                             const char *closing)
{
    struct strbuf b;
    strbuf_init(&b, 64 << 20);
    strbuf_add_str(&b, opening);
    add_times(&b, part, upto);
    strbuf_add_str(&b, closing);
    return b;
}

static const char english[] = "Summarise the following notes for a reader in a hurry. ";
static const char lines[] = "- item one, \\\"quoted\\\" and then\\n- another line of the list\\n";
static const char chinese[] = "请用三句话总结下面的笔记，";

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 0.5;
    static const char head[] = "{\"id\":\"01JDG3X4M5N6P7Q8R9S0T1V2W3\",\"pushed_at\":1764000000000,"
                               "\"model\":\"claude-sonnet-4-5\",\"max_tokens\":256,"
                               "\"reply_to\":\"bench\",\"prompt\":\"";
    static const char chat[] = "{\"id\":\"01JDG3X4M5N6P7Q8R9S0T1V2W3\",\"request\":{\"model\":"
                               "\"claude-sonnet-4-5\",\"max_tokens\":256,\"messages\":["
                               "{\"role\":\"user\",\"content\":\"Hello, who are you?\"}";
    static const char turn[] =
        ",{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":"
        "\"I am an assistant.\"}]},{\"role\":\"user\",\"content\":\"Go on.\"}";
    printf("%-26s %11s %9s %9s %9s %9s\n", "", "", "check", "walk", "job_parse", "cJSON");
    const struct {
        const char *name;
        struct strbuf text;
        bool is_job;
    } rows[] = {
        {"job, English prompt", text_of(head, english, 970, "\"}"), true},
        {"job, prompt with escapes", text_of(head, lines, 970, "\"}"), true},
        {"job, Chinese prompt", text_of(head, chinese, 970, "\"}"), true},
        {"job, request of turns", text_of(chat, turn, 900, "]}}"), true},
        {"job of 1 MiB", text_of(head, english, 1 << 20, "\"}"), true},
        {"strings with escapes, 1 MiB", text_of("[\"", lines, 1 << 20, "\"]"), false},
        {"Chinese, 1 MiB", text_of("[\"", chinese, 1 << 20, "\"]"), false},
        {"numbers, 1 MiB", text_of("[0", ",12.5,-3,100", 1 << 20, "]"), false},
        {"small objects, 1 MiB", text_of("[0", ",{\"a\":1,\"b\":[true]}", 1 << 20, "]"), false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct strbuf text = rows[i].text;
        row(rows[i].name, &text, rows[i].is_job, seconds);
    }
    return 0;
}
