/*
 * The vector layer of GNU C, in vectors of 4, for test_vectors.c.
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

#if defined(__GNUC__)
/* Fused lane by lane, so that every machine can test the rest. */
#define V_FMA_PART(p, q, r)                                                                                            \
    __extension__({                                                                                                    \
        v_part p_ = (p), q_ = (q), r_ = (r);                                                                           \
        for (int i_ = 0; i_ < V_PART_LANES; i_++) r_[i_] = fmaf(p_[i_], q_[i_], r_[i_]);                               \
        r_;                                                                                                            \
    })
#define V_PART_LANES 4
#define V_ROWS 1
#define V_MOST_TILES 1
#define V_TILES(R) 1
#define V_CASES(CASE) CASE(1)
#define LAYER_NAME "gnu4"
#define LAYER_ISA SA_ISA_PLAIN
#define LAYER_FUSES 1

#include "../../lib/kernels/vec_gnu.h"

#include "operations.h"

const vector_layer *const vectors_gnu4 = &vectors_here;
#else
const vector_layer *const vectors_gnu4 = NULL;
#endif
