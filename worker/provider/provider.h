// provider: one API's dialect. Pure translation between our job and outcome and its HTTP messages.
#ifndef PENSTOCK_PROVIDER_PROVIDER_H
#define PENSTOCK_PROVIDER_PROVIDER_H

#include "common/job/job.h"
#include "common/job/outcome.h"
#include "worker/http/message.h"

struct model_defaults {
    const char *model;
    int64_t max_tokens;
};

struct provider {
    const char *name; // first part of a pool's name
    const char *path; // appended to the base URL
    // headers writes the lines every request carries ("x-api-key: ..."), one per strbuf line.
    void (*headers)(const char *key, const char *version, const char *auth, struct strbuf *ret);
    // build writes the body. 0, ERR_TOO_BIG or ERR_NOMEM.
    int (*build)(const struct job *j, const struct model_defaults *d, struct strbuf *ret);
    // read fills an outcome from an answer. Spans borrow from the answer; o->text must be an empty
    // strbuf of the caller's, or NULL.
    void (*read)(const struct http_answer *a, int64_t now_ms, struct outcome *o);
};

const struct provider *provider_find(const char *name); // NULL = none of that name

// model_class writes the quota class of a model: its name without a date suffix (-20250929).
void model_class(struct span model, char *ret, size_t room);

#endif
