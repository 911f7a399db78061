/*
 * The kernels that sum values stored as integers, called directly as in test_kernels.c. Tiles are made here from
 * docs/quantization.md and the words of integer_tiles.h, not by the library.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "kernels_check.h"
#include "kernels_integers.h"

enum { SLOT_ROWS, SLOT_TILES, SLOT_RESULT, SLOT_SCRATCH, SLOT_KEEP };
enum { FUSED, ROUNDED_TWICE, PLAINS };
enum { DIMS = 1024, KEYS = SAI_CHUNK, GROUPS = DIMS / 32, ROWS = SAI_MOST_ROWS };

typedef struct values {
    int dtype, n_blocks, rows, first, end, kind, most_code;
    int lo[ROWS], hi[ROWS], order[SAI_CHUNK_TILES];
    float p[ROWS][KEYS], keep[ROWS], before[ROWS * DIMS];
    int code[KEYS][DIMS];
    uint16_t scale[KEYS][GROUPS];
    uint8_t tiles[SAI_CHUNK_TILES * (DIMS * 16 + GROUPS * 32)]; /* in `order` */
    float plain[PLAINS][ROWS * DIMS];
    double truth[ROWS * DIMS], bounds[PLAINS][ROWS * DIMS];
    const sai_kernels *table;
    int call_rows;
    const void *at[SAI_CHUNK_TILES];
    sai_int_values arguments;
} values;

static sai_int_value_fn value_of(const values *c, const sai_kernels *table) {
    return (c->most_code == SAI_MOST_BYTE ? table->int_value_bytes : table->int_value)[c->dtype];
}

static void call_value(void *context) {
    values *c = context;
    value_of(c, c->table)(c->call_rows, &c->arguments);
}

static void put_value_code(values *c, uint8_t *tile, int key, int dim, int code) {
    int groups = (c->n_blocks + 1) / 2, stored = code + offset_of(c->dtype), half = dim % 32 / 16;
    size_t quad = (size_t)(key / 4 * groups + dim / 32);
    uint8_t *at = tile + quad * (c->dtype == SA_I8 ? 128 : 64) + dim % 16 * 4 + key % 4;
    if (c->dtype == SA_I8) {
        at[64 * half] = (uint8_t)stored;
    } else {
        *at = (uint8_t)(half ? (*at & 0x0F) | stored << 4 : (*at & 0xF0) | stored);
    }
}

static void make_value_tiles(values *c) {
    size_t size = (size_t)test_value_tile(c->dtype, 16 * c->n_blocks);
    int groups = (c->n_blocks + 1) / 2, key, d, g;
    size_t codes = (size_t)groups * 32 * (c->dtype == SA_I8 ? 16 : 8);
    memset(c->tiles, 0xFF, size * SAI_CHUNK_TILES);
    for (key = 16 * c->first; key < 16 * c->end; key++) {
        uint8_t *tile = c->tiles + (size_t)c->order[key / 16] * size;
        for (d = 0; d < 32 * groups; d++) {
            put_value_code(c, tile, key % 16, d, c->code[key][d]);
        }
        for (g = 0; g < groups; g++) {
            memcpy(tile + codes + 32 * g + 2 * (key % 16), &c->scale[key][g], 2);
        }
    }
}

/* Ranges of the rows, some of them empty; first and end are the tiles that any row sees. */
static void draw_ranges(values *c, test_rng *rng) {
    int r, from = (int)rng_in(rng, 0, 200), most = (int)rng_in(rng, 1, KEYS - from);
    c->first = SAI_CHUNK_TILES;
    c->end = 0;
    for (r = 0; r < c->rows; r++) {
        int is_empty = r > 0 && rng_chance(rng, 15);
        c->lo[r] = from + (int)rng_in(rng, 0, most - 1);
        c->hi[r] = is_empty ? c->lo[r] : (int)rng_in(rng, c->lo[r] + 1, from + most);
        if (!is_empty) {
            c->first = c->lo[r] / 16 < c->first ? c->lo[r] / 16 : c->first;
            c->end = (c->hi[r] + 15) / 16 > c->end ? (c->hi[r] + 15) / 16 : c->end;
        }
    }
}

static int is_seen(const values *c, int key) {
    int r;
    for (r = 0; r < c->rows; r++) {
        if (key >= c->lo[r] && key < c->hi[r]) {
            return 1;
        }
    }
    return 0;
}

/* Weights, 0 to 1; NaN where a row does not look. Keys that no row sees have scales that are NaN. */
static void draw_values(values *c, test_rng *rng, int dtype, int n_blocks, int rows) {
    int r, key, d, groups = (n_blocks + 1) / 2;
    c->dtype = dtype;
    c->n_blocks = n_blocks;
    c->rows = rows;
    c->kind = numbers_kind(rng);
    c->most_code = draw_most_code(rng);
    draw_ranges(c, rng);
    for (r = 0; r < SAI_CHUNK_TILES; r++) {
        c->order[r] = (r + (int)(rng->state % 16)) % SAI_CHUNK_TILES;
    }
    numbers_fill(rng, NUMBERS_NORMAL, SA_F32, c->before, (size_t)(rows * 16 * n_blocks));
    for (r = 0; r < rows; r++) {
        c->keep[r] = (float)rng_unit(rng);
        for (key = 0; key < KEYS; key++) {
            int is_visible = key >= c->lo[r] && key < c->hi[r];
            c->p[r][key] = is_visible ? (float)(rng_unit(rng) * rng_unit(rng)) : NAN;
        }
        if (rng_chance(rng, 5) && c->lo[r] < c->hi[r]) {
            memset(c->p[r] + c->lo[r], 0, (size_t)(c->hi[r] - c->lo[r]) * sizeof(float));
        }
    }
    for (key = 16 * c->first; key < 16 * c->end; key++) {
        for (d = 0; d < 32 * groups; d++) {
            c->code[key][d] = draw_code(rng, dtype);
        }
        numbers_fill(rng, c->kind, SA_BF16, c->scale[key], (size_t)groups);
        if (!is_seen(c, key)) {
            memset(c->scale[key], COMPARE_CANARY, sizeof c->scale[key]);
        }
    }
    make_value_tiles(c);
}

/* One group of a row: weights times scales become codes, sums of products are exact. Where a weight lies next to the
 * middle of two codes, a table that rounds twice may take the other one. */
static void value_truth(values *c, int r, int g) {
    double top = 0.0, factor, step, near_middle = 0.0;
    int key, d, is_finite = 1;
    for (key = c->lo[r]; key < c->hi[r]; key++) {
        float x = c->p[r][key] * bf16_value(c->scale[key][g]);
        is_finite = is_finite && isfinite(x);
        top = fmax(top, fabs((double)x));
    }
    top = fmax(top, 0x1p-110);
    factor = (double)((float)c->most_code / (float)top);
    step = (double)((float)top / (float)c->most_code);
    for (key = c->lo[r]; key < c->hi[r]; key++) {
        double x = (double)(c->p[r][key] * bf16_value(c->scale[key][g])) * factor;
        near_middle += fabs(x - floor(x) - 0.5) < 0.01;
    }
    for (d = 32 * g; d < 32 * g + 32 && d < 16 * c->n_blocks; d++) {
        double sum = 0.0, before = (double)c->before[r * 16 * c->n_blocks + d] * c->keep[r];
        int at = r * 16 * c->n_blocks + d;
        for (key = c->lo[r]; key < c->hi[r]; key++) {
            sum += nearbyint((double)(c->p[r][key] * bf16_value(c->scale[key][g])) * factor) * c->code[key][d];
        }
        c->truth[at] = before + sum * step;
        c->bounds[FUSED][at] = is_finite ? 4.0 * UNIT * (fabs(before) + fabs(sum * step)) + 0x1p-130 : INFINITY;
        c->bounds[ROUNDED_TWICE][at] = c->bounds[FUSED][at] + near_middle * step * offset_of(c->dtype);
    }
}

static void values_plain(values *c, int which) {
    static float scratch[SAI_CHUNK * GROUPS * 16];
    int r, t;
    size_t size = (size_t)test_value_tile(c->dtype, 16 * c->n_blocks), dims = 16 * (size_t)c->n_blocks;
    const sai_kernels *table = sai_kernels_of(which == FUSED ? SA_ISA_PLAIN : SA_ISA_PLAIN_NOFMA);
    for (t = 0; t < SAI_CHUNK_TILES; t++) {
        c->at[t] = c->tiles + (size_t)c->order[t] * size;
    }
    memcpy(c->plain[which], c->before, (size_t)c->rows * dims * sizeof(float));
    for (r = 0; r < c->rows; r++) {
        sai_int_values v = {c->p[r],     c->lo + r,   c->hi + r,
                            c->first,    c->end,      c->at,
                            c->n_blocks, c->keep + r, c->plain[which] + (size_t)r * dims,
                            dims,        scratch,     c->most_code};
        value_of(c, table)(1, &v);
    }
}

static void check_values(values *c, int returned, size_t acc_stride) {
    int which = kernels_fuse(c->table) ? FUSED : ROUNDED_TWICE, n = 16 * c->n_blocks;
    kernel_result result = {c->arguments.acc, acc_stride, c->call_rows, n, c->plain[which], c->truth, c->bounds[which]};
    int64_t wrong = kernels_first_wrong(&result);
    const char *name = sa_isa_name(c->table->isa);
    CHECK(returned, "%s integer value: memory beyond an argument was touched, or an input written", name);
    CHECK(wrong < 0,
          "%s integer value: dtype %d, codes up to %d, %d rows, %d blocks, tiles %d to %d: row %d dim %d: plain C "
          "%.9g, double %.9g",
          name, c->dtype, c->most_code, c->call_rows, c->n_blocks, c->first, c->end, (int)(wrong / n), (int)(wrong % n),
          c->plain[which][wrong], c->truth[wrong]);
    CHECK(fence_intact(SLOT_RESULT, (size_t)n * sizeof(float), acc_stride * sizeof(float), (size_t)c->call_rows),
          "%s integer value: written beside the result", name);
}

static void value_case(values *c, test_rng *rng, const sai_kernels *t) {
    int rows = (c->rows - 1) % t->most_rows + 1, i;
    size_t dims = 16 * (size_t)c->n_blocks, stride = dims + (size_t)rng_in(rng, 0, 21);
    size_t tile = (size_t)test_value_tile(c->dtype, (int)dims), words = sai_weight_words((int)dims) * (size_t)rows;
    const uint8_t *tiles = fence_rows(SLOT_TILES, rng, c->tiles, tile * SAI_CHUNK_TILES, 0, 1);
    for (i = 0; i < SAI_CHUNK_TILES; i++) {
        c->at[i] = i < c->first ? NULL : tiles + (size_t)c->order[i] * tile;
    }
    c->table = t;
    c->call_rows = rows;
    c->arguments.p = fence_rows(SLOT_ROWS, rng, c->p, (size_t)rows * sizeof c->p[0], 0, 1);
    c->arguments.lo = c->lo;
    c->arguments.hi = c->hi;
    c->arguments.first = c->first;
    c->arguments.end = c->end;
    c->arguments.tiles = c->at;
    c->arguments.n_blocks = c->n_blocks;
    c->arguments.keep = fence_rows(SLOT_KEEP, rng, c->keep, (size_t)rows * sizeof(float), 0, 1);
    c->arguments.acc =
        fence_rows(SLOT_RESULT, rng, c->before, dims * sizeof(float), stride * sizeof(float), (size_t)rows);
    c->arguments.acc_stride = stride;
    c->arguments.most_code = c->most_code;
    c->arguments.scratch = fence_result(SLOT_SCRATCH, rng, words * sizeof(float), 0, 1);
    fence_lock(SLOT_TILES);
    fence_lock(SLOT_ROWS);
    check_values(c, fence_run(call_value, c), stride);
    check_intact(t, "integer value: scratch", SLOT_SCRATCH, words * sizeof(float));
}

/* ---------------------------------- cases ----------------------------------- */

static void value_cases(test_rng *rng, long index) {
    static values c;
    int32_t isa = 0;
    long mixed = index * 197 % 512; /* so that the first few cases have some of each */
    int r, g, n_blocks = (int)(rng_chance(rng, 95) ? mixed / 2 % 16 + 1 : rng_in(rng, 1, DIMS / 16));
    const sai_kernels *t;
    draw_values(&c, rng, SA_I8 + (int)(mixed % 2), n_blocks, ROWS - (int)(mixed / 32 % 8));
    for (r = 0; r < c.rows; r++) {
        for (g = 0; g < (n_blocks + 1) / 2; g++) {
            value_truth(&c, r, g);
        }
    }
    values_plain(&c, FUSED);
    values_plain(&c, ROUNDED_TWICE);
    while ((t = kernels_next(&isa)) != NULL) {
        value_case(&c, rng, t);
    }
}

int main(int argc, char **argv) {
    uint64_t seed = 49;
    long count = 512, i, first = argc > 3 ? strtol(argv[3], NULL, 0) : 0;
    double began = test_seconds();
    test_begin("test_kernels_values", argc, argv, &seed, &count);
    for (i = first; i < first + count; i++) {
        test_rng rng = {seed + (uint64_t)i * 0x632BE59BD9B4E019u};
        value_cases(&rng, i);
    }
    printf("%.1f s\n", test_seconds() - began);
    return test_end();
}
