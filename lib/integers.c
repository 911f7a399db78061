/* Keys, values and queries as integers with a scale per group of 32 dims.
 *
 * SPDX-License-Identifier: MIT
 *
 * Keys have channels that are far larger than the rest, and a scale that serves them leaves the others
 * without digits. A Hadamard rotation of key and query (Ashkboos et al., "QuaRot", arXiv 2404.00456)
 * spreads a channel over its block, after which a group of 32 looks normal whatever the model is, and
 * changes no product. It needs no later token, unlike scales per channel (Liu et al., "KIVI",
 * arXiv 2402.02750), so a key is coded once, when it comes, and chunking changes nothing. Values have no such
 * channels and are coded as they are.
 *
 * All here is the same on every instruction set: sums and differences, quotients, and products that
 * are exact in double, so that no compiler can fuse a different rounding into them.
 */
#include "exact.h"

#include "integers.h"

#include <math.h>
#include <string.h>

#include "kernels/half.h"
#include "kernels/integer_tiles.h"

enum { INTEGERS_BLOCK = 256 }; /* largest Hadamard block */

/* -------------------------------- rotation -------------------------------- */

/* The largest power of two that fits, as its logarithm: 80 dims are turned as 64 and 16. */
static int integers_block(int dims) {
    int log = 0;
    while (2 << log <= dims && 2 << log <= INTEGERS_BLOCK) log++;
    return log;
}

/* All stages of a block of n, neighbours first, times `factor`, a power of two. */
static void integers_butterfly(float *x, int n, float factor) {
    for (int half = 1; half < n; half *= 2)
        for (int i = 0; i < n; i += 2 * half)
            for (int j = i; j < i + half; j++) {
                float a = x[j], b = x[j + half];
                x[j] = a + b;
                x[j + half] = a - b;
            }
    for (int i = 0; i < n; i++) x[i] *= factor;
}

void sai_hadamard_key(float *x, int dims) {
    for (int log; dims > 0; x += 1 << log, dims -= 1 << log) {
        log = integers_block(dims);
        integers_butterfly(x, 1 << log, 1.0f / (float)(1 << log / 2));
    }
}

void sai_hadamard_query(float *x, int dims) {
    for (int log; dims > 0; x += 1 << log, dims -= 1 << log) {
        log = integers_block(dims);
        integers_butterfly(x, 1 << log, 1.0f / (float)(1 << (log + 1) / 2));
    }
}

/* ---------------------------------- codes --------------------------------- */

/* x to the nearest integer, ties to even, for |x| < 2^22. */
static int integers_round(float x) { return (int)(sai_bits(x + 0x1.8p23f) - 0x4b400000u); }

static float integers_clamp(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

/* The number of largest magnitude, and whether all are finite. */
static float integers_extreme(const float *x, int n, int *finite) {
    float most = 0;
    *finite = 1;
    for (int i = 0; i < n; i++) {
        if (!(fabsf(x[i]) <= 3.4028234e38f)) *finite = 0;
        if (fabsf(x[i]) > fabsf(most)) most = x[i];
    }
    return most;
}

/* x / 127 in bfloat16, away from zero, so that no code passes 127. */
static uint16_t integers_scale_above(float x) { return (uint16_t)((sai_bits(fabsf(x) / 127.0f) + 0xffffu) >> 16); }

static void integers_code(const float *x, int n, float scale, int low, int high, int8_t *codes) {
    for (int i = 0; i < n; i++)
        codes[i] = scale == 0 ? 0 : (int8_t)integers_round(integers_clamp(x[i] / scale, (float)low, (float)high));
}

/* The scale that fits codes best: <codes, x> / <codes, codes>. */
static uint16_t integers_fit(const float *x, const int8_t *codes, int n, uint16_t before) {
    double product = 0, square = 0;
    for (int i = 0; i < n; i++) {
        product += (double)codes[i] * (double)x[i];
        square += (double)codes[i] * (double)codes[i];
    }
    return square > 0 ? sai_f32_to_bf16((float)(product / square)) : before;
}

static uint16_t integers_group(int32_t dtype, const float *x, int n, int8_t *codes) {
    int finite;
    float most = integers_extreme(x, n, &finite);
    if (!finite) {
        memset(codes, 0, (size_t)n);
        return 0x7fc0u;
    }
    if (dtype == SA_I8) {
        uint16_t scale = integers_scale_above(most);
        integers_code(x, n, sai_bf16_to_f32(scale), -127, 127, codes);
        return scale;
    }
    /* The extreme becomes -8, so all 16 codes are used; then the scale is fitted to the codes, twice: on normal
     * numbers that takes 3 % off the error. */
    uint16_t scale = sai_f32_to_bf16(most / -8.0f);
    for (int i = 0; i < 2; i++) {
        integers_code(x, n, sai_bf16_to_f32(scale), -8, 7, codes);
        scale = integers_fit(x, codes, n, scale);
    }
    return scale;
}

void sai_quantize(int32_t dtype, const float *x, int dims, int8_t *codes, uint16_t *scales) {
    for (int d = 0, n; d < dims; d += n) {
        n = dims - d < SAI_GROUP ? dims - d : SAI_GROUP;
        *scales++ = integers_group(dtype, x + d, n, codes + d);
    }
}

/* --------------------------------- queries -------------------------------- */

/* Four codes as two pairs, and their sum. */
static int32_t integers_pack_quad(const int32_t *code, int32_t *packed) {
    int16_t pairs[4] = {(int16_t)code[0], (int16_t)code[2], (int16_t)code[1], (int16_t)code[3]};
    memcpy(packed, pairs, sizeof pairs);
    return code[0] + code[1] + code[2] + code[3];
}

void sai_pack_query(int32_t dtype, const float *x, int dims, int32_t *packed) {
    int finite, quads = sai_query_quads(dims), groups = sai_groups(dims), offset = dtype == SA_I8 ? 128 : 8;
    float most = fabsf(integers_extreme(x, dims, &finite)), scale = most / (float)SAI_QUERY_MOST;
    int32_t *sums = packed + 2 * quads;
    if (!finite) scale = NAN;
    memset(sums, 0, (size_t)groups * sizeof *sums);
    for (int i = 0; i < quads; i++) {
        int32_t code[4] = {0, 0, 0, 0};
        for (int d = 4 * i; d < 4 * i + 4 && d < dims && scale > 0; d++)
            code[d % 4] = integers_round(integers_clamp(x[d] / scale, -SAI_QUERY_MOST, SAI_QUERY_MOST));
        sums[i / 8] -= offset * integers_pack_quad(code, packed + 2 * i);
    }
    memcpy(sums + groups, &scale, sizeof scale);
}
