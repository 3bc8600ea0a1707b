// money: what a call cost, as text.
#ifndef PENSTOCK_RUN_MONEY_H
#define PENSTOCK_RUN_MONEY_H

#include <stdint.h>

enum { COST_BYTES = 32 };

// cost_text writes nano-dollars (0 or more) as a decimal number without trailing zeros.
void cost_text(int64_t nano, char ret[COST_BYTES]);

#endif
