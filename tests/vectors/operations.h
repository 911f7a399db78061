/*
 * The operations of vectors.h in the layer that was included before: LAYER_NAME, LAYER_ISA and LAYER_FUSES say which.
 *
 * SPDX-License-Identifier: MIT
 *
 * Included once per layer, each in a file of its own, since all layers have the same names.
 */
#define OPERATION(name, statement)                                                                                     \
    static void vectors_##name(const vector_arguments *a, void *result) {                                              \
        (void)a;                                                                                                       \
        statement;                                                                                                     \
    }
#define OPERATION16(name, expression) OPERATION(name, v_save((float *)result, expression))

OPERATION16(set, v_set(a->x[a->lo]))
OPERATION16(load, v_load(a->x))
OPERATION16(load_f16, v_load_f16(a->half))
OPERATION(save_f16, v_save_f16((uint16_t *)result, v_load(a->x)))
OPERATION16(load_bf16, v_load_bf16(a->half))
OPERATION16(add, v_add(v_load(a->x), v_load(a->z)))
OPERATION16(sub, v_sub(v_load(a->x), v_load(a->z)))
OPERATION16(mul, v_mul(v_load(a->x), v_load(a->z)))
OPERATION16(div, v_div(v_load(a->x), v_load(a->z)))
OPERATION16(fma, v_fma(v_load(a->x), v_load(a->z), v_load(a->c)))
OPERATION16(max, v_max(v_load(a->x), v_load(a->z)))
OPERATION16(min, v_min(v_load(a->x), v_load(a->z)))
OPERATION16(abs, v_abs(v_load(a->x)))
OPERATION16(less, v_less(v_load(a->x), v_load(a->z), v_load(a->c), v_load(a->d)))
OPERATION16(sign, v_sign(v_load(a->x), v_load(a->z)))
OPERATION16(range, v_range(a->lo, a->hi, v_load(a->x), v_load(a->z)))
OPERATION16(exponent, v_exponent(v_load(a->x)))
OPERATION16(swap1, v_swap1(v_load(a->x)))
OPERATION16(swap2, v_swap2(v_load(a->x)))
OPERATION16(swap4, v_swap4(v_load(a->x)))
OPERATION16(swap8, v_swap8(v_load(a->x)))
OPERATION(save_bytes, v_save_bytes((uint8_t *)result, v_load(a->x)))
OPERATION(sum, *(float *)result = v_sum(v_load(a->x)))
OPERATION(greatest, *(float *)result = v_greatest(v_load(a->x)))
OPERATION16(larger, v_larger(v_load(a->x), v_load(a->z)))
OPERATION16(int, v_from_int(v_int(a->integer[a->lo])))
OPERATION16(from_int, v_from_int(v_load_int(a->integer)))
OPERATION(save_int, v_save_int((int32_t *)result, v_load_int(a->integer)))

/* 64 bytes times quad `lo` of 16 packed codes; and once more with quad `hi`, added to the sums of the first. */
#define DOT(bytes)                                                                                                     \
    int32_t pack[8];                                                                                                   \
    v64b k = bytes;                                                                                                    \
    v_pack(v_load(a->x), pack);                                                                                        \
    v_save_int((int32_t *)result, v_dot(v_dot(v_load_int(a->integer), k, pack + 2 * a->lo), k, pack + 2 * a->hi))
OPERATION(dot_bytes, DOT(v_bytes(a->byte)))
OPERATION(dot_low, DOT(v_nibbles(a->byte, 0)))
OPERATION(dot_high, DOT(v_nibbles(a->byte, 1)))

#ifndef LAYER_SIGNED
#define LAYER_SIGNED 0
#endif

static const vector_layer vectors_here = {LAYER_NAME,
                                          LAYER_ISA,
                                          LAYER_FUSES,
                                          LAYER_SIGNED,
                                          {
#define VECTOR_ENTRY(name, size) vectors_##name,
                                              VECTOR_OPERATIONS(VECTOR_ENTRY)
#undef VECTOR_ENTRY
                                          }};
