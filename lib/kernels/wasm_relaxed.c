/* The kernels on WebAssembly's relaxed SIMD. Empty where the compiler was not told to use it (-mrelaxed-simd).
 *
 * SPDX-License-Identifier: MIT
 *
 * Its multiply-add is fused or not as the engine likes, always the same within one engine. Where it is, these
 * are the bits of plain C; where it is not, nothing is gained over SIMD128 and this set is not available.
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

#ifdef SAI_HAVE_WASM_RELAXED
#include <wasm_simd128.h>

#define SAI_SUFFIX wasm_relaxed
#define SAI_ISA SA_ISA_WASM_RELAXED

#define V_FMA_QUARTER(x, z, c) wasm_f32x4_relaxed_madd(x, z, c)

#include "vec_wasm.h"

#include "body.h"

/* (1 + 2^-12)^2 is 1 + 2^-11 + 2^-24, whose last term is lost where the product is rounded. */
int sai_wasm_relaxed_fuses(void) {
    volatile float factor = 0x1.001p0f, minus = -0x1.002p0f; /* or the compiler could take its own way */
    v128_t x = wasm_f32x4_splat(factor), rest = wasm_f32x4_relaxed_madd(x, x, wasm_f32x4_splat(minus));
    return wasm_i32x4_all_true(wasm_f32x4_eq(rest, wasm_f32x4_splat(0x1p-24f)));
}
#endif
