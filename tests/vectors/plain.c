/*
 * The vector layer of plain C with fmaf, for test_vectors.c.
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

#define V_FMA_LANE(a, b, c) fmaf(a, b, c)
#define LAYER_NAME "plain"
#define LAYER_ISA SA_ISA_PLAIN
#define LAYER_FUSES 1

#include "../../lib/kernels/vec_plain.h"

#include "operations.h"

const vector_layer *const vectors_plain = &vectors_here;
