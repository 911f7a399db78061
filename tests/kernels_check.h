/*
 * Checks of a kernel's call that every test of kernels makes. Included by the programs themselves, which count them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SA_TESTS_KERNELS_CHECK_H
#define SA_TESTS_KERNELS_CHECK_H

#include <math.h>

#include "compare.h"
#include "kernels.h"
#include "test.h"

#define UNIT 0x1p-24 /* half a unit in the last place of 1 */

/* Calls `call` between fences; its arguments are in `context`. */
static inline void check_call(const sai_kernels *t, const char *what, void (*call)(void *context), void *context) {
    CHECK(fence_run(call, context), "%s %s: memory beyond an argument was touched, or an input written",
          sa_isa_name(t->isa), what);
}

static inline void check_intact(const sai_kernels *t, const char *what, int slot, size_t bytes) {
    CHECK(fence_intact(slot, bytes, 0, 1), "%s %s: written beside the result", sa_isa_name(t->isa), what);
}

/* n results against a plain table's. */
static inline void check_equal(const sai_kernels *t, const char *what, const float *got, const float *plain, int n) {
    int i = 0;
    while (i < n && numbers_same(got[i], plain[i])) {
        i++;
    }
    CHECK(i == n, "%s %s: element %d of %d: %.9g, plain C %.9g", sa_isa_name(t->isa), what, i, n, got[i], plain[i]);
}

/* n results against double. */
static inline void check_near(const sai_kernels *t, const char *what, const float *got, const double *truth,
                              const double *bounds, int n) {
    int i = 0;
    while (i < n && compare_difference(got[i], truth[i]) <= bounds[i]) {
        i++;
    }
    CHECK(i == n, "%s %s: element %d of %d: %.9g, double %.9g", sa_isa_name(t->isa), what, i, n, got[i], truth[i]);
}

#endif
