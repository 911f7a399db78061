/*
 * Small least squares problems: what stands for what, as a few references see it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fit.h"

#include <math.h>

/* A'A + ridge, lower half and all. Without any weight in A it is the identity, so that x stays what it was. */
static void normal_matrix(int32_t n, int32_t m, const float *a, int32_t stride, double ridge,
                          double c[FIT_MOST][FIT_MOST], double *added) {
    double trace = 0.0;
    for (int32_t i = 0; i < m; i++) {
        for (int32_t j = 0; j < m; j++) {
            c[i][j] = 0.0;
            for (int32_t r = 0; r < n; r++) {
                c[i][j] += (double)a[r * stride + i] * (double)a[r * stride + j];
            }
        }
        trace += c[i][i];
    }
    *added = trace > 0.0 ? ridge * trace / m : 1.0;
    for (int32_t i = 0; i < m; i++) {
        c[i][i] += *added;
    }
}

void fit_weights(int32_t n, int32_t m, const float *a, int32_t stride, const float *b, double ridge, double *w) {
    double c[FIT_MOST][FIT_MOST], added, goal[FIT_MOST];
    normal_matrix(n, m, a, stride, ridge, c, &added);
    for (int32_t i = 0; i < m; i++) {
        goal[i] = added;
        for (int32_t r = 0; r < n; r++) {
            goal[i] += (double)a[r * stride + i] * (double)b[r];
        }
        w[i] = 1.0;
    }
    for (int32_t round = 0; round < 100; round++) { /* one unknown at a time: it never gets worse */
        for (int32_t i = 0; i < m; i++) {
            double rest = goal[i];
            for (int32_t j = 0; j < m; j++) {
                rest -= j == i ? 0.0 : c[i][j] * w[j];
            }
            w[i] = rest > 0.0 ? rest / c[i][i] : 0.0;
        }
    }
}

/* c = L L', in the lower half. */
static void factor(int32_t m, double c[FIT_MOST][FIT_MOST]) {
    for (int32_t j = 0; j < m; j++) {
        for (int32_t i = j; i < m; i++) {
            for (int32_t l = 0; l < j; l++) {
                c[i][j] -= c[i][l] * c[j][l];
            }
            c[i][j] = i == j ? sqrt(c[j][j]) : c[i][j] / c[j][j];
        }
    }
}

static void solve(int32_t m, double c[FIT_MOST][FIT_MOST], double *x) {
    for (int32_t i = 0; i < m; i++) {
        for (int32_t l = 0; l < i; l++) {
            x[i] -= c[i][l] * x[l];
        }
        x[i] /= c[i][i];
    }
    for (int32_t i = m - 1; i >= 0; i--) {
        for (int32_t l = i + 1; l < m; l++) {
            x[i] -= c[l][i] * x[l];
        }
        x[i] /= c[i][i];
    }
}

void fit_rows(int32_t n, int32_t m, const float *a, int32_t stride, const float *b, int32_t size, double ridge,
              float *x) {
    double c[FIT_MOST][FIT_MOST], added, goal[FIT_MOST];
    normal_matrix(n, m, a, stride, ridge, c, &added);
    factor(m, c);
    for (int32_t dim = 0; dim < size; dim++) {
        for (int32_t i = 0; i < m; i++) {
            goal[i] = added * (double)x[i * size + dim];
            for (int32_t r = 0; r < n; r++) {
                goal[i] += (double)a[r * stride + i] * (double)b[r * size + dim];
            }
        }
        solve(m, c, goal);
        for (int32_t i = 0; i < m; i++) {
            x[i * size + dim] = (float)goal[i];
        }
    }
}
