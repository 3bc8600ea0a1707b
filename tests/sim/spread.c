#include "tests/sim/spread.h"

#include "common/base/err.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double twice_pi = 6.283185307179586;

// only is true where the format took the whole text: `end` comes from %n.
static bool only(const char *text, int end)
{
    return end > 0 && text[end] == '\0';
}

static bool read_spread(const char *text, struct spread *s)
{
    int end = 0;
    if (sscanf(text, "constant:%lf%n", &s->a, &end) == 1 && only(text, end))
        return true;
    if (sscanf(text, "%lf%n", &s->a, &end) == 1 && only(text, end))
        return true;
    s->kind = SPREAD_UNIFORM;
    if (sscanf(text, "uniform:%lf-%lf%n", &s->a, &s->b, &end) == 2 && only(text, end))
        return s->b >= s->a;
    s->kind = SPREAD_TOKENS;
    if (sscanf(text, "tokens:%lf:%lf%n", &s->a, &s->b, &end) == 2 && only(text, end))
        return s->b >= 0;
    s->kind = SPREAD_LOGNORMAL;
    if (sscanf(text, "lognormal:%lf:%lf%n:%lf:%lf%n", &s->a, &s->b, &end, &s->min, &s->max, &end) <
            2 ||
        !only(text, end))
        return false;
    return s->a > 0 && s->b >= 0 && s->min >= 0 && (s->max == 0 || s->max >= s->min);
}

int spread_parse(const char *text, struct spread *ret)
{
    struct spread s = {.kind = SPREAD_CONSTANT};
    if (!read_spread(text, &s) || !(s.a >= 0 && s.a < 1e9 && s.b < 1e9))
        return ERR_BAD_CONF;
    *ret = s;
    return 0;
}

void spread_show(const struct spread *s, struct strbuf *out)
{
    switch (s->kind) {
    case SPREAD_CONSTANT:
        strbuf_add_fmt(out, "constant:%g", s->a);
        break;
    case SPREAD_UNIFORM:
        strbuf_add_fmt(out, "uniform:%g-%g", s->a, s->b);
        break;
    case SPREAD_TOKENS:
        strbuf_add_fmt(out, "tokens:%g:%g", s->a, s->b);
        break;
    case SPREAD_LOGNORMAL:
        strbuf_add_fmt(out, "lognormal:%g:%g", s->a, s->b);
        if (s->min > 0 || s->max > 0)
            strbuf_add_fmt(out, ":%g:%g", s->min, s->max);
        break;
    }
}

double spread_lognormal(double median, double sigma, double u, double v)
{
    if (sigma <= 0)
        return median;
    return median * exp(sigma * sqrt(-2 * log(1 - u)) * cos(twice_pi * v));
}

double spread_draw(const struct spread *s, double u, double v, double tokens)
{
    double x = s->a;
    switch (s->kind) {
    case SPREAD_CONSTANT:
        break;
    case SPREAD_UNIFORM:
        x = s->a + (s->b - s->a) * u;
        break;
    case SPREAD_TOKENS:
        x = s->a + s->b * tokens;
        break;
    case SPREAD_LOGNORMAL:
        x = MAX(s->min, spread_lognormal(s->a, s->b, u, v));
        if (s->max > 0)
            x = MIN(s->max, x);
        break;
    }
    return x;
}
