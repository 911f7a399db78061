/* Queries as integers, for keys that are integers.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include "integers.h"

#include <math.h>
#include <string.h>

#include "kernels/half.h"
#include "kernels/integer_tiles.h"

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
