// budget: this worker's part of a pool's budgets of the day: what it holds for calls under way, and
// what answers have cost. The ledger adds up and decides (common/queue/lua/budget_lib.lua).
#ifndef PENSTOCK_RUN_BUDGET_H
#define PENSTOCK_RUN_BUDGET_H

#include "common/job/outcome.h"
#include "common/queue/script.h"

#include <stdbool.h>
#include <stdint.h>

struct attempt;
struct conf;
struct cost;
struct pool;

enum {
    BUDGET_TOLD_MS = 15000
}; // what is held is told anew so often: after a minute it is no one's

struct budget {
    double held_tokens, held_nano_usd;
    double spent_tokens, spent_nano_usd; // since the last report
    double told_tokens, told_nano_usd;   // in a report that Redis has yet to confirm
    int64_t report;                      // its number
    bool told, tight;                    // tight: the next calls wait for what others cost
    bool unpriced_told;                  // the log has it that the price is not known
};

bool budget_is_set(const struct conf *c);
// budget_price sets what a call of a pool may cost, and is thought to, in dollars.
void budget_price(struct pool *p, struct span model, struct cost *c);
void budget_hold(struct budget *b, const struct cost *c, double sign); // sign -1: let go
void budget_spent(struct attempt *a, const struct outcome *o);         // a good answer
// budget_args adds the last arguments of a round, if there is a budget.
void budget_args(struct pool *p, struct args *args);
void budget_heard(struct pool *p, int64_t state); // a round was answered: 0, 1 tight, 2 just shut

#endif
