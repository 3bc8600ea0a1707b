// spread: a distribution of durations or sizes, written as text: "200", "constant:200",
// "uniform:100-300", "lognormal:450:0.7[:MIN:MAX]" or "tokens:FIRST_MS:PER_TOKEN_MS".
#ifndef PENSTOCK_SIM_SPREAD_H
#define PENSTOCK_SIM_SPREAD_H

#include "common/base/attrs.h"
#include "common/base/strbuf.h"

enum spread_kind { SPREAD_CONSTANT, SPREAD_UNIFORM, SPREAD_LOGNORMAL, SPREAD_TOKENS };

struct spread {
    enum spread_kind kind;
    double a, b;     // constant: a; uniform: a to b; lognormal: median, sigma; tokens: first, each
    double min, max; // lognormal: what is outside is moved to the nearer end; max 0 = no end
};

int spread_parse(const char *text, struct spread *ret) MUST_CHECK;
void spread_show(const struct spread *s, struct strbuf *out);
// spread_draw gives one value >= 0. u and v are two random numbers of [0, 1); tokens is the size
// of the answer, for SPREAD_TOKENS.
double spread_draw(const struct spread *s, double u, double v, double tokens);
// spread_lognormal gives median * exp(sigma * z), z drawn by u and v from the normal distribution.
double spread_lognormal(double median, double sigma, double u, double v);

#endif
