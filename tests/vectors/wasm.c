/*
 * The vector layer of WebAssembly SIMD, for test_vectors.c.
 *
 * SPDX-License-Identifier: MIT
 */
#include "../../lib/exact.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../../lib/kernels/compiler.h"
#include "../../lib/kernels/half.h"
#include "../../lib/kernels/target.h"
#include "sinkattn.h"
#include "vectors.h"

#if defined(SAI_HAVE_WASM)
#define V_FMA_QUARTER(x, z, c) wasm_f32x4_add(wasm_f32x4_mul(x, z), c)
#define LAYER_NAME "wasm"
#define LAYER_ISA SA_ISA_WASM
#define LAYER_FUSES 0

#include "../../lib/kernels/vec_wasm.h"

#include "operations.h"

const vector_layer *const vectors_wasm = &vectors_here;
#else
const vector_layer *const vectors_wasm = NULL;
#endif
