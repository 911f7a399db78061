/* The kernels on NEON with the dot products of bytes (Armv8.2). Empty where the compiler or the family has none.
 *
 * SPDX-License-Identifier: MIT
 */
#include "../exact.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "compiler.h"
#include "half.h"
#include "kernel.h"
#include "target.h"

#ifdef SAI_HAVE_NEON_DOT
#include <arm_neon.h>

/* The target is a region, so that this file needs no compiler flag of its own. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif

#define V_HAVE_DOT 1
#define SAI_SUFFIX neon_dot
#define SAI_ISA SA_ISA_NEON_DOT

#include "names_begin.h"

#include "vec_neon.h"

#include "body.h"

#include "names_end.h"

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif
#endif
