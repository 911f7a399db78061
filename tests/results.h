/*
 * What one call gives, as floats: memory for it, which holds no number before it is written.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SA_TESTS_RESULTS_H
#define SA_TESTS_RESULTS_H

#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "oracle.h"
#include "support.h"

/* The results of one call, as floats. */
typedef struct results {
    int64_t n, first; /* rows are of stream positions first .. first + n - 1 */
    int out_dtype, is_partial;
    float *out, *lse, *mass, *max, *sum;
    float *again; /* out of a second call that reads the same rows, in f32; NULL: there was none */
} results;

static inline float *unwritten(size_t count) {
    float *x = test_take(count * sizeof *x);
    compare_forget(x, count * sizeof *x);
    return x;
}

static inline void results_take(results *s, const oracle_layer *l, int64_t n, int64_t first) {
    size_t rows = (size_t)(n * l->n_heads);
    memset(s, 0, sizeof *s);
    s->n = n;
    s->first = first;
    s->out_dtype = SA_F32;
    s->out = unwritten(rows * l->v_head_dim);
    s->lse = unwritten(rows);
    s->mass = unwritten(rows);
    s->max = unwritten(rows);
    s->sum = unwritten(rows);
}

static inline void results_free(results *s) {
    free(s->out);
    free(s->lse);
    free(s->mass);
    free(s->max);
    free(s->sum);
    free(s->again);
}

#endif
