// intake: from a claimed payload to an admitted attempt.
#ifndef PENSTOCK_RUN_INTAKE_H
#define PENSTOCK_RUN_INTAKE_H

#include "common/base/strbuf.h"

#include <stdbool.h>

struct attempt;
struct wqueue;

void intake_payload(struct attempt *a, struct span bytes); // it has come; they are copied
void intake_drop(struct attempt *a); // forgets it: its lease will run out and it will be recovered
void intake_send_later(struct wqueue *q); // Redis did not take a call
void intake_send(struct wqueue *q); // fetches, admissions, rejections and repeats that are due

#endif
