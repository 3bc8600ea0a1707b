// plain: text and numbers for a terminal. What comes from outside (a reason, an error, a name) must
// not move the cursor or change colours, so control characters become '?'.
#ifndef PENSTOCK_CLI_PLAIN_H
#define PENSTOCK_CLI_PLAIN_H

#include "common/base/strbuf.h"

enum { PLAIN_WORD = 24 };

void plain_clean(char *text); // in place
// plain_copy copies as much as fits, cleaned, cut between characters.
void plain_copy(char *ret, size_t room, struct span text);
// plain_fit gives the bytes of the first so many characters.
size_t plain_fit(const char *text, size_t columns);

void plain_count(double n, char ret[PLAIN_WORD]); // "950", "12.3k", "4.5M"
void plain_rate(double n, char ret[PLAIN_WORD]);  // "0.25", "12.3", "1.2k"
void plain_seconds(double s,
                   char ret[PLAIN_WORD]); // "42s", "5m07s", "3h20m", "2d04h"; "-" where < 0

#endif
