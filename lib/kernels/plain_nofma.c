/* The kernels in plain C with multiply, then add: for processors without fused multiply-add,
 * where fmaf is a slow software routine.
 *
 * SPDX-License-Identifier: MIT
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

#ifdef SAI_HAVE_PLAIN
#define SAI_SUFFIX plain_nofma
#define SAI_ISA SA_ISA_PLAIN_NOFMA
#define V_FMA_LANE(a, b, c) ((a) * (b) + (c))

#include "vec_plain.h"

#include "body.h"
#endif
