/* The kernels on RISC-V's vector extension (V 1.0). Empty where the compiler or the processor family has none.
 *
 * SPDX-License-Identifier: MIT
 *
 * Its own vector types have no size that C knows, so they cannot stand in a struct or an array. Vectors of GNU C
 * can: the compiler works one of 16 lanes in as many registers as 128 bits each would take (LMUL 4), with a
 * vector length of 16, which is right on every processor of 128 bits and more.
 */
#include "../exact.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "compiler.h"
#include "half.h"
#include "kernel.h"
#include "names.h"
#include "target.h"

#ifdef SAI_HAVE_RVV

/* The target is a region, so that this file needs no compiler flag of its own. */
#if defined(__clang__) && !defined(__riscv_v)
#pragma clang attribute push(__attribute__((target("arch=+v"))), apply_to = function)
#endif

#define SAI_SUFFIX rvv
#define SAI_ISA SA_ISA_RVV

/* 8 groups of registers, one of them for masks: 4 sums, the operand, two for its conversion. The factor
 * that is alike in all lanes stays a scalar. */
#define V_PART_LANES 16
#define V_FMA_PART SAI_FMA_VECTOR
#define V_ROWS 4
#define V_MOST_TILES 2
#define V_TILES(R) ((R) <= 2 ? 2 : 1)
#define V_CASES(CASE) CASE(1) CASE(2) CASE(3) CASE(4)

#include "vec_gnu.h"

#include "body.h"

#if defined(__clang__) && !defined(__riscv_v)
#pragma clang attribute pop
#endif
#endif
