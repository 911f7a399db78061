/*
 * Codes of stored integers, for the tests of their kernels.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SA_TESTS_KERNELS_INTEGERS_H
#define SA_TESTS_KERNELS_INTEGERS_H

#include "../lib/kernels/integer_tiles.h"
#include "kernels.h"

/* The greatest codes of queries and weights, of 16 bits, 127 * 256 + 127, and of 8. */
static inline int draw_most_code(test_rng *rng) { return rng_chance(rng, 60) ? SAI_MOST_CODE : SAI_MOST_BYTE; }

/* What is added to a code where it is stored. */
static inline int offset_of(int dtype) { return dtype == SA_I8 ? 128 : 8; }

static inline int draw_code(test_rng *rng, int dtype) {
    return (int)rng_in(rng, -offset_of(dtype), offset_of(dtype) - 1);
}

static inline float bf16_value(uint16_t bits) { return numbers_at(SA_BF16, &bits, 0); }

#endif
