/*
 * The vector layer of GNU C, in vectors of 16, for test_vectors.c.
 *
 * SPDX-License-Identifier: MIT
 */
#include "../../lib/exact.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../../lib/kernels/compiler.h"
#include "../../lib/kernels/half.h"
#include "../../lib/kernels/target.h"
#include "sinkattn.h"
#include "vectors.h"

/* GCC says at every such vector that another version of it passed them differently. */
#if defined(__clang__) || defined(__riscv)
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wpsabi" /* these vectors never leave this file */
#endif

/* Fused lane by lane, so that every machine can test the rest. */
#define V_FMA_PART(p, q, r)                                                                                            \
    __extension__({                                                                                                    \
        v_part p_ = (p), q_ = (q), r_ = (r);                                                                           \
        for (int i_ = 0; i_ < V_PART_LANES; i_++) r_[i_] = fmaf(p_[i_], q_[i_], r_[i_]);                               \
        r_;                                                                                                            \
    })
#define V_PART_LANES 16
#define V_ROWS 1
#define V_MOST_TILES 1
#define V_TILES(R) 1
#define V_CASES(CASE) CASE(1)
#define LAYER_NAME "gnu16"
#define LAYER_ISA SA_ISA_PLAIN
#define LAYER_FUSES 1

#include "../../lib/kernels/vec_gnu.h"

#include "operations.h"

const vector_layer *const vectors_gnu16 = &vectors_here;
#else
const vector_layer *const vectors_gnu16 = NULL;
#endif
