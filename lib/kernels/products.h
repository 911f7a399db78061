/* Scores and value sums for one stored dtype: the two loops where all the time goes.
 *
 * SPDX-License-Identifier: MIT
 *
 * Included by body.h once per dtype: K_T is the stored element, K_LOAD widens 16 of them,
 * K_DTYPE names them. R, T and B are constants wherever these are inlined, so that the
 * accumulators live in registers.
 */
#ifndef V_PREFETCH_KEYS
/* How many keys of V are read front to back before their next dims are, and how many keys before its use a line is
 * prefetched. 8, 24 and 32 were all slower, 32 by 13 % in decode with four rows on AVX2. */
#define V_PREFETCH_KEYS 16
#endif

/* Prefetches a line between the loads where it stands. GCC would move all prefetches of the loop together, and then
 * the loop takes 5 % longer. */
#define K_PREFETCH(p)                                                                                                  \
    do {                                                                                                               \
        SAI_KEEP_ORDER();                                                                                              \
        SAI_PREFETCH(p);                                                                                               \
        SAI_KEEP_ORDER();                                                                                              \
    } while (0)
#define K_BEGINS_LINE(i) ((i) * (int)sizeof(K_T) % 4 == 0)
#define K_ENDS_LINE(i) (((i) + 1) * (int)sizeof(K_T) % 4 == 0)
/* Dims of a step. For clang a line of keys: a loop in which every second dim prefetches makes it copy all accumulators.
 * gcc does not, and has too few registers for a step of two. */
#if defined(__clang__)
#define K_DIM_STEPS (4 / (int)sizeof(K_T))
#else
#define K_DIM_STEPS 1
#endif

/* Whether R rows take each vector as soon as it is loaded. Where all vectors of a step were loaded first, they would
 * leave too few registers, and accumulators would go through memory, which doubles the time. */
#ifndef V_AT_ONCE
#define V_AT_ONCE(R) 0
#endif

#define K_AT_ONCE K_NAME(at_once)
#define K_SCORE_STEP K_NAME(score_step)
#define K_SCORE_TILES K_NAME(score_tiles)
#define K_SCORE_DIMS K_NAME(score_dims)
#define K_SCORE_GROUPS K_NAME(score_groups)
#define K_SCORE_ROWS K_NAME(score_rows)
#define K_VALUE_BLOCKS K_NAME(value_blocks)
#define K_VALUE_ROWS K_NAME(value_rows)
#define K_SCORE K_NAME(score)
#define K_VALUE K_NAME(value)

/* Adds a number of each of R rows, `stride` apart at x and the first two held in registers, times the vector z to sums
 * that are T apart. Three rows leave no registers for their numbers: they read them again for each vector. */
V_INLINE void K_AT_ONCE(const int R, const int T, const float *x, size_t stride, const v16 *held, v16 z, v16 *sum) {
    if (R > 2) SAI_KEEP_ORDER();
    V_UNROLL
    for (int r = 0; r < R; r++) sum[r * T] = v_fma(R > 2 ? v_set(x[(size_t)r * stride]) : held[r % 2], z, sum[r * T]);
}

/* Few rows are memory-bound, so they prefetch. V_MANY rows are not: most of them find their keys in the cache.
 *
 * One dim of R rows times T tiles; `ends_line`: no other vector of its line comes after it. */
V_INLINE void K_SCORE_STEP(const int R, const int T, const float *q, size_t q_stride, const K_T *k, size_t k_tile,
                           const K_T *const *prefetch, size_t at, int ends_line, v16 *sum) {
    v16 key[V_MOST_TILES], held[2] = {v_set(q[0]), v_set(q[R > 1 ? q_stride : 0])};
    V_UNROLL
    for (int t = 0; t < T; t++) {
        key[t] = K_LOAD(k + (size_t)t * k_tile + at);
        if (R != V_MANY && ends_line) K_PREFETCH(prefetch[t] + at);
        if (V_AT_ONCE(R)) K_AT_ONCE(R, T, q, q_stride, held, key[t], sum + t);
    }
    V_UNROLL
    for (int r = 0; !V_AT_ONCE(R) && r < R; r++) {
        v16 x = v_set(q[(size_t)r * q_stride]);
        V_UNROLL
        for (int t = 0; t < T; t++) sum[r * T + t] = v_fma(x, key[t], sum[r * T + t]);
    }
}

/* R rows times T tiles over n dims: lanes are keys, one chain over the dims each. With `add` the
 * chains are added to what stands in s. */
V_INLINE void K_SCORE_TILES(const int R, const int T, const float *q, size_t q_stride, const K_T *k, size_t k_tile,
                            const K_T *const *prefetch, size_t at, int n, int add, float *s, size_t s_stride) {
    v16 sum[V_ROWS * V_MOST_TILES];
    V_UNROLL
    for (int i = 0; i < R * T; i++) sum[i] = v_set(0.0f);
    int d = 0;
    for (; d + K_DIM_STEPS <= n; d += K_DIM_STEPS) {
        V_UNROLL
        for (int i = 0; i < K_DIM_STEPS; i++)
            K_SCORE_STEP(R, T, q + d + i, q_stride, k, k_tile, prefetch, at + 16 * (size_t)(d + i), K_ENDS_LINE(d + i),
                         sum);
    }
    for (; K_DIM_STEPS > 1 && d < n; d++)
        K_SCORE_STEP(R, T, q + d, q_stride, k, k_tile, prefetch, at + 16 * (size_t)d, 0, sum);
    V_UNROLL
    for (int r = 0; r < R; r++) {
        V_UNROLL
        for (int t = 0; t < T; t++) {
            float *to = s + (size_t)r * s_stride + 16 * t;
            v_save(to, add ? v_add(v_load(to), sum[r * T + t]) : sum[r * T + t]);
        }
    }
}

/* All dims of T tiles, a chain per SAI_CHAIN dims: rounding errors grow with the length of a chain. */
V_INLINE void K_SCORE_DIMS(const int R, const int T, const float *q, size_t q_stride, const K_T *k,
                           const K_T *const *prefetch, int dk, float *s, size_t s_stride) {
    for (int d = 0; d < dk; d += SAI_CHAIN)
        K_SCORE_TILES(R, T, q + d, q_stride, k, 16 * (size_t)dk, prefetch, 16 * (size_t)d,
                      dk - d < SAI_CHAIN ? dk - d : SAI_CHAIN, d > 0, s, s_stride);
}

/* Groups of T tiles, as many as there are from tile t on, each prefetching the T tiles that follow it. */
V_INLINE int K_SCORE_GROUPS(const int R, const int T, const float *q, size_t q_stride, const K_T *k, int t, int n_tiles,
                            int dk, const sai_following *next, float *s, size_t s_stride) {
    size_t tile = (size_t)dk * 16;
    int64_t here = n_tiles + next->n;
    for (; t + T <= n_tiles; t += T) {
        const K_T *prefetch[V_MOST_TILES];
        V_UNROLL
        for (int i = 0; i < T; i++) {
            int64_t tiles = t + T + i;
            prefetch[i] =
                tiles < here ? k + (size_t)tiles * tile : (const K_T *)next->at + (size_t)(tiles - here) * tile;
        }
        K_SCORE_DIMS(R, T, q, q_stride, k + (size_t)t * tile, prefetch, dk, s + 16 * t, s_stride);
    }
    return t;
}

V_INLINE void K_SCORE_ROWS(const int R, const float *q, size_t q_stride, const K_T *k, int n_tiles, int dk,
                           const sai_following *next, float *s, size_t s_stride) {
    int t = K_SCORE_GROUPS(R, V_TILES(R), q, q_stride, k, 0, n_tiles, dk, next, s, s_stride);
    if (V_TILES(R) > 4) t = K_SCORE_GROUPS(R, 4, q, q_stride, k, t, n_tiles, dk, next, s, s_stride);
    if (V_TILES(R) > 2) t = K_SCORE_GROUPS(R, 2, q, q_stride, k, t, n_tiles, dk, next, s, s_stride);
    K_SCORE_GROUPS(R, 1, q, q_stride, k, t, n_tiles, dk, next, s, s_stride);
}

static void K_SCORE(int rows, const float *q, size_t q_stride, const void *k, int n_tiles, int dk,
                    const sai_following *next, float *s, size_t s_stride) {
#define K_CASE(R)                                                                                                      \
    case R:                                                                                                            \
        K_SCORE_ROWS(R, q, q_stride, (const K_T *)k, n_tiles, dk, next, s, s_stride);                                  \
        break;
    switch (rows) {
        V_CASES(K_CASE)
    default:
        break;
    }
#undef K_CASE
}

/* R rows times B blocks of 16 dims: lanes are dims, one chain over keys each. */
V_INLINE void K_VALUE_BLOCKS(const int R, const int B, const float *p, size_t p_stride, const K_T *v, size_t v_stride,
                             int n_keys, int here, const K_T *next, const float *keep, float *acc, size_t acc_stride) {
    v16 sum[V_ROWS * V_MOST_TILES];
    V_UNROLL
    for (int r = 0; r < R; r++) {
        V_UNROLL
        for (int b = 0; b < B; b++) sum[r * B + b] = keep ? v_set(0.0f) : v_load(acc + (size_t)r * acc_stride + 16 * b);
    }
    const K_T *prefetch =
        here > V_PREFETCH_KEYS ? v + V_PREFETCH_KEYS * v_stride : next + (size_t)(V_PREFETCH_KEYS - here) * v_stride;
    for (int u = 0; u < n_keys; u++) {
        v16 value[V_MOST_TILES], held[2] = {v_set(p[u]), v_set(p[(size_t)u + (R > 1 ? p_stride : 0)])};
        if (R != V_MANY && u + V_PREFETCH_KEYS == here) prefetch = next;
        V_UNROLL
        for (int b = 0; b < B; b++) {
            value[b] = K_LOAD(v + (size_t)u * v_stride + 16 * b);
            if (R != V_MANY && K_BEGINS_LINE(b)) K_PREFETCH(prefetch + 16 * b);
            if (V_AT_ONCE(R)) K_AT_ONCE(R, B, p + u, p_stride, held, value[b], sum + b);
        }
        prefetch += v_stride;
        V_UNROLL
        for (int r = 0; !V_AT_ONCE(R) && r < R; r++) {
            v16 x = v_set(p[(size_t)r * p_stride + (size_t)u]);
            V_UNROLL
            for (int b = 0; b < B; b++) sum[r * B + b] = v_fma(x, value[b], sum[r * B + b]);
        }
    }
    V_UNROLL
    for (int r = 0; r < R; r++) {
        V_UNROLL
        for (int b = 0; b < B; b++) {
            float *to = acc + (size_t)r * acc_stride + 16 * b;
            v_save(to, keep ? v_add(v_fma(v_load(to), v_set(keep[r]), sum[r * B + b]), v_set(0.0f)) : sum[r * B + b]);
        }
    }
}

/* All blocks of some keys. Where they do not fit the registers, a few keys at a time, so that V is
 * read front to back. */
V_INLINE void K_VALUE_ROWS(const int R, const float *p, size_t p_stride, const K_T *v, size_t v_stride, int n_keys,
                           int n_blocks, const sai_following *next, const float *keep, float *acc, size_t acc_stride) {
    int most = n_blocks > V_BLOCKS(R) ? V_PREFETCH_KEYS : n_keys,
        here = n_keys + (next->n < V_PREFETCH_KEYS ? (int)next->n : V_PREFETCH_KEYS);
    for (int u = 0, n; u < n_keys; u += n, v += (size_t)n * v_stride, p += n) {
        n = n_keys - u < most ? n_keys - u : most;
        int b = 0;
        for (; b + V_BLOCKS(R) <= n_blocks; b += V_BLOCKS(R))
            K_VALUE_BLOCKS(R, V_BLOCKS(R), p, p_stride, v + 16 * b, v_stride, n, here - u,
                           (const K_T *)next->at + 16 * b, keep, acc + 16 * b, acc_stride);
        for (; V_BLOCKS(R) > 4 && b + 4 <= n_blocks; b += 4)
            K_VALUE_BLOCKS(R, 4, p, p_stride, v + 16 * b, v_stride, n, here - u, (const K_T *)next->at + 16 * b, keep,
                           acc + 16 * b, acc_stride);
        for (; V_BLOCKS(R) > 2 && b + 2 <= n_blocks; b += 2)
            K_VALUE_BLOCKS(R, 2, p, p_stride, v + 16 * b, v_stride, n, here - u, (const K_T *)next->at + 16 * b, keep,
                           acc + 16 * b, acc_stride);
        for (; b < n_blocks; b++)
            K_VALUE_BLOCKS(R, 1, p, p_stride, v + 16 * b, v_stride, n, here - u, (const K_T *)next->at + 16 * b, keep,
                           acc + 16 * b, acc_stride);
    }
}

static void K_VALUE(int rows, const float *p, size_t p_stride, const void *v, size_t v_stride, int n_keys, int n_blocks,
                    const sai_following *next, const float *keep, float *acc, size_t acc_stride) {
#define K_CASE(R)                                                                                                      \
    case R:                                                                                                            \
        K_VALUE_ROWS(R, p, p_stride, (const K_T *)v, v_stride, n_keys, n_blocks, next, keep, acc, acc_stride);         \
        break;
    switch (rows) {
        V_CASES(K_CASE)
    default:
        break;
    }
#undef K_CASE
}

#include "many.h"

#undef K_PREFETCH
#undef K_BEGINS_LINE
#undef K_ENDS_LINE
#undef K_DIM_STEPS
#undef K_AT_ONCE
#undef K_SCORE_STEP
#undef K_SCORE_TILES
#undef K_SCORE_DIMS
#undef K_SCORE_GROUPS
#undef K_SCORE_ROWS
#undef K_VALUE_BLOCKS
#undef K_VALUE_ROWS
#undef K_SCORE
#undef K_VALUE

#undef K_T
#undef K_LOAD
#undef K_DTYPE
