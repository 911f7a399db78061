/* The kernels on WebAssembly SIMD128. Empty where the compiler was not told to use it (-msimd128): an
 * engine refuses a whole module with instructions that it does not know, so nothing is chosen at run time.
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

#ifdef SAI_HAVE_WASM
#include <wasm_simd128.h>

#define SAI_SUFFIX wasm
#define SAI_ISA SA_ISA_WASM

#define V_FMA_QUARTER(x, z, c) wasm_f32x4_add(wasm_f32x4_mul(x, z), c)

#include "vec_wasm.h"

#include "body.h"
#endif
