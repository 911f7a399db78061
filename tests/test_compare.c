/*
 * The comparator of the tests, itself tested: it must fail wherever a comparison by > or <= would let NaN pass.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "compare.h"
#include "support.h"
#include "test.h"

static void differences(void) {
    double inf = INFINITY;
    CHECK(compare_difference(2.0, 1.5) == 0.5 && compare_difference(-0.0, 0.0) == 0.0, "numbers");
    CHECK(compare_difference(inf, inf) == 0.0 && compare_difference(-inf, -inf) == 0.0, "the same infinity");
    CHECK(compare_difference(inf, -inf) == inf && compare_difference(-inf, inf) == inf, "infinities of other sign");
    CHECK(compare_difference(inf, 1.0) == inf && compare_difference(1.0, -inf) == inf, "one infinity");
    CHECK(compare_difference(NAN, 1.0) == inf && compare_difference(1.0, NAN) == inf, "one NaN");
    CHECK(compare_difference(NAN, NAN) == inf && compare_difference(NAN, inf) == inf, "NaN and what is no number");
    CHECK(compare_greater(1.0, 2.0) == 2.0 && compare_greater(2.0, 1.0) == 2.0, "the greater");
    CHECK(compare_greater(NAN, 1.0) == inf && compare_greater(1.0, NAN) == inf, "the greater of NaN");
}

/* A bad number anywhere among good ones, and with everything else bad too. */
static void bad_numbers(void) {
    static const float bad[] = {NAN, -NAN, INFINITY, -INFINITY, 3.0f};
    int i, b;
    for (b = 0; b < 5; b++) {
        for (i = 0; i < 7; i++) {
            float got[7] = {1, 1, 1, 1, 1, 1, 1}, expected[7] = {1, 1, 1, 1, 1, 1, 1};
            comparison c = compare_floats(got, expected, 7);
            CHECK(compare_holds(&c, 7, 0.0), "equal numbers");
            CHECK(!compare_holds(&c, 8, 1.0) && !compare_holds(&c, 6, 1.0), "another count");
            CHECK(!compare_holds(&c, 7, INFINITY) && !compare_holds(&c, 7, NAN), "no bound");
            CHECK(compare_bits(got, 7, expected, 7) == -1, "equal bits");
            CHECK(compare_bits(got, 7, expected, 6) == 6 && compare_bits(got, 6, expected, 7) == 6, "another size");
            got[i] = bad[b];
            c = compare_floats(got, expected, 7);
            CHECK(!compare_holds(&c, 7, 1.0) && c.at == i, "bad %g at %d, found at %d", (double)bad[b], i, (int)c.at);
            CHECK(compare_bits(got, 7, expected, 7) == i, "bits of %g at %d", (double)bad[b], i);
            CHECK((compare_finite(got, 7) == i) == (b < 4), "%g at %d is finite", (double)bad[b], i);
            expected[i] = bad[b];
            CHECK((compare_bits(got, 7, expected, 7) == -1) == (b >= 2), "%g in both, at %d", (double)bad[b], i);
        }
    }
}

/* What is left unwritten is a NaN in every element type. */
static void canaries(void) {
    static const int dtypes[] = {SA_F32, SA_F16, SA_BF16};
    unsigned char bytes[4];
    int i;
    for (i = 0; i < 3; i++) {
        compare_forget(bytes, sizeof bytes);
        CHECK(isnan(dtype_load(dtypes[i], bytes)), "canary of dtype %d: %g", dtypes[i],
              (double)dtype_load(dtypes[i], bytes));
    }
}

static void allowances(void) {
    comparison c = compare_begin();
    CHECK(!compare_holds(&c, 0, 1.0), "nothing compared");
    compare_add(&c, 1.5, 1.0, 0.5);
    CHECK(compare_holds(&c, 1, 0.0), "within its allowance");
    compare_add(&c, 3.0, 1.0, 0.5);
    CHECK(c.difference == 1.5 && c.at == 1 && !compare_holds(&c, 2, 1.0), "beyond it");
    compare_add(&c, INFINITY, 1.0, INFINITY);
    CHECK(c.difference == INFINITY && c.at == 2, "no allowance makes an infinity good");
    compare_add(&c, 1.0, 1.0, NAN);
    CHECK(c.difference == INFINITY, "an allowance that is NaN");
}

int main(int argc, char **argv) {
    uint64_t seed = 0;
    long count = 1;
    test_begin("test_compare", argc, argv, &seed, &count);
    differences();
    bad_numbers();
    canaries();
    allowances();
    return test_end();
}
