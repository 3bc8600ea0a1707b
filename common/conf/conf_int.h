// conf_int: what the files of this folder share. Nobody outside includes it.
//
// One row of conf_rows is the whole truth about one setting: reading, checking, --help and the
// docs all walk the same table.
#ifndef PENSTOCK_CONF_CONF_INT_H
#define PENSTOCK_CONF_CONF_INT_H

#include "common/conf/conf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CONF_ROWS_MAX = 64, CONF_SECRET_BYTES_MAX = 4096, CONF_TEXT_BYTES_MAX = 131072 };

enum conf_type {
    CONF_TEXT,   // a string
    CONF_INT,    // plain decimal digits within a range
    CONF_WORD,   // one of a list
    CONF_SECRET, // a string that has no flag and is in no message
};

// conf_check_fn looks at one text, which it may shorten in place. 0, or ERR_BAD_CONF with a reason
// that goes on after "NAME: ".
typedef int (*conf_check_fn)(char *text, char *ret_why, size_t room);

struct conf_row {
    const char *group; // heading in the help; NULL = the one above goes on
    const char *name;  // environment variable
    const char *flag;  // without the dashes; NULL = none
    const char *kind;  // what a value looks like, for the help: "URL", "FILE", "N"
    enum conf_type type;
    size_t at;           // where in struct conf: a const char *, or an int64_t for CONF_INT
    const char *initial; // the default as a user would write it; NULL = unset
    int64_t least, most; // CONF_INT
    const char *unit;    // CONF_INT: "ms", "s", "bytes" or "" for a count
    const char *write;   // CONF_INT: what to write, as in "write milliseconds, such as 30000"
    const char *words;   // CONF_WORD: separated by blanks
    conf_check_fn check; // CONF_TEXT; NULL = any text without control characters
    bool hidden;         // may hold a password: never in a message
    unsigned who;        // CONF_WORKER | CONF_CLI
    bool reload;         // a running worker takes a new value on SIGHUP
    const char *help;
};

extern const struct conf_row conf_rows[];
extern const size_t conf_rows_len;

const struct conf_row *conf_row_by_name(const char *name, size_t len);
const struct conf_row *conf_row_by_flag(const char *flag, size_t len);
// conf_near_* find what a stranger was probably meant to be; NULL where nothing is close.
const char *conf_near_name(const char *name, size_t len);
const char *conf_near_flag(enum conf_program who, const char *flag, size_t len);

// conf_own copies text into c, which frees it later. NULL where memory is out.
char *conf_own(struct conf *c, const char *text, size_t len);
const char **conf_text_of(struct conf *c, const struct conf_row *row);
int64_t *conf_int_of(struct conf *c, const struct conf_row *row);
// conf_set gives a row its value from text. 0, ERR_NOMEM, or ERR_BAD_CONF with a reason that goes
// on after "NAME: ".
int conf_set(struct conf *c, const struct conf_row *row, const char *text, char *ret_why,
             size_t room) MUST_CHECK;

int conf_check_redis_url(char *text, char *ret_why, size_t room);
int conf_check_prefix(char *text, char *ret_why, size_t room);
int conf_check_queues(char *text, char *ret_why, size_t room);
int conf_check_base_url(char *text, char *ret_why, size_t room);
int conf_check_version(char *text, char *ret_why, size_t room);
int conf_check_model(char *text, char *ret_why, size_t room);
int conf_check_groups(char *text, char *ret_why, size_t room);
int conf_check_proxy(char *text, char *ret_why, size_t room);
int conf_check_usd(char *text, char *ret_why, size_t room);
int conf_check_http(char *text, char *ret_why, size_t room);

// conf_slurp reads a file of at most bytes_max; *ret is NUL-terminated and the caller's
// (conf_wipe). A reason goes to ret_why, which never holds what the file said.
int conf_slurp(const char *path, size_t bytes_max, char **ret, size_t *ret_len, char *ret_why,
               size_t room) MUST_CHECK;
// conf_read_keys reads api_keys_file into api_keys, and its first key into api_key.
int conf_read_keys(struct conf *c, char *ret_why, size_t why_room) MUST_CHECK;
void conf_wipe(char *text, size_t len); // overwrites, then frees; NULL is harmless

#endif
