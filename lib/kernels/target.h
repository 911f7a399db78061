/* Which instruction sets this compiler can build for this processor family, and which of them the build leaves out.
 *
 * SPDX-License-Identifier: MIT
 *
 * Whoever builds the library may define, for all of its sources: SA_NO_AVX2, SA_NO_AVX512, SA_NO_NEON and SA_NO_PLAIN,
 * which leave out instruction sets; SA_NO_F16, SA_NO_BF16 and SA_NO_INTEGERS, which leave out stored dtypes. README
 * says what that saves. A config that asks for what was left out is refused.
 */
#ifndef SAI_TARGET_H
#define SAI_TARGET_H

#include "compiler.h"

#if defined(__x86_64__) || defined(_M_X64)
#if defined(__GNUC__) || defined(_MSC_VER)
#ifndef SA_NO_AVX2
#define SAI_HAVE_AVX2 1
#endif
#ifndef SA_NO_AVX512
#define SAI_HAVE_AVX512 1
#endif
#endif
#endif

#ifndef SA_NO_PLAIN
#define SAI_HAVE_PLAIN 1
#endif

/* Sets that differ from another one in their integers alone. Older compilers do not know these. */
#ifndef SA_NO_INTEGERS
#if defined(SAI_HAVE_AVX2) && defined(__GNUC__) && (__clang_major__ >= 12 || (__GNUC__ >= 11 && !defined(__clang__)))
#define SAI_HAVE_AVX2_VNNI 1
#endif
#if defined(SAI_HAVE_AVX512) && (!defined(__GNUC__) || __clang_major__ >= 7 || (__GNUC__ >= 8 && !defined(__clang__)))
#define SAI_HAVE_AVX512_VNNI 1
#endif
#endif

#if defined(__aarch64__) && defined(__ARM_NEON) && defined(__GNUC__) && !defined(SA_NO_NEON)
#define SAI_HAVE_NEON 1
#ifndef SA_NO_INTEGERS
/* Older clangs have its intrinsics only where the whole program is for it. */
#if defined(__ARM_FEATURE_DOTPROD) ||                                                                                  \
    (defined(__linux__) && ((__GNUC__ >= 8 && !defined(__clang__)) || __clang_major__ >= 16))
#define SAI_HAVE_NEON_DOT 1
#endif
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

#if !defined(SAI_HAVE_PLAIN) && !defined(SAI_HAVE_AVX2) && !defined(SAI_HAVE_AVX512) && !defined(SAI_HAVE_NEON) &&     \
    !defined(SAI_HAVE_WASM) && !defined(SAI_HAVE_RVV) && !defined(SAI_HAVE_VSX) && !defined(SAI_HAVE_VXE)
#error "SA_NO_* leaves no instruction set: remove SA_NO_PLAIN"
#endif

#endif
