/* First in every source: floating-point operations are done as the source says, whatever the compiler's flags are.
 *
 * SPDX-License-Identifier: MIT
 *
 * Results have the same bits in every build. So a multiplication and an addition are fused where the source says so and
 * nowhere else, sums keep their order, and NaN and infinity are seen. It stands before all other headers, so that GCC
 * sees the same options in all functions, those of the intrinsics as well, and inlines them.
 *
 * GCC keeps to these pragmas under -ffast-math and -Ofast. Clang does not: with them it fuses what it likes and assumes
 * that there is no NaN, so it is refused. Clang's -ffp-contract=fast and -funsafe-math-optimizations alone define no
 * macro by which they could be refused; the Makefile and CMake take them back, and the README warns of them.
 *
 * What no source can prevent: a program that is linked with -ffast-math or -Ofast may start with subnormal numbers
 * flushed to zero in the whole process (GCC links crtfastmath.o). That is another floating-point environment than the
 * default one, for which sinkattn.h promises the bits.
 */
#ifndef SAI_EXACT_H
#define SAI_EXACT_H

#if defined(__GNUC__) && !defined(__clang__)
#if !defined(__OPTIMIZE__) && !defined(SA_DEBUG)
/* Without -O the kernels take 30 times as long: who compiles sinkattn.c beside a program may not have thought of it. */
#pragma GCC optimize("O3")
#endif
#pragma GCC optimize("no-fast-math", "no-unsafe-math-optimizations", "no-associative-math", "no-reciprocal-math")
#pragma GCC optimize("no-finite-math-only", "signed-zeros", "trapping-math", "fp-contract=off")
#if defined(__s390__)
/* Under -std=c99, sums and products of floats would be doubles there. */
#pragma GCC optimize("excess-precision=fast")
#endif
#elif defined(__clang__)
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "sinkattn: clang changes results under -ffast-math, -Ofast and -ffinite-math-only: add -fno-fast-math after them"
#endif
#if defined(__x86_64__) || defined(__i386__)
#pragma float_control(precise, on) /* unknown, with a warning, on some other processors */
#endif
#pragma clang fp reassociate(off) contract(off)
#pragma STDC FP_CONTRACT OFF
#elif defined(_MSC_VER)
#pragma float_control(precise, on)
#pragma fp_contract(off)
#else
#pragma STDC FP_CONTRACT OFF
#endif

/* S/390 apart, which is told above to do without. */
#if defined(__FLT_EVAL_METHOD__) && (__FLT_EVAL_METHOD__ == 1 || __FLT_EVAL_METHOD__ == 2) && !defined(__s390__)
#error "sinkattn: this compiler computes float in a wider type (x87): add -msse2 -mfpmath=sse"
#elif defined(_M_IX86_FP) && _M_IX86_FP < 2
#error "sinkattn: this compiler computes float in a wider type (x87): add /arch:SSE2"
#endif

#endif
