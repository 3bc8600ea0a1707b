// standalone: a fuzz target without libFuzzer, for any compiler. It runs each file of a corpus,
// then mutations of them until the time is up. The seed is fixed, so that the same build meets the
// same inputs in the same order. An input that crashes or hangs is left behind as crash-<program>.
//
//   fuzz_x [-s seconds] [-n inputs] [-r seed] FILE|FOLDER...       -s 0: only the files themselves
#include "tests/fuzz/fuzz_target.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    INPUTS_MAX = 4096,      // files of a corpus
    INPUT_BYTES_MAX = 4096, // of a mutation; a file is run whole
    STACKED_MAX = 6,        // changes on top of each other
    BATCH = 256,            // inputs between two looks at the clock
    HANG_S = 30,            // for a batch
};

struct input {
    uint8_t *at;
    size_t len;
};

static struct input inputs[INPUTS_MAX];
static size_t input_count;
static struct input current; // what a crash is blamed on
static char crash_file[256];
static uint64_t seed = 1;

static uint64_t draw(void) // xorshift64*
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return seed * 0x2545F4914F6CDD1Du;
}

static size_t below(size_t over)
{
    return over ? (draw() >> 16) % over : 0;
}

// ---- what is left behind ----

static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        _exit(1);
}

static void save_current(void)
{
    int fd = open(crash_file, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || write(fd, current.at, current.len) != (ssize_t)current.len)
        return;
    close(fd);
    say("the input is in ");
    say(crash_file);
    say("\n");
}

static void on_death(int sig)
{
    if (sig == SIGALRM)
        say("this input hangs\n");
    save_current();
    signal(sig, SIG_DFL);
    signal(SIGABRT, SIG_DFL);
    raise(sig == SIGALRM ? SIGABRT : sig);
}

// Sanitizers end the process by themselves; this is their hook, absent where there is none.
void __sanitizer_set_death_callback(void (*fn)(void)) __attribute__((weak));

static void watch_for_death(const char *program)
{
    static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM};
    const char *base = strrchr(program, '/');
    snprintf(crash_file, sizeof crash_file, "crash-%s", base ? base + 1 : program);
    bool has_sanitizer = __sanitizer_set_death_callback != NULL;
    if (has_sanitizer)
        __sanitizer_set_death_callback(save_current);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        if (!has_sanitizer || signals[i] == SIGABRT || signals[i] == SIGALRM)
            signal(signals[i], on_death);
}

// ---- the corpus ----

static void read_file(const char *path, size_t size)
{
    if (input_count == INPUTS_MAX)
        return;
    FILE *f = fopen(path, "rb");
    struct input *in = &inputs[input_count];
    in->at = malloc(size + 1);
    if (!f || !in->at) {
        perror(path);
        exit(2);
    }
    in->len = fread(in->at, 1, size, f);
    input_count++;
    fclose(f);
}

static void read_path(const char *path);

static void read_folder(const char *path)
{
    struct dirent **names;
    int count = scandir(path, &names, NULL, alphasort); // sorted: the order is part of the seed
    for (int i = 0; i < count; i++) {
        char full[1024];
        snprintf(full, sizeof full, "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.')
            read_path(full);
        free(names[i]);
    }
    if (count >= 0)
        free(names);
}

static void read_path(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        perror(path);
        exit(2);
    }
    if (S_ISDIR(st.st_mode))
        read_folder(path);
    else
        read_file(path, (size_t)st.st_size);
}

// ---- mutations ----

static size_t room_for(const struct input *m, size_t want)
{
    size_t left = INPUT_BYTES_MAX - m->len;
    return want < left ? want : left;
}

static void insert(struct input *m, size_t at, const uint8_t *bytes, size_t len)
{
    len = room_for(m, len);
    memmove(m->at + at + len, m->at + at, m->len - at);
    memcpy(m->at + at, bytes, len);
    m->len += len;
}

static uint8_t telling_byte(void)
{
    static const char bytes[] =
        "\0\x01\x1f \t\n\r\"\"\"\\\\\\/{}[]:,,--+.eE0019xu_nt;=\x7f\x80\xbf\xc2\xed"
        "\xf0\xff";
    return (uint8_t)bytes[below(sizeof bytes - 1)];
}

static void insert_some(struct input *m)
{
    uint8_t bytes[8];
    size_t len = 1 + below(sizeof bytes);
    bool same = below(2);
    for (size_t i = 0; i < len; i++)
        bytes[i] = same && i ? bytes[0] : telling_byte();
    insert(m, below(m->len + 1), bytes, len);
}

static void erase(struct input *m)
{
    size_t at = below(m->len), len = 1 + below(below(4) ? 4 : m->len);
    len = len < m->len - at ? len : m->len - at;
    memmove(m->at + at, m->at + at + len, m->len - at - len);
    m->len -= len;
}

// cross puts a piece of any input of the corpus into this one.
static void cross(struct input *m)
{
    const struct input *from = &inputs[below(input_count)];
    size_t at = below(from->len), len = 1 + below(below(2) ? 16 : from->len);
    if (from->len > 0)
        insert(m, below(m->len + 1), from->at + at, len < from->len - at ? len : from->len - at);
}

static void double_up(struct input *m)
{
    uint8_t piece[64];
    size_t at = below(m->len), len = 1 + below(sizeof piece - 1);
    len = len < m->len - at ? len : m->len - at;
    memcpy(piece, m->at + at, len);
    insert(m, at, piece, len);
}

static void mutate(struct input *m)
{
    if (m->len == 0) {
        cross(m);
        return;
    }
    switch (below(8)) {
    case 0:
        m->at[below(m->len)] ^= (uint8_t)(1u << below(8));
        break;
    case 1:
    case 2:
        m->at[below(m->len)] = telling_byte();
        break;
    case 3:
        insert_some(m);
        break;
    case 4:
        erase(m);
        break;
    case 5:
        double_up(m);
        break;
    case 6:
        m->len -= below(4) ? 0 : below(m->len);
        break;
    default:
        cross(m);
    }
}

// ---- the run ----

// run hands a copy over that ends where the input ends, so that a sanitizer sees a step too far.
static void run(const struct input *in)
{
    uint8_t *copy = malloc(in->len ? in->len : 1);
    if (!copy)
        abort();
    memcpy(copy, in->at, in->len);
    current = (struct input){copy, in->len};
    LLVMFuzzerTestOneInput(copy, in->len);
    current = (struct input){0};
    free(copy);
}

static void run_mutation(void)
{
    static uint8_t room[INPUT_BYTES_MAX];
    const struct input *from = &inputs[below(input_count)];
    struct input m = {room, from->len < sizeof room ? from->len : sizeof room};
    memcpy(room, from->at, m.len);
    for (size_t i = below(STACKED_MAX) + 1; i > 0; i--)
        mutate(&m);
    run(&m);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static unsigned long run_mutations(double seconds, unsigned long most)
{
    double end_s = now_s() + seconds;
    unsigned long count = 0;
    while (count < most && now_s() < end_s) {
        alarm(HANG_S);
        for (size_t i = 0; i < BATCH && count < most; i++, count++)
            run_mutation();
    }
    alarm(0);
    return count;
}

int main(int argc, char **argv)
{
    double seconds = 2;
    unsigned long most = (unsigned long)-1;
    int option;
    while ((option = getopt(argc, argv, "s:n:r:")) != -1) {
        if (option == 's')
            seconds = atof(optarg);
        else if (option == 'n')
            most = strtoul(optarg, NULL, 10);
        else if (option == 'r')
            seed = strtoull(optarg, NULL, 10) | 1;
        else
            return 2;
    }
    watch_for_death(argv[0]);
    for (int i = optind; i < argc; i++)
        read_path(argv[i]);
    if (input_count == 0) {
        fprintf(stderr, "%s: no input; name a file or a folder\n", argv[0]);
        return 2;
    }
    alarm(HANG_S);
    for (size_t i = 0; i < input_count; i++)
        run(&inputs[i]);
    unsigned long count = seconds > 0 ? run_mutations(seconds, most) : 0;
    printf("%zu files and %lu mutations of them: nothing broke\n", input_count, count);
    for (size_t i = 0; i < input_count; i++)
        free(inputs[i].at);
    return 0;
}
