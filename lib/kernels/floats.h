/* Softmax and what surrounds it, rows from and to f32, scores and value sums of floats.
 *
 * SPDX-License-Identifier: MIT
 *
 * Included by body.h.
 */

/* ------------------------------- functions -------------------------------- */

/* 2^(d c), c > 0, d c <= 127: d c = n + r, |r| <= 1/2, and the polynomial of degree 5 that is 1 at 0: the
 * minimax polynomial, relative error 9e-8. n is rounded off by a number so large that its units are whole, and stands
 * in the low bits of the sum as an exponent: `low`, where d c is -127, makes that 0, and so the result. NaN stays. */
V_INLINE v16 k_power(v16 d, v16 c, v16 low) {
    v16 magic = v_set(0x1.8p23f + 127.0f);
    d = v_max(low, d);
    v16 big = v_fma(d, c, magic), r = v_fma(d, c, v_sub(magic, big));
    v16 p = v_set(0x1.5bda4p-10f);
    p = v_fma(p, r, v_set(0x1.3ce8acp-7f));
    p = v_fma(p, r, v_set(0x1.c6b6d8p-5f));
    p = v_fma(p, r, v_set(0x1.ebf9c2p-3f));
    p = v_fma(p, r, v_set(0x1.62e42ap-1f));
    p = v_fma(p, r, v_set(1.0f));
    return v_mul(p, v_exponent(big));
}

#define K_LOG2_E 0x1.715476p0f

/* exp(x) for x <= 88. */
V_INLINE v16 k_exp(v16 x) { return k_power(x, v_set(K_LOG2_E), v_set(-127.0f / K_LOG2_E)); }

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
V_INLINE v16 k_logits(v16 s, int tile, int row, const sai_logit *logit) {
    static const float lanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    v16 x = v_mul(s, v_set(logit->scale));
    if (logit->softcap != 0) x = v_mul(k_tanh(v_div(x, v_set(logit->softcap))), v_set(logit->softcap));
    if (logit->biases) {
        v16 bias = v_load(logit->biases + 16 * tile), hidden = v_set(-INFINITY);
        return v_less(hidden, bias, v_add(x, bias), hidden);
    }
    if (!logit->slopes) return x;
    v16 key = v_mul(v_add(v_load(lanes), v_set((float)(16 * tile))), v_set(logit->step));
    v16 distance = v_sub(v_set(logit->distances[row]), key);
    return v_fma(v_set(-logit->slopes[row]), distance, x);
}

/* Scores beyond keys [lo, hi) of the tiles touched become -infinity, which weighs 0. */
V_INLINE void k_mask(float *s, int lo, int hi) {
    v16 lowest = v_set(-INFINITY);
    float *first = s + lo / 16 * 16, *last = s + hi / 16 * 16;
    if (lo % 16) v_save(first, v_range(lo % 16, 16, v_load(first), lowest));
    if (hi % 16) v_save(last, v_range(0, hi % 16, v_load(last), lowest));
}

/* The greatest of tiles [first, end): several chains, since each step of a chain depends on the one before. */
V_INLINE float k_greatest(const float *s, int first, int end) {
    v16 a = v_load(s + 16 * first), b = a, c = a, d = a;
    int i = first + 1;
    for (; i + 4 <= end; i += 4) {
        a = v_max(a, v_load(s + 16 * i));
        b = v_max(b, v_load(s + 16 * i + 16));
        c = v_max(c, v_load(s + 16 * i + 32));
        d = v_max(d, v_load(s + 16 * i + 48));
    }
    for (; i < end; i++) a = v_max(a, v_load(s + 16 * i));
    return v_greatest(v_max(v_max(a, b), v_max(c, d)));
}

/* Tiles [first, end) become 2^((s - top) c): difference, then product, so exact near the top, however large the
 * scores are. Returns their sum. */
V_INLINE float k_weigh(float *s, int first, int end, float top, v16 c, v16 low) {
    v16 sum = v_set(0.0f), most = v_set(top);
    for (int i = first; i < end; i++) {
        v16 p = k_power(v_sub(v_load(s + 16 * i), most), c, low);
        v_save(s + 16 * i, p);
        sum = v_add(sum, p);
    }
    return v_sum(sum);
}

/* Scores of one row become logits, all of them masked. */
V_INLINE void k_prepare(float *s, int row, int lo, int hi, int simple, const sai_logit *logit) {
    for (int i = lo / 16; !simple && 16 * i < hi; i++) v_save(s + 16 * i, k_logits(v_load(s + 16 * i), i, row, logit));
    k_mask(s, lo, hi);
}

/* First the greatest score of every row, then the weights of every row: a row's weights depend on its own greatest
 * score, and rows do not wait for each other. */
static void k_softmax(int rows, float *s, const int *lo, const int *hi, const sai_logit *logit, float *max, float *sum,
                      float *keep) {
    int simple = logit->softcap == 0 && !logit->slopes && !logit->biases;
    float factor = (simple ? logit->scale : 1.0f) * K_LOG2_E;
    v16 c = v_set(factor), low = v_set(-127.0f / factor);
    float before[16] = {0}, now[16] = {0}, added[16] = {0};
    for (int r = 0; r < rows; r++) {
        float *row = s + r * SAI_CHUNK;
        if (lo[r] >= hi[r]) continue;
        k_prepare(row, r, lo[r], hi[r], simple, logit);
        float top = k_greatest(row, lo[r] / 16, (hi[r] + 15) / 16);
        before[r] = max[r];
        now[r] = max[r] = max[r] > top ? max[r] : top;
        /* All keys are hidden, and there were none before: any finite number makes their weights 0. */
        if (logit->biases && now[r] == -INFINITY) now[r] = 0;
    }
    for (int r = 0; r < rows; r++)
        if (lo[r] < hi[r]) added[r] = k_weigh(s + r * SAI_CHUNK, lo[r] / 16, (hi[r] + 15) / 16, now[r], c, low);
    float weights[16];
    v_save(weights, k_power(v_sub(v_load(before), v_load(now)), c, low));
    for (int r = 0; r < rows; r++) {
        keep[r] = weights[r];
        sum[r] = sum[r] * weights[r] + added[r];
    }
}

/* Scores of rows become shares of softmaxes that are finished. Without softcap, slopes and biases the logit is one
 * product, and the difference from max is taken before it is rounded. */
static void k_shares(int rows, float *s, const int *lo, const int *hi, const sai_logit *logit, const float *max,
                     const float *inverse) {
    int simple = logit->softcap == 0 && !logit->slopes && !logit->biases;
    v16 scale = v_set(logit->scale);
    for (int r = 0; r < rows; r++) {
        /* Where all that a row sees is hidden, its max is -infinity, and every share is 0. */
        v16 less = v_set(inverse[r] == 0 ? -INFINITY : -max[r]), by = v_set(inverse[r]);
        for (int i = lo[r] / 16; lo[r] < hi[r] && 16 * i < hi[r]; i++) {
            float *at = s + r * SAI_CHUNK + 16 * i;
            v16 x = simple ? v_fma(v_load(at), scale, less) : v_add(k_logits(v_load(at), i, r, logit), less);
            v_save(at, v_mul(k_exp(x), by));
        }
    }
}

static void k_fold(int n, float *acc, float keep, const float *chain) {
    v16 weight = v_set(keep);
    for (int i = 0; i < n; i += 16)
        v_save(acc + i, v_add(v_fma(v_load(acc + i), weight, v_load(chain + i)), v_set(0.0f)));
}

/* The weights of up to 16 rows' states, b's and then a's, once their max is common; an empty a has none. */
static void k_merge_weights(int rows, float *max_a, const float *sum_a, const float *max_b, const float *sum_b,
                            float *weights) {
    float a[16] = {0}, b[16] = {0};
    for (int r = 0; r < rows; r++) {
        if (sum_b[r] == 0) continue;
        float max = max_a[r] > max_b[r] ? max_a[r] : max_b[r];
        a[r] = max_a[r] - max;
        b[r] = max_b[r] - max;
        max_a[r] = max;
    }
    v_save(weights, k_exp(v_load(b)));
    v_save(weights + 16, k_exp(v_load(a)));
    for (int r = 0; r < rows; r++)
        if (sum_a[r] == 0) weights[16 + r] = 0;
}

static void k_merge(int rows, int n, float *max_a, float *sum_a, float *acc_a, const float *max_b, const float *sum_b,
                    const float *acc_b) {
    float weights[32];
    for (int r = 0; r < rows; r++, acc_a += n, acc_b += n) {
        if (r % 16 == 0)
            k_merge_weights(rows - r < 16 ? rows - r : 16, max_a + r, sum_a + r, max_b + r, sum_b + r, weights);
        if (sum_b[r] == 0) continue;
        v16 a = v_set(weights[16 + r % 16]), b = v_set(weights[r % 16]);
        for (int i = 0; i < n; i += 16) v_save(acc_a + i, v_fma(v_load(acc_a + i), a, v_mul(v_load(acc_b + i), b)));
        sum_a[r] = sum_a[r] * weights[16 + r % 16] + sum_b[r] * weights[r % 16];
    }
}

static void k_divide(int n, float *acc, float sum) {
    v16 by = v_set(sum == 0 ? 1.0f : sum);
    for (int i = 0; i < n; i += 16) v_save(acc + i, v_div(v_load(acc + i), by));
}

static float k_squares(const float *x, int n) {
    v16 sum = v_set(0.0f);
    for (int i = 0; i < n; i += 16) sum = v_fma(v_load(x + i), v_load(x + i), sum);
    return v_sum(sum);
}

/* -------------------------- rows from and to f32 -------------------------- */

static void k_load_f32(const void *from, int n, float *to) { memcpy(to, from, (size_t)n * sizeof *to); }
static void k_store_f32(const float *from, int n, void *to) { memcpy(to, from, (size_t)n * sizeof *from); }

#ifndef SA_NO_F16
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
#endif

#ifndef SA_NO_BF16
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
#endif

/* ------------------------- scores and value sums -------------------------- */

/* Prefetches the line at `at`, and returns the line after it, where there is one before `end`. */
V_INLINE const char *k_prefetch(const char *at, const char *end) {
    SAI_PREFETCH_FAR(at);
    return at < end ? at + 64 : at;
}

/* How many tiles or blocks V_MANY rows take next, of `left`. One tile alone has too few chains to keep the multipliers
 * busy, so five are taken as three and two. */
V_INLINE int k_many_width(int left) {
    const int most = V_TILES(V_MANY);
    return left < most ? left : left == most + 1 && most > 2 ? most - 1 : most;
}

#define K_T float
#define K_LOAD v_load
#define K_DTYPE f32
#include "products.h"

#ifndef SA_NO_F16
#define K_T uint16_t
#define K_LOAD v_load_f16
#define K_DTYPE f16
#include "products.h"
#endif

#ifndef SA_NO_BF16
#define K_T uint16_t
#define K_LOAD v_load_bf16
#define K_DTYPE bf16
#include "products.h"
#endif
