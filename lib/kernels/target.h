/* Which instruction sets this compiler can build for this processor family.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_TARGET_H
#define SAI_TARGET_H

#include "compiler.h"

#if defined(__x86_64__) || defined(_M_X64)
#if defined(__GNUC__) || defined(_MSC_VER)
#define SAI_HAVE_AVX2 1
#define SAI_HAVE_AVX512 1
#endif
#endif

/* Older compilers do not know these. */
#if defined(__x86_64__) && defined(__GNUC__) && (__clang_major__ >= 12 || (__GNUC__ >= 11 && !defined(__clang__)))
#define SAI_HAVE_AVX2_VNNI 1
#endif
#if defined(SAI_HAVE_AVX512) && (!defined(__GNUC__) || __clang_major__ >= 7 || (__GNUC__ >= 8 && !defined(__clang__)))
#define SAI_HAVE_AVX512_VNNI 1
#endif

#if defined(__aarch64__) && defined(__ARM_NEON) && defined(__GNUC__)
#define SAI_HAVE_NEON 1
/* Older clangs have its intrinsics only where the whole program is for it. */
#if defined(__ARM_FEATURE_DOTPROD) ||                                                                                  \
    (defined(__linux__) && ((__GNUC__ >= 8 && !defined(__clang__)) || __clang_major__ >= 16))
#define SAI_HAVE_NEON_DOT 1
#endif
#endif

/* Set by -msimd128. */
#if defined(__wasm_simd128__)
#define SAI_HAVE_WASM 1
#endif

/* Set by -mrelaxed-simd. */
#if defined(__wasm_relaxed_simd__)
#define SAI_HAVE_WASM_RELAXED 1
#endif

/* The vectors of GNU C. For RISC-V, clang from 17 on can build a part of a program for V; earlier ones need
 * -march=rv64gcv. GCC has no fused multiply-add of such vectors. */
#if defined(SAI_FMA_VECTOR)
#if defined(__riscv) && (defined(__riscv_v) || (defined(__linux__) && __clang_major__ >= 17))
#define SAI_HAVE_RVV 1
#endif
#if defined(__VSX__)
#define SAI_HAVE_VSX 1
#endif
#if defined(__s390x__) && defined(__linux__)
#define SAI_HAVE_VXE 1
#endif
#endif

#endif
