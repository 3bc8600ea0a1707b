#include "common/job/prices.h"

#include "common/base/err.h"
#include "common/job/model.h"
#include "common/job/name.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A price is kept in millionths of a nanodollar a token, which is also micro-dollars a million
// tokens as the file has it with six decimals: 0.125 is 125000.
enum { DECIMALS = 6, PER_NANO = 1000 };
enum { UNKNOWN = -1 };
static const int64_t price_max = 1000000LL * 1000000; // a million dollars for a million tokens

enum cell {
    CELL_MODEL,
    CELL_OVER,
    CELL_INPUT,
    CELL_OUTPUT,
    CELL_CACHE_READ,
    CELL_CACHE_WRITE,
    CELLS
};
static const char *const cell_names[CELLS] = {"model",  "over",       "input",
                                              "output", "cache_read", "cache_write"};

struct row {
    char model[MODEL_BYTES_MAX + 1];
    size_t len;
    int64_t over;
    int64_t price[CELLS]; // from CELL_INPUT on; UNKNOWN where the cell is empty
};

struct table {
    size_t count;
    struct row rows[PRICES_ROWS_MAX];
};

extern const char embed_prices_tsv[];
extern const unsigned embed_prices_tsv_len;

static struct table *table; // NULL until first needed

// decimal reads "12", "12.5" or "0.125" as a whole number of units of 10^-decimals.
static bool decimal(struct span s, int decimals, int64_t max, int64_t *ret)
{
    int64_t n = 0;
    int digits = 0, after = -1; // digits after the point; -1 = no point yet
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] == '.' && after < 0 && digits > 0) {
            after = 0;
            continue;
        }
        if (s.at[i] < '0' || s.at[i] > '9' || after >= decimals || n > max)
            return false;
        n = n * 10 + (s.at[i] - '0');
        digits++;
        after += after >= 0;
    }
    if (digits == 0 || after == 0)
        return false;
    for (int i = MAX(after, 0); i < decimals; i++)
        if ((n *= 10) > max)
            return false;
    if (n > max)
        return false;
    *ret = n;
    return true;
}

static struct span trimmed(struct span s)
{
    while (s.len && (s.at[0] == ' ' || s.at[0] == '\t'))
        s.at++, s.len--;
    while (s.len && strchr(" \t\r", s.at[s.len - 1]))
        s.len--;
    return s;
}

// cut_at takes what stands before the first sep (or all) off the front of *rest.
static struct span cut_at(struct span *rest, char sep)
{
    const char *end = rest->len ? memchr(rest->at, sep, rest->len) : NULL;
    struct span head = {rest->at, end ? (size_t)(end - rest->at) : rest->len};
    size_t gone = head.len + (end != NULL);
    rest->at += gone;
    rest->len -= gone;
    return head;
}

static int complain(char *ret_why, int line, const char *what, const char *cell)
{
    snprintf(ret_why, PRICES_WHY_MAX, "line %d: %s%s%s", line, cell, *cell ? " " : "", what);
    return ERR_BAD_CONF;
}

static int cell_read(struct row *r, int c, struct span cell, int line, char *ret_why)
{
    if (c == CELL_MODEL) {
        if (!model_is_valid(cell.at, cell.len) || model_undated(cell).len != cell.len)
            return complain(ret_why, line, "must be a model's name without a date", "model");
        memcpy(r->model, cell.at, cell.len);
        r->len = cell.len;
        return 0;
    }
    if (c == CELL_OVER) {
        if (!decimal(cell, 0, INT64_C(1000000000), &r->over))
            return complain(ret_why, line, "must be a whole number of tokens, usually 0", "over");
        return 0;
    }
    if (cell.len == 0)
        return 0;
    if (!decimal(cell, DECIMALS, price_max, &r->price[c]))
        return complain(ret_why, line,
                        "must be dollars for a million tokens, such as 2.50, or empty",
                        cell_names[c]);
    return 0;
}

static int line_read(struct table *t, struct span text, int line, char *ret_why)
{
    struct span head = trimmed(text);
    if (head.len == 0 || head.at[0] == '#')
        return 0;
    if (t->count == PRICES_ROWS_MAX)
        return complain(ret_why, line, "there are more rows than the table holds", "");
    struct row *r = &t->rows[t->count];
    *r = (struct row){0};
    for (int c = CELL_INPUT; c < CELLS; c++)
        r->price[c] = UNKNOWN;
    struct span rest = text;
    int c = 0, err = 0;
    for (; c < CELLS && (c == 0 || rest.at[-1] == '\t') && !err; c++)
        err = cell_read(r, c, trimmed(cut_at(&rest, '\t')), line, ret_why);
    if (err)
        return err;
    if (rest.len)
        return complain(ret_why, line, "there are more than six cells", "");
    if (c <= CELL_OUTPUT)
        return complain(ret_why, line,
                        "a row needs a model, over, input and output, parted by tabs", "");
    for (size_t i = 0; i < t->count; i++)
        if (t->rows[i].over == r->over && strcmp(t->rows[i].model, r->model) == 0)
            return complain(ret_why, line, "the same model and over stand in an earlier row", "");
    t->count++;
    return 0;
}

int prices_parse(struct span text, char ret_why[PRICES_WHY_MAX])
{
    struct table *t = malloc(sizeof *t);
    if (!t)
        return snprintf(ret_why, PRICES_WHY_MAX, "%s", err_text(ERR_NOMEM)), ERR_NOMEM;
    t->count = 0;
    int err = 0;
    for (int line = 1; text.len && !err; line++)
        err = line_read(t, cut_at(&text, '\n'), line, ret_why);
    if (!err && t->count == 0) {
        snprintf(ret_why, PRICES_WHY_MAX, "there is no row in it");
        err = ERR_BAD_CONF;
    }
    if (err) {
        free(t);
        return err;
    }
    free(table);
    table = t;
    return 0;
}

void prices_reset(void)
{
    free(table);
    table = NULL;
}

// built_in parses the embedded table; that it is right is proved by a test.
static bool built_in(void)
{
    char why[PRICES_WHY_MAX];
    int err = prices_parse((struct span){embed_prices_tsv, embed_prices_tsv_len}, why);
    assert(err == 0 || err == ERR_NOMEM);
    return err == 0;
}

int prices_load(const char *file, char ret_why[PRICES_WHY_MAX])
{
    FILE *f = fopen(file, "rbe");
    if (!f) {
        snprintf(ret_why, PRICES_WHY_MAX, "%s", strerror(errno));
        return ERR_IO;
    }
    char *text = malloc(PRICES_FILE_BYTES_MAX + 1);
    size_t len = text ? fread(text, 1, PRICES_FILE_BYTES_MAX + 1, f) : 0;
    int err = !text                         ? ERR_NOMEM
              : ferror(f)                   ? ERR_IO
              : len > PRICES_FILE_BYTES_MAX ? ERR_TOO_BIG
                                            : 0;
    fclose(f);
    if (err)
        snprintf(ret_why, PRICES_WHY_MAX, "%s", err_text(err));
    else
        err = prices_parse((struct span){text, len}, ret_why);
    free(text);
    return err;
}

int prices_use(const char *file, char *ret_why, size_t room)
{
    char why[PRICES_WHY_MAX];
    if (!file) {
        prices_reset();
        return 0;
    }
    int err = prices_load(file, why);
    if (err)
        snprintf(ret_why, room, "PENSTOCK_PRICES_FILE: %s: %s", file, why);
    return err;
}

static const struct row *row_find(struct span model, int64_t prompt_tokens)
{
    const struct row *best = NULL;
    for (size_t i = 0; i < table->count; i++) {
        const struct row *r = &table->rows[i];
        bool fits = r->len == model.len && memcmp(r->model, model.at, model.len) == 0 &&
                    (r->over == 0 || prompt_tokens > r->over);
        if (fits && (!best || r->over > best->over))
            best = r;
    }
    return best;
}

// charge adds tokens times price. False where it is not known or beyond all reason.
static bool charge(int64_t tokens, int64_t price, int64_t *sum)
{
    int64_t part;
    if (tokens == 0)
        return true;
    if (tokens < 0 || price == UNKNOWN || __builtin_mul_overflow(tokens, price, &part))
        return false;
    return !__builtin_add_overflow(*sum, part, sum);
}

bool price_usd(struct span model, const struct usage *u, int64_t *ret_nano_usd)
{
    int64_t prompt, sum = PER_NANO / 2; // so that the division rounds
    if (u->input < 0 || u->cache_read < 0 || u->cache_creation < 0 || model.len == 0 ||
        __builtin_add_overflow(u->input, u->cache_read, &prompt) ||
        __builtin_add_overflow(prompt, u->cache_creation, &prompt) || (!table && !built_in()))
        return false;
    const struct row *r = row_find(model_undated(model), prompt);
    if (!r || !charge(u->input, r->price[CELL_INPUT], &sum) ||
        !charge(u->output, r->price[CELL_OUTPUT], &sum) ||
        !charge(u->cache_read, r->price[CELL_CACHE_READ], &sum) ||
        !charge(u->cache_creation, r->price[CELL_CACHE_WRITE], &sum))
        return false;
    *ret_nano_usd = sum / PER_NANO;
    return true;
}
