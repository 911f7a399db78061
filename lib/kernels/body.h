/* The kernels, written once over a vector layer of 16 lanes. See kernel.h for the contract.
 *
 * SPDX-License-Identifier: MIT
 *
 * Included once per instruction set, after names.h and vec_*.h. The order of every
 * floating-point operation on a value is fixed here; how many rows, tiles or blocks are in
 * flight (V_TILES, V_BLOCKS, V_ROWS) only says which values are processed side by side.
 *
 * With SAI_BASE, the suffix of another pass in the same file, only what meets stored integers is compiled; the other
 * entries of the table are the functions of that pass.
 */
#include "integer_tiles.h"
#include "kernel.h"

/* Entries of the table: of this pass, and those that another pass has compiled already. */
#define SAI_OWN(stem) SAI_KERNEL(stem, SAI_SUFFIX)
#ifdef SAI_BASE
#define SAI_SHARED(stem) SAI_KERNEL(stem, SAI_BASE)
#else
#define SAI_SHARED(stem) SAI_OWN(stem)
#endif

/* Rows of a group, where there are many groups; a single one may have up to V_ROWS. */
#ifndef V_MANY
#define V_MANY V_ROWS
#endif

/* Whether many rows have what is stored in 16 bits converted once, for all of them. */
#ifndef V_WIDENS
#define V_WIDENS 1
#endif

/* Entries that a build may leave out. */
#ifdef SA_NO_F16
#define SAI_F16(entry) NULL
#else
#define SAI_F16(entry) entry
#endif
#ifdef SA_NO_BF16
#define SAI_BF16(entry) NULL
#else
#define SAI_BF16(entry) entry
#endif
#ifdef SA_NO_INTEGERS
#define SAI_INTEGERS(entry) NULL
#else
#define SAI_INTEGERS(entry) entry
#endif

#ifndef SAI_BASE
#include "floats.h"
#include "rotate.h"
#ifndef SA_NO_INTEGERS
#include "quantize.h"
#endif
#endif

/* ---------------------------- stored integers ----------------------------- */

#ifndef SA_NO_INTEGERS
#include "integer_codes.h"

#define K_I8 i8
#define K_I4 i4
#define K_DOT v_dot
#include "integer_dtypes.h"

/* With products of bytes, codes that are bytes take half of them. */
#ifdef V_HAVE_BYTE_PRODUCTS
#define K_I8 i8_bytes
#define K_I4 i4_bytes
#define K_DOT v_dot_low
#include "integer_dtypes.h"
#define SAI_BYTES(stem, dtype) SAI_OWN(stem##_##dtype##_bytes)
#else
#define SAI_BYTES(stem, dtype) SAI_OWN(stem##_##dtype)
#endif

#endif

/* -------------------------------- the table ------------------------------- */

SAI_TABLE const sai_kernels SAI_PASTE(sai_kernels, SAI_SUFFIX) = {
    SAI_ISA,
    V_MANY,
    V_ROWS,
    V_WIDENS,
    {0, V_BLOCKS(1), V_BLOCKS(2), V_BLOCKS(3), V_BLOCKS(4), V_BLOCKS(5), V_BLOCKS(6), V_BLOCKS(7), V_BLOCKS(8)},
    {NULL, SAI_SHARED(score_f32), SAI_F16(SAI_SHARED(score_f16)), SAI_BF16(SAI_SHARED(score_bf16)),
     SAI_INTEGERS(SAI_OWN(score_i8)), SAI_INTEGERS(SAI_OWN(score_i4))},
    {NULL, SAI_SHARED(value_f32), SAI_F16(SAI_SHARED(value_f16)), SAI_BF16(SAI_SHARED(value_bf16)), NULL, NULL},
    {NULL, NULL, NULL, NULL, SAI_INTEGERS(SAI_OWN(value_i8)), SAI_INTEGERS(SAI_OWN(value_i4))},
    {NULL, NULL, NULL, NULL, SAI_INTEGERS(SAI_BYTES(score, i8)), SAI_INTEGERS(SAI_BYTES(score, i4))},
    {NULL, NULL, NULL, NULL, SAI_INTEGERS(SAI_BYTES(value, i8)), SAI_INTEGERS(SAI_BYTES(value, i4))},
    SAI_INTEGERS(SAI_OWN(pack_query)),
    {NULL, SAI_SHARED(score_many_f32), SAI_F16(SAI_SHARED(score_many_f16)), SAI_BF16(SAI_SHARED(score_many_bf16))},
    {NULL, SAI_SHARED(value_many_f32), SAI_F16(SAI_SHARED(value_many_f16)), SAI_BF16(SAI_SHARED(value_many_bf16))},
    SAI_SHARED(softmax),
    SAI_SHARED(shares),
    SAI_SHARED(fold),
    SAI_SHARED(merge),
    SAI_SHARED(divide),
    SAI_SHARED(exponential),
    SAI_SHARED(squares),
    {NULL, SAI_SHARED(load_f32), SAI_F16(SAI_SHARED(load_f16)), SAI_BF16(SAI_SHARED(load_bf16))},
    {NULL, SAI_SHARED(store_f32), SAI_F16(SAI_SHARED(store_f16)), SAI_BF16(SAI_SHARED(store_bf16))},
    SAI_SHARED(rope_row),
    SAI_SHARED(rope_rotate),
    SAI_INTEGERS(SAI_SHARED(hadamard)),
    {NULL, NULL, NULL, NULL, SAI_INTEGERS(SAI_SHARED(quantize_i8)), SAI_INTEGERS(SAI_SHARED(quantize_i4))},
};

#undef SAI_OWN
#undef SAI_F16
#undef SAI_BF16
#undef SAI_INTEGERS
#undef SAI_BYTES
#undef SAI_SHARED
#include "parameters_end.h"
