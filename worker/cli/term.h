// term: a terminal taken over for a full screen, and given back as it was however the program ends
// (but for SIGKILL).
#ifndef PENSTOCK_CLI_TERM_H
#define PENSTOCK_CLI_TERM_H

#include "common/base/attrs.h"
#include "common/base/strbuf.h"

#include <stdbool.h>

// term_is_full says whether there is a terminal on both sides that can move its cursor.
bool term_is_full(void);
// term_enter shows an empty screen of our own and reads keys one by one. 0, or ERR_IO.
int term_enter(void) MUST_CHECK;
void term_leave(void); // harmless where it was not entered, or twice
void term_size(int *ret_rows, int *ret_columns);
void term_show(const struct strbuf *frame); // writes all of it

#endif
