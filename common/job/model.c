#include "common/job/model.h"

enum { DATE_BYTES = 8 }; // YYYYMMDD

static bool date_is_plausible(const char *at)
{
    int n = 0;
    for (int i = 0; i < DATE_BYTES; i++) {
        if (at[i] < '0' || at[i] > '9')
            return false;
        n = n * 10 + (at[i] - '0');
    }
    int year = n / 10000, month = n / 100 % 100, day = n % 100;
    return year >= 2000 && year < 2100 && month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

struct span model_undated(struct span model)
{
    if (model.len < DATE_BYTES + 2)
        return model;
    size_t mark = model.len - DATE_BYTES - 1;
    if (model.at[mark] != '-' && model.at[mark] != '@')
        return model;
    if (date_is_plausible(model.at + mark + 1))
        model.len = mark;
    return model;
}
