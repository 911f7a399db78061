/* The kernels on AVX-512 (F, BW, DQ, VL). Empty where the compiler or the processor family has none.
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

#ifdef SAI_HAVE_AVX512
#include <immintrin.h>

/* The target is a region, so that this file needs no compiler flag of its own. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma,f16c"))),                   \
                             apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma,f16c")
#endif

#define SAI_SUFFIX avx512
#define SAI_ISA SA_ISA_AVX512

#include "vec_avx512.h"

#include "body.h"

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif
#endif

/* The same with VNNI, for stored integers. */
#ifdef SAI_HAVE_AVX512_VNNI
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c"))),        \
                             apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")
#endif

#define V_HAVE_VNNI 1
#define SAI_SUFFIX avx512_vnni
#define SAI_BASE avx512
#define SAI_ISA SA_ISA_AVX512_VNNI

#include "vec_avx512.h"

#include "body.h"

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif
#endif
