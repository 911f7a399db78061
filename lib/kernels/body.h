/* The kernels, written once over a vector layer of 16 lanes. See kernel.h for the contract.
 *
 * SPDX-License-Identifier: MIT
 *
 * Included once per instruction set, after names_begin.h and vec_*.h. The order of every
 * floating-point operation on a value is fixed here; how many rows, tiles or blocks are in
 * flight (V_TILES, V_BLOCKS, V_ROWS) only says which values are worked side by side.
 */
#include "kernel.h"

/* ------------------------------- reductions ------------------------------- */

/* Lanes 8 apart, then 4, 2, 1. */
V_INLINE float k_reduce_sum(v16 x) {
    float a[16];
    v_save(a, x);
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++) a[i] += a[i + half];
    return a[0];
}

V_INLINE float k_reduce_max(v16 x) {
    float a[16];
    v_save(a, x);
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++) a[i] = a[i] > a[i + half] ? a[i] : a[i + half];
    return a[0];
}

/* ------------------------------- functions -------------------------------- */

/* exp(x) for x <= 88, 0 at the bottom of the range: x = n ln 2 + r, |r| <= ln 2 / 2, and the Taylor
 * polynomial of degree 7 (its error, r^8/8!, is 5e-9). ln 2 is split in a part of few bits, so that
 * n * part is exact, and the rest. Below -87 the result is 2^-126 or less of anything and taken as 0. */
V_INLINE v16 k_exp(v16 x) {
    v16 magic = v_set(0x1.8p23f), low = v_set(-87.0f);
    v16 c = v_max(low, x), big = v_fma(c, v_set(0x1.715476p0f), magic), n = v_sub(big, magic);
    v16 r = v_fma(n, v_set(-0x1.62e4p-1f), c);
    r = v_fma(n, v_set(-0x1.7f7d1cp-20f), r);
    v16 p = v_set(1.0f / 5040.0f);
    p = v_fma(p, r, v_set(1.0f / 720.0f));
    p = v_fma(p, r, v_set(1.0f / 120.0f));
    p = v_fma(p, r, v_set(1.0f / 24.0f));
    p = v_fma(p, r, v_set(1.0f / 6.0f));
    p = v_fma(p, r, v_set(0.5f));
    p = v_fma(p, r, v_set(1.0f));
    p = v_fma(p, r, v_set(1.0f));
    return v_less(x, low, v_set(0.0f), v_mul(p, v_pow2(big)));
}

/* tanh(x): near 0 the Taylor series to x^17 (its error below 0.5 is 1e-9), since 1 - 2/(e^2x + 1)
 * cancels there. NaN stays NaN. */
V_INLINE v16 k_tanh(v16 x) {
    v16 a = v_abs(x), z = v_mul(x, x), one = v_set(1.0f), two = v_set(2.0f);
    v16 p = v_set((float)(6404582.0 / 10854718875.0));
    p = v_fma(p, z, v_set((float)(-929569.0 / 638512875.0)));
    p = v_fma(p, z, v_set((float)(21844.0 / 6081075.0)));
    p = v_fma(p, z, v_set((float)(-1382.0 / 155925.0)));
    p = v_fma(p, z, v_set((float)(62.0 / 2835.0)));
    p = v_fma(p, z, v_set((float)(-17.0 / 315.0)));
    p = v_fma(p, z, v_set((float)(2.0 / 15.0)));
    p = v_fma(p, z, v_set((float)(-1.0 / 3.0)));
    v16 near = v_fma(v_mul(p, z), x, x);
    v16 e = k_exp(v_min(v_set(40.0f), v_mul(two, a)));
    v16 far = v_sign(v_sub(one, v_div(two, v_add(e, one))), x);
    return v_less(a, v_set(0.5f), near, far);
}

static float k_exponential(float x) {
    float a[16];
    v_save(a, k_exp(v_set(x)));
    return a[0];
}

/* -------------------------------- softmax --------------------------------- */

/* Dot products become logits, where that is more than one multiplication. */
V_INLINE v16 k_logits(v16 s, int tile, const sai_logit *logit) {
    static const float lanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    v16 x = v_mul(s, v_set(logit->scale));
    if (logit->softcap != 0) x = v_mul(k_tanh(v_div(x, v_set(logit->softcap))), v_set(logit->softcap));
    if (logit->slope == 0) return x;
    v16 key = v_mul(v_add(v_load(lanes), v_set((float)(16 * tile))), v_set(logit->step));
    v16 distance = v_sub(v_set(logit->distance), key);
    return v_fma(v_set(-logit->slope), distance, x);
}

/* x in the lanes of a tile that lie in keys [lo, hi), other elsewhere. */
V_INLINE v16 k_mask(v16 x, int tile, int lo, int hi, v16 other) {
    if (lo <= 16 * tile && hi >= 16 * tile + 16) return x;
    return v_range(lo - 16 * tile, hi - 16 * tile, x, other);
}

static void k_softmax(float *s, int lo, int hi, const sai_logit *logit, float *max_out, float *sum_out) {
    int first = lo / 16, end = (hi + 15) / 16, simple = logit->softcap == 0 && logit->slope == 0;
    float scale = simple ? logit->scale : 1.0f;
    v16 lowest = v_set(-INFINITY), top = lowest;
    for (int i = first; i < end; i++) {
        v16 x = v_load(s + 16 * i);
        if (!simple) v_save(s + 16 * i, x = k_logits(x, i, logit));
        top = v_max(top, k_mask(x, i, lo, hi, lowest));
    }
    float max = k_reduce_max(top) * scale;
    /* Product, then difference: the greatest logit less itself is 0 however large it is, which a fused
     * multiply-add would turn into the rounding error of the product. */
    v16 sum = v_set(0.0f), zero = sum, most = v_set(max);
    for (int i = first; i < end; i++) {
        v16 p = k_mask(k_exp(v_sub(v_mul(v_load(s + 16 * i), v_set(scale)), most)), i, lo, hi, zero);
        v_save(s + 16 * i, p);
        sum = v_add(sum, p);
    }
    *max_out = max;
    *sum_out = k_reduce_sum(sum);
}

static void k_merge(int n, float *max_a, float *sum_a, float *acc_a, float max_b, float sum_b, const float *acc_b) {
    if (sum_b == 0) return;
    float max = *max_a > max_b ? *max_a : max_b;
    float weight_a = *sum_a == 0 ? 0.0f : k_exponential(*max_a - max), weight_b = k_exponential(max_b - max);
    v16 wa = v_set(weight_a), wb = v_set(weight_b);
    for (int i = 0; i < n; i += 16) v_save(acc_a + i, v_fma(v_load(acc_a + i), wa, v_mul(v_load(acc_b + i), wb)));
    *sum_a = *sum_a * weight_a + sum_b * weight_b;
    *max_a = max;
}

static void k_divide(int n, float *acc, float sum) {
    v16 by = v_set(sum == 0 ? 1.0f : sum);
    for (int i = 0; i < n; i += 16) v_save(acc + i, v_div(v_load(acc + i), by));
}

/* -------------------------- rows from and to f32 -------------------------- */

static void k_load_f32(const void *from, int n, float *to) { memcpy(to, from, (size_t)n * sizeof *to); }
static void k_store_f32(const float *from, int n, void *to) { memcpy(to, from, (size_t)n * sizeof *from); }

static void k_load_f16(const void *from, int n, float *to) {
    const uint16_t *h = (const uint16_t *)from;
    int i = 0;
    for (; i + 16 <= n; i += 16) v_save(to + i, v_load_f16(h + i));
    for (; i < n; i++) to[i] = sai_f16_to_f32(h[i]);
}

static void k_store_f16(const float *from, int n, void *to) {
    uint16_t *h = (uint16_t *)to;
    int i = 0;
    for (; i + 16 <= n; i += 16) v_save_f16(h + i, v_load(from + i));
    for (; i < n; i++) h[i] = sai_f32_to_f16(from[i]);
}

static void k_load_bf16(const void *from, int n, float *to) {
    const uint16_t *h = (const uint16_t *)from;
    int i = 0;
    for (; i + 16 <= n; i += 16) v_save(to + i, v_load_bf16(h + i));
    for (; i < n; i++) to[i] = sai_bf16_to_f32(h[i]);
}

static void k_store_bf16(const float *from, int n, void *to) {
    uint16_t *h = (uint16_t *)to;
    for (int i = 0; i < n; i++) h[i] = sai_f32_to_bf16(from[i]);
}

/* ------------------------- scores and value sums -------------------------- */

#define K_T float
#define K_LOAD v_load
#define K_DTYPE f32
#include "products.h"
#undef K_T
#undef K_LOAD
#undef K_DTYPE

#define K_T uint16_t
#define K_LOAD v_load_f16
#define K_DTYPE f16
#include "products.h"
#undef K_T
#undef K_LOAD
#undef K_DTYPE

/* -------------------------------- the table ------------------------------- */

const sai_kernels SAI_NAME(sai_kernels) = {
    SAI_ISA,
    V_ROWS,
    V_BLOCKS(V_ROWS),
    {NULL, k_score_f32, k_score_f16},
    {NULL, k_value_f32, k_value_f16},
    k_softmax,
    k_merge,
    k_divide,
    k_exponential,
    {NULL, k_load_f32, k_load_f16, k_load_bf16},
    {NULL, k_store_f32, k_store_f16, k_store_bf16},
};
