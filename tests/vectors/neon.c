/*
 * The vector layer of NEON, for test_vectors.c.
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

#if defined(SAI_HAVE_NEON)
#include <arm_neon.h>

#define LAYER_NAME "neon"
#define LAYER_ISA SA_ISA_NEON
#define LAYER_FUSES 1

#include "../../lib/kernels/vec_neon.h"

#include "operations.h"

const vector_layer *const vectors_neon = &vectors_here;
#else
const vector_layer *const vectors_neon = NULL;
#endif
