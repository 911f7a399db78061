/* The kernels on AVX2, FMA and F16C. Empty where the compiler or the processor family has none.
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

#ifdef SAI_HAVE_AVX2
#include <immintrin.h>

/* The target is a region, so that this file needs no compiler flag of its own. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif

#define SAI_SUFFIX avx2
#define SAI_ISA SA_ISA_AVX2

#include "vec_avx2.h"

#include "body.h"

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif
#endif

/* The same with AVX-VNNI, for stored integers. */
#ifdef SAI_HAVE_AVX2_VNNI
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avxvnni"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avxvnni")
#endif

#define V_HAVE_VNNI 1
#define SAI_SUFFIX avx2_vnni
#define SAI_BASE avx2
#define SAI_ISA SA_ISA_AVX2_VNNI

#include "vec_avx2.h"

#include "body.h"

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif
#endif
