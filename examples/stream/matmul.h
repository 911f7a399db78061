/*
 * Weights times activations, in plain C: the weights stay quantized in memory.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_MATMUL_H
#define STREAM_MATMUL_H

#include <stdint.h>

/* A matrix (rows, cols) of any type that quant.h knows; it points into the model file. */
typedef struct matrix {
    const uint8_t *data;
    uint64_t row_bytes;
    int64_t rows, cols;
    int32_t type;
} matrix;

/* Rows [first, first + rows) as a matrix of their own. */
matrix matrix_rows(const matrix *m, int64_t first, int64_t rows);

/*
 * y[i][r] = sum over c of w[r][c] * x[i][c].
 *   x  (n, w->cols)
 *   y  (n, w->rows), rows y_stride floats apart
 */
void matmul(const matrix *w, int32_t n, const float *x, float *y, int64_t y_stride);

/* The name of the instruction set that matmul runs with on this processor. */
const char *matmul_isa(void);

#endif
