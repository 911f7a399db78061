/* First in every source: a multiplication and an addition are fused where the source says so, and nowhere else.
 *
 * SPDX-License-Identifier: MIT
 *
 * The same bits in every build, whatever its flags are. Before all other headers, so that GCC sees the same options
 * in all functions, those of the intrinsics as well, and inlines them.
 */
#ifndef SAI_EXACT_H
#define SAI_EXACT_H

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("fp-contract=off")
#if defined(__s390__)
/* Under -std=c99, sums and products of floats would be doubles there. */
#pragma GCC optimize("excess-precision=fast")
#endif
#elif defined(_MSC_VER) && !defined(__clang__)
#pragma fp_contract(off)
#else
#pragma STDC FP_CONTRACT OFF
#endif

#endif
