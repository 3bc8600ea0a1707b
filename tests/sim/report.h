// report: what the simulator saw, as JSON.
#ifndef PENSTOCK_SIM_REPORT_H
#define PENSTOCK_SIM_REPORT_H

#include "tests/sim/sim.h"

void report_stats(struct sim *s, struct strbuf *out);
// report_log adds the records after `since` as JSON lines, at most `limit`.
void report_log(struct sim *s, uint64_t since, uint64_t limit, struct strbuf *out);
// report_seen counts the logged requests whose prompt's head contains the text.
void report_seen(struct sim *s, struct span text, struct strbuf *out);
// report_series tells the story second by second since the last reset.
void report_series(struct sim *s, struct strbuf *out);

#endif
