/*
 * The vector layer of plain C without fmaf, for test_vectors.c.
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

#define V_FMA_LANE(a, b, c) ((a) * (b) + (c))
#define LAYER_NAME "plain_nofma"
#define LAYER_ISA SA_ISA_PLAIN_NOFMA
#define LAYER_FUSES 0

#include "../../lib/kernels/vec_plain.h"

#include "operations.h"

const vector_layer *const vectors_plain_nofma = &vectors_here;
