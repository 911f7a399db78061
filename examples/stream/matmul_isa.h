/*
 * The two inner loops of a matrix product, compiled once per instruction set.
 *
 * SPDX-License-Identifier: MIT
 *
 * Included by matmul.c with these macros set:
 *   SUFFIX(name)  the name with the instruction set appended
 *   LANES         floats in a vector register
 *   TOKENS        tokens that the panel kernel works on at once: TOKENS * 16 / LANES
 *                 accumulators, one weight and one activation must fit the registers
 *   TARGET        function attribute that switches the instruction set on, or empty
 *
 * The vector type is GCC's and Clang's extension; with LANES 1 it is plain float, and
 * any C99 compiler will do.
 */

#if LANES > 1
typedef float SUFFIX(vec) __attribute__((vector_size(LANES * 4)));
/* The same in memory: at any float's address, and allowed to overlay an array of floats. */
typedef float SUFFIX(vec_at) __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
#else
typedef float SUFFIX(vec);
typedef float SUFFIX(vec_at);
#endif
#define vec SUFFIX(vec)
#define LOAD(p) (*(const SUFFIX(vec_at) *)(p))
#define STORE(p, x) (*(SUFFIX(vec_at) *)(p) = (x))

enum { SUFFIX(n_vec) = PANEL_ROWS / LANES };
#define N_VEC SUFFIX(n_vec)

/* y[t][0 .. 15] += sum over k of x[t][k] * panel[k][0 .. 15] for `tokens` tokens. Inlined with a constant count,
 * so that the accumulators live in registers. */
TARGET static ALWAYS_INLINE void SUFFIX(panel_step)(int tokens, int64_t cols, const float *panel, const float *x,
                                                    int64_t x_stride, float *y, int64_t y_stride) {
    vec sum[TOKENS][N_VEC];
    UNROLL
    for (int t = 0; t < tokens; t++) {
        UNROLL
        for (int i = 0; i < N_VEC; i++) {
            sum[t][i] = LOAD(y + t * y_stride + i * LANES);
        }
    }
    for (int64_t k = 0; k < cols; k++) {
        vec w[N_VEC];
        UNROLL
        for (int i = 0; i < N_VEC; i++) {
            w[i] = LOAD(panel + k * PANEL_ROWS + i * LANES);
        }
        UNROLL
        for (int t = 0; t < tokens; t++) {
            float a = x[t * x_stride + k];
            UNROLL
            for (int i = 0; i < N_VEC; i++) {
                sum[t][i] += a * w[i];
            }
        }
    }
    UNROLL
    for (int t = 0; t < tokens; t++) {
        UNROLL
        for (int i = 0; i < N_VEC; i++) {
            STORE(y + t * y_stride + i * LANES, sum[t][i]);
        }
    }
}

TARGET static void SUFFIX(panel)(int32_t n, int64_t cols, const float *panel, const float *x, int64_t x_stride,
                                 float *y, int64_t y_stride) {
    int32_t t = 0;
    for (; t + TOKENS <= n; t += TOKENS) {
        SUFFIX(panel_step)(TOKENS, cols, panel, x + t * x_stride, x_stride, y + t * y_stride, y_stride);
    }
    for (; t < n; t++) {
        SUFFIX(panel_step)(1, cols, panel, x + t * x_stride, x_stride, y + t * y_stride, y_stride);
    }
}

/* The dot product of two rows, in four sums, since each addition to one sum would wait for the one before. */
TARGET static float SUFFIX(dot)(int64_t cols, const float *a, const float *b) {
    vec sum[4] = {{0}, {0}, {0}, {0}};
    int64_t k = 0;
    for (; k + 4 * LANES <= cols; k += 4 * LANES) {
        UNROLL
        for (int i = 0; i < 4; i++) {
            sum[i] += LOAD(a + k + i * LANES) * LOAD(b + k + i * LANES);
        }
    }
    float lanes[LANES];
    STORE(lanes, (sum[0] + sum[1]) + (sum[2] + sum[3]));
    UNROLL
    for (int half = LANES / 2; half > 0; half /= 2) { /* the upper half onto the lower: a short chain */
        UNROLL
        for (int i = 0; i < half; i++) {
            lanes[i] += lanes[i + half];
        }
    }
    float total = lanes[0];
    for (; k < cols; k++) {
        total += a[k] * b[k];
    }
    return total;
}

#undef vec
#undef LOAD
#undef STORE
#undef N_VEC
#undef SUFFIX
#undef LANES
#undef TOKENS
#undef TARGET
