/* What a kernel asks of the compiler beyond C.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_COMPILER_H
#define SAI_COMPILER_H

/* Unrolls a loop of constant length, so that an array of accumulators becomes registers. */
#if defined(__clang__)
#define SAI_UNROLL_FULLY _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define SAI_UNROLL_FULLY _Pragma("GCC unroll 64")
#else
#define SAI_UNROLL_FULLY
#endif

#if defined(__GNUC__)
#define SAI_INLINE_ALWAYS static inline __attribute__((always_inline))
#define SAI_PREFETCH(p) __builtin_prefetch(p)
#else
#define SAI_INLINE_ALWAYS static inline
#define SAI_PREFETCH(p) ((void)(p))
#endif

#endif
