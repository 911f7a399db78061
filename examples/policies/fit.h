/*
 * Small least squares problems: what stands for what, as a few references see it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef FIT_H
#define FIT_H

#include <stdint.h>

enum { FIT_MOST = 16 }; /* unknowns, at most */

/* The w >= 0 with the least |A w - b|^2 + ridge |w - 1|^2. a: (n, m) by rows of `stride`; b: (n). `ridge` is a share of
 * the mean square of A's columns. */
void fit_weights(int32_t n, int32_t m, const float *a, int32_t stride, const float *b, double ridge, double *w);

/* x: (m, size), changed to that with the least |A x - b|^2 + ridge |x - x as it came|^2. b: (n, size). */
void fit_rows(int32_t n, int32_t m, const float *a, int32_t stride, const float *b, int32_t size, double ridge,
              float *x);

#endif
