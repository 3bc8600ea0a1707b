// err: every error of the program in one list. Functions that can fail return 0 or one of these,
// which are negative. Foreign codes (uv, hiredis, CURLcode) are translated where they arise.
#ifndef PENSTOCK_BASE_ERR_H
#define PENSTOCK_BASE_ERR_H

// clang-format off
#define ERR_MAP(XX)                                                  \
    XX(NOMEM,      "out of memory")                                  \
    XX(TOO_BIG,    "larger than its ceiling")                        \
    XX(BAD_JSON,   "not valid JSON")                                 \
    XX(BAD_JOB,    "not a valid job")                                \
    XX(BAD_CONF,   "a setting makes no sense")                       \
    XX(BAD_REPLY,  "Redis answered something unexpected")            \
    XX(LINK_DOWN,  "no connection to Redis")                         \
    XX(REDIS,      "Redis answered with an error")                   \
    XX(CANCELLED,  "cancelled by us")                                \
    XX(CONNECT,    "could not connect")                              \
    XX(TIMEOUT,    "took longer than allowed")                       \
    XX(TRANSPORT,  "the connection broke")                           \
    XX(TRUNCATED,  "the answer ended too early")                     \
    XX(IO,         "a file could not be read or written")
// clang-format on

enum err {
    ERR_OK = 0,
    ERR_FIRST = -1000,
#define XX(name, text) ERR_##name,
    ERR_MAP(XX)
#undef XX
};

// err_name gives "NOMEM"; err_text gives "out of memory". A stranger is "?" and "unknown error".
const char *err_name(int err);
const char *err_text(int err);

#endif
