// prices: what a call cost. The table is data (prices.tsv, built in); a user's own file in the same
// form replaces it as a whole. All arithmetic is in whole numbers.
//
// One table for the process, for the loop's thread only.
#ifndef PENSTOCK_JOB_PRICES_H
#define PENSTOCK_JOB_PRICES_H

#include "common/job/outcome.h"

enum { PRICES_ROWS_MAX = 512, PRICES_FILE_BYTES_MAX = 256 * 1024, PRICES_WHY_MAX = 200 };

// price_usd gives what a call cost in billionths of a dollar. False where the model is not in the
// table, a price that the call needs is empty there, or the answer did not say how many tokens.
bool price_usd(struct span model, const struct usage *u, int64_t *ret_nano_usd) MUST_CHECK;

// prices_load replaces the table by a file's. 0, ERR_IO, ERR_TOO_BIG, ERR_NOMEM or ERR_BAD_CONF;
// then the table is as it was and ret_why says what was wrong, with the line.
int prices_load(const char *file, char ret_why[PRICES_WHY_MAX]) MUST_CHECK;
// prices_parse does the same from memory.
int prices_parse(struct span text, char ret_why[PRICES_WHY_MAX]) MUST_CHECK;
// prices_use takes a user's file, or the built-in table where it is NULL. As prices_load; ret_why
// begins with the file's name.
int prices_use(const char *file, char *ret_why, size_t room) MUST_CHECK;
void prices_reset(void); // back to the built-in table

#endif
