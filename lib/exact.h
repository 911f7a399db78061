/* First in every source: floating-point operations are done as the source says, whatever the compiler's flags are.
 *
 * SPDX-License-Identifier: MIT
 *
 * Results have the same bits in every build. So a multiplication and an addition are fused where the source says so and
 * nowhere else, sums keep their order, and NaN and infinity are seen, also under -ffast-math and -Ofast. It stands
 * before all other headers, so that GCC sees the same options in all functions, those of the intrinsics as well, and
 * inlines them.
 *
 * What is beyond the compiler's reach: a program that is linked with -ffast-math or -Ofast may start with subnormal
 * numbers flushed to zero in the whole process (GCC links crtfastmath.o). That is another floating-point environment
 * than the default one, for which sinkattn.h promises the bits.
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
#pragma float_control(precise, on)
#pragma clang fp reassociate(off) contract(off)
#pragma STDC FP_CONTRACT OFF
#elif defined(_MSC_VER)
#pragma float_control(precise, on)
#pragma fp_contract(off)
#else
#pragma STDC FP_CONTRACT OFF
#endif

#endif
