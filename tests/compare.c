/*
 * The one comparator of the tests: see compare.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "compare.h"

#include <math.h>
#include <string.h>

void compare_forget(void *result, size_t size) { memset(result, COMPARE_CANARY, size); }

double compare_difference(double got, double expected) {
    if (isnan(got) || isnan(expected)) {
        return INFINITY;
    }
    return got == expected ? 0.0 : fabs(got - expected);
}

double compare_greater(double difference, double other) {
    if (isnan(difference) || isnan(other)) {
        return INFINITY;
    }
    return difference > other ? difference : other;
}

comparison compare_begin(void) {
    comparison c = {0, -1, 0.0, 0.0, 0.0};
    return c;
}

void compare_add(comparison *c, double got, double expected, double allowance) {
    double difference = compare_difference(got, expected);
    if (difference < INFINITY) {
        difference = compare_greater(difference - allowance, 0.0);
    }
    if (c->at < 0 || difference > c->difference) {
        c->at = c->count;
        c->difference = difference;
        c->got = got;
        c->expected = expected;
    }
    c->count++;
}

comparison compare_floats(const float *got, const float *expected, int64_t count) {
    comparison c = compare_begin();
    int64_t i;
    for (i = 0; i < count; i++) {
        compare_add(&c, got[i], expected[i], 0.0);
    }
    return c;
}

int compare_holds(const comparison *c, int64_t count, double bound) {
    return c->count == count && count > 0 && bound < INFINITY && c->difference <= bound;
}

int64_t compare_bits(const float *got, int64_t n_got, const float *expected, int64_t n_expected) {
    int64_t both = n_got < n_expected ? n_got : n_expected, i;
    for (i = 0; i < both; i++) {
        if (memcmp(&got[i], &expected[i], sizeof *got) != 0 || isnan(got[i])) {
            return i;
        }
    }
    return n_got == n_expected ? -1 : both;
}

int64_t compare_finite(const float *got, int64_t count) {
    int64_t i;
    for (i = 0; i < count; i++) {
        if (!isfinite(got[i])) {
            return i;
        }
    }
    return -1;
}
