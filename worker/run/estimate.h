// estimate: what a call is thought to cost before it is made, and whether it can be made at all.
#ifndef PENSTOCK_RUN_ESTIMATE_H
#define PENSTOCK_RUN_ESTIMATE_H

#include <stdbool.h>
#include <stddef.h>

struct attempt;

// estimate_bytes gives the bytes of a payload that are read as text. An image or a document counts
// as much as its tokens would as text, however long its base64 is.
size_t estimate_bytes(const char *payload, size_t len);
// estimate_cost sets a->cost for the pool it is in. Anchors put the ledger right where it was
// wrong.
void estimate_cost(struct attempt *a);
// estimate_never_fits: does the call ask for more in one piece than any pool of its class allows in
// a minute? Before the call only what is beyond doubt counts; after a 429 (refused) the estimate is
// taken at its word. ret_why gets the two numbers.
bool estimate_never_fits(const struct attempt *a, bool refused, char *ret_why, size_t room);

#endif
