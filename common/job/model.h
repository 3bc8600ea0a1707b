// model: what a model's name says about itself.
#ifndef PENSTOCK_JOB_MODEL_H
#define PENSTOCK_JOB_MODEL_H

#include "common/base/strbuf.h"

// model_undated gives the name without the date of its snapshot: claude-sonnet-4-5-20250929 and
// claude-sonnet-4-5@20250929 both become claude-sonnet-4-5. Anything else comes back whole.
struct span model_undated(struct span model);

#endif
