#include "common/job/model.h"
#include "common/job/name.h"
#include "worker/provider/provider_int.h"

#include <assert.h>
#include <string.h>

static const struct provider *const providers[] = {&provider_anthropic};

const struct provider *provider_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(providers); i++)
        if (strcmp(name, providers[i]->name) == 0)
            return providers[i];
    return NULL;
}

void model_class(struct span model, char *ret, size_t room)
{
    struct span class = model_undated(model);
    assert(room > 0);
    size_t len = MIN(class.len, room - 1);
    for (size_t i = 0; i < len; i++) // the class stands inside a Redis key's hash tag
        ret[i] = model_is_valid(&class.at[i], 1) ? class.at[i] : '_';
    ret[len] = '\0';
}
