/*
 * binary16 and bfloat16 at the edges of rounding: every number there is, its halfway points and their neighbours, and
 * what is not a number. Random numbers hardly ever meet these.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "kernels.h"
#include "test.h"

/* A whole vector and one more, so that the vectors and what is left over both convert every number. */
enum { N = 17 };

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The stored element that each of N copies of x becomes. */
static uint16_t stored(const sai_kernels *t, int dtype, float x, const char *what) {
    float from[N];
    uint16_t to[N];
    int i, same = 1;
    for (i = 0; i < N; i++) {
        from[i] = x;
    }
    t->store[dtype](from, N, to);
    for (i = 1; i < N; i++) {
        same = same && to[i] == to[0];
    }
    CHECK(same, "%s dtype %d: %s: %a becomes %x and %x", sa_isa_name(t->isa), dtype, what, (double)x, to[0], to[N - 1]);
    return to[0];
}

/* The float that each of N copies of an element becomes. */
static uint32_t loaded(const sai_kernels *t, int dtype, uint16_t element) {
    float to[N];
    uint16_t from[N];
    int i, same = 1;
    for (i = 0; i < N; i++) {
        from[i] = element;
    }
    t->load[dtype](from, N, to);
    for (i = 1; i < N; i++) {
        same = same && memcmp(&to[i], &to[0], sizeof *to) == 0;
    }
    CHECK(same, "%s dtype %d: %x becomes %a and %a", sa_isa_name(t->isa), dtype, element, (double)to[0],
          (double)to[N - 1]);
    return bits_of(to[0]);
}

static void expect_stored(const sai_kernels *t, int dtype, double x, uint16_t expected, const char *what) {
    uint16_t got = stored(t, dtype, (float)x, what);
    CHECK(got == expected, "%s dtype %d: %s: %a becomes %x, not %x", sa_isa_name(t->isa), dtype, what, x, got,
          expected);
}

/* A number, the halfway point to the next larger one and the floats beside that; `next` is the next one's value. */
static void expect_rounding(const sai_kernels *t, int dtype, uint16_t element, double x, double next) {
    float half = (float)(x + (next - x) / 2);
    uint16_t above = (uint16_t)(element + 1), even = element % 2 ? above : element;
    uint16_t sign;
    for (sign = 0; sign <= 1; sign++) {
        uint16_t s = (uint16_t)(sign << 15);
        double by = sign ? -1.0 : 1.0;
        expect_stored(t, dtype, by * x, (uint16_t)(s | element), "a number itself");
        expect_stored(t, dtype, by * (double)half, (uint16_t)(s | even), "halfway, to even");
        expect_stored(t, dtype, by * (double)float_of(bits_of(half) - 1), (uint16_t)(s | element), "below halfway");
        expect_stored(t, dtype, by * (double)float_of(bits_of(half) + 1), (uint16_t)(s | above), "above halfway");
    }
}

/* The value of a finite element without a sign; of the first infinite one, what it would be if there were no end. */
static double f16_value(uint16_t element) {
    int exponent = element >> 10, fraction = element & 0x3ff;
    return exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
}

static void every_f16(const sai_kernels *t) {
    int e;
    for (e = 0; e < 0x7c00; e++) {
        expect_rounding(t, SA_F16, (uint16_t)e, f16_value((uint16_t)e), f16_value((uint16_t)(e + 1)));
        CHECK(float_of(loaded(t, SA_F16, (uint16_t)e)) == (float)f16_value((uint16_t)e), "%s: f16 %x",
              sa_isa_name(t->isa), e);
        CHECK(loaded(t, SA_F16, (uint16_t)(e | 0x8000)) == (loaded(t, SA_F16, (uint16_t)e) | 0x80000000u),
              "%s: f16 %x with a sign", sa_isa_name(t->isa), e);
    }
    /* A signalling NaN becomes quiet, as in every processor that has the conversion. */
    for (e = 0x7c01; e < 0x8000; e++) {
        uint32_t got = loaded(t, SA_F16, (uint16_t)e);
        CHECK((got & 0x7fc00000u) == 0x7fc00000u, "%s: NaN %x of f16 becomes %x", sa_isa_name(t->isa), e,
              (unsigned)got);
    }
    CHECK(loaded(t, SA_F16, 0x7c00) == 0x7f800000u && loaded(t, SA_F16, 0xfc00) == 0xff800000u, "infinite f16");
}

static void every_bf16(const sai_kernels *t) {
    uint32_t e;
    for (e = 0; e < 0x7f80; e++) {
        /* The next one of the largest is 2^128, no float, but its halfway point is one. */
        double x = (double)float_of(e << 16), next = e == 0x7f7f ? 0x1p128 : (double)float_of((e + 1) << 16);
        expect_rounding(t, SA_BF16, (uint16_t)e, x, next);
        CHECK(loaded(t, SA_BF16, (uint16_t)e) == e << 16, "%s: bf16 %x", sa_isa_name(t->isa), (unsigned)e);
    }
}

/* Wherever the bits are that make it one, and whatever is cut off. */
static void not_numbers(const sai_kernels *t, int dtype, uint16_t infinity) {
    int bit;
    for (bit = 0; bit < 23; bit++) {
        uint16_t got = stored(t, dtype, float_of(0x7f800000u | 1u << bit), "NaN");
        CHECK((got & 0x7fff) > infinity, "%s dtype %d: NaN with bit %d becomes %x", sa_isa_name(t->isa), dtype, bit,
              got);
    }
    expect_stored(t, dtype, INFINITY, infinity, "infinity");
    expect_stored(t, dtype, -INFINITY, (uint16_t)(infinity | 0x8000), "infinity");
    expect_stored(t, dtype, (double)float_of(0x7f7fffff), infinity, "the largest float");
}

int main(int argc, char **argv) {
    uint64_t seed = 0;
    long count = 1;
    int32_t isa = 0;
    double began = test_seconds();
    const sai_kernels *t;
    test_begin("test_kernels_half", argc, argv, &seed, &count);
    while ((t = kernels_next(&isa)) != NULL) {
        if (sai_dtype_built(SA_F16)) {
            every_f16(t);
            not_numbers(t, SA_F16, 0x7c00);
        }
        if (sai_dtype_built(SA_BF16)) {
            every_bf16(t);
            not_numbers(t, SA_BF16, 0x7f80);
        }
    }
    printf("%.1f s\n", test_seconds() - began);
    return test_end();
}
