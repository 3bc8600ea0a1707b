// conf_dump: print the table of settings, or the help of a program, for scripts/optscan.py.
#include "common/conf/conf.h"

#include <string.h>

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "markdown";
    if (strcmp(what, "markdown") == 0)
        conf_markdown(stdout);
    else if (strcmp(what, "worker") == 0)
        conf_help(CONF_WORKER, stdout);
    else if (strcmp(what, "cli") == 0)
        conf_help(CONF_CLI, stdout);
    else
        return 2;
    return 0;
}
