/*
 * The kernels that convert and rotate rows; called directly, as in test_kernels.c. No product is fused with a sum here,
 * so every table has the bits of plain C.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "kernels_check.h"

enum { SLOT_A, SLOT_B };
enum { MOST = 1100 };

/* ------------------------- rows from and to f32 ----------------------------- */

typedef struct conversion {
    const sai_kernels *table;
    int dtype, n, is_store;
    const void *from;
    void *to;
} conversion;

static void call_conversion(void *context) {
    conversion *c = context;
    if (c->is_store) {
        c->table->store[c->dtype](c->from, c->n, c->to);
    } else {
        c->table->load[c->dtype](c->from, c->n, c->to);
    }
}

/* All halves there are, and f32 numbers of all sizes: halfway cases of both dtypes, and their neighbours. */
static float any_float(test_rng *rng) {
    uint32_t bits = (uint32_t)rng_next(rng);
    float x;
    if (rng_chance(rng, 50)) {
        bits = (bits & 0xFFFF0000u) + (rng_chance(rng, 50) ? 0x8000u : 0x1000u) + (uint32_t)rng_in(rng, -1, 1);
    }
    if (rng_chance(rng, 30)) { /* where f16 is subnormal, or overflows */
        bits = (bits & 0x80FFFFFFu) | (uint32_t)rng_in(rng, 0x33, 0x47) << 24;
    }
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void conversion_case(const sai_kernels *t, test_rng *rng, int dtype, int n, int is_store, uint16_t first) {
    static float floats[MOST], expected[MOST];
    static uint16_t halves[MOST];
    size_t float_size = (size_t)n * sizeof(float), stored_size = (size_t)n * dtype_size(dtype);
    conversion c = {t, dtype, n, is_store, NULL, NULL};
    char what[60];
    int i, wrong = 0;
    for (i = 0; i < n; i++) {
        floats[i] = any_float(rng);
        halves[i] = (uint16_t)(first + i);
    }
    snprintf(what, sizeof what, "%s of %d, dtype %d", is_store ? "store" : "load", n, dtype);
    c.from = fence_rows(SLOT_A, rng, is_store || dtype == SA_F32 ? (void *)floats : (void *)halves,
                        is_store ? float_size : stored_size, 0, 1);
    c.to = fence_result(SLOT_B, rng, is_store ? stored_size : float_size, 0, 1);
    fence_lock(SLOT_A);
    check_call(t, what, call_conversion, &c);
    check_intact(t, what, SLOT_B, is_store ? stored_size : float_size);
    for (i = 0; i < n; i++) {
        expected[i] = is_store ? (float)dtype_round(dtype, floats[i]) : numbers_at(dtype, c.from, (size_t)i);
        wrong += !numbers_same(numbers_at(is_store ? dtype : SA_F32, c.to, (size_t)i), expected[i]);
    }
    CHECK(wrong == 0, "%s %s: %d wrong", sa_isa_name(t->isa), what, wrong);
}

static void conversions(const sai_kernels *t, test_rng *rng) {
    int dtype, n, i;
    for (dtype = SA_F32; dtype <= SA_BF16; dtype++) {
        for (n = 1; n < 70; n++) {
            conversion_case(t, rng, dtype, n, 0, (uint16_t)rng_next(rng));
            conversion_case(t, rng, dtype, n, 1, 0);
        }
        for (i = 0; i < 64; i++) {
            conversion_case(t, rng, dtype, 1024, 0, (uint16_t)(1024 * i));
            conversion_case(t, rng, dtype, 1024, 1, 0);
        }
    }
}

/* --------------------------------- rotations -------------------------------- */

typedef struct rotation {
    const sai_kernels *table;
    sai_rope rope;
    const uint64_t *frequency;
    uint64_t position;
    float *row, *x;
    int dims, is_query;
} rotation;

static void call_rope_row(void *context) {
    rotation *c = context;
    c->table->rope_row(&c->rope, c->frequency, c->position, c->row);
}

static void call_rope_rotate(void *context) {
    rotation *c = context;
    c->table->rope_rotate(&c->rope, c->row, c->x);
}

static void call_hadamard(void *context) {
    rotation *c = context;
    c->table->hadamard(c->x, c->dims, c->is_query);
}

static const double TURN = 6.283185307179586476925;

static void rope_row_case(const sai_kernels *t, test_rng *rng, rotation *c) {
    static float plain[MOST];
    static uint64_t frequency[MOST];
    static double truth[MOST], bounds[MOST];
    int pairs = c->rope.pairs, i;
    rotation other = *c;
    for (i = 0; i < pairs; i++) {
        double phase;
        frequency[i] = rng_chance(rng, 10) ? (uint64_t)rng_in(rng, 0, 3) << 62 : rng_next(rng);
        phase = (double)(int64_t)(c->position * frequency[i]) * 0x1p-64 * TURN;
        truth[i] = (double)c->rope.factor * cos(phase);
        truth[pairs + i] = (double)c->rope.factor * sin(phase);
        bounds[i] = bounds[pairs + i] = 1.5e-7 * (double)c->rope.factor;
    }
    other.table = sai_kernels_of(SA_ISA_PLAIN);
    other.frequency = frequency;
    other.row = plain;
    call_rope_row(&other);
    c->frequency = fence_rows(SLOT_A, rng, frequency, (size_t)pairs * sizeof *frequency, 0, 1);
    c->row = fence_result(SLOT_B, rng, 2 * (size_t)pairs * sizeof(float), 0, 1);
    fence_lock(SLOT_A);
    check_call(t, "rope_row", call_rope_row, c);
    check_intact(t, "rope_row", SLOT_B, 2 * (size_t)pairs * sizeof(float));
    check_equal(t, "rope_row", c->row, plain, 2 * pairs);
    check_near(t, "rope_row", c->row, truth, bounds, 2 * pairs);
}

/* A head vector that ends with its last rotated dim; what lies before its first one stays. */
static void rope_rotate_case(const sai_kernels *t, test_rng *rng, rotation *c) {
    static float x[MOST], plain[MOST], row[MOST];
    static double truth[MOST], bounds[MOST];
    int pairs = c->rope.pairs, n = c->rope.offset + 2 * pairs, i, kind = numbers_kind(rng);
    rotation other = *c;
    memcpy(row, c->row, 2 * (size_t)pairs * sizeof(float));
    numbers_fill(rng, kind, SA_F32, x, (size_t)n);
    for (i = 0; i < n; i++) {
        truth[i] = x[i];
        bounds[i] = i < c->rope.offset ? 0.0 : 1e-6 * 2.0 + 0x1p-148;
    }
    for (i = 0; i < pairs; i++) {
        int a = c->rope.offset + (c->rope.interleaved ? 2 * i : i), b = c->rope.interleaved ? a + 1 : a + pairs;
        double size = fabs((double)x[a]) + fabs((double)x[b]);
        truth[a] = (double)x[a] * row[i] - (double)x[b] * row[pairs + i];
        truth[b] = (double)x[b] * row[i] + (double)x[a] * row[pairs + i];
        bounds[a] = bounds[b] = 4.0 * UNIT * size * (double)c->rope.factor + 0x1p-147;
    }
    memcpy(plain, x, sizeof plain);
    other.table = sai_kernels_of(SA_ISA_PLAIN);
    other.row = row;
    other.x = plain;
    call_rope_rotate(&other);
    c->row = fence_rows(SLOT_A, rng, row, 2 * (size_t)pairs * sizeof(float), 0, 1);
    c->x = fence_rows(SLOT_B, rng, x, (size_t)n * sizeof(float), 0, 1);
    fence_lock(SLOT_A);
    check_call(t, "rope_rotate", call_rope_rotate, c);
    check_intact(t, "rope_rotate", SLOT_B, (size_t)n * sizeof(float));
    check_equal(t, "rope_rotate", c->x, plain, n);
    if (kind < NUMBERS_INF) {
        check_near(t, "rope_rotate", c->x, truth, bounds, n);
    }
}

static void rope_case(const sai_kernels *t, test_rng *rng) {
    rotation c = {.table = t};
    c.rope.pairs = (int32_t)rng_in(rng, 1, rng_chance(rng, 80) ? 70 : 260);
    c.rope.offset = rng_chance(rng, 50) ? (int32_t)rng_in(rng, 1, 40) : 0;
    c.rope.interleaved = rng_chance(rng, 50);
    c.rope.factor = rng_chance(rng, 50) ? 1.0f : (float)(0.5 + rng_unit(rng));
    c.position = rng_chance(rng, 50) ? (uint64_t)rng_in(rng, -1000000, 1000000) : rng_next(rng);
    rope_row_case(t, rng, &c);
    rope_rotate_case(t, rng, &c);
}

/* Row i, column j of the matrix of a block: the sign is that of the bits that i and j share. */
static double hadamard_sign(int i, int j) {
    int bits = i & j, sign = 1;
    for (; bits; bits &= bits - 1) {
        sign = -sign;
    }
    return sign;
}

static void hadamard_truth(const float *x, int dims, int is_query, double *truth, double *bounds) {
    int n, i, j, start, shift;
    for (start = 0; start < dims; start += n) {
        for (n = 256; n > dims - start; n /= 2) {
        }
        for (shift = 0; 1 << (2 * shift) < n; shift++) {
        }
        for (i = 0; i < n; i++) {
            /* 1 / sqrt(n), or sqrt(2 / n) of a key and 1 / sqrt(2 n) of a query: powers of two. */
            double by = 1.0 / (1 << shift), size = 0.0;
            by *= (1 << (2 * shift)) == n || is_query ? 1.0 : 2.0;
            truth[start + i] = 0.0;
            for (j = 0; j < n; j++) {
                truth[start + i] += hadamard_sign(i, j) * by * x[start + j];
                size += by * fabs((double)x[start + j]);
            }
            bounds[start + i] = 10.0 * UNIT * size + 0x1p-146;
        }
    }
}

static void hadamard_case(const sai_kernels *t, test_rng *rng, int dims) {
    static float x[MOST], plain[MOST];
    static double truth[MOST], bounds[MOST];
    int kind = numbers_kind(rng);
    rotation c = {.table = t, .dims = dims, .is_query = rng_chance(rng, 50)}, other = c;
    numbers_fill(rng, kind, SA_F32, x, (size_t)dims);
    memcpy(plain, x, sizeof plain);
    other.table = sai_kernels_of(SA_ISA_PLAIN);
    other.x = plain;
    call_hadamard(&other);
    c.x = fence_rows(SLOT_A, rng, x, (size_t)dims * sizeof(float), 0, 1);
    check_call(t, "hadamard", call_hadamard, &c);
    check_intact(t, "hadamard", SLOT_A, (size_t)dims * sizeof(float));
    check_equal(t, "hadamard", c.x, plain, dims);
    if (kind < NUMBERS_INF) {
        hadamard_truth(x, dims, c.is_query, truth, bounds);
        check_near(t, "hadamard", c.x, truth, bounds, dims);
    }
}

/* ---------------------------------- all ------------------------------------- */

static void try_table(const sai_kernels *t, uint64_t seed, long count) {
    test_rng rng = {seed};
    long i;
    conversions(t, &rng);
    for (i = 0; i < count; i++) {
        rope_case(t, &rng);
        hadamard_case(t, &rng, i < 320 ? (int)i + 1 : (int)rng_in(&rng, 1, 1024));
    }
}

int main(int argc, char **argv) {
    uint64_t seed = 16;
    long count = 400;
    int32_t isa = 0;
    double began = test_seconds();
    const sai_kernels *t;
    test_begin("test_kernels_rotate", argc, argv, &seed, &count);
    while ((t = kernels_next(&isa)) != NULL) {
        try_table(t, seed, count);
    }
    printf("%.1f s\n", test_seconds() - began);
    return test_end();
}
