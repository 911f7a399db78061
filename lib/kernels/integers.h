/* Scores and values of keys stored as integers: sums of products that are exact, then one scale per group.
 *
 * SPDX-License-Identifier: MIT
 *
 * Included by body.h once per stored integer dtype. K_DTYPE names it, K_UNIT is how many dims
 * 64 bytes of a K tile hold (4, or 8 as nibbles), K_ROW how many bytes 32 dims of V take. See
 * kernel.h for how tiles and packed queries lie. Integers have no rounding, so any instruction set
 * may add them as it likes; what follows them is one chain over the groups.
 */
/* Bytes of V that are asked for ahead. */
#define K_AHEAD 4096

/* Tiles of keys, or blocks of values, in flight at most. */
#define K_MOST 8

#define K_PASTE2(name, dtype) name##_##dtype
#define K_PASTE(name, dtype) K_PASTE2(name, dtype)
#define K_INT_GROUP K_PASTE(SAI_NAME(k_int_group), K_DTYPE)
#define K_INT_TILES K_PASTE(SAI_NAME(k_int_tiles), K_DTYPE)
#define K_INT_ROWS K_PASTE(SAI_NAME(k_int_rows), K_DTYPE)
#define K_SCORE K_PASTE(k_score, K_DTYPE)
#define K_UNPACK_GROUP K_PASTE(SAI_NAME(k_unpack_group), K_DTYPE)
#define K_UNPACK K_PASTE(k_unpack, K_DTYPE)
#define K_INT_VALUES K_PASTE(SAI_NAME(k_int_values), K_DTYPE)
#define K_INT_VALUE_ROWS K_PASTE(SAI_NAME(k_int_value_rows), K_DTYPE)
#define K_INT_SCALES K_PASTE(SAI_NAME(k_int_scales), K_DTYPE)
#define K_VALUE K_PASTE(k_value, K_DTYPE)

/* Products of dims [32 g, 32 g + 4 quads) of R queries and T tiles, added to sum. */
V_INLINE void K_INT_GROUP(const int R, const int T, const int32_t *q, size_t q_stride, const uint8_t *k, size_t k_tile,
                          int quads, v16i *sum) {
    for (int i = 0; i < quads; i += K_UNIT / 4) {
        const uint8_t *at = k + (size_t)i / (K_UNIT / 4) * 64;
        V_UNROLL
        for (int part = 0; part < K_UNIT / 4; part++) {
            v64b key[K_MOST];
            V_UNROLL
            for (int t = 0; t < T; t++) key[t] = K_BYTES(at + (size_t)t * k_tile, part);
            if (part == 0) {
                V_UNROLL
                for (int t = 0; t < T; t++) SAI_PREFETCH(at + (size_t)(t + (T > 4 ? T : 4)) * k_tile);
            }
            V_UNROLL
            for (int r = 0; r < R; r++) {
                V_UNROLL
                for (int t = 0; t < T; t++)
                    sum[r * T + t] = v_dot(sum[r * T + t], key[t], q + (size_t)r * q_stride + 2 * (size_t)(i + part));
            }
        }
    }
}

V_INLINE void K_INT_TILES(const int R, const int T, const int32_t *q, size_t q_stride, const uint8_t *k, size_t k_tile,
                          int dk, float *s, size_t s_stride) {
    int groups = sai_groups(dk), quads = sai_query_quads(dk);
    const uint8_t *scales = k + sai_int_key_codes(dk, K_UNIT);
    v16 score[V_ROWS * K_MOST];
    V_UNROLL
    for (int i = 0; i < R * T; i++) score[i] = v_set(0.0f);
    for (int g = 0; g < groups; g++) {
        v16i sum[V_ROWS * K_MOST];
        int left = quads - 8 * g;
        V_UNROLL
        for (int r = 0; r < R; r++) {
            V_UNROLL
            for (int t = 0; t < T; t++) sum[r * T + t] = v_int(q[(size_t)r * q_stride + 2 * (size_t)quads + (size_t)g]);
        }
        K_INT_GROUP(R, T, q + 16 * g, q_stride, k + (size_t)(32 / K_UNIT) * 64 * (size_t)g, k_tile, left < 8 ? left : 8,
                    sum);
        V_UNROLL
        for (int t = 0; t < T; t++) {
            v16 scale = v_load_bf16((const uint16_t *)(scales + (size_t)t * k_tile) + 16 * g);
            V_UNROLL
            for (int r = 0; r < R; r++) score[r * T + t] = v_fma(v_from_int(sum[r * T + t]), scale, score[r * T + t]);
        }
    }
    V_UNROLL
    for (int r = 0; r < R; r++) {
        float step;
        memcpy(&step, q + (size_t)r * q_stride + 2 * (size_t)quads + (size_t)groups, sizeof step);
        V_UNROLL
        for (int t = 0; t < T; t++) v_save(s + (size_t)r * s_stride + 16 * t, v_mul(score[r * T + t], v_set(step)));
    }
}

V_INLINE void K_INT_ROWS(const int R, const int32_t *q, size_t q_stride, const uint8_t *k, int n_tiles, int dk,
                         float *s, size_t s_stride) {
    size_t k_tile = sai_int_key_tile(dk, K_UNIT);
    int t = 0;
    for (; t + V_INT_TILES(R) <= n_tiles; t += V_INT_TILES(R))
        K_INT_TILES(R, V_INT_TILES(R), q, q_stride, k + (size_t)t * k_tile, k_tile, dk, s + 16 * t, s_stride);
    for (; t < n_tiles; t++) K_INT_TILES(R, 1, q, q_stride, k + (size_t)t * k_tile, k_tile, dk, s + 16 * t, s_stride);
}

static void K_SCORE(int rows, const float *q, size_t q_stride, const void *k, int n_tiles, int dk, float *s,
                    size_t s_stride) {
#define K_CASE(R)                                                                                                      \
    case R:                                                                                                            \
        K_INT_ROWS(R, (const int32_t *)(const void *)q, q_stride, (const uint8_t *)k, n_tiles, dk, s, s_stride);       \
        break;
    switch (rows) {
        V_CASES(K_CASE)
    default:
        break;
    }
#undef K_CASE
}

/* One group of a key's values, or its first half. */
V_INLINE void K_UNPACK_GROUP(const uint8_t *codes, uint16_t scale, int halves, float *to) {
    v16 by = v_set(sai_bf16_to_f32(scale));
    v_save(to, K_VALUES(codes, 0, by));
    if (halves == 2) v_save(to + 16, K_VALUES(codes, 1, by));
}

/* Code times scale is exact in f32: 8 bits times 8. */
static void K_UNPACK(const void *tile, int first, int n_keys, int n_blocks, float *to) {
    int groups = (n_blocks + 1) / 2, whole = n_blocks / 2;
    size_t row = (size_t)groups * K_ROW;
    const uint8_t *codes = (const uint8_t *)tile + (size_t)first * row;
    const uint16_t *scales = (const uint16_t *)(const void *)((const uint8_t *)tile + 16 * row) + first * groups;
    for (int u = 0; u < n_keys; u++, scales += groups, codes += row, to += 16 * n_blocks) {
        for (int g = 0; g < whole; g++) K_UNPACK_GROUP(codes + (size_t)g * K_ROW, scales[g], 2, to + 32 * g);
        if (whole < groups) K_UNPACK_GROUP(codes + (size_t)whole * K_ROW, scales[whole], 1, to + 32 * whole);
        for (size_t i = 0; i < row; i += 64) SAI_PREFETCH(codes + K_AHEAD + i);
    }
}

/* R rows times B blocks over keys of one tile: what unpacking and then value sums of floats would give, without
 * the way through memory, which costs more than it saves until several groups of rows share it. */
V_INLINE void K_INT_VALUES(const int R, const int B, const float *p, size_t p_stride, const uint8_t *codes, size_t row,
                           const float *scales, int groups, int n_keys, float *acc, size_t acc_stride) {
    v16 sum[V_ROWS * K_MOST];
    V_UNROLL
    for (int r = 0; r < R; r++) {
        V_UNROLL
        for (int b = 0; b < B; b++) sum[r * B + b] = v_load(acc + (size_t)r * acc_stride + 16 * b);
    }
    for (int u = 0; u < n_keys; u++, codes += row, scales += groups) {
        v16 value[K_MOST];
        V_UNROLL
        for (int b = 0; b < B; b++) {
            if (b * K_ROW % 128 == 0) SAI_PREFETCH(codes + K_AHEAD + b * K_ROW / 2);
            value[b] = K_VALUES(codes + b / 2 * K_ROW, b % 2, v_set(scales[b / 2]));
        }
        V_UNROLL
        for (int r = 0; r < R; r++) {
            v16 x = v_set(p[(size_t)r * p_stride + (size_t)u]);
            V_UNROLL
            for (int b = 0; b < B; b++) sum[r * B + b] = v_fma(x, value[b], sum[r * B + b]);
        }
    }
    V_UNROLL
    for (int r = 0; r < R; r++) {
        V_UNROLL
        for (int b = 0; b < B; b++) v_save(acc + (size_t)r * acc_stride + 16 * b, sum[r * B + b]);
    }
}

/* Scales [from, end) of a tile as floats, since a broadcast from memory is free. */
V_INLINE void K_INT_SCALES(const uint16_t *scales, int from, int end, float *to) {
    for (int i = from & ~15; i < end; i += 16) v_save(to + i, v_load_bf16(scales + i));
}

V_INLINE void K_INT_VALUE_ROWS(const int R, const int B, const float *p, size_t p_stride, const uint8_t *tile,
                               int first, int n_keys, int n_blocks, float *acc, size_t acc_stride) {
    int groups = (n_blocks + 1) / 2, b = 0;
    size_t row = (size_t)groups * K_ROW;
    const uint8_t *codes = tile + (size_t)first * row;
    float table[16 * SAI_MOST_GROUPS], *scales = table + first * groups;
    K_INT_SCALES((const uint16_t *)(const void *)(tile + 16 * row), first * groups, (first + n_keys) * groups, table);
    for (; b + B <= n_blocks; b += B)
        K_INT_VALUES(R, B, p, p_stride, codes + b / 2 * K_ROW, row, scales + b / 2, groups, n_keys, acc + 16 * b,
                     acc_stride);
    for (; b + 2 <= n_blocks; b += 2)
        K_INT_VALUES(R, 2, p, p_stride, codes + b / 2 * K_ROW, row, scales + b / 2, groups, n_keys, acc + 16 * b,
                     acc_stride);
    if (b < n_blocks)
        K_INT_VALUES(R, 1, p, p_stride, codes + b / 2 * K_ROW, row, scales + b / 2, groups, n_keys, acc + 16 * b,
                     acc_stride);
}

static void K_VALUE(int rows, const float *p, size_t p_stride, const void *tiles, size_t tile, int first, int n_keys,
                    int n_blocks, float *acc, size_t acc_stride) {
    const uint8_t *at = (const uint8_t *)tiles + (size_t)(first / 16) * tile;
    for (int n; n_keys > 0; n_keys -= n, p += n, first += n, at += tile) {
        n = 16 - first % 16 < n_keys ? 16 - first % 16 : n_keys;
#define K_CASE(R)                                                                                                      \
    case R:                                                                                                            \
        K_INT_VALUE_ROWS(R, V_INT_BLOCKS(R), p, p_stride, at, first % 16, n, n_blocks, acc, acc_stride);               \
        break;
        switch (rows) {
            V_INT_CASES(K_CASE)
        default:
            break;
        }
#undef K_CASE
    }
}

#undef K_AHEAD
#undef K_MOST
#undef K_PASTE2
#undef K_PASTE
#undef K_INT_GROUP
#undef K_INT_TILES
#undef K_INT_ROWS
#undef K_SCORE
#undef K_UNPACK_GROUP
#undef K_UNPACK
#undef K_INT_VALUES
#undef K_INT_VALUE_ROWS
#undef K_INT_SCALES
#undef K_VALUE
