/*
 * Scores and value sums of floats: every table's kernels, called directly, against plain C bit for bit and against
 * double.
 *
 * Odd sizes and strides; results between canaries, rows of a result too; inputs that end or begin at pages that
 * cannot be touched; NaN and signalling NaN behind every row. The other kernels are in test_kernels_*.c, the
 * operations that all are made of in test_vectors.c.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "kernels_check.h"

#define TINY 0x1p-149

enum { MOST_DIMS = 1024, KEYS = SAI_CHUNK };
enum { FUSED, ROUNDED_TWICE, PLAINS };

/* Slots of fences. */
enum { SLOT_ROWS, SLOT_STORED, SLOT_RESULT, SLOT_WIDE, SLOT_KEEP };

/* One case of either kernel: `n` numbers a row meet `width` columns of what is stored. Of scores, n is dk and width the
 * keys; of value sums, n is the keys and width 16 times the blocks. */
typedef struct product {
    int is_value, dtype, n, width, rows;
    size_t row_stride, result_stride, stored_stride; /* of rows, results and keys of V, in elements */
    int has_keep;
    float *row;    /* (rows, n): q or p */
    void *stored;  /* K tiles, or V (n, width) */
    float *before; /* (rows, width): what the result begins with */
    float keep[SAI_MOST_ROWS];
    float *plain[PLAINS]; /* (rows, width) */
    double *truth, *bounds;
    char text[200];
    /* One call. */
    const sai_kernels *table;
    int call_rows;
    const float *at_row, *at_keep;
    const void *at_stored;
    float *at_result, *at_wide;
    sai_following next;
    sai_prefetch ahead;
} product;

static long calls_of_rows[SAI_MOST_ROWS + 1], calls_many;

/* Where dim d of key u is in tiles, and dim i of key u in V. */
static size_t key_index(const product *c, int d, int key) {
    return (size_t)(key / 16) * 16 * (size_t)c->n + (size_t)d * 16 + (size_t)(key % 16);
}

static size_t stored_index(const product *c, int i, int column) {
    return c->is_value ? (size_t)i * (size_t)c->width + (size_t)column : key_index(c, i, column);
}

/* ---------------------------------- expected -------------------------------- */

static void compute_truth(product *c) {
    int r, j, i;
    for (r = 0; r < c->rows; r++) {
        for (j = 0; j < c->width; j++) {
            double sum = 0.0, size = 0.0, before = (double)c->before[(size_t)r * c->width + j];
            for (i = 0; i < c->n; i++) {
                double x =
                    (double)c->row[(size_t)r * c->n + i] * numbers_at(c->dtype, c->stored, stored_index(c, i, j));
                sum += x;
                size += fabs(x);
            }
            if (c->is_value) {
                before *= c->has_keep ? (double)c->keep[r] : 1.0;
                sum += before;
                size += fabs(before);
            }
            c->truth[r * c->width + j] = sum;
            c->bounds[r * c->width + j] = 2.0 * (c->n + 4) * (UNIT * size + TINY);
        }
    }
}

/* One row and one tile or block at a time, from contiguous inputs. */
static void compute_plain(product *c, int which) {
    const sai_kernels *t = sai_kernels_of(which == FUSED ? SA_ISA_PLAIN : SA_ISA_PLAIN_NOFMA);
    size_t element = dtype_size(c->dtype);
    sai_following next = {0, c->stored};
    int r, j;
    memcpy(c->plain[which], c->before, (size_t)(c->rows * c->width) * sizeof(float));
    for (r = 0; r < c->rows; r++) {
        const float *row = c->row + (size_t)r * c->n;
        for (j = 0; j < c->width; j += 16) {
            const char *stored = (const char *)c->stored + stored_index(c, 0, j) * element;
            float *to = c->plain[which] + (size_t)r * c->width + j;
            if (c->is_value) {
                t->value[c->dtype](1, row, (size_t)c->n, stored, (size_t)c->width, c->n, 1, &next,
                                   c->has_keep ? c->keep + r : NULL, to, (size_t)c->width);
            } else {
                t->score[c->dtype](1, row, (size_t)c->n, stored, 1, c->n, &next, to, (size_t)c->width);
            }
        }
    }
}

/* ---------------------------------- calls ----------------------------------- */

static void call_few(void *context) {
    product *c = context;
    if (c->is_value) {
        c->table->value[c->dtype](c->call_rows, c->at_row, c->row_stride, c->at_stored, c->stored_stride, c->n,
                                  c->width / 16, &c->next, c->at_keep, c->at_result, c->result_stride);
    } else {
        c->table->score[c->dtype](c->call_rows, c->at_row, c->row_stride, c->at_stored, c->width / 16, c->n, &c->next,
                                  c->at_result, c->result_stride);
    }
}

static void call_many(void *context) {
    product *c = context;
    if (c->is_value) {
        c->table->value_many[c->dtype](c->at_row, c->row_stride, c->at_stored, c->at_wide, c->stored_stride, c->n,
                                       c->width / 16, c->at_keep, c->at_result, c->result_stride, &c->ahead);
    } else {
        c->table->score_many[c->dtype](c->at_row, c->row_stride, c->at_stored, c->at_wide, c->width / 16, c->n,
                                       c->at_result, c->result_stride, &c->ahead);
    }
}

/* Bytes of a row of what is stored, and how many rows there are: all K tiles are one. */
static size_t stored_row(const product *c) {
    return (size_t)(c->is_value ? c->width : c->n * c->width) * dtype_size(c->dtype);
}
static size_t stored_rows(const product *c) { return c->is_value ? (size_t)c->n : 1; }

/* Puts the arguments of a call for the first `rows` rows between fences. */
static void place(product *c, test_rng *rng, int rows) {
    size_t width = (size_t)c->width * sizeof(float), result = c->result_stride * sizeof(float);
    size_t element = dtype_size(c->dtype);
    c->call_rows = rows;
    c->at_row =
        fence_rows(SLOT_ROWS, rng, c->row, (size_t)c->n * sizeof(float), c->row_stride * sizeof(float), (size_t)rows);
    c->at_stored = fence_rows(SLOT_STORED, rng, c->stored, stored_row(c), c->stored_stride * element, stored_rows(c));
    c->at_keep = c->has_keep ? fence_rows(SLOT_KEEP, rng, c->keep, (size_t)rows * sizeof(float), 0, 1) : NULL;
    c->at_result = c->is_value ? fence_rows(SLOT_RESULT, rng, c->before, width, result, (size_t)rows)
                               : fence_result(SLOT_RESULT, rng, width, result, (size_t)rows);
    c->next.n = rng_in(rng, 0, 40);
    c->next.at = c->at_stored;
    fence_lock(SLOT_ROWS);
    fence_lock(SLOT_STORED);
}

/* With keep, the sum of a chain that begins with 0 is added, and then 0: -0 cannot come out. */
static int has_negative_zero(const product *c, int rows) {
    int i;
    for (i = 0; i < rows * c->width && c->has_keep; i++) {
        float x = c->at_result[(size_t)(i / c->width) * c->result_stride + (size_t)(i % c->width)];
        if (x == 0.0f && signbit(x)) {
            return 1;
        }
    }
    return 0;
}

static void check(product *c, int returned, const char *what) {
    int which = kernels_fuse(c->table) ? FUSED : ROUNDED_TWICE, rows = c->call_rows;
    size_t width = (size_t)c->width * sizeof(float), stride = c->result_stride * sizeof(float);
    kernel_result result = {c->at_result, c->result_stride, rows, c->width, c->plain[which], c->truth, c->bounds};
    int64_t wrong = kernels_first_wrong(&result);
    CHECK(returned, "%s %s %s: memory beyond an argument was touched, or an input written", sa_isa_name(c->table->isa),
          what, c->text);
    CHECK(wrong < 0, "%s %s %s: row %d column %d: %.9g, plain C %.9g, double %.9g", sa_isa_name(c->table->isa), what,
          c->text, (int)(wrong / c->width), (int)(wrong % c->width),
          c->at_result[(size_t)(wrong / c->width) * c->result_stride + (size_t)(wrong % c->width)],
          c->plain[which][wrong], c->truth[wrong]);
    CHECK(fence_intact(SLOT_RESULT, width, stride, (size_t)rows), "%s %s %s: written beside the result",
          sa_isa_name(c->table->isa), what, c->text);
    CHECK(!has_negative_zero(c, rows), "%s %s %s: -0", sa_isa_name(c->table->isa), what, c->text);
}

static void try_few(product *c, test_rng *rng, const sai_kernels *t) {
    int rows = (c->rows - 1) % t->most_rows + 1;
    if (c->has_keep && c->width / 16 > t->blocks[rows]) {
        return;
    }
    c->table = t;
    place(c, rng, rows);
    check(c, fence_run(call_few, c), c->is_value ? "value" : "score");
    calls_of_rows[rows]++;
}

/* All that was stored, as f32, at its place; and nothing between. */
static void check_wide(product *c) {
    size_t row = stored_row(c) / dtype_size(c->dtype), rows = stored_rows(c), i, wrong = 0;
    for (i = 0; i < row * rows; i++) {
        float x = c->at_wide[i / row * c->stored_stride + i % row];
        wrong += !numbers_same(x, numbers_at(c->dtype, c->stored, i));
    }
    CHECK(wrong == 0, "%s %s: %zu numbers widened wrongly", sa_isa_name(c->table->isa), c->text, wrong);
    CHECK(fence_intact(SLOT_WIDE, row * sizeof(float), c->stored_stride * sizeof(float), rows),
          "%s %s: written beside the widened numbers", sa_isa_name(c->table->isa), c->text);
}

static void try_many(product *c, test_rng *rng, const sai_kernels *t) {
    static const char lines[4096];
    size_t row = stored_row(c) / dtype_size(c->dtype);
    if (t->rows > c->rows || (c->is_value && !c->has_keep)) {
        return;
    }
    c->table = t;
    place(c, rng, t->rows);
    c->at_wide = (float *)(uintptr_t)c->at_stored;
    if (c->dtype != SA_F32 && t->widens) {
        c->at_wide =
            fence_result(SLOT_WIDE, rng, row * sizeof(float), c->stored_stride * sizeof(float), stored_rows(c));
    }
    c->ahead.at = lines;
    c->ahead.end = lines + rng_in(rng, 0, 60) * 64;
    check(c, fence_run(call_many, c), c->is_value ? "value of many" : "score of many");
    CHECK(c->ahead.at >= lines && c->ahead.at <= c->ahead.end, "%s %s: prefetched %d bytes of %d", sa_isa_name(t->isa),
          c->text, (int)(c->ahead.at - lines), (int)(c->ahead.end - lines));
    if (c->dtype != SA_F32 && t->widens) {
        check_wide(c);
    }
    calls_many++;
}

/* ---------------------------------- cases ----------------------------------- */

static int draw_dims(test_rng *rng) {
    static const int known[] = {255, 256, 257, 512, 513, 576, 1024};
    return rng_chance(rng, 92) ? (int)rng_in(rng, 1, rng_chance(rng, 70) ? 80 : 260) : rng_pick(rng, known, 7);
}

static void draw_numbers(product *c, test_rng *rng) {
    /* Sometimes nothing but keep * before, so small that it rounds to -0. */
    int only_before = rng_chance(rng, 5), kind = only_before ? NUMBERS_ZERO : numbers_kind(rng);
    int stored_kind = numbers_kind(rng), r;
    size_t n = (size_t)c->rows * (size_t)c->n;
    numbers_fill(rng, kind, SA_F32, c->row, n);
    numbers_fill(rng, stored_kind, c->dtype, c->stored, stored_rows(c) * stored_row(c) / dtype_size(c->dtype));
    numbers_fill(rng, only_before ? NUMBERS_DENORMAL : numbers_kind(rng), SA_F32, c->before,
                 (size_t)(c->rows * c->width));
    for (r = 0; r < SAI_MOST_ROWS; r++) {
        c->keep[r] = rng_chance(rng, 20) ? (float)rng_in(rng, 0, 1) : (float)rng_unit(rng);
    }
    snprintf(c->text, sizeof c->text, "dtype %d, %d rows, %s %d, %s %d, numbers %d and %d, strides %d %d %d%s",
             c->dtype, c->rows, c->is_value ? "keys" : "dk", c->n, c->is_value ? "dims" : "keys", c->width, kind,
             stored_kind, (int)c->row_stride, (int)c->stored_stride, (int)c->result_stride,
             c->has_keep ? ", keep" : "");
}

/* A case of a width in tiles or blocks, with all else drawn. */
static void draw_case(product *c, test_rng *rng, int is_value, int dtype, int width, int rows) {
    c->is_value = is_value;
    c->dtype = dtype;
    c->rows = rows;
    c->width = 16 * width;
    c->n = is_value ? (int)rng_in(rng, 1, rng_chance(rng, 60) ? 40 : KEYS) : draw_dims(rng);
    if (c->n > 260 && c->width > 16 * 9) {
        c->width = 16 * 9;
    }
    c->has_keep = is_value && rng_chance(rng, 70);
    c->row_stride = (size_t)c->n + (size_t)(rng_chance(rng, 60) ? rng_in(rng, 1, 9) : 0);
    c->result_stride = (size_t)c->width + (size_t)(rng_chance(rng, 60) ? rng_in(rng, 1, 35) : 0);
    c->stored_stride = (size_t)c->width + (size_t)(is_value && rng_chance(rng, 60) ? rng_in(rng, 1, 35) : 0);
    draw_numbers(c, rng);
    compute_truth(c);
    compute_plain(c, FUSED);
    compute_plain(c, ROUNDED_TWICE);
}

static void try_tables(product *c, test_rng *rng) {
    int32_t isa = 0;
    const sai_kernels *t;
    while ((t = kernels_next(&isa)) != NULL) {
        try_few(c, rng, t);
        try_many(c, rng, t);
    }
}

static void take(product *c) {
    size_t results = (size_t)SAI_MOST_ROWS * MOST_DIMS;
    memset(c, 0, sizeof *c);
    c->row = test_take((size_t)SAI_MOST_ROWS * MOST_DIMS * sizeof(float));
    c->stored = test_take((size_t)KEYS * MOST_DIMS * sizeof(float));
    c->before = test_take(results * sizeof(float));
    c->plain[FUSED] = test_take(results * sizeof(float));
    c->plain[ROUNDED_TWICE] = test_take(results * sizeof(float));
    c->truth = test_take(results * sizeof(double));
    c->bounds = test_take(results * sizeof(double));
}

static void give_back(product *c) {
    free(c->row);
    free(c->stored);
    free(c->before);
    free(c->plain[FUSED]);
    free(c->plain[ROUNDED_TWICE]);
    free(c->truth);
    free(c->bounds);
}

/* Every number of tiles or blocks, rows and dtype once in 768 cases, in an order that gives the first few of them
 * some of each. */
static void run_case(product *c, uint64_t seed, long index) {
    test_rng rng = {seed + (uint64_t)index * 0x632BE59BD9B4E019u};
    long mixed = index * 389 % 768;
    int is_value = (int)(mixed % 2), dtype = SA_F32 + (int)(mixed / 2 % 3);
    int width = (int)(mixed / 6 % 16) + 1, rows = SAI_MOST_ROWS - (int)(mixed / 96 % 8);
    if (is_value && rng_chance(&rng, 10)) {
        width = (int)rng_in(&rng, 17, MOST_DIMS / 16);
    }
    draw_case(c, &rng, is_value, dtype, width, rows);
    try_tables(c, &rng);
}

int main(int argc, char **argv) {
    uint64_t seed = 64;
    long count = 1536, i, first = argc > 3 ? strtol(argv[3], NULL, 0) : 0;
    double began = test_seconds();
    static product c;
    test_begin("test_kernels", argc, argv, &seed, &count);
    take(&c);
    for (i = first; i < first + count; i++) {
        run_case(&c, seed, i);
    }
    give_back(&c);
    CHECK(calls_many > 0 && (count < 768 || (calls_of_rows[1] > 0 && calls_of_rows[2] > 0)), "kernels never called");
    printf("calls of 1 to 8 rows:");
    for (i = 1; i <= SAI_MOST_ROWS; i++) {
        printf(" %ld", calls_of_rows[i]);
    }
    printf("; of many rows: %ld; %.1f s\n", calls_many, test_seconds() - began);
    return test_end();
}
