// door: may this request be answered, and may it change something? docs/admin-api.md says who may.
#ifndef PENSTOCK_ADMIN_DOOR_H
#define PENSTOCK_ADMIN_DOOR_H

#include <stdbool.h>

struct request;

bool door_has_token(struct request *q);
bool door_is_own_host(struct request *q); // of whoever asks without a token
bool door_may_act(struct request *q);

#endif
