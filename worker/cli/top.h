// top: what the parts of `penstock top` share: cmd_top.c has the loop and the keys, top_draw.c
// makes a frame of a board.
#ifndef PENSTOCK_CLI_TOP_H
#define PENSTOCK_CLI_TOP_H

#include "worker/cli/board.h"

enum top_section { TOP_QUEUES, TOP_POOLS, TOP_RUNS, TOP_WORKERS, TOP_SECTIONS };
enum top_sort { TOP_BY_NAME, TOP_BY_LOAD, TOP_BY_RATE, TOP_SORTS };
extern const char *const top_sorts[TOP_SORTS];

enum { TOP_ROWS_MAX = BOARD_WORKERS, TOP_NOTE = 160 };

struct top {
    struct board board;
    char redis[400];     // where it is, without the password
    char note[TOP_NOTE]; // the last line: what was done, a question; "" = the keys
    const char *trouble; // no connection, and why; NULL = there is one
    enum top_section section;
    enum top_sort sort;
    size_t order[TOP_SECTIONS][TOP_ROWS_MAX]; // of each section's rows, on the board
    size_t count[TOP_SECTIONS];
    size_t chosen[TOP_SECTIONS]; // which row; where it is below the frame, the frame moves on
    bool help;
};

struct frame {
    struct strbuf *to;
    int rows, columns; // rows 0: no bound
    bool live;         // a terminal: each line stands where it stood; else plain lines
    bool colour;
    int used; // rows
};

// top_arrange sorts the rows and keeps what is chosen in bounds.
void top_arrange(struct top *t);
void top_draw(const struct top *t, struct frame *f);
void top_json(const struct top *t); // the board as one object, on standard output

#endif
