// name: what may be called what (docs/protocol.md, Names).
#ifndef PENSTOCK_JOB_NAME_H
#define PENSTOCK_JOB_NAME_H

#include <stdbool.h>
#include <stddef.h>

enum { NAME_BYTES_MAX = 64, ID_BYTES_MAX = 128, MODEL_BYTES_MAX = 128 };

bool name_is_valid(const char *at, size_t len);  // queue, reply_to, run: 1-64 of A-Z a-z 0-9 . _ -
bool id_is_valid(const char *at, size_t len);    // 1-128 of A-Z a-z 0-9 . _ : -
bool model_is_valid(const char *at, size_t len); // 1-128 of A-Z a-z 0-9 . _ : / @ -

#endif
