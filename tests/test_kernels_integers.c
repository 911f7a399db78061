/*
 * The kernels that quantize keys and values, and scores of keys that are stored as integers; called directly as in
 * test_kernels.c. Tiles are made here from docs/quantization.md and the words of integer_tiles.h, not by the library.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "kernels_check.h"
#include "kernels_integers.h"
#include "oracle.h"

enum { SLOT_ROWS, SLOT_TILES, SLOT_RESULT, SLOT_SCALES, SLOT_X };
enum { FUSED, ROUNDED_TWICE, PLAINS };
enum { DIMS = 1024, KEYS = SAI_CHUNK, GROUPS = DIMS / 32, ROWS = SAI_MOST_ROWS };

/* ---------------------------------- quantize -------------------------------- */

typedef struct coding {
    const sai_kernels *table;
    int dtype, dims;
    const float *x;
    uint8_t *codes;
    uint16_t *scales;
} coding;

static void call_quantize(void *context) {
    coding *c = context;
    c->table->quantize[c->dtype](c->x, c->dims, offset_of(c->dtype), c->codes, c->scales);
}

/* Groups of finite numbers against the oracle; the scale of the others is NaN, and their codes are nothing. */
static void check_codes(const coding *c, const float *x, int kind, const uint8_t *codes, const uint16_t *scales) {
    int groups = sai_groups(c->dims), g, i, wrong = 0;
    for (g = 0; g < groups; g++) {
        int n = c->dims - 32 * g < 32 ? c->dims - 32 * g : 32, is_finite = compare_finite(x + 32 * g, n) < 0;
        double out[32], scale = 0.0;
        if (!is_finite) {
            wrong += !isnan(bf16_value(c->scales[g]));
            continue;
        }
        oracle_integer_value(c->dtype, x + 32 * g, n, out, &scale);
        for (i = 0; i < 32; i++) {
            double left = (c->codes[32 * g + i] - offset_of(c->dtype)) * (double)bf16_value(c->scales[g]);
            wrong += c->codes[32 * g + i] != codes[32 * g + i];
            wrong += kind != NUMBERS_DENORMAL && (i < n ? left != out[i] : c->codes[32 * g + i] != offset_of(c->dtype));
        }
        wrong += c->scales[g] != scales[g] || (kind != NUMBERS_DENORMAL && bf16_value(c->scales[g]) != (float)scale);
    }
    CHECK(wrong == 0, "%s quantize: dtype %d, %d dims, numbers %d: %d wrong", sa_isa_name(c->table->isa), c->dtype,
          c->dims, kind, wrong);
}

static void quantize_case(const sai_kernels *t, test_rng *rng, int dtype, int dims) {
    static float x[DIMS];
    static uint8_t codes[DIMS];
    static uint16_t scales[GROUPS];
    int kind = numbers_kind(rng), groups = sai_groups(dims);
    coding c = {t, dtype, dims, NULL, NULL, NULL},
           plain = {sai_kernels_of(SA_ISA_PLAIN), dtype, dims, x, codes, scales};
    numbers_fill(rng, kind, SA_F32, x, (size_t)dims);
    call_quantize(&plain);
    c.x = fence_rows(SLOT_X, rng, x, (size_t)dims * sizeof *x, 0, 1);
    c.codes = fence_result(SLOT_RESULT, rng, 32 * (size_t)groups, 0, 1);
    c.scales = fence_result(SLOT_SCALES, rng, 2 * (size_t)groups, 0, 1);
    fence_lock(SLOT_X);
    check_call(t, "quantize", call_quantize, &c);
    check_intact(t, "quantize: codes", SLOT_RESULT, 32 * (size_t)groups);
    check_intact(t, "quantize: scales", SLOT_SCALES, 2 * (size_t)groups);
    check_codes(&c, x, kind, codes, scales);
}

/* ----------------------------------- keys ----------------------------------- */

/* Rows of queries and tiles of keys. */
typedef struct keys {
    int dtype, dims, n_tiles, rows, kind, most_code;
    float x[ROWS][DIMS];  /* (rows, dims padded to 16), the padding NaN */
    int code[KEYS][DIMS]; /* without the offset */
    uint16_t scale[KEYS][GROUPS];
    uint8_t tiles[SAI_CHUNK_TILES * (DIMS * 16 + GROUPS * 32)];
    int32_t packed[ROWS * (DIMS * 2)];
    float plain[PLAINS][ROWS * KEYS];
    double truth[ROWS * KEYS], bounds[ROWS * KEYS];
    /* One call. */
    const sai_kernels *table;
    int call_rows, row;
    const float *at_x;
    int32_t *at_packed;
    const float *at_q;
    const void *at_k;
    size_t q_stride, s_stride;
    float *at_s;
    sai_following next;
} keys;

static void put_key_code(keys *c, uint8_t *tile, int key, int dim, int code) {
    int stored = code + offset_of(c->dtype), unit = c->dtype == SA_I8 ? 4 : 8;
    uint8_t *at = tile + dim / unit * 64 + key * 4 + dim % 4;
    if (c->dtype == SA_I8) {
        *at = (uint8_t)stored;
    } else {
        *at = (uint8_t)(dim % 8 < 4 ? (*at & 0xF0) | stored : (*at & 0x0F) | stored << 4);
    }
}

/* Dims up to a multiple of 8 have the code 0. What fills up the last line behind the scales is NaN. */
static void make_key_tiles(keys *c) {
    size_t size = (size_t)test_key_tile(c->dtype, c->dims),
           codes = (c->dtype == SA_I8 ? 16 : 8) * (size_t)(c->dims + 7) / 8 * 8;
    int key, d, g, padded = (c->dims + 7) / 8 * 8;
    codes = (size_t)(c->dtype == SA_I8 ? 16 : 8) * (size_t)padded;
    memset(c->tiles, 0xFF, size * (size_t)c->n_tiles);
    for (key = 0; key < 16 * c->n_tiles; key++) {
        uint8_t *tile = c->tiles + (size_t)(key / 16) * size;
        for (d = 0; d < padded; d++) {
            put_key_code(c, tile, key % 16, d, d < c->dims ? c->code[key][d] : 0);
        }
        for (g = 0; g < sai_groups(c->dims); g++) {
            memcpy(tile + codes + 32 * g + 2 * (key % 16), &c->scale[key][g], 2);
        }
    }
}

/* A few of the least steps of binary32: the scale is one of them, and numbers pass the greatest code times it. */
static void draw_least(keys *c, test_rng *rng) {
    int r, d;
    for (r = 0; r < c->rows; r++) {
        for (d = 0; d < c->dims; d++) {
            c->x[r][d] = (float)rng_in(rng, -200, 200) * 0x1p-149f;
        }
    }
}

static void draw_keys(keys *c, test_rng *rng, int dtype, int n_tiles, int rows) {
    static const int known[] = {256, 257, 512, 576, 1024};
    int r, key, scales = numbers_kind(rng);
    c->dtype = dtype;
    c->n_tiles = n_tiles;
    c->rows = rows;
    c->kind = numbers_kind(rng);
    c->most_code = draw_most_code(rng);
    c->dims = rng_chance(rng, 94) ? (int)rng_in(rng, 1, rng_chance(rng, 70) ? 80 : 260) : rng_pick(rng, known, 5);
    for (r = 0; r < rows; r++) {
        memset(c->x[r], COMPARE_CANARY, sizeof c->x[r]);
        numbers_fill(rng, c->kind, SA_F32, c->x[r], (size_t)c->dims);
    }
    if (rng_chance(rng, 5)) draw_least(c, rng);
    for (key = 0; key < 16 * n_tiles; key++) {
        int d;
        for (d = 0; d < c->dims; d++) {
            c->code[key][d] = draw_code(rng, dtype);
        }
        numbers_fill(rng, scales, SA_BF16, c->scale[key], (size_t)sai_groups(c->dims));
    }
    make_key_tiles(c);
}

/* The query's codes, without the offset; returns their unit. */
static float query_codes(const keys *c, const float *x, float *codes) {
    float most = 0.0f, limit = (float)c->most_code, scale;
    int d;
    for (d = 0; d < c->dims; d++) {
        most = fabsf(x[d]) > most ? fabsf(x[d]) : most;
    }
    scale = most / limit;
    for (d = 0; d < c->dims; d++) {
        float y = x[d] / (scale > 0.0f ? scale : 1.0f);
        codes[d] = nearbyintf(fminf(fmaxf(y, -limit), limit));
    }
    return scale;
}

static void keys_truth(keys *c) {
    int r, key, d;
    for (r = 0; r < c->rows; r++) {
        float q[DIMS], unit = query_codes(c, c->x[r], q);
        int is_finite = compare_finite(c->x[r], c->dims) < 0;
        for (key = 0; key < 16 * c->n_tiles; key++) {
            double sum = 0.0, size = 0.0;
            for (d = 0; d < c->dims; d++) {
                double x = (double)q[d] * c->code[key][d] * bf16_value(c->scale[key][d / 32]);
                sum += x;
                size += fabs(x);
            }
            c->truth[r * 16 * c->n_tiles + key] = sum * unit;
            c->bounds[r * 16 * c->n_tiles + key] =
                is_finite ? 4.0 * (sai_groups(c->dims) + 4) * (UNIT * size * unit + unit * 0x1p-148 + 0x1p-148)
                          : INFINITY;
        }
    }
}

static void call_pack(void *context) {
    keys *c = context;
    c->table->pack_query(c->at_x, c->dims, offset_of(c->dtype), c->most_code, c->at_packed);
}

static sai_score_fn score_of(const keys *c) {
    return (c->most_code == SAI_MOST_BYTE ? c->table->score_bytes : c->table->score)[c->dtype];
}

static void call_score(void *context) {
    keys *c = context;
    score_of(c)(c->call_rows, c->at_q, c->q_stride, c->at_k, c->n_tiles, c->dims, &c->next, c->at_s, c->s_stride);
}

/* What the keys' offset adds, negated, and the unit: the same words for every table. */
static void check_packed(const keys *c, int r) {
    float codes[DIMS], unit = query_codes(c, c->x[r], codes), got;
    int groups = sai_groups(c->dims), is_finite = compare_finite(c->x[r], c->dims) < 0, g, d, wrong = 0;
    const int32_t *sums = c->at_packed + SAI_PACK * sai_packs(c->dims);
    for (g = 0; g < groups; g++) {
        double sum = 0.0;
        for (d = 32 * g; d < c->dims && d < 32 * g + 32; d++) {
            sum += codes[d];
        }
        wrong += sums[g] != (is_finite ? (int32_t)(-offset_of(c->dtype) * sum) : 0);
    }
    memcpy(&got, sums + groups, sizeof got);
    CHECK(wrong == 0 && (is_finite ? got == unit : isnan(got)),
          "%s pack_query: %d dims, numbers %d: %d sums wrong, unit %g, not %g", sa_isa_name(c->table->isa), c->dims,
          c->kind, wrong, got, unit);
}

static void pack_rows(keys *c, test_rng *rng, const sai_kernels *t) {
    size_t words = sai_query_words(c->dims), padded = (size_t)(c->dims + 15) / 16 * 16;
    int r;
    c->table = t;
    for (r = 0; r < c->rows; r++) {
        c->at_x = fence_rows(SLOT_X, rng, c->x[r], padded * sizeof(float), 0, 1);
        c->at_packed = fence_result(SLOT_RESULT, rng, words * sizeof(int32_t), 0, 1);
        fence_lock(SLOT_X);
        check_call(t, "pack_query", call_pack, c);
        check_intact(t, "pack_query", SLOT_RESULT, words * sizeof(int32_t));
        check_packed(c, r);
        memcpy(c->packed + (size_t)r * words, c->at_packed, words * sizeof(int32_t));
    }
}

/* Row by row and tile by tile, by plain C. */
static void keys_plain(keys *c, test_rng *rng, int which) {
    size_t words = sai_query_words(c->dims);
    int r, tile;
    pack_rows(c, rng, sai_kernels_of(which == FUSED ? SA_ISA_PLAIN : SA_ISA_PLAIN_NOFMA));
    for (r = 0; r < c->rows; r++) {
        for (tile = 0; tile < c->n_tiles; tile++) {
            const uint8_t *k = c->tiles + (size_t)tile * (size_t)test_key_tile(c->dtype, c->dims);
            c->next.at = k;
            score_of(c)(1, (const float *)(const void *)(c->packed + (size_t)r * words), words, k, 1, c->dims, &c->next,
                        c->plain[which] + (r * c->n_tiles + tile) * 16, 16);
        }
    }
}

static void score_case(keys *c, test_rng *rng, const sai_kernels *t) {
    size_t words = sai_query_words(c->dims), width = (size_t)c->n_tiles * 16;
    int rows = (c->rows - 1) % t->most_rows + 1, which = kernels_fuse(t) ? FUSED : ROUNDED_TWICE;
    int64_t wrong;
    pack_rows(c, rng, t);
    c->call_rows = rows;
    c->q_stride = words + (size_t)rng_in(rng, 0, 5);
    c->s_stride = width + (size_t)rng_in(rng, 0, 21);
    c->at_q = fence_rows(SLOT_ROWS, rng, c->packed, words * 4, c->q_stride * 4, (size_t)rows);
    c->at_k =
        fence_rows(SLOT_TILES, rng, c->tiles, (size_t)test_key_tile(c->dtype, c->dims) * (size_t)c->n_tiles, 0, 1);
    c->at_s = fence_result(SLOT_RESULT, rng, width * sizeof(float), c->s_stride * sizeof(float), (size_t)rows);
    c->next.n = rng_in(rng, 0, 20);
    c->next.at = c->at_k;
    fence_lock(SLOT_ROWS);
    fence_lock(SLOT_TILES);
    check_call(t, "integer score", call_score, c);
    kernel_result result = {c->at_s, c->s_stride, rows, (int)width, c->plain[which], c->truth, c->bounds};
    wrong = kernels_first_wrong(&result);
    CHECK(wrong < 0,
          "%s integer score: dtype %d, codes up to %d, %d rows, %d tiles, %d dims: number %lld: plain C %.9g, double "
          "%.9g",
          sa_isa_name(t->isa), c->dtype, c->most_code, rows, c->n_tiles, c->dims, (long long)wrong,
          c->plain[which][wrong], c->truth[wrong]);
    CHECK(fence_intact(SLOT_RESULT, width * sizeof(float), c->s_stride * sizeof(float), (size_t)rows),
          "%s integer score: written beside the result", sa_isa_name(t->isa));
}

/* ---------------------------------- cases ----------------------------------- */

static void key_cases(test_rng *rng, long index) {
    static keys c;
    int32_t isa = 0;
    const sai_kernels *t;
    long mixed = index * 197 % 512; /* so that the first few cases have some of each */
    draw_keys(&c, rng, SA_I8 + (int)(mixed % 2), (int)(mixed / 2 % 16) + 1, ROWS - (int)(mixed / 32 % 8));
    keys_truth(&c);
    keys_plain(&c, rng, FUSED);
    keys_plain(&c, rng, ROUNDED_TWICE);
    while ((t = kernels_next(&isa)) != NULL) {
        score_case(&c, rng, t);
        quantize_case(t, rng, c.dtype, (int)(index < 320 ? index + 1 : rng_in(rng, 1, DIMS)));
    }
}

int main(int argc, char **argv) {
    uint64_t seed = 48;
    long count = 512, i, first = argc > 3 ? strtol(argv[3], NULL, 0) : 0;
    double began = test_seconds();
    test_begin("test_kernels_integers", argc, argv, &seed, &count);
    for (i = first; i < first + count; i++) {
        test_rng rng = {seed + (uint64_t)i * 0x632BE59BD9B4E019u};
        key_cases(&rng, i);
    }
    printf("%.1f s\n", test_seconds() - began);
    return test_end();
}
