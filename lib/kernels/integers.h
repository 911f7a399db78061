/* Scores and value sums of keys stored as integers: sums of products that are exact, then one scale per group.
 *
 * SPDX-License-Identifier: MIT
 *
 * Included by integer_dtypes.h once per stored integer dtype. K_DTYPE names it, K_UNIT is how many dims 64 bytes of a
 * K tile hold (4, or 8 as nibbles), K_ROW how many bytes 32 dims of V take, K_OFFSET what codes are stored with, K_DOT
 * how they meet four codes of a query or of weights. See integer_tiles.h for how tiles, queries and weights lie.
 * Integers have no rounding, so any instruction set may add them as it likes; what follows them is one chain over the
 * groups, or over the chunks.
 */
/* How many bytes before its use a line is prefetched. A single row reads keys front to back, tile by tile, as it does
 * values: in decode beyond the cache four tiles side by side took 2 % longer with int8 and 4 % with int4. */
#define K_PREFETCH_BYTES 4096

/* Tiles of keys, or groups of values, in flight at most. */
#define K_MOST 8

/* Tiles that all rows and groups pass over before the next, where they do not fit the registers: few stay in L1, many
 * seldom put sums into memory and take them back. */
#ifndef V_INT_STRIP
#define V_INT_STRIP 4
#endif

#define K_INT_GROUP K_NAME(int_group)
#define K_INT_TILES K_NAME(int_tiles)
#define K_INT_KEY_ROWS K_NAME(int_key_rows)
#define K_INT_KEYS K_NAME(int_keys)
#define K_SCORE K_NAME(score)
#define K_INT_SUMS K_NAME(int_sums)
#define K_INT_FOLD K_NAME(int_fold)
#define K_INT_VALUES K_NAME(int_values)
#define K_INT_VALUE_ROWS K_NAME(int_value_rows)
#define K_INT_STRIP K_NAME(int_strip)
#define K_VALUE K_NAME(value)

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
                for (int t = 0; t < T; t++) SAI_PREFETCH(at + (T == 1 ? K_PREFETCH_BYTES : (size_t)(t + 4) * k_tile));
            }
            V_UNROLL
            for (int r = 0; r < R; r++) {
                V_UNROLL
                for (int t = 0; t < T; t++)
                    sum[r * T + t] = K_DOT(sum[r * T + t], key[t], q + (size_t)r * q_stride + 2 * (size_t)(i + part));
            }
        }
    }
}

V_INLINE void K_INT_TILES(const int R, const int T, const int32_t *q, size_t q_stride, const uint8_t *k, size_t k_tile,
                          int dk, float *s, size_t s_stride) {
    int groups = sai_groups(dk), quads = sai_query_quads(dk);
    const int32_t *starts = q + SAI_PACK * sai_packs(dk);
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
            for (int t = 0; t < T; t++) sum[r * T + t] = v_int(starts[(size_t)r * q_stride + (size_t)g]);
        }
        K_INT_GROUP(R, T, q + 2 * SAI_PACK * g, q_stride, k + (size_t)(32 / K_UNIT) * 64 * (size_t)g, k_tile,
                    left < 8 ? left : 8, sum);
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
        memcpy(&step, starts + (size_t)r * q_stride + (size_t)groups, sizeof step);
        V_UNROLL
        for (int t = 0; t < T; t++) v_save(s + (size_t)r * s_stride + 16 * t, v_mul(score[r * T + t], v_set(step)));
    }
}

V_INLINE void K_INT_KEY_ROWS(const int R, const int32_t *q, size_t q_stride, const uint8_t *k, int n_tiles, int dk,
                             float *s, size_t s_stride) {
    size_t k_tile = sai_int_key_tile(dk, K_UNIT);
    int t = 0;
    for (; t + V_INT_TILES(R) <= n_tiles; t += V_INT_TILES(R))
        K_INT_TILES(R, V_INT_TILES(R), q, q_stride, k + (size_t)t * k_tile, k_tile, dk, s + 16 * t, s_stride);
    for (; t < n_tiles; t++) K_INT_TILES(R, 1, q, q_stride, k + (size_t)t * k_tile, k_tile, dk, s + 16 * t, s_stride);
}

static void K_INT_KEYS(int rows, const int32_t *q, size_t q_stride, const uint8_t *k, int n_tiles, int dk, float *s,
                       size_t s_stride) {
#define K_CASE(R)                                                                                                      \
    case R:                                                                                                            \
        K_INT_KEY_ROWS(R, q, q_stride, k, n_tiles, dk, s, s_stride);                                                   \
        break;
    switch (rows) {
        V_INT_CASES(K_CASE)
    default:
        break;
    }
#undef K_CASE
}

/* More rows than the registers hold are split into parts, and each part processes a few tiles before the next. */
static void K_SCORE(int rows, const float *q, size_t q_stride, const void *k, int n_tiles, int dk,
                    const sai_following *next, float *s, size_t s_stride) {
    (void)next;
    int parts = (rows + V_INT_ROWS - 1) / V_INT_ROWS, part = (rows + parts - 1) / parts;
    int strip = parts == 1 ? n_tiles : V_INT_STRIP;
    for (int t = 0; t < n_tiles; t += strip)
        for (int r = 0; r < rows; r += part)
            K_INT_KEYS(rows - r < part ? rows - r : part, (const int32_t *)(const void *)q + (size_t)r * q_stride,
                       q_stride, (const uint8_t *)k + (size_t)t * sai_int_key_tile(dk, K_UNIT),
                       n_tiles - t < strip ? n_tiles - t : strip, dk, s + (size_t)r * s_stride + 16 * t, s_stride);
}

/* Products of the keys of tiles [t, end) with the values of G groups from g on, for R rows from r on. */
V_INLINE void K_INT_SUMS(const int R, const int G, const sai_int_values *v, int r, int t, int end, int g, v16i *sum) {
    int groups = (v->n_blocks + 1) / 2;
    size_t quad = 4 * K_ROW * (size_t)groups, row = sai_weight_words(SAI_GROUP * groups);
    size_t codes = sai_int_value_codes(16 * v->n_blocks, K_ROW), tile = sai_int_value_tile(16 * v->n_blocks, K_ROW);
    /* Where several parts process a strip one after the other, the next strip is prefetched. */
    size_t prefetch = R > 1 || G < groups ? V_INT_STRIP * tile : K_PREFETCH_BYTES;
    const int32_t *packs = sai_weights_at(v->scratch, r, groups).codes + SAI_PACK * (size_t)(t * groups + g);
    for (; t < end; t++, packs += SAI_PACK * groups) {
        const uint8_t *at = (const uint8_t *)v->tiles[t] + 4 * K_ROW * g;
        for (size_t i = codes; i < tile && r + g == 0; i += 64) SAI_PREFETCH(at + SAI_CHUNK_TILES * tile + i);
        SAI_ROLLED
        for (int i = 0; i < 8; i += 2, at += quad) {
            V_UNROLL
            for (int b = 0; b < G; b++) {
                const uint8_t *unit = at + b * 4 * K_ROW;
                v64b first = K_VALUES(unit, 0), rest = K_VALUES(unit, 1);
                SAI_PREFETCH(unit + prefetch);
                if (K_ROW == 32) SAI_PREFETCH(unit + 64 + prefetch);
                V_UNROLL
                for (int n = 0; n < R; n++) {
                    const int32_t *pack = packs + (size_t)n * row + SAI_PACK * b + i;
                    v16i *to = sum + 2 * (G * n + b);
                    to[0] = K_DOT(to[0], first, pack);
                    to[1] = K_DOT(to[1], rest, pack);
                }
            }
        }
    }
}

/* A row's sums of G groups from g on into acc: dims beyond the last block are left out. */
V_INLINE void K_INT_FOLD(const int G, const sai_int_values *v, int r, int g, const v16i *sum) {
    sai_weights w = sai_weights_at(v->scratch, r, (v->n_blocks + 1) / 2);
    float *acc = v->acc + (size_t)r * v->acc_stride + SAI_GROUP * g;
    v16 keep = v_set(v->keep[r]);
    V_UNROLL
    for (int b = 0; b < 2 * G; b++) {
        if (2 * g + b == v->n_blocks) break;
        v16 chain = v_mul(v_from_int(sum[b]), v_set(w.step[g + b / 2]));
        v_save(acc + 16 * b, v_add(v_fma(v_load(acc + 16 * b), keep, chain), v_set(0.0f)));
    }
}

/* The same, begun with the first tile of the chunk and folded into acc with the last; in memory between. */
V_INLINE void K_INT_VALUES(const int R, const int G, const sai_int_values *v, int r, int t, int end, int g) {
    v16i sum[V_INT_ROWS * 2 * K_MOST];
    V_UNROLL
    for (int n = 0; n < R; n++) {
        sai_weights w = sai_weights_at(v->scratch, r + n, (v->n_blocks + 1) / 2);
        V_UNROLL
        for (int b = 0; b < 2 * G; b++)
            sum[2 * G * n + b] =
                t == v->first ? v_int(w.start[g + b / 2]) : v_load_int(w.sums + SAI_GROUP * g + 16 * b);
    }
    K_INT_SUMS(R, G, v, r, t, end, g, sum);
    V_UNROLL
    for (int n = 0; n < R; n++) {
        int32_t *sums = sai_weights_at(v->scratch, r + n, (v->n_blocks + 1) / 2).sums + SAI_GROUP * g;
        if (end == v->end) {
            K_INT_FOLD(G, v, r + n, g, sum + 2 * G * n);
            continue;
        }
        V_UNROLL
        for (int b = 0; b < 2 * G; b++) v_save_int(sums + 16 * b, sum[2 * G * n + b]);
    }
}

V_INLINE void K_INT_VALUE_ROWS(const int R, const sai_int_values *v, int r, int t, int end) {
    int groups = (v->n_blocks + 1) / 2, g = 0;
    for (; g + V_INT_GROUPS(R) <= groups; g += V_INT_GROUPS(R)) K_INT_VALUES(R, V_INT_GROUPS(R), v, r, t, end, g);
    for (; V_INT_GROUPS(R) > 2 && g + 2 <= groups; g += 2) K_INT_VALUES(R, 2, v, r, t, end, g);
    for (; g < groups; g++) K_INT_VALUES(R, 1, v, r, t, end, g);
}

static void K_INT_STRIP(int rows, const sai_int_values *v, int r, int t, int end) {
#define K_CASE(R)                                                                                                      \
    case R:                                                                                                            \
        K_INT_VALUE_ROWS(R, v, r, t, end);                                                                             \
        break;
    switch (rows) {
        V_INT_CASES(K_CASE)
    default:
        break;
    }
#undef K_CASE
}

static void K_VALUE(int rows, const sai_int_values *v) {
    int parts = (rows + V_INT_ROWS - 1) / V_INT_ROWS, part = (rows + parts - 1) / parts;
    int fit = parts == 1 && (v->n_blocks + 1) / 2 <= V_INT_GROUPS(rows), strip = fit ? SAI_CHUNK_TILES : V_INT_STRIP;
    size_t codes = sai_int_value_codes(16 * v->n_blocks, K_ROW);
    const char *prefetch = (const char *)v->tiles[v->first] + K_PREFETCH_BYTES;
    for (int r = 0; r < rows; r++) k_pack_weights(v, r, K_OFFSET, codes, prefetch);
    for (int t = v->first; t < v->end; t += strip)
        for (int r = 0; r < rows; r += part)
            K_INT_STRIP(rows - r < part ? rows - r : part, v, r, t, t + strip < v->end ? t + strip : v->end);
}

#undef K_PREFETCH_BYTES
#undef K_MOST
#undef K_INT_GROUP
#undef K_INT_TILES
#undef K_INT_KEY_ROWS
#undef K_INT_KEYS
#undef K_SCORE
#undef K_INT_SUMS
#undef K_INT_FOLD
#undef K_INT_VALUES
#undef K_INT_VALUE_ROWS
#undef K_INT_STRIP
#undef K_VALUE

#undef K_DTYPE
#undef K_UNIT
#undef K_ROW
#undef K_OFFSET
#undef K_BYTES
#undef K_VALUES
