/*
 * The same test as a libFuzzer target: the bytes are the decisions. `make random-fuzz` builds it.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdlib.h>

#include "random.h"

findings found;

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    source from = {{0}, bytes, n, 0};
    if (n > 0) {
        (void)episode_run(&from, 400);
    }
    if (found.wrong || found.differ || found.leaked) {
        abort();
    }
    return 0;
}
