/* The vector layer in plain C: 16 float lanes as an array. The definition of every operation.
 *
 * SPDX-License-Identifier: MIT
 *
 * V_FMA_LANE(a, b, c) is set by the including file: fmaf, or multiply then add.
 */
#include <math.h>
#include <string.h>

#include "half.h"

typedef struct v16 {
    float lane[16];
} v16;

/* Tiles of a score that R rows process at once, and blocks of values: plain C has no registers to fill. */
#define V_ROWS 2
#define V_MOST_TILES 1
#define V_TILES(R) 1
#define V_BLOCKS(R) 1
#define V_UNROLL
#define V_INLINE static inline
#define V_CASES(CASE) CASE(1) CASE(2)

#define V_EACH(expr)                                                                                                   \
    v16 y;                                                                                                             \
    for (int i = 0; i < 16; i++) y.lane[i] = (expr);                                                                   \
    return y

static inline v16 v_set(float a) { V_EACH(a); }
static inline v16 v_load(const float *a) { V_EACH(a[i]); }
static inline void v_save(float *to, v16 a) { memcpy(to, a.lane, sizeof a.lane); }
static inline v16 v_load_f16(const uint16_t *a) { V_EACH(sai_f16_to_f32(a[i])); }
static inline void v_save_f16(uint16_t *to, v16 a) {
    for (int i = 0; i < 16; i++) to[i] = sai_f32_to_f16(a.lane[i]);
}
static inline v16 v_load_bf16(const uint16_t *a) { V_EACH(sai_bf16_to_f32(a[i])); }
static inline v16 v_add(v16 a, v16 b) { V_EACH(a.lane[i] + b.lane[i]); }
static inline v16 v_sub(v16 a, v16 b) { V_EACH(a.lane[i] - b.lane[i]); }
static inline v16 v_mul(v16 a, v16 b) { V_EACH(a.lane[i] * b.lane[i]); }
static inline v16 v_div(v16 a, v16 b) { V_EACH(a.lane[i] / b.lane[i]); }
static inline v16 v_fma(v16 a, v16 b, v16 c) { V_EACH(V_FMA_LANE(a.lane[i], b.lane[i], c.lane[i])); }
/* The second operand where either is NaN. */
static inline v16 v_max(v16 a, v16 b) { V_EACH(a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]); }
static inline v16 v_min(v16 a, v16 b) { V_EACH(a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]); }
static inline v16 v_abs(v16 a) { V_EACH(fabsf(a.lane[i])); }
/* a where x < z, else b. */
static inline v16 v_less(v16 x, v16 z, v16 a, v16 b) { V_EACH(x.lane[i] < z.lane[i] ? a.lane[i] : b.lane[i]); }
/* The sign of s on the magnitude of a. */
static inline v16 v_sign(v16 a, v16 s) { V_EACH(copysignf(a.lane[i], s.lane[i])); }
/* a in lanes [lo, hi), b elsewhere. */
static inline v16 v_range(int lo, int hi, v16 a, v16 b) { V_EACH(i >= lo && i < hi ? a.lane[i] : b.lane[i]); }
/* 2^(n - 127) where a = 1.5 * 2^23 + n holds the integer n in its low bits; 0 <= n <= 254, and 0 gives 0. */
static inline v16 v_exponent(v16 a) {
    v16 y;
    for (int i = 0; i < 16; i++) {
        uint32_t u;
        memcpy(&u, &a.lane[i], 4);
        u <<= 23;
        memcpy(&y.lane[i], &u, 4);
    }
    return y;
}
/* Lane i is lane i ^ 1, i ^ 2, i ^ 4, i ^ 8. */
static inline v16 v_swap1(v16 a) { V_EACH(a.lane[i ^ 1]); }
static inline v16 v_swap2(v16 a) { V_EACH(a.lane[i ^ 2]); }
static inline v16 v_swap4(v16 a) { V_EACH(a.lane[i ^ 4]); }
static inline v16 v_swap8(v16 a) { V_EACH(a.lane[i ^ 8]); }
/* The low byte of each lane's bits. */
static inline void v_save_bytes(uint8_t *to, v16 a) {
    for (int i = 0; i < 16; i++) to[i] = (uint8_t)sai_bits(a.lane[i]);
}
/* Of the lanes: those 8 apart first, then 4, 2, 1. The greatest is the second of two where either is NaN. */
static inline float v_sum(v16 a) {
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++) a.lane[i] += a.lane[i + half];
    return a.lane[0];
}
static inline float v_greatest(v16 a) {
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++) a.lane[i] = a.lane[i] > a.lane[i + half] ? a.lane[i] : a.lane[i + half];
    return a.lane[0];
}
#undef V_EACH

#include "vec_integers.h"
