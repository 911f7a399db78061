/*
 * The operations of a vector layer as functions of memory, so that one program can compare all layers of this machine.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SA_TESTS_VECTORS_H
#define SA_TESTS_VECTORS_H

#include <stdint.h>

/* (name, bytes of the result) of each operation. */
#define VECTOR_OPERATIONS(OP)                                                                                          \
    OP(set, 64)                                                                                                        \
    OP(load, 64)                                                                                                       \
    OP(load_f16, 64)                                                                                                   \
    OP(save_f16, 32)                                                                                                   \
    OP(load_bf16, 64)                                                                                                  \
    OP(add, 64)                                                                                                        \
    OP(sub, 64)                                                                                                        \
    OP(mul, 64)                                                                                                        \
    OP(div, 64)                                                                                                        \
    OP(fma, 64)                                                                                                        \
    OP(max, 64)                                                                                                        \
    OP(min, 64)                                                                                                        \
    OP(abs, 64)                                                                                                        \
    OP(less, 64)                                                                                                       \
    OP(sign, 64)                                                                                                       \
    OP(range, 64)                                                                                                      \
    OP(exponent, 64)                                                                                                   \
    OP(swap1, 64)                                                                                                      \
    OP(swap2, 64)                                                                                                      \
    OP(swap4, 64)                                                                                                      \
    OP(swap8, 64)                                                                                                      \
    OP(save_bytes, 16)                                                                                                 \
    OP(sum, 4)                                                                                                         \
    OP(greatest, 4)                                                                                                    \
    OP(larger, 64)                                                                                                     \
    OP(int, 64)                                                                                                        \
    OP(from_int, 64)                                                                                                   \
    OP(save_int, 64)                                                                                                   \
    OP(dot_bytes, 64)                                                                                                  \
    OP(dot_low, 64)                                                                                                    \
    OP(dot_high, 64)

enum {
#define VECTOR_NUMBER(name, size) VECTOR_##name,
    VECTOR_OPERATIONS(VECTOR_NUMBER)
#undef VECTOR_NUMBER
        VECTOR_COUNT
};

/* What operations read: 16 numbers each of x, z, c, d; 16 halves; 64 bytes; 16 integers; two more. */
typedef struct vector_arguments {
    const float *x, *z, *c, *d;
    const uint16_t *half;
    const uint8_t *byte;
    const int32_t *integer;
    int lo, hi;
} vector_arguments;

typedef void (*vector_operation)(const vector_arguments *a, void *result);

/* A layer, and an instruction set that the processor must have for it. */
typedef struct vector_layer {
    const char *name;
    int32_t isa;
    int fuses;
    int is_signed; /* stored integers count from -128 or -8 on, so that sums have no offset to begin with */
    vector_operation operation[VECTOR_COUNT];
} vector_layer;

/* A layer that this build has none of is NULL. */
extern const vector_layer *const vectors_plain,
    *const vectors_plain_nofma,
        *const vectors_avx2, *const vectors_avx2_vnni,
                                 *const vectors_avx512, *const vectors_avx512_vnni,
                                                            *const vectors_neon, *const vectors_neon_dot,
                                                                                     *const vectors_wasm,
                                                                                         *const vectors_wasm_relaxed,
                                                                                             *const vectors_gnu4,
                                                                                                 *const vectors_gnu16;

#endif
