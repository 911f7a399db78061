/*
 * The vector layer of NEON with dot products, for test_vectors.c.
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

#if defined(SAI_HAVE_NEON_DOT)
#include <arm_neon.h>

/* As in lib/kernels: the target is a region. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif

#define V_HAVE_DOT 1
#define LAYER_NAME "neon_dot"
#define LAYER_ISA SA_ISA_NEON_DOT
#define LAYER_FUSES 1
#define LAYER_SIGNED 1

#include "../../lib/kernels/vec_neon.h"

#include "operations.h"

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

const vector_layer *const vectors_neon_dot = &vectors_here;
#else
const vector_layer *const vectors_neon_dot = NULL;
#endif
