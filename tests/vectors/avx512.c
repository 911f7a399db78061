/*
 * The vector layer of AVX-512, for test_vectors.c.
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

#if defined(SAI_HAVE_AVX512)
#include <immintrin.h>

/* As in lib/kernels: the target is a region. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma,f16c"))),                   \
                             apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma,f16c")
#endif

#define LAYER_NAME "avx512"
#define LAYER_ISA SA_ISA_AVX512
#define LAYER_FUSES 1

#include "../../lib/kernels/vec_avx512.h"

#include "operations.h"

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

const vector_layer *const vectors_avx512 = &vectors_here;
#else
const vector_layer *const vectors_avx512 = NULL;
#endif
