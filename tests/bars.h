/*
 * How far the library may be from the oracle.
 *
 * Bar: max |out - oracle| / max |v| of a layer is at most 2e-6 for stored f32, 1e-5 for stored f16 and
 * bf16 (the oracle is fed with the rounded numbers); out in f16 or bf16 may be off by its own rounding.
 * Integer keys: the oracle has the same codes, so the query's 15 bits are the difference, which grows with the
 * logits. With SA_POSITION_ROPE, where rotation rounds before the coding does, codes may differ, and the
 * bar is only there to find gross errors.
 * A logit is an f32: where all that a row sees lies beyond 16 (ALiBi, far from every key), its last bit
 * alone is more than 1e-6, and the bar grows with it. Such rows are counted and printed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SA_TESTS_BARS_H
#define SA_TESTS_BARS_H

#include "oracle.h"

#define BAR_F32 2e-6
#define BAR_F16 1e-5
/* ln(sum exp(logit)) is as exact as the logits, which are sums of head_dim products. */
#define BAR_QUERY 2e-4 /* of codes of up to 32639; others are coarser by as much as they are fewer */
#define BAR_LOOSE_I8 0.15
#define BAR_LOOSE_I4 1.5
#define BAR_LSE 1e-5
#define BAR_MASS 4e-6

/* What a layer is held to: by its coarsest dtype. */
enum { KIND_F32, KIND_HALF, KIND_VALUES, KIND_INTEGER, KIND_LOOSE_I8, KIND_LOOSE_I4, KINDS };
static const char *const kind_names[KINDS] = {"f32", "f16, bf16", "integer values", "integers", "loose i8", "loose i4"};

static inline int kind_of(const oracle_layer *l) {
    int exact = l->k_dtype == SA_F32 && l->sink_k_dtype == SA_F32 && l->v_dtype == SA_F32 && l->sink_v_dtype == SA_F32;
    if (oracle_is_loose(l)) {
        return l->k_dtype == SA_I8 ? KIND_LOOSE_I8 : KIND_LOOSE_I4;
    }
    if (oracle_is_integer(l->k_dtype) || oracle_is_integer(l->v_dtype)) {
        return oracle_is_integer(l->k_dtype) ? KIND_INTEGER : KIND_VALUES;
    }
    return exact && !l->n_recent ? KIND_F32 : KIND_HALF;
}

/* How far a row's logits may be off, in units of 1 + |logit|. */
static inline double logit_bar(const oracle_layer *l) {
    static const double bars[KINDS] = {0.0, 0.0, 0.0, BAR_QUERY, BAR_LOOSE_I8, BAR_LOOSE_I4};
    double coarser = oracle_is_integer(l->k_dtype) ? 32639.0 / l->query_most - 1.0 : 0.0;
    return bars[kind_of(l)] + BAR_QUERY * coarser;
}

/* Integer values: the oracle rounds weights as the library does; but one that lies next to the middle of two codes can
 * go to the other side. So many do at once. */
static inline double weight_bar(const oracle_layer *l) {
    return oracle_is_integer(l->v_dtype) ? 2.0 / l->weight_most : 0.0;
}

#endif
