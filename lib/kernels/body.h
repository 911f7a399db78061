/* The kernels, written once over a vector layer of 16 lanes. See kernel.h for the contract.
 *
 * SPDX-License-Identifier: MIT
 *
 * Included once per instruction set, after names_begin.h and vec_*.h. The order of every
 * floating-point operation on a value is fixed here; how many rows, tiles or blocks are in
 * flight (V_TILES, V_BLOCKS, V_ROWS) only says which values are worked side by side.
 *
 * With SAI_BASE, only what meets stored integers is compiled, here and in vec_*.h; the rest is that of another table
 * in the same file.
 */
#include "integer_tiles.h"
#include "kernel.h"

/* Rows of a group, where there are many groups; a single one may have up to V_ROWS. */
#ifndef V_MANY
#define V_MANY V_ROWS
#endif

#ifndef SAI_BASE
#include "floats.h"
#include "quantize.h"
#include "rotate.h"
#endif

/* ---------------------------- stored integers ----------------------------- */

#include "integer_codes.h"

#define K_DTYPE i8
#define K_UNIT 4
#define K_ROW 32
#define K_OFFSET 128
#define K_BYTES(p, part) v_bytes(p)
#define K_VALUES(p, half) v_bytes((p) + 64 * (half))
#include "integers.h"
#undef K_DTYPE
#undef K_UNIT
#undef K_ROW
#undef K_OFFSET
#undef K_BYTES
#undef K_VALUES

#define K_DTYPE i4
#define K_UNIT 8
#define K_ROW 16
#define K_OFFSET 8
#define K_BYTES(p, part) v_nibbles(p, part)
#define K_VALUES(p, half) v_nibbles(p, half)
#include "integers.h"
#undef K_DTYPE
#undef K_UNIT
#undef K_ROW
#undef K_OFFSET
#undef K_BYTES
#undef K_VALUES

/* -------------------------------- the table ------------------------------- */

const sai_kernels SAI_NAME(sai_kernels) = {
    SAI_ISA,
    V_MANY,
    V_ROWS,
    {0, V_BLOCKS(1), V_BLOCKS(2), V_BLOCKS(3), V_BLOCKS(4), V_BLOCKS(5), V_BLOCKS(6), V_BLOCKS(7), V_BLOCKS(8)},
    {NULL, k_score_f32, k_score_f16, k_score_bf16, k_score_i8, k_score_i4},
    {NULL, k_value_f32, k_value_f16, k_value_bf16, NULL, NULL},
    {NULL, NULL, NULL, NULL, k_value_i8, k_value_i4},
    k_pack_query,
    {NULL, k_score_many_f32, k_score_many_f16, k_score_many_bf16},
    {NULL, k_value_many_f32, k_value_many_f16, k_value_many_bf16},
    k_softmax,
    k_fold,
    k_merge,
    k_divide,
    k_exponential,
    {NULL, k_load_f32, k_load_f16, k_load_bf16},
    {NULL, k_store_f32, k_store_f16, k_store_bf16},
    k_rope_row,
    k_rope_turn,
    k_hadamard,
    {NULL, NULL, NULL, NULL, k_quantize_i8, k_quantize_i4},
};
