/* Which instruction sets this compiler can build for this processor family.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_TARGET_H
#define SAI_TARGET_H

#if defined(__x86_64__) || defined(_M_X64)
#if defined(__GNUC__) || defined(_MSC_VER)
#define SAI_HAVE_AVX2 1
#define SAI_HAVE_AVX512 1
#endif
#endif

#if defined(__aarch64__) && defined(__ARM_NEON) && defined(__GNUC__)
#define SAI_HAVE_NEON 1
#endif

/* Set by -msimd128. */
#if defined(__wasm_simd128__)
#define SAI_HAVE_WASM 1
#endif

#endif
