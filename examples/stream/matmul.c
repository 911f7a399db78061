/*
 * Weights times activations: panels of sixteen rows, converted to float once for a whole chunk of tokens.
 *
 * SPDX-License-Identifier: MIT
 *
 * A panel is 16 rows by 256 columns of weights as floats, transposed so that one vector
 * holds the same column of sixteen rows. It is 16 KiB and stays in the first-level cache
 * while it is multiplied with every token of the chunk.
 */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3,fp-contract=fast") /* products and sums fuse where the processor can */
#define UNROLL _Pragma("GCC unroll 16")
#elif defined(__clang__)
#pragma clang fp contract(fast)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL
#endif

#if defined(__GNUC__)
#define ALWAYS_INLINE inline __attribute__((always_inline))
#else
#define ALWAYS_INLINE inline
#endif

#include "matmul.h"

#include "quant.h"
#include "support.h"

#include <string.h>

enum {
    PANEL_ROWS = 16,
    PANEL_COLS = QUANT_MAX_BLOCK,
    PREFETCH_BYTES = 4096 /* prefetch weights so far before their use: this halved the time of a single token */
};

#if defined(__GNUC__)
#define SUFFIX(name) name##_base
#define LANES 4
#define TOKENS 3
#define TARGET
#include "matmul_isa.h"
#else
#define SUFFIX(name) name##_base
#define LANES 1
#define TOKENS 1
#define TARGET
#include "matmul_isa.h"
#endif

#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
#define HAVE_X86 1
#define SUFFIX(name) name##_avx2
#define LANES 8
#define TOKENS 6
#define TARGET __attribute__((target("avx2,fma")))
#include "matmul_isa.h"

#define SUFFIX(name) name##_avx512
#define LANES 16
#define TOKENS 12
#define TARGET __attribute__((target("avx512f,fma")))
#include "matmul_isa.h"
#else
#define HAVE_X86 0
#endif

typedef struct kernels {
    const char *name;
    void (*panel)(int32_t n, int64_t cols, const float *panel, const float *x, int64_t x_stride, float *y,
                  int64_t y_stride);
    float (*dot)(int64_t cols, const float *a, const float *b);
} kernels;

static kernels choose(void) {
#if HAVE_X86
    if (__builtin_cpu_supports("avx512f")) {
        return (kernels){"AVX-512", panel_avx512, dot_avx512};
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        return (kernels){"AVX2", panel_avx2, dot_avx2};
    }
#endif
    return (kernels){"plain C", panel_base, dot_base};
}

const char *matmul_isa(void) { return choose().name; }

matrix matrix_rows(const matrix *m, int64_t first, int64_t rows) {
    matrix part = *m;
    part.data = first == 0 ? m->data : m->data + (uint64_t)first * m->row_bytes;
    part.rows = rows;
    return part;
}

/* One call of matmul. */
typedef struct product {
    const matrix *w;
    kernels run;
    int32_t n;
    const float *x;
    float *y;
    int64_t y_stride;
} product;

/* The weights of up to 16 rows and 256 columns, as floats and transposed; rows beyond the matrix's last one are 0. */
static void fill_panel(const matrix *w, int64_t row, int64_t rows, int64_t col, int64_t cols, float *panel) {
    float line[PANEL_COLS];
    size_t skip = (size_t)(col / quant_block_elements(w->type)) * quant_block_bytes(w->type);
    for (int64_t r = 0; r < PANEL_ROWS; r++) {
        if (r < rows) {
            quant_to_float(w->type, w->data + (uint64_t)(row + r) * w->row_bytes + skip, cols, line);
        } else {
            memset(line, 0, sizeof line);
        }
        for (int64_t c = 0; c < cols; c++) {
            panel[c * PANEL_ROWS + r] = line[c];
        }
    }
}

/* One panel of rows times all tokens. The last panel may have fewer than 16 rows of the matrix: its results are
 * computed in a buffer of 16, from which only those rows are added to y. */
static void panel_task(void *context, int32_t index) {
    const product *p = context;
    const matrix *w = p->w;
    float panel[PANEL_ROWS * PANEL_COLS];
    int64_t row = (int64_t)index * PANEL_ROWS;
    int64_t rows = w->rows - row < PANEL_ROWS ? w->rows - row : PANEL_ROWS;
    for (int32_t t = 0; t < p->n; t++) {
        memset(p->y + t * p->y_stride + row, 0, (size_t)rows * sizeof(float));
    }
    for (int64_t col = 0; col < w->cols; col += PANEL_COLS) {
        int64_t cols = w->cols - col < PANEL_COLS ? w->cols - col : PANEL_COLS;
        fill_panel(w, row, rows, col, cols, panel);
        if (rows == PANEL_ROWS) {
            p->run.panel(p->n, cols, panel, p->x + col, w->cols, p->y + row, p->y_stride);
            continue;
        }
        for (int32_t t = 0; t < p->n; t++) {
            float narrow[PANEL_ROWS] = {0};
            p->run.panel(1, cols, panel, p->x + t * w->cols + col, w->cols, narrow, PANEL_ROWS);
            for (int64_t r = 0; r < rows; r++) {
                p->y[t * p->y_stride + row + r] += narrow[r];
            }
        }
    }
}

/* Prefetches what lies PREFETCH_BYTES behind these weights; beyond the end of the file a prefetch does nothing. */
static void prefetch_weights(const uint8_t *data, size_t bytes) {
#if defined(__GNUC__)
    for (size_t i = 0; i < bytes; i += 64) {
        __builtin_prefetch((const void *)((uintptr_t)data + PREFETCH_BYTES + i));
    }
#else
    (void)data;
    (void)bytes;
#endif
}

/* For few tokens: each row is one dot product per token, since transposing would cost more than it saves. */
static void row_task(void *context, int32_t index) {
    const product *p = context;
    const matrix *w = p->w;
    size_t block_bytes = quant_block_bytes(w->type) * (size_t)(PANEL_COLS / quant_block_elements(w->type));
    int64_t first = (int64_t)index * PANEL_ROWS;
    int64_t end = first + PANEL_ROWS < w->rows ? first + PANEL_ROWS : w->rows;
    for (int64_t row = first; row < end; row++) {
        const uint8_t *data = w->data + (uint64_t)row * w->row_bytes;
        for (int32_t t = 0; t < p->n; t++) {
            p->y[t * p->y_stride + row] = 0.0f;
        }
        for (int64_t col = 0; col < w->cols; col += PANEL_COLS, data += block_bytes) {
            float line[PANEL_COLS];
            int64_t cols = w->cols - col < PANEL_COLS ? w->cols - col : PANEL_COLS;
            prefetch_weights(data, block_bytes);
            quant_to_float(w->type, data, cols, line);
            for (int32_t t = 0; t < p->n; t++) {
                p->y[t * p->y_stride + row] += p->run.dot(cols, line, p->x + t * w->cols + col);
            }
        }
    }
}

void matmul(const matrix *w, int32_t n, const float *x, float *y, int64_t y_stride) {
    product all = {w, choose(), n, x, y, y_stride};
    int32_t tasks = (int32_t)((w->rows + PANEL_ROWS - 1) / PANEL_ROWS);
    run_parallel(NULL, tasks, n < 4 ? row_task : panel_task, &all);
}
