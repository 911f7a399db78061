/* Scores and value sums where rows are many: V_MANY of them.
 *
 * SPDX-License-Identifier: MIT
 *
 * Included by products.h, with its parameters. Such rows are compute-bound: the chunk they process lies in
 * the cache already. So they prefetch the next chunk, one line per K_STEPS steps of a loop. With V_WIDENS, what is
 * stored in another dtype than f32 is also written to `wide` as f32, for the rows that come after: that is more than
 * the first-level cache holds, but the writes take little time while these rows multiply.
 */
#define K_STEPS 4

/* A vector layer with few registers says SAI_ROLLED: the operands of several steps would not fit. */
#ifndef V_UNROLL_STEPS
#define V_UNROLL_STEPS SAI_UNROLL_STEPS
#endif

#if V_TILES(V_MANY) > 4 || V_BLOCKS(V_MANY) > 4
#error "the remainders of more than 4 tiles or blocks are not covered"
#endif
#define K_MANY_LOAD K_NAME(many_load)
#define K_MANY_DIM K_NAME(many_dim)
#define K_MANY_TILES K_NAME(many_tiles)
#define K_MANY_DIMS K_NAME(many_dims)
#define K_MANY_KEY K_NAME(many_key)
#define K_MANY_BLOCKS K_NAME(many_blocks)
#define K_SCORE_MANY K_NAME(score_many)
#define K_VALUE_MANY K_NAME(value_many)

V_INLINE v16 K_MANY_LOAD(const K_T *from, float *wide) {
    v16 x = K_LOAD(from);
    if (V_WIDENS && sizeof(K_T) < sizeof(float)) v_save(wide, x);
    return x;
}

/* One dim of T tiles, for V_MANY rows. */
V_INLINE void K_MANY_DIM(const int T, const float *q, size_t q_stride, const K_T *k, float *wide, size_t k_tile,
                         v16 *sum) {
    v16 key[V_MOST_TILES];
    V_UNROLL
    for (int t = 0; t < T; t++) key[t] = K_MANY_LOAD(k + (size_t)t * k_tile, wide + (size_t)t * k_tile);
    V_UNROLL
    for (int r = 0; r < V_MANY; r++) {
        v16 x = v_set(q[(size_t)r * q_stride]);
        V_UNROLL
        for (int t = 0; t < T; t++) sum[r * T + t] = v_fma(x, key[t], sum[r * T + t]);
    }
}

V_INLINE void K_MANY_TILES(const int T, const float *q, size_t q_stride, const K_T *k, float *wide, size_t k_tile,
                           int n, int add, float *s, size_t s_stride, sai_prefetch *prefetch) {
    v16 sum[V_MANY * V_MOST_TILES];
    const char *at = prefetch->at, *end = prefetch->end;
    int d = 0;
    V_UNROLL
    for (int i = 0; i < V_MANY * T; i++) sum[i] = v_set(0.0f);
    for (; d + K_STEPS <= n; d += K_STEPS) {
        at = k_prefetch(at, end);
        V_UNROLL_STEPS
        for (int i = 0; i < K_STEPS; i++)
            K_MANY_DIM(T, q + d + i, q_stride, k + 16 * (d + i), wide + 16 * (d + i), k_tile, sum);
    }
    for (; d < n; d++) K_MANY_DIM(T, q + d, q_stride, k + 16 * d, wide + 16 * d, k_tile, sum);
    prefetch->at = at;
    V_UNROLL
    for (int r = 0; r < V_MANY; r++) {
        V_UNROLL
        for (int t = 0; t < T; t++) {
            float *to = s + (size_t)r * s_stride + 16 * t;
            v_save(to, add ? v_add(v_load(to), sum[r * T + t]) : sum[r * T + t]);
        }
    }
}

V_INLINE void K_MANY_DIMS(const int T, const float *q, size_t q_stride, const K_T *k, float *wide, int dk, float *s,
                          size_t s_stride, sai_prefetch *prefetch) {
    for (int d = 0; d < dk; d += SAI_CHAIN)
        K_MANY_TILES(T, q + d, q_stride, k + 16 * d, wide + 16 * d, 16 * (size_t)dk,
                     dk - d < SAI_CHAIN ? dk - d : SAI_CHAIN, d > 0, s, s_stride, prefetch);
}

static void K_SCORE_MANY(const float *q, size_t q_stride, const void *from, float *wide, int n_tiles, int dk, float *s,
                         size_t s_stride, sai_prefetch *prefetch) {
    const K_T *k = (const K_T *)from;
    for (int t = 0, n; t < n_tiles;
         t += n, k += 16 * (size_t)n * (size_t)dk, wide += 16 * (size_t)n * (size_t)dk, s += 16 * n) {
        n = k_many_width(n_tiles - t);
        if (n == V_TILES(V_MANY))
            K_MANY_DIMS(V_TILES(V_MANY), q, q_stride, k, wide, dk, s, s_stride, prefetch);
        else if (n == 3)
            K_MANY_DIMS(3 < V_TILES(V_MANY) ? 3 : 1, q, q_stride, k, wide, dk, s, s_stride, prefetch);
        else if (n == 2)
            K_MANY_DIMS(2 < V_TILES(V_MANY) ? 2 : 1, q, q_stride, k, wide, dk, s, s_stride, prefetch);
        else
            K_MANY_DIMS(1, q, q_stride, k, wide, dk, s, s_stride, prefetch);
    }
}

/* One key's values in B blocks, for V_MANY rows. */
V_INLINE void K_MANY_KEY(const int B, const float *p, size_t p_stride, const K_T *v, float *wide, v16 *sum) {
    v16 value[V_MOST_TILES];
    V_UNROLL
    for (int b = 0; b < B; b++) value[b] = K_MANY_LOAD(v + 16 * b, wide + 16 * b);
    V_UNROLL
    for (int r = 0; r < V_MANY; r++) {
        v16 x = v_set(p[(size_t)r * p_stride]);
        V_UNROLL
        for (int b = 0; b < B; b++) sum[r * B + b] = v_fma(x, value[b], sum[r * B + b]);
    }
}

V_INLINE void K_MANY_BLOCKS(const int B, const float *p, size_t p_stride, const K_T *v, float *wide, size_t v_stride,
                            int n_keys, const float *keep, float *acc, size_t acc_stride, sai_prefetch *prefetch) {
    v16 sum[V_MANY * V_MOST_TILES];
    const char *at = prefetch->at, *end = prefetch->end;
    int u = 0;
    V_UNROLL
    for (int i = 0; i < V_MANY * B; i++) sum[i] = v_set(0.0f);
    for (; u + K_STEPS <= n_keys; u += K_STEPS) {
        at = k_prefetch(at, end);
        V_UNROLL_STEPS
        for (int i = 0; i < K_STEPS; i++)
            K_MANY_KEY(B, p + u + i, p_stride, v + (size_t)(u + i) * v_stride, wide + (size_t)(u + i) * v_stride, sum);
    }
    for (; u < n_keys; u++) K_MANY_KEY(B, p + u, p_stride, v + (size_t)u * v_stride, wide + (size_t)u * v_stride, sum);
    prefetch->at = at;
    V_UNROLL
    for (int r = 0; r < V_MANY; r++) {
        v16 weight = v_set(keep[r]);
        V_UNROLL
        for (int b = 0; b < B; b++) {
            float *to = acc + (size_t)r * acc_stride + 16 * b;
            v_save(to, v_add(v_fma(v_load(to), weight, sum[r * B + b]), v_set(0.0f)));
        }
    }
}

static void K_VALUE_MANY(const float *p, size_t p_stride, const void *from, float *wide, size_t v_stride, int n_keys,
                         int n_blocks, const float *keep, float *acc, size_t acc_stride, sai_prefetch *prefetch) {
    const K_T *v = (const K_T *)from;
    for (int b = 0, n; b < n_blocks; b += n, v += 16 * n, wide += 16 * n, acc += 16 * n) {
        n = k_many_width(n_blocks - b);
        if (n == V_BLOCKS(V_MANY))
            K_MANY_BLOCKS(V_BLOCKS(V_MANY), p, p_stride, v, wide, v_stride, n_keys, keep, acc, acc_stride, prefetch);
        else if (n == 3)
            K_MANY_BLOCKS(3 < V_BLOCKS(V_MANY) ? 3 : 1, p, p_stride, v, wide, v_stride, n_keys, keep, acc, acc_stride,
                          prefetch);
        else if (n == 2)
            K_MANY_BLOCKS(2 < V_BLOCKS(V_MANY) ? 2 : 1, p, p_stride, v, wide, v_stride, n_keys, keep, acc, acc_stride,
                          prefetch);
        else
            K_MANY_BLOCKS(1, p, p_stride, v, wide, v_stride, n_keys, keep, acc, acc_stride, prefetch);
    }
}
#undef K_STEPS
#undef K_MANY_LOAD
#undef K_MANY_DIM
#undef K_MANY_TILES
#undef K_MANY_DIMS
#undef K_MANY_KEY
#undef K_MANY_BLOCKS
#undef K_SCORE_MANY
#undef K_VALUE_MANY
