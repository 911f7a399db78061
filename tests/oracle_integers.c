/*
 * Integer dtypes as the oracle sees them: what is left of a row after coding, and of weights that meet values of
 * integers. Written from docs/quantization.md.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "oracle.h"

#define DIM_MOST 1024
#define GROUP ORACLE_GROUP

int oracle_is_integer(int dtype) { return dtype == SA_I8 || dtype == SA_I4; }

static int block_of(int dims) {
    int n = 256;
    while (n > dims) {
        n /= 2;
    }
    return n;
}

/* The power of two at or below the square root of a power of two. */
static int root_of(int n) {
    int root = 1;
    while (4 * root * root <= n) {
        root *= 2;
    }
    return root;
}

/* One stage after the other, neighbours first: in float, since the sums' rounding decides codes. */
static void rotate(float *x, int dims) {
    int n, stage, i;
    for (; dims > 0; dims -= n, x += n) {
        float y[256];
        n = block_of(dims);
        for (stage = 1; stage < n; stage *= 2) {
            for (i = 0; i < n; i++) {
                y[i] = i & stage ? x[i ^ stage] - x[i] : x[i] + x[i ^ stage];
            }
            memcpy(x, y, (size_t)n * sizeof *x);
        }
        for (i = 0; i < n; i++) {
            x[i] *= 1.0f / (float)root_of(n);
        }
    }
}

/* The inverse, in double: the same rotation, over the block. */
static void rotate_back(double *x, int dims) {
    int n, stage, i;
    for (; dims > 0; dims -= n, x += n) {
        double y[256];
        n = block_of(dims);
        for (stage = 1; stage < n; stage *= 2) {
            for (i = 0; i < n; i++) {
                y[i] = i & stage ? x[i ^ stage] - x[i] : x[i] + x[i ^ stage];
            }
            memcpy(x, y, (size_t)n * sizeof *x);
        }
        for (i = 0; i < n; i++) {
            x[i] *= (double)root_of(n) / n;
        }
    }
}

/* The bfloat16 number not below x > 0. */
static double bf16_above(float x) {
    double y = oracle_round_bf16(x);
    int exponent;
    if (y >= x) {
        return y;
    }
    frexp(y, &exponent);
    return oracle_round_bf16(y + ldexp(1.0, exponent - 8 < -133 ? -133 : exponent - 8));
}

/* In float, as documented: rounding decides codes, and codes decide scales. */
static void code(const float *x, int n, double scale, int low, int high, float *codes) {
    float inverse = scale == 0.0 ? 0.0f : 0.015625f / (float)scale;
    int i;
    for (i = 0; i < n; i++) {
        float share = x[i] * inverse;
        codes[i] = fminf(fmaxf(nearbyintf(64.0f * share), (float)low), (float)high);
    }
}

/* Of 32, each added to the one half of them away, until one is left. */
static float sum_of(float *x) {
    int half, i;
    for (half = GROUP / 2; half > 0; half /= 2) {
        for (i = 0; i < half; i++) {
            x[i] += x[i + half];
        }
    }
    return x[0];
}

static double code_group(int dtype, const float *x, int n, double *out) {
    float codes[GROUP], products[GROUP] = {0.0f}, squares[GROUP] = {0.0f}, most = 0.0f, square;
    double scale;
    int i, pass;
    for (i = 0; i < n; i++) {
        int larger = fabsf(x[i]) > fabsf(most), other_sign = x[i] == -most && x[i] > 0.0f;
        most = larger || other_sign ? x[i] : most;
    }
    scale = dtype == SA_I8 ? bf16_above(fabsf(most) / 127.0f) : oracle_round_bf16(most / -8.0f);
    code(x, n, scale, dtype == SA_I8 ? -127 : -8, dtype == SA_I8 ? 127 : 7, codes);
    for (pass = 0; pass < 2 && dtype == SA_I4; pass++) {
        if (pass > 0) {
            code(x, n, scale, -8, 7, codes);
        }
        for (i = 0; i < n; i++) {
            products[i] = codes[i] * x[i];
            squares[i] = codes[i] * codes[i];
        }
        square = sum_of(squares);
        scale = square > 0.0f ? oracle_round_bf16(sum_of(products) / square) : scale;
    }
    for (i = 0; i < n; i++) {
        out[i] = codes[i] * scale;
    }
    return scale;
}

void oracle_integer_value(int dtype, const float *x, int dims, double *out, double *scales) {
    int d;
    for (d = 0; d < dims; d += GROUP) {
        scales[d / GROUP] = code_group(dtype, x + d, dims - d < GROUP ? dims - d : GROUP, out + d);
    }
}

void oracle_integer_sum(int n, const double *weights, const oracle_value *values, int dims, double most_code,
                        double *out) {
    int d, j;
    for (d = 0; d < dims; d++) {
        double most = 0.0;
        for (j = 0; j < n; j++) {
            most = fmax(most, fabs(weights[j] * values[j].scales[d / GROUP]));
        }
        for (j = 0; j < n && most > 0.0; j++) {
            double scale = values[j].scales[d / GROUP], step = most / most_code;
            out[d] += scale == 0.0 ? 0.0 : nearbyint(weights[j] * scale / step) * step * (values[j].v[d] / scale);
        }
    }
}

void oracle_integer_key(int dtype, const float *x, int dims, double *out) {
    float y[DIM_MOST];
    double scales[DIM_MOST / GROUP];
    memcpy(y, x, (size_t)dims * sizeof *y);
    rotate(y, dims);
    oracle_integer_value(dtype, y, dims, out, scales);
    rotate_back(out, dims);
}
