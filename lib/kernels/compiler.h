/* What a kernel needs of the compiler beyond C.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_COMPILER_H
#define SAI_COMPILER_H

#include <stddef.h>

/* With a sanitizer in every operation, compilers take minutes over what is unrolled. GCC says so of some of them only;
 * for the others, define SAI_NO_UNROLL. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define SAI_SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SAI_SANITIZED
#endif
#if defined(SAI_SANITIZED) && !defined(SAI_NO_UNROLL)
#define SAI_NO_UNROLL
#endif

/* Unrolls a loop of constant length, so that an array of accumulators becomes registers. */
#if defined(SAI_NO_UNROLL)
#define SAI_UNROLL_FULLY
#elif defined(__clang__)
#define SAI_UNROLL_FULLY _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define SAI_UNROLL_FULLY _Pragma("GCC unroll 64")
#else
#define SAI_UNROLL_FULLY
#endif

/* Leaves a loop as it is, where unrolling would take the registers of its accumulators. */
#if defined(__clang__)
#define SAI_ROLLED _Pragma("clang loop unroll(disable)")
#elif defined(__GNUC__)
#define SAI_ROLLED _Pragma("GCC unroll 1")
#else
#define SAI_ROLLED
#endif

/* Unrolls a few steps that all use the same accumulators. Not with clang: it would read the operands of all steps
 * before it multiplies those of the first, has too few registers for them, and takes twice as long. */
#if defined(__clang__)
#define SAI_UNROLL_STEPS SAI_ROLLED
#else
#define SAI_UNROLL_STEPS SAI_UNROLL_FULLY
#endif

/* Fused multiply-add of vectors of GNU C (vec_gnu.h). Not defined: no such thing here. */
#if defined(__has_builtin)
#if __has_builtin(__builtin_elementwise_fma)
#define SAI_FMA_VECTOR(a, b, c) __builtin_elementwise_fma(a, b, c)
#endif
#endif
#if !defined(SAI_FMA_VECTOR) && defined(__GNUC__) && !defined(__clang__)
#if defined(__VSX__)
#define SAI_FMA_VECTOR(a, b, c) __builtin_vsx_xvmaddsp(a, b, c)
#elif defined(__s390x__)
#define SAI_FMA_VECTOR(a, b, c) __builtin_s390_vfmasb(a, b, c)
#endif
#endif

/* Clang before 15 merges a load of halves with their conversion to f32 into loads of one half each, which is five times
 * slower. There the instruction is written out. */
#if defined(__clang__) && __clang_major__ < 15
#define SAI_HALVES_ONE_BY_ONE
#endif

#if defined(__GNUC__)
#define SAI_KEEP_ORDER() __asm__ volatile("" ::: "memory") /* loads and prefetches keep their order across it */
#define SAI_INLINE_ALWAYS static inline __attribute__((always_inline))
#define SAI_PREFETCH(p) __builtin_prefetch(p)
#define SAI_PREFETCH_FAR(p) __builtin_prefetch(p, 0, 2) /* not into the first cache */
#else
#define SAI_INLINE_ALWAYS static inline
#define SAI_PREFETCH(p) ((void)(p))
#define SAI_PREFETCH_FAR(p) ((void)(p))
#define SAI_KEEP_ORDER() ((void)0)
#endif

/* Prefetches the lines of some bytes. Always inlined: GCC takes a function that only prefetches for one without effect,
 * and drops its calls. */
SAI_INLINE_ALWAYS void sai_prefetch_lines(const char *p, size_t size) {
    size_t at = 0;
    for (; at + 256 <= size; at += 256) {
        SAI_PREFETCH(p + at);
        SAI_PREFETCH(p + at + 64);
        SAI_PREFETCH(p + at + 128);
        SAI_PREFETCH(p + at + 192);
    }
    for (; at < size; at += 64) SAI_PREFETCH(p + at);
}

/* Copies 16 bytes to an address that is a multiple of 16, past the caches where the compiler's processor always can;
 * sai_stream_end before other threads may see them. */
#if defined(__SSE2__)
#include <emmintrin.h>
static inline void sai_stream16(void *to, const void *from) {
    _mm_stream_si128((__m128i *)to, _mm_loadu_si128((const __m128i *)from));
}
static inline void sai_stream_end(void) { _mm_sfence(); }
#else
#include <string.h>
static inline void sai_stream16(void *to, const void *from) { memcpy(to, from, 16); }
static inline void sai_stream_end(void) {}
#endif

#endif
