/*
 * The vector layer of AVX-512 with VNNI, for test_vectors.c.
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

#if defined(SAI_HAVE_AVX512_VNNI)
#include <immintrin.h>

/* As in lib/kernels: the target is a region. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma,f16c,avx512vnni"))),        \
                             apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma,f16c,avx512vnni")
#endif

#define V_HAVE_VNNI 1
#define LAYER_NAME "avx512_vnni"
#define LAYER_ISA SA_ISA_AVX512_VNNI
#define LAYER_FUSES 1

#include "../../lib/kernels/vec_avx512.h"

#include "operations.h"

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

const vector_layer *const vectors_avx512_vnni = &vectors_here;
#else
const vector_layer *const vectors_avx512_vnni = NULL;
#endif
