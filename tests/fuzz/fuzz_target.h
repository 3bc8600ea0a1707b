// fuzz_target: the one function a fuzz target defines. It returns 0 and aborts where something that
// must hold does not.
#ifndef PENSTOCK_TESTS_FUZZ_TARGET_H
#define PENSTOCK_TESTS_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
