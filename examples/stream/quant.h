/*
 * The element types of weights: how many bytes a block takes, and its values as floats.
 *
 * SPDX-License-Identifier: MIT
 *
 * A quantized row is a sequence of blocks. Each holds small integers and one or more
 * scales; the layouts are those of ggml, the numbers of the types those of GGUF.
 */
#ifndef STREAM_QUANT_H
#define STREAM_QUANT_H

#include <stddef.h>
#include <stdint.h>

enum {
    QUANT_F32 = 0,
    QUANT_F16 = 1,
    QUANT_Q4_0 = 2,
    QUANT_Q4_1 = 3,
    QUANT_Q5_0 = 6,
    QUANT_Q5_1 = 7,
    QUANT_Q8_0 = 8,
    QUANT_Q4_K = 12,
    QUANT_Q5_K = 13,
    QUANT_Q6_K = 14,
    QUANT_BF16 = 30
};

/* The largest block of any type; every other divides it. */
enum { QUANT_MAX_BLOCK = 256 };

/* Elements of a block; 0 for a type that is not known here. */
int32_t quant_block_elements(int32_t type);
size_t quant_block_bytes(int32_t type);
/* The name of a type in GGUF files, also of those that cannot be read here. */
const char *quant_name(int32_t type);

/* Turns n elements, a whole number of blocks, into floats. `data` need not be aligned. */
void quant_to_float(int32_t type, const uint8_t *data, int64_t n, float *out);

#endif
