/* The kernels on AArch64's Advanced SIMD (NEON). Empty where the compiler or the processor family has none.
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

#ifdef SAI_HAVE_NEON
#include <arm_neon.h>

#define SAI_SUFFIX neon
#define SAI_ISA SA_ISA_NEON

#include "vec_neon.h"

#include "body.h"
#endif

/* The same with the dot products of bytes (Armv8.2), for stored integers. */
#ifdef SAI_HAVE_NEON_DOT
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif

#define V_HAVE_DOT 1
#define SAI_SUFFIX neon_dot
#define SAI_BASE neon
#define SAI_ISA SA_ISA_NEON_DOT

#include "vec_neon.h"

#include "body.h"

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif
#endif
