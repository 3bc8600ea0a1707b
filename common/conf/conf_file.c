// conf_file: reading the small files that settings name. What a file holds may be secret, so
// buffers are wiped and no message says more than the file's name.
#include "common/base/err.h"
#include "common/conf/conf_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void conf_wipe(char *text, size_t len)
{
    if (!text)
        return;
    explicit_bzero(text, len);
    free(text);
}

static ssize_t read_whole(int fd, char *at, size_t room)
{
    size_t len = 0;
    while (len < room) {
        ssize_t got = read(fd, at + len, room - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        len += (size_t)got;
    }
    return (ssize_t)len;
}

int conf_slurp(const char *path, size_t bytes_max, char **ret, size_t *ret_len, char *ret_why,
               size_t room)
{
    char *text = malloc(bytes_max + 2);
    if (!text)
        return ERR_NOMEM;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read_whole(fd, text, bytes_max + 1);
    int seen = errno;
    if (fd >= 0)
        close(fd);
    if (len >= 0 && (size_t)len <= bytes_max && !memchr(text, '\0', (size_t)len)) {
        text[len] = '\0';
        *ret = text;
        *ret_len = (size_t)len;
        return 0;
    }
    if (len < 0)
        snprintf(ret_why, room, "%.200s cannot be read: %s", path, strerror(seen));
    else if ((size_t)len > bytes_max)
        snprintf(ret_why, room, "%.200s is longer than %zu bytes", path, bytes_max);
    else
        snprintf(ret_why, room, "%.200s holds a NUL byte and is no text", path);
    conf_wipe(text, bytes_max + 2);
    return ERR_BAD_CONF;
}

int conf_read_key(struct conf *c, char *ret_why, size_t why_room)
{
    char *text, why[CONF_WHY_MAX] = "out of memory";
    size_t len;
    if (c->api_keys_file)
        return conf_read_keys(c, ret_why, why_room);
    if (!c->api_key_file)
        return 0;
    const struct conf_row *row = conf_row_by_name("ANTHROPIC_API_KEY", 17);
    int err = conf_slurp(c->api_key_file, CONF_SECRET_BYTES_MAX, &text, &len, why, sizeof why);
    if (err) {
        snprintf(ret_why, why_room, "ANTHROPIC_API_KEY_FILE: %s", why);
        return err;
    }
    err = conf_set(c, row, text, why, sizeof why);
    conf_wipe(text, len);
    if (err)
        snprintf(ret_why, why_room, "ANTHROPIC_API_KEY_FILE: %.200s %s", c->api_key_file, why);
    return err;
}
