/* The kernels on AArch64's Advanced SIMD (NEON). Empty where the compiler or the processor family has none.
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
#include "target.h"

#ifdef SAI_HAVE_NEON
#include <arm_neon.h>

#define SAI_SUFFIX neon
#define SAI_ISA SA_ISA_NEON

#include "names_begin.h"

#include "vec_neon.h"

#include "body.h"

#include "names_end.h"
#endif
