#include "common/base/err.h"

const char *err_name(int err)
{
    switch (err) {
    case ERR_OK:
        return "OK";
#define XX(name, text)                                                                             \
    case ERR_##name:                                                                               \
        return #name;
        ERR_MAP(XX)
#undef XX
    }
    return "?";
}

const char *err_text(int err)
{
    switch (err) {
    case ERR_OK:
        return "no error";
#define XX(name, text)                                                                             \
    case ERR_##name:                                                                               \
        return text;
        ERR_MAP(XX)
#undef XX
    }
    return "unknown error";
}
