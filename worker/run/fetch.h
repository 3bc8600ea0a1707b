// fetch: payloads that do not come with their claim: large ones, and those of suspects.
#ifndef PENSTOCK_RUN_FETCH_H
#define PENSTOCK_RUN_FETCH_H

#include <stdbool.h>

struct attempt;
struct wqueue;

void fetch_take_memory(struct attempt *a); // counts a payload that is here, or about to come

// fetch_is_suspect: the deaths of its workers have nearly used up its recoveries, and its mere
// bytes may be the cause. Such are read one at a time, and with a note in Redis, so that the next
// worker knows.
bool fetch_is_suspect(const struct attempt *a);
void fetch_note(struct attempt *a, bool on);

bool fetch_may(const struct wqueue *q); // the next payload fits
void fetch_due(struct wqueue *q);       // asks for what may come now

#endif
