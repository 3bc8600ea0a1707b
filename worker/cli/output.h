// output: the file of results of `penstock run`: whole lines, each id once. What is in it is done:
// opening it again reads which ids those are.
#ifndef PENSTOCK_CLI_OUTPUT_H
#define PENSTOCK_CLI_OUTPUT_H

#include "worker/cli/idset.h"

enum { OUTPUT_WHY_MAX = 400 };

struct output {
    int fd;
    bool regular; // a file, that can be resumed and was locked
    struct strbuf buf;
    struct idset done;          // ids of the lines that were there
    uint64_t succeeded, failed; // of those
    uint64_t dropped;           // failed ones taken out, to be repeated
};

// output_open opens or makes the file ("-" = standard output) and reads what is in it; half a line
// at its end, of a process that was killed, is cut off. retry_failed takes the lines of jobs that
// did not succeed out (into a new file, put in the place of the old one). ERR_IO, ERR_BAD_CONF or
// ERR_NOMEM with the reason.
int output_open(struct output *o, const char *path, bool retry_failed, size_t line_max,
                char ret_why[OUTPUT_WHY_MAX]) MUST_CHECK;
// output_peek only reads what is in it, for --dry-run: no file is made, cut, or locked, and none
// need be there. There is nothing to close but output_close. Errors as output_open.
int output_peek(struct output *o, const char *path, bool retry_failed, size_t line_max,
                char ret_why[OUTPUT_WHY_MAX]) MUST_CHECK;
// output_add takes a result; line breaks within its JSON become blanks.
int output_add(struct output *o, struct span result) MUST_CHECK;
int output_flush(struct output *o) MUST_CHECK; // writes what was added; ERR_IO
int output_close(struct output *o) MUST_CHECK; // flushes to the disk as well

#endif
