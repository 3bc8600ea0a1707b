// tap: cmocka with the headers it needs before it, and one line a test.
#ifndef PENSTOCK_TESTS_TAP_H
#define PENSTOCK_TESTS_TAP_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

// A row of a test table: a sentence about behaviour, and the function that proves it.
#define TAP(sentence, fn) {sentence, fn, NULL, NULL, NULL}
// clang-format on

#endif
