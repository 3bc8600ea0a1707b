// reader: the records of a text file, one after the other, through one buffer: lines, or the rows
// of a CSV file, where a line break may stand between quotes.
#ifndef PENSTOCK_CLI_READER_H
#define PENSTOCK_CLI_READER_H

#include "common/base/strbuf.h"

struct reader {
    int fd;
    bool quoted; // CSV: line breaks between quotes belong to the record
    char *at;    // the buffer
    size_t begin, end, room, ceiling;
    uint64_t offset; // in the file, of the byte at begin
    uint64_t number; // of the last record, from 1
    bool over;       // nothing more comes
    // The last record.
    uint64_t record_offset;
    bool whole;    // it ended in a line break
    bool too_long; // it is cut: longer than the ceiling
};

// reader_init reads from a descriptor, which stays the caller's. ceiling: of one record.
void reader_init(struct reader *r, int fd, size_t ceiling, bool quoted);
void reader_fini(struct reader *r);
// reader_next gives the next record without its line break, borrowed until the next call: 1; 0 at
// the end; ERR_IO, ERR_NOMEM.
int reader_next(struct reader *r, struct span *ret) MUST_CHECK;

#endif
