// The providers there are, for the registry alone.
#ifndef PENSTOCK_PROVIDER_PROVIDER_INT_H
#define PENSTOCK_PROVIDER_PROVIDER_INT_H

#include "worker/provider/provider.h"

extern const struct provider provider_anthropic;

#endif
