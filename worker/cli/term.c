#include "worker/cli/term.h"

#include "common/base/err.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

// The other screen, no cursor, no wrapping at the right edge; and back.
#define ENTER "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
#define LEAVE "\x1b[?7h\x1b[?25h\x1b[?1049l"

static struct termios before;
static bool entered, promised;

bool term_is_full(void)
{
    const char *term = getenv("TERM");
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && term && term[0] &&
           strcmp(term, "dumb") != 0;
}

static void write_all(const char *at, size_t len)
{
    while (len) {
        ssize_t n = write(STDOUT_FILENO, at, len);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd ready = {.fd = STDOUT_FILENO, .events = POLLOUT};
            poll(&ready, 1, 1000);
        } else if (n < 0 && errno != EINTR) {
            return; // the terminal has gone
        }
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
    }
}

int term_enter(void)
{
    struct termios raw;
    if (entered)
        return 0;
    if (tcgetattr(STDIN_FILENO, &before))
        return ERR_IO;
    raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO); // ISIG stays: Ctrl-C and Ctrl-Z are signals
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw))
        return ERR_IO;
    entered = true;
    if (!promised)
        promised = atexit(term_leave) == 0;
    write_all(ENTER, sizeof ENTER - 1);
    return 0;
}

void term_leave(void)
{
    if (!entered)
        return;
    entered = false;
    write_all(LEAVE, sizeof LEAVE - 1);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
}

void term_size(int *ret_rows, int *ret_columns)
{
    struct winsize size = {0};
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col;
    *ret_rows = known ? size.ws_row : 24;
    *ret_columns = known ? size.ws_col : 80;
}

void term_show(const struct strbuf *frame)
{
    write_all(frame->at ? frame->at : "", frame->len);
}
