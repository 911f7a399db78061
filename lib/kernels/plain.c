/* The kernels in plain C with fmaf: the definition of the bits.
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
#define SAI_SUFFIX plain
#define SAI_ISA SA_ISA_PLAIN
#define V_FMA_LANE(a, b, c) fmaf(a, b, c)

#include "vec_plain.h"

#include "body.h"
#endif
