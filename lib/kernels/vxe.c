/* The kernels on S/390's vectors of single precision (z14 and later). Empty where the compiler or the family has none.
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
#include "names.h"
#include "target.h"

#ifdef SAI_HAVE_VXE

/* The target is a region, so that this file needs no compiler flag of its own. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("vector,vector-enhancements-1"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("arch=z14")
#endif

#define SAI_SUFFIX vxe
#define SAI_ISA SA_ISA_VXE

/* 32 registers, as many as NEON has. */
#define V_PART_LANES 4
#define V_FMA_PART SAI_FMA_VECTOR
#define V_ROWS 6
#define V_MOST_TILES 4
#define V_TILES(R) ((R) == 1 ? 4 : (R) == 2 ? 2 : 1)
#define V_CASES(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)

#include "vec_gnu.h"

#include "body.h"

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif
#endif
