/* Scores and value sums where rows are many: V_MANY of them, over keys and values made f32.
 *
 * SPDX-License-Identifier: MIT
 *
 * Included by body.h. Such rows never wait for the chunk they work on, which lies in the cache: so they do not ask for
 * it, but for lines of the next one, a line per K_STEPS steps of a loop.
 */
#define K_STEPS 4

V_INLINE const char *k_foresee(const char *ahead, const char *end) {
    SAI_PREFETCH_FAR(ahead);
    return ahead < end ? ahead + 64 : ahead;
}

/* One dim of T tiles, for V_MANY rows. */
V_INLINE void k_many_dim(const int T, const float *q, size_t q_stride, const float *k, size_t k_tile, v16 *sum) {
    v16 key[V_MOST_TILES];
    V_UNROLL
    for (int t = 0; t < T; t++) key[t] = v_load(k + (size_t)t * k_tile);
    V_UNROLL
    for (int r = 0; r < V_MANY; r++) {
        v16 x = v_set(q[(size_t)r * q_stride]);
        V_UNROLL
        for (int t = 0; t < T; t++) sum[r * T + t] = v_fma(x, key[t], sum[r * T + t]);
    }
}

V_INLINE void k_many_tiles(const int T, const float *q, size_t q_stride, const float *k, size_t k_tile, int n, int add,
                           float *s, size_t s_stride, sai_ahead *ahead) {
    v16 sum[V_MANY * V_MOST_TILES];
    const char *at = ahead->at, *end = ahead->end;
    int d = 0;
    V_UNROLL
    for (int i = 0; i < V_MANY * T; i++) sum[i] = v_set(0.0f);
    for (; d + K_STEPS <= n; d += K_STEPS) {
        at = k_foresee(at, end);
        V_UNROLL
        for (int i = 0; i < K_STEPS; i++) k_many_dim(T, q + d + i, q_stride, k + 16 * (d + i), k_tile, sum);
    }
    for (; d < n; d++) k_many_dim(T, q + d, q_stride, k + 16 * d, k_tile, sum);
    ahead->at = at;
    V_UNROLL
    for (int r = 0; r < V_MANY; r++) {
        V_UNROLL
        for (int t = 0; t < T; t++) {
            float *to = s + (size_t)r * s_stride + 16 * t;
            v_save(to, add ? v_add(v_load(to), sum[r * T + t]) : sum[r * T + t]);
        }
    }
}

V_INLINE void k_many_dims(const int T, const float *q, size_t q_stride, const float *k, int dk, float *s,
                          size_t s_stride, sai_ahead *ahead) {
    for (int d = 0; d < dk; d += SAI_CHAIN)
        k_many_tiles(T, q + d, q_stride, k + 16 * d, 16 * (size_t)dk, dk - d < SAI_CHAIN ? dk - d : SAI_CHAIN, d > 0, s,
                     s_stride, ahead);
}

/* A single tile has too few chains to keep the multipliers busy: where one would be left, two are. */
V_INLINE int k_many_width(int left) {
    const int most = V_TILES(V_MANY);
    return left < most ? left : left == most + 1 && most > 2 ? most - 1 : most;
}

static void k_score_many(const float *q, size_t q_stride, const float *k, int n_tiles, int dk, float *s,
                         size_t s_stride, sai_ahead *ahead) {
    for (int t = 0, n; t < n_tiles; t += n, k += 16 * (size_t)n * (size_t)dk, s += 16 * n) {
        n = k_many_width(n_tiles - t);
        if (n == V_TILES(V_MANY))
            k_many_dims(V_TILES(V_MANY), q, q_stride, k, dk, s, s_stride, ahead);
        else if (n == 3)
            k_many_dims(3 < V_TILES(V_MANY) ? 3 : 1, q, q_stride, k, dk, s, s_stride, ahead);
        else if (n == 2)
            k_many_dims(2 < V_TILES(V_MANY) ? 2 : 1, q, q_stride, k, dk, s, s_stride, ahead);
        else
            k_many_dims(1, q, q_stride, k, dk, s, s_stride, ahead);
    }
}

/* One key's values in B blocks, for V_MANY rows. */
V_INLINE void k_many_key(const int B, const float *p, size_t p_stride, const float *v, v16 *sum) {
    v16 value[V_MOST_TILES];
    V_UNROLL
    for (int b = 0; b < B; b++) value[b] = v_load(v + 16 * b);
    V_UNROLL
    for (int r = 0; r < V_MANY; r++) {
        v16 x = v_set(p[(size_t)r * p_stride]);
        V_UNROLL
        for (int b = 0; b < B; b++) sum[r * B + b] = v_fma(x, value[b], sum[r * B + b]);
    }
}

V_INLINE void k_many_blocks(const int B, const float *p, size_t p_stride, const float *v, size_t v_stride, int n_keys,
                            const float *keep, float *acc, size_t acc_stride, sai_ahead *ahead) {
    v16 sum[V_MANY * V_MOST_TILES];
    const char *at = ahead->at, *end = ahead->end;
    int u = 0;
    V_UNROLL
    for (int i = 0; i < V_MANY * B; i++) sum[i] = v_set(0.0f);
    for (; u + K_STEPS <= n_keys; u += K_STEPS) {
        at = k_foresee(at, end);
        V_UNROLL
        for (int i = 0; i < K_STEPS; i++) k_many_key(B, p + u + i, p_stride, v + (size_t)(u + i) * v_stride, sum);
    }
    for (; u < n_keys; u++) k_many_key(B, p + u, p_stride, v + (size_t)u * v_stride, sum);
    ahead->at = at;
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

static void k_value_many(const float *p, size_t p_stride, const float *v, size_t v_stride, int n_keys, int n_blocks,
                         const float *keep, float *acc, size_t acc_stride, sai_ahead *ahead) {
    int b = 0;
    for (; b + V_BLOCKS(V_MANY) <= n_blocks; b += V_BLOCKS(V_MANY))
        k_many_blocks(V_BLOCKS(V_MANY), p, p_stride, v + 16 * b, v_stride, n_keys, keep, acc + 16 * b, acc_stride,
                      ahead);
    for (; V_BLOCKS(V_MANY) > 2 && b + 2 <= n_blocks; b += 2)
        k_many_blocks(2, p, p_stride, v + 16 * b, v_stride, n_keys, keep, acc + 16 * b, acc_stride, ahead);
    for (; b < n_blocks; b++)
        k_many_blocks(1, p, p_stride, v + 16 * b, v_stride, n_keys, keep, acc + 16 * b, acc_stride, ahead);
}
#undef K_STEPS
