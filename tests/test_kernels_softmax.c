/*
 * The softmax kernels, and those that fold, merge and divide its states; called directly, as in test_kernels.c.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "kernels_check.h"

enum { SLOT_A, SLOT_B, SLOT_C, SLOT_D, SLOT_E, SLOT_F };
enum { MOST = 1100 };

/* ----------------------------- exp and softmax ------------------------------ */

static void exponentials(const sai_kernels *t, test_rng *rng) {
    const sai_kernels *plain = kernels_plain(t);
    int i;
    CHECK(isnan(t->exponential(NAN)), "%s: exp(NaN)", sa_isa_name(t->isa));
    CHECK(t->exponential(-INFINITY) == 0.0f && t->exponential(0.0f) == 1.0f, "%s: exp", sa_isa_name(t->isa));
    for (i = 0; i < 2000; i++) {
        float x = (float)(rng_chance(rng, 80) ? 176.0 * rng_unit(rng) - 88.0 : -300.0 * rng_unit(rng));
        float got = t->exponential(x), expected = plain->exponential(x);
        CHECK(numbers_same(got, expected), "%s: exp(%.9g): %.9g, plain C %.9g", sa_isa_name(t->isa), x, got, expected);
        CHECK(compare_difference(got, exp(x)) <= exp(x) * (2e-7 + 1e-7 * fabs(x)) + 0x1p-126,
              "%s: exp(%.9g): %.9g, double %.9g", sa_isa_name(t->isa), x, got, exp(x));
    }
}

typedef struct softmax {
    const sai_kernels *table;
    int rows, lo[SAI_MOST_ROWS], hi[SAI_MOST_ROWS];
    sai_logit logit;
    float slopes[SAI_MOST_ROWS], distances[SAI_MOST_ROWS], biases[SAI_CHUNK];
    float scores[SAI_MOST_ROWS * SAI_CHUNK];
    float max[SAI_MOST_ROWS], sum[SAI_MOST_ROWS];
    float *at_s, *at_max, *at_sum, *at_keep; /* of a call */
} softmax;

static void call_softmax(void *context) {
    softmax *c = context;
    c->table->softmax(c->rows, c->at_s, c->lo, c->hi, &c->logit, c->at_max, c->at_sum, c->at_keep);
}

static int touched_from(const softmax *c, int r) { return c->lo[r] < c->hi[r] ? c->lo[r] / 16 * 16 : 0; }
static int touched_end(const softmax *c, int r) { return c->lo[r] < c->hi[r] ? (c->hi[r] + 15) / 16 * 16 : 0; }

static int is_hidden(const softmax *c, int key) { return c->logit.biases && c->biases[key] == -INFINITY; }

/* Biases, in place of slopes: some keys are hidden, or all, and what their scores are does not matter. */
static void draw_biases(softmax *c, test_rng *rng) {
    int hidden = rng_chance(rng, 20) ? 100 : rng_chance(rng, 50) ? 30 : 0, strange = rng_chance(rng, 50), r, i;
    c->logit.slopes = c->logit.distances = NULL;
    c->logit.biases = c->biases;
    for (i = 0; i < SAI_CHUNK; i++) {
        c->biases[i] = rng_chance(rng, hidden) ? -INFINITY : 3.0f * rng_normal(rng);
    }
    for (r = 0; r < c->rows; r++) {
        for (i = touched_from(c, r); i < touched_end(c, r); i++) {
            c->scores[r * SAI_CHUNK + i] = is_hidden(c, i) && strange ? NAN : c->scores[r * SAI_CHUNK + i];
        }
    }
}

/* Ranges of every kind, scores of every kind among the keys that are seen, and NaN outside the tiles. */
static void draw_softmax(softmax *c, test_rng *rng) {
    static const float scales[] = {1.0f, 0.125f, 0.08838834764f, 3.0f};
    int r, i, kind = numbers_kind(rng), outside = numbers_kind(rng);
    memset(c, 0, sizeof *c);
    c->rows = (int)rng_in(rng, 1, SAI_MOST_ROWS);
    c->logit.scale = scales[rng_in(rng, 0, 3)];
    c->logit.softcap = rng_chance(rng, 30) ? (float)(1.0 + 40.0 * rng_unit(rng)) : 0.0f;
    c->logit.slopes = rng_chance(rng, 30) ? c->slopes : NULL;
    c->logit.distances = c->logit.slopes ? c->distances : NULL;
    c->logit.step = (float)rng_in(rng, 0, 1);
    for (r = 0; r < c->rows; r++) {
        float *s = c->scores + r * SAI_CHUNK;
        c->lo[r] = (int)rng_in(rng, 0, rng_chance(rng, 50) ? 20 : SAI_CHUNK);
        c->hi[r] = rng_chance(rng, 10) ? (int)rng_in(rng, 0, c->lo[r]) : (int)rng_in(rng, c->lo[r], SAI_CHUNK);
        c->slopes[r] = (float)rng_unit(rng);
        c->distances[r] = (float)rng_in(rng, 0, 600);
        memset(s, COMPARE_CANARY, SAI_CHUNK * sizeof *s);
        numbers_fill(rng, outside, SA_F32, s + touched_from(c, r), (size_t)(touched_end(c, r) - touched_from(c, r)));
        if (c->lo[r] < c->hi[r]) {
            numbers_fill(rng, kind, SA_F32, s + c->lo[r], (size_t)(c->hi[r] - c->lo[r]));
        }
        for (i = c->lo[r]; i < c->hi[r] && kind == NUMBERS_NORMAL; i++) {
            s[i] *= 8.0f;
        }
        c->max[r] = rng_chance(rng, 40) ? -INFINITY : 10.0f * rng_normal(rng);
        c->sum[r] = c->max[r] == -INFINITY ? 0.0f : (float)(1.0 + 5.0 * rng_unit(rng));
    }
    if (rng_chance(rng, 25)) {
        draw_biases(c, rng);
    }
}

static double logit_of(const softmax *c, int r, int key) {
    double x = (double)c->scores[r * SAI_CHUNK + key] * c->logit.scale;
    if (c->logit.softcap != 0.0f) {
        x = c->logit.softcap * tanh(x / c->logit.softcap);
    }
    if (c->logit.biases) {
        return is_hidden(c, key) ? -INFINITY : x + c->biases[key];
    }
    return c->logit.slopes ? x - (double)c->slopes[r] * ((double)c->distances[r] - key * (double)c->logit.step) : x;
}

/* How far a row's logits may be off: they are f32 numbers, and tanh is good to a few units of 1. */
static double logit_error(const softmax *c, int r) {
    double far = c->logit.slopes ? fabs((double)c->slopes[r]) * (fabs((double)c->distances[r]) + SAI_CHUNK) : 0.0;
    return 8.0 * UNIT * (c->logit.softcap + 2.0 * far + 100.0);
}

static void softmax_truth(const softmax *c, int r, const float *s, const sai_kernels *t, const float *state) {
    int simple = c->logit.softcap == 0.0f && !c->logit.slopes && !c->logit.biases, key;
    double unit = simple ? (double)c->logit.scale : 1.0, top = (double)c->max[r] * unit, sum = 0.0, wrong = 0.0;
    for (key = c->lo[r]; key < c->hi[r]; key++) {
        top = fmax(top, logit_of(c, r, key));
    }
    for (key = touched_from(c, r); key < touched_end(c, r); key++) {
        int seen = key >= c->lo[r] && key < c->hi[r] && !is_hidden(c, key);
        double x = seen ? logit_of(c, r, key) - top : -INFINITY, weight = exp(x);
        double bound = weight * (3e-7 + 3e-7 * fabs(x) + 2.0 * logit_error(c, r)) + 0x1p-125;
        sum += weight;
        wrong =
            compare_greater(wrong, x == -INFINITY ? fabs((double)s[key]) : compare_difference(s[key], weight) / bound);
    }
    CHECK(wrong <= 1.0,
          "%s softmax: a weight is off by %g of its bound: row %d, keys %d to %d, scale %g, softcap %g, %s",
          sa_isa_name(t->isa), wrong, r, c->lo[r], c->hi[r], c->logit.scale, c->logit.softcap,
          c->logit.slopes   ? "slopes"
          : c->logit.biases ? "biases"
                            : "no slopes");
    sum += c->max[r] == -INFINITY ? 0.0 : c->sum[r] * exp(c->max[r] * unit - top);
    CHECK(compare_difference(state[0] * unit, top) <= logit_error(c, r) + 1e-6 * fabs(top) &&
              compare_difference(state[1], sum) <= sum * (5e-6 + 2.0 * logit_error(c, r)),
          "%s softmax: max %.9g, sum %.9g; double %.9g, %.9g", sa_isa_name(t->isa), state[0] * unit, state[1], top,
          sum);
}

static int all_finite(const softmax *c) {
    int r;
    for (r = 0; r < c->rows; r++) {
        int key;
        for (key = c->lo[r]; key < c->hi[r]; key++) {
            if (!is_hidden(c, key) && !(fabsf(c->scores[r * SAI_CHUNK + key]) <= 1e6f)) {
                return 0;
            }
        }
    }
    return 1;
}

static void place_softmax(softmax *c, test_rng *rng) {
    size_t row = (size_t)c->rows * sizeof(float);
    c->at_s = fence_rows(SLOT_A, rng, c->scores, row * SAI_CHUNK, 0, 1);
    c->at_max = fence_rows(SLOT_B, rng, c->max, row, 0, 1);
    c->at_sum = fence_rows(SLOT_C, rng, c->sum, row, 0, 1);
    c->at_keep = fence_result(SLOT_D, rng, row, 0, 1);
}

static void softmax_case(softmax *c, test_rng *rng, const sai_kernels *t) {
    static softmax plain;
    float keep[SAI_MOST_ROWS];
    int rows = c->rows, r, key, outside = 0;
    memcpy(&plain, c, sizeof plain);
    plain.table = kernels_plain(t);
    plain.logit.slopes = c->logit.slopes ? plain.slopes : NULL;
    plain.logit.distances = c->logit.distances ? plain.distances : NULL;
    plain.logit.biases = c->logit.biases ? plain.biases : NULL;
    plain.at_s = plain.scores;
    plain.at_max = plain.max;
    plain.at_sum = plain.sum;
    plain.at_keep = keep;
    call_softmax(&plain);
    c->table = t;
    place_softmax(c, rng);
    check_call(t, "softmax", call_softmax, c);
    check_equal(t, "softmax: weights", c->at_s, plain.scores, rows * SAI_CHUNK);
    check_equal(t, "softmax: max", c->at_max, plain.max, rows);
    check_equal(t, "softmax: sum", c->at_sum, plain.sum, rows);
    check_equal(t, "softmax: keep", c->at_keep, keep, rows);
    for (r = 0; r < 4; r++) {
        check_intact(t, "softmax", SLOT_A + r, (size_t)rows * sizeof(float) * (r == 0 ? SAI_CHUNK : 1));
    }
    for (r = 0; r < rows; r++) {
        const float *s = c->at_s + r * SAI_CHUNK, *was = c->scores + r * SAI_CHUNK;
        float state[2] = {c->at_max[r], c->at_sum[r]};
        for (key = 0; key < SAI_CHUNK; key++) {
            int is_touched = key >= touched_from(c, r) && key < touched_end(c, r);
            outside += !is_touched && memcmp(&s[key], &was[key], sizeof *s) != 0;
            outside += is_touched && (key < c->lo[r] || key >= c->hi[r]) && (s[key] != 0.0f) && all_finite(c);
        }
        if (c->lo[r] >= c->hi[r]) {
            CHECK(c->at_keep[r] == 1.0f && state[0] == c->max[r] && state[1] == c->sum[r],
                  "%s softmax: no keys changed a row", sa_isa_name(t->isa));
        } else if (all_finite(c)) {
            softmax_truth(c, r, s, t, state);
        }
    }
    CHECK(outside == 0, "%s softmax: %d scores outside the keys of a row", sa_isa_name(t->isa), outside);
}

/* ---------------------------------- shares ---------------------------------- */

static void call_shares(void *context) {
    softmax *c = context;
    c->table->shares(c->rows, c->at_s, c->lo, c->hi, &c->logit, c->at_max, c->at_sum);
}

/* The same scores, with a max that is above all logits, and a reciprocal in place of the sum. */
static void shares_case(softmax *c, test_rng *rng, const sai_kernels *t) {
    static softmax plain;
    double wrong = 0.0;
    int rows = c->rows, r, key, outside = 0;
    for (r = 0; r < rows; r++) {
        c->max[r] = 0.0f;
        for (key = c->lo[r]; key < c->hi[r]; key++) {
            double x = logit_of(c, r, key);
            c->max[r] = x > c->max[r] ? (float)x : c->max[r];
        }
        c->sum[r] = (float)rng_unit(rng);
        if (rng_chance(rng, 10)) { /* a row that sees nothing but what is hidden */
            c->max[r] = -INFINITY;
            c->sum[r] = 0.0f;
        }
    }
    memcpy(&plain, c, sizeof plain);
    plain.table = kernels_plain(t);
    plain.logit.slopes = c->logit.slopes ? plain.slopes : NULL;
    plain.logit.distances = c->logit.distances ? plain.distances : NULL;
    plain.logit.biases = c->logit.biases ? plain.biases : NULL;
    plain.at_s = plain.scores;
    plain.at_max = plain.max;
    plain.at_sum = plain.sum;
    call_shares(&plain);
    c->table = t;
    place_softmax(c, rng);
    fence_lock(SLOT_B);
    fence_lock(SLOT_C);
    check_call(t, "shares", call_shares, c);
    for (r = 0; r < rows; r++) {
        const float *s = c->at_s + r * SAI_CHUNK, *was = c->scores + r * SAI_CHUNK;
        if (c->lo[r] < c->hi[r])
            check_equal(t, "shares", s + c->lo[r], plain.scores + r * SAI_CHUNK + c->lo[r], c->hi[r] - c->lo[r]);
        for (key = 0; key < SAI_CHUNK; key++) {
            int is_touched = key >= touched_from(c, r) && key < touched_end(c, r);
            outside += !is_touched && memcmp(&s[key], &was[key], sizeof *s) != 0;
            if (key < c->lo[r] || key >= c->hi[r] || !all_finite(c) || !(c->max[r] < 1e6)) continue;
            double x = logit_of(c, r, key) - c->max[r], share = c->sum[r] == 0.0f ? 0.0 : exp(x) * c->sum[r];
            double bound =
                share == 0.0 ? 0x1p-125 : share * (4e-7 + 3e-7 * fabs(x) + 2.0 * logit_error(c, r)) + 0x1p-125;
            wrong = compare_greater(wrong, compare_difference(s[key], share) / bound);
        }
    }
    CHECK(wrong <= 1.0, "%s shares: off by %g of the bound", sa_isa_name(t->isa), wrong);
    CHECK(outside == 0, "%s shares: %d scores outside the tiles of a row", sa_isa_name(t->isa), outside);
}

static void squares(const sai_kernels *t, test_rng *rng) {
    float x[256];
    int n = 16 * (int)rng_in(rng, 1, 16), i, kind = numbers_kind(rng);
    double sum = 0.0;
    numbers_fill(rng, kind, SA_F32, x, (size_t)n);
    for (i = 0; i < n; i++) sum += (double)x[i] * x[i];
    const float *at = fence_rows(SLOT_A, rng, x, (size_t)n * sizeof *x, 0, 1);
    float got = t->squares(at, n), plain = kernels_plain(t)->squares(x, n);
    CHECK(numbers_same(got, plain), "%s: squares: %.9g, plain C %.9g", sa_isa_name(t->isa), got, plain);
    CHECK(kind != NUMBERS_NORMAL || compare_difference(got, sum) <= 2e-6 * sum, "%s: squares: %.9g, double %.9g",
          sa_isa_name(t->isa), got, sum);
}

/* ---------------------------------- states ---------------------------------- */

typedef struct states {
    const sai_kernels *table;
    int rows, n;
    float scalar;
    float *max_a, *sum_a, *acc_a, *max_b, *sum_b, *acc_b;
} states;

static void call_fold(void *context) {
    states *c = context;
    c->table->fold(c->n, c->acc_a, c->scalar, c->acc_b);
}

static void call_divide(void *context) {
    states *c = context;
    c->table->divide(c->n, c->acc_a, c->scalar);
}

static void call_merge(void *context) {
    states *c = context;
    c->table->merge(c->rows, c->n, c->max_a, c->sum_a, c->acc_a, c->max_b, c->sum_b, c->acc_b);
}

static void fold_and_divide(const sai_kernels *t, test_rng *rng) {
    static float acc[MOST], chain[MOST], plain[MOST];
    static double truth[MOST], bounds[MOST];
    int n = 16 * (int)rng_in(rng, 1, 64), i, way, kind = numbers_kind(rng);
    size_t size = (size_t)n * sizeof(float);
    states c = {.table = t, .n = n};
    numbers_fill(rng, kind, SA_F32, acc, (size_t)n);
    numbers_fill(rng, rng_chance(rng, 30) ? NUMBERS_ZERO : kind, SA_F32, chain, (size_t)n);
    for (way = 0; way < 2; way++) {
        states other = {.table = kernels_plain(t), .n = n, .acc_a = plain, .acc_b = chain};
        c.scalar = other.scalar = rng_chance(rng, 20) ? (float)rng_in(rng, 0, 1) : (float)(5.0 * rng_unit(rng));
        memcpy(plain, acc, size);
        (way ? call_divide : call_fold)(&other);
        c.acc_a = fence_rows(SLOT_A, rng, acc, size, 0, 1);
        c.acc_b = fence_rows(SLOT_B, rng, chain, size, 0, 1);
        fence_lock(SLOT_B);
        check_call(t, way ? "divide" : "fold", way ? call_divide : call_fold, &c);
        check_intact(t, way ? "divide" : "fold", SLOT_A, size);
        check_equal(t, way ? "divide" : "fold", c.acc_a, plain, n);
        for (i = 0; i < n; i++) {
            truth[i] =
                way ? acc[i] / (c.scalar != 0.0f ? (double)c.scalar : 1.0) : (double)acc[i] * c.scalar + chain[i];
            bounds[i] = 4.0 * UNIT * (fabs((double)acc[i] * (way ? 0.0 : c.scalar)) + fabs(truth[i])) + 0x1p-148;
            bounds[i] = fabs(truth[i]) <= 3e38 ? bounds[i] : INFINITY;
            CHECK(way || !(c.acc_a[i] == 0.0f && signbit(c.acc_a[i])), "%s fold: -0", sa_isa_name(t->isa));
        }
        if (kind < NUMBERS_INF) {
            check_near(t, way ? "divide" : "fold", c.acc_a, truth, bounds, n);
        }
    }
}

/* Row r of the merged state in double. */
static void merge_truth(const states *a, const float *max, const float *sum, const float *acc, const states *got, int r,
                        const sai_kernels *t) {
    double top = sum[r] == 0.0f ? a->max_b[r] : a->sum_b[r] == 0.0f ? max[r] : fmax(max[r], a->max_b[r]);
    double wa = sum[r] == 0.0f ? 0.0 : exp(max[r] - top), wb = a->sum_b[r] == 0.0f ? 0.0 : exp(a->max_b[r] - top);
    double total = wa * sum[r] + wb * a->sum_b[r], error = 5e-7 + 2e-7 * fabs(max[r] - a->max_b[r]);
    int i, wrong = 0;
    error = error < 1.0 ? error : 1.0;
    for (i = 0; i < a->n; i++) {
        double x = acc[r * a->n + i], y = a->acc_b[r * a->n + i], size = wa * fabs(x) + wb * fabs(y);
        wrong += !(compare_difference(got->acc_a[r * a->n + i], wa * x + wb * y) <= error * size + 1e-36);
    }
    CHECK(wrong == 0 && compare_difference(got->sum_a[r], total) <= error * total + 1e-36 &&
              (total == 0.0 || got->max_a[r] == (float)top),
          "%s merge: row %d of %d: %d of %d sums are wrong, sum %.9g, double %.9g", sa_isa_name(t->isa), r, a->rows,
          wrong, a->n, got->sum_a[r], total);
}

static void merge_case(const sai_kernels *t, test_rng *rng) {
    enum { ROWS = 40, DIMS = 160 };
    static float m[2][ROWS], s[2][ROWS], acc[2][ROWS * DIMS], pm[ROWS], ps[ROWS], pacc[ROWS * DIMS];
    int rows = (int)rng_in(rng, 1, ROWS), n = 16 * (int)rng_in(rng, 1, DIMS / 16), r, side;
    size_t row = (size_t)rows * sizeof(float);
    states plain = {kernels_plain(t), rows, n, 0.0f, pm, ps, pacc, m[1], s[1], acc[1]}, c = plain;
    for (side = 0; side < 2; side++) {
        numbers_fill(rng, NUMBERS_NORMAL, SA_F32, acc[side], (size_t)(rows * n));
        for (r = 0; r < rows; r++) {
            int is_empty = rng_chance(rng, 20);
            m[side][r] = is_empty ? -INFINITY : 20.0f * rng_normal(rng);
            s[side][r] = is_empty ? 0.0f : (float)(1.0 + rng_unit(rng));
            memset(acc[side] + r * n, 0, is_empty ? (size_t)n * sizeof(float) : 0);
        }
    }
    memcpy(pm, m[0], row);
    memcpy(ps, s[0], row);
    memcpy(pacc, acc[0], row * (size_t)n);
    call_merge(&plain);
    c.table = t;
    c.max_a = fence_rows(SLOT_A, rng, m[0], row, 0, 1);
    c.sum_a = fence_rows(SLOT_B, rng, s[0], row, 0, 1);
    c.acc_a = fence_rows(SLOT_C, rng, acc[0], row * (size_t)n, 0, 1);
    c.max_b = fence_rows(SLOT_D, rng, m[1], row, 0, 1);
    c.sum_b = fence_rows(SLOT_E, rng, s[1], row, 0, 1);
    c.acc_b = fence_rows(SLOT_F, rng, acc[1], row * (size_t)n, 0, 1);
    fence_lock(SLOT_D);
    fence_lock(SLOT_E);
    fence_lock(SLOT_F);
    check_call(t, "merge", call_merge, &c);
    check_intact(t, "merge", SLOT_A, row);
    check_intact(t, "merge", SLOT_B, row);
    check_intact(t, "merge", SLOT_C, row * (size_t)n);
    check_equal(t, "merge: max", c.max_a, pm, rows);
    check_equal(t, "merge: sum", c.sum_a, ps, rows);
    check_equal(t, "merge: acc", c.acc_a, pacc, rows * n);
    for (r = 0; r < rows; r++) {
        merge_truth(&plain, m[0], s[0], acc[0], &c, r, t);
    }
}

/* ---------------------------------- all ------------------------------------- */

static void try_table(const sai_kernels *t, uint64_t seed, long count) {
    static softmax s;
    test_rng rng = {seed};
    long i;
    exponentials(t, &rng);
    for (i = 0; i < count; i++) {
        draw_softmax(&s, &rng);
        softmax_case(&s, &rng, t);
        draw_softmax(&s, &rng);
        shares_case(&s, &rng, t);
        squares(t, &rng);
        fold_and_divide(t, &rng);
        merge_case(t, &rng);
    }
}

int main(int argc, char **argv) {
    uint64_t seed = 16;
    long count = 400;
    int32_t isa = 0;
    double began = test_seconds();
    const sai_kernels *t;
    test_begin("test_kernels_softmax", argc, argv, &seed, &count);
    while ((t = kernels_next(&isa)) != NULL) {
        try_table(t, seed, count);
    }
    printf("%.1f s\n", test_seconds() - began);
    return test_end();
}
