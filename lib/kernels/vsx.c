/* The kernels on POWER's VSX. Empty where the compiler or the processor family has none.
 *
 * SPDX-License-Identifier: MIT
 *
 * Fused multiply-add is in every processor with VSX.
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

#ifdef SAI_HAVE_VSX
#define SAI_SUFFIX vsx
#define SAI_ISA SA_ISA_VSX

/* 64 registers: 8 sums of four, four for the operand and a few for its conversion. */
#define V_PART_LANES 4
#define V_FMA_PART SAI_FMA_VECTOR
#define V_ROWS 8
#define V_MOST_TILES 4
#define V_TILES(R) ((R) == 1 ? 4 : (R) == 2 ? 3 : (R) <= 4 ? 2 : 1)
#define V_CASES(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8)

#include "vec_gnu.h"

#include "body.h"
#endif
