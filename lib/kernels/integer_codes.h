/* Queries and weights as integers of 16 or 8 bits, packed for sums of products with stored integers.
 *
 * SPDX-License-Identifier: MIT
 *
 * Included by body.h once. A number is rounded to an integer in the low bits of a float so large that its units are
 * whole; sums of up to 256 codes stay below 2^24 and so are exact as floats, in any order. v_pack says how 16
 * codes lie.
 */
#define K_MAGIC 0x1.8p23f

/* Least of what the greatest weight of a group counts as: its inverse and its step stay normal numbers. */
#define K_LEAST 0x1p-110f

/* See kernel.h. */
static void k_pack_query(const float *x, int dims, int offset, int most_code, int32_t *packed) {
    int packs = sai_packs(dims), groups = sai_groups(dims);
    int32_t *sums = packed + SAI_PACK * packs;
    v16 zero = v_set(0.0f), most = zero, magic = v_set(K_MAGIC);
    for (int i = 0; i < packs; i++) most = v_larger(v_range(0, dims - 16 * i, v_load(x + 16 * i), zero), most);
    float scale = v_greatest(most) / (float)most_code;
    int finite = v_sum(v_mul(most, zero)) == 0;
    v16 by = v_set(scale > 0 ? scale : 1.0f), limit = v_set((float)most_code), sum = zero;
    for (int i = 0; i < packs; i++) {
        v16 y = v_div(v_range(0, dims - 16 * i, v_load(x + 16 * i), zero), by);
        y = v_add(v_max(v_sub(zero, limit), v_min(limit, y)), magic);
        v_pack(y, packed + SAI_PACK * i);
        sum = i % 2 ? v_add(sum, v_sub(y, magic)) : v_sub(y, magic);
        sums[i / 2] = finite ? -offset * (int32_t)v_sum(sum) : 0;
    }
    if (!finite) scale = NAN;
    memcpy(sums + groups, &scale, sizeof scale);
}

/* Groups whose weights are computed side by side: each has chains over the tiles. */
#define K_SIDE 4

/* Weights of tile t, times the scales of G groups, into x; 0 outside the visible range, even where the scale is NaN.
 * `most` becomes the largest magnitudes. */
V_INLINE void k_scaled(const int G, const sai_int_values *v, int r, int t, size_t scales_at, int edge, float *x,
                       v16 *most) {
    const uint8_t *scales = (const uint8_t *)v->tiles[t] + scales_at;
    v16 p = v_load(v->p + r * SAI_CHUNK + 16 * t);
    V_UNROLL
    for (int b = 0; b < G; b++) {
        v16 y = v_mul(p, v_load_bf16((const uint16_t *)(const void *)(scales + 32 * b)));
        if (edge) y = v_range(v->lo[r] - 16 * t, v->hi[r] - 16 * t, y, v_set(0.0f));
        v_save(x + b * SAI_CHUNK + 16 * t, y);
        most[b] = v_larger(y, most[b]);
    }
}

/* Row r's weights for G groups from g on: codes of the tiles it sees, what the values' offset adds to their sums, and
 * the factor of these sums. The first row prefetches the values, from `at` on, while this computes. */
V_INLINE const char *k_weigh_groups(const int G, const sai_int_values *v, int r, int g, int offset, size_t scales_at,
                                    sai_weights w, const char *at) {
    float x[K_SIDE * SAI_CHUNK];
    int from = v->lo[r] / 16, last = (v->hi[r] - 1) / 16, groups = (v->n_blocks + 1) / 2, line = r == 0 ? 64 : 0;
    int32_t *codes = w.codes + SAI_PACK * (size_t)(from * groups + g);
    v16 magic = v_set(K_MAGIC), most[K_SIDE], sum[K_SIDE], factor[K_SIDE];
    V_UNROLL
    for (int b = 0; b < G; b++) most[b] = sum[b] = v_set(0.0f);
    k_scaled(G, v, r, from, scales_at, 1, x, most);
    for (int t = from + 1; t < last; t++) {
        k_scaled(G, v, r, t, scales_at, 0, x, most);
        V_UNROLL
        for (int b = 0; b < G; b++) SAI_PREFETCH_FAR(at += line);
    }
    if (from < last) k_scaled(G, v, r, last, scales_at, 1, x, most);
    V_UNROLL
    for (int b = 0; b < G; b++) {
        int finite = v_sum(v_mul(most[b], v_set(0.0f))) == 0;
        float top = v_greatest(most[b]);
        top = top > K_LEAST ? top : K_LEAST;
        factor[b] = v_set((float)v->most_code / top);
        w.step[g + b] = finite ? top / (float)v->most_code : NAN;
    }
    for (int t = from; t <= last; t++, codes += SAI_PACK * groups) {
        V_UNROLL
        for (int b = 0; b < G; b++) {
            v16 y = v_fma(v_load(x + b * SAI_CHUNK + 16 * t), factor[b], magic);
            v_pack(y, codes + SAI_PACK * b);
            sum[b] = v_add(sum[b], v_sub(y, magic));
            SAI_PREFETCH_FAR(at += line);
        }
    }
    /* A step that is NaN stays so, whatever the sum is. */
    V_UNROLL
    for (int b = 0; b < G; b++) w.start[g + b] = w.step[g + b] == w.step[g + b] ? -offset * (int32_t)v_sum(sum[b]) : 0;
    return at;
}

/* All weights of row r; the codes are 0 in tiles that other rows see and this one does not. */
static void k_pack_weights(const sai_int_values *v, int r, int offset, size_t scales_at, const char *prefetch) {
    int groups = (v->n_blocks + 1) / 2, sees = v->lo[r] < v->hi[r];
    int from = sees ? v->lo[r] / 16 : v->end, end = sees ? (v->hi[r] + 15) / 16 : v->end;
    sai_weights w = sai_weights_at(v->scratch, r, groups);
    size_t tile = (size_t)groups * SAI_PACK * sizeof *w.codes;
    for (int t = v->first; t < v->end; t++)
        if (t < from || t >= end) memset(w.codes + SAI_PACK * (size_t)(t * groups), 0, tile);
    if (!sees) {
        memset(w.start, 0, (size_t)groups * sizeof *w.start);
        memset(w.step, 0, (size_t)groups * sizeof *w.step);
        return;
    }
    int g = 0;
    for (; g + K_SIDE <= groups; g += K_SIDE)
        prefetch = k_weigh_groups(K_SIDE, v, r, g, offset, scales_at + 32 * (size_t)g, w, prefetch);
    for (; g < groups; g++) prefetch = k_weigh_groups(1, v, r, g, offset, scales_at + 32 * (size_t)g, w, prefetch);
}

#undef K_SIDE
#undef K_MAGIC
#undef K_LEAST
