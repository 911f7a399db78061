/*
 * The vector layer of AVX2 with AVX-VNNI, for test_vectors.c.
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

#if defined(SAI_HAVE_AVX2_VNNI)
#include <immintrin.h>

/* As in lib/kernels: the target is a region. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avxvnni"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avxvnni")
#endif

#define V_HAVE_VNNI 1
#define LAYER_NAME "avx2_vnni"
#define LAYER_ISA SA_ISA_AVX2_VNNI
#define LAYER_FUSES 1

#include "../../lib/kernels/vec_avx2.h"

#include "operations.h"

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

const vector_layer *const vectors_avx2_vnni = &vectors_here;
#else
const vector_layer *const vectors_avx2_vnni = NULL;
#endif
