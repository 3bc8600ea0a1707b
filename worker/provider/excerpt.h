// excerpt: foreign words made fit for our own fields. What comes out is one line, short, without
// control characters, and without anything that looks like an API key (a gateway may echo it).
#ifndef PENSTOCK_PROVIDER_EXCERPT_H
#define PENSTOCK_PROVIDER_EXCERPT_H

#include "common/base/scan.h"

enum { EXCERPT_PAGE_CHARS = 120 }; // of a page that was not meant for us

// excerpt_string copies a JSON string's text. Nothing ("") where v is no string or there is no
// memory.
void excerpt_string(struct scan_value v, char *ret, size_t room);
// excerpt_word copies printable ASCII without blanks: ids, codes and types.
void excerpt_word(struct span s, char *ret, size_t room);
// excerpt_page copies what a person would read of a page, HTML or plain: printable ASCII, no tags.
void excerpt_page(struct span s, char *ret, size_t room);
// excerpt_hide masks API keys in place.
void excerpt_hide(char *text);

#endif
