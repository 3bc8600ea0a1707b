// api_int: what api.c (decides) and api_write.c (writes) share.
#ifndef PENSTOCK_SIM_API_INT_H
#define PENSTOCK_SIM_API_INT_H

#include "tests/sim/api.h"

// call_fail makes the call an error of that status; message NULL = the usual one.
void call_fail(struct call *call, int status, const char *message);
// call_make_scripted fills call->rest with a step's answer.
void call_make_scripted(struct sim *s, struct call *call, const struct step *step);

#endif
