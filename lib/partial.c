/* States of attention over some of the keys: merged and finished for the host.
 *
 * SPDX-License-Identifier: MIT
 *
 * A state (max, sum, acc) stands for sum of exp(logit - max) and sum of exp(logit - max) * v.
 * Merging is a host's rare operation: plain loops here, any instruction set.
 */
#include "exact.h"

#include <math.h>

#include "partial.h"

float sai_log_sum_exp(float max, float sum) { return sum == 0 ? -INFINITY : (float)((double)max + log((double)sum)); }

static void partial_merge_row(int32_t n, float *max_a, float *sum_a, float *acc_a, float max_b, float sum_b,
                              const float *acc_b) {
    if (sum_b == 0) return;
    float max = *sum_a == 0 || max_b > *max_a ? max_b : *max_a;
    double a = *sum_a == 0 ? 0 : exp((double)*max_a - max), b = exp((double)max_b - max);
    for (int32_t i = 0; i < n; i++) acc_a[i] = (float)(acc_a[i] * a + acc_b[i] * b);
    *sum_a = (float)(*sum_a * a + sum_b * b);
    *max_a = max;
}

sa_status sa_merge_partial(int64_t n_rows, int32_t v_head_dim, float *max_a, float *sum_a, float *acc_a,
                           const float *max_b, const float *sum_b, const float *acc_b) {
    if (n_rows < 0 || v_head_dim < 1) return SA_ERR_ARGUMENT;
    if (n_rows && !(max_a && sum_a && acc_a && max_b && sum_b && acc_b)) return SA_ERR_ARGUMENT;
    for (int64_t r = 0; r < n_rows; r++)
        partial_merge_row(v_head_dim, max_a + r, sum_a + r, acc_a + r * v_head_dim, max_b[r], sum_b[r],
                          acc_b + r * v_head_dim);
    return SA_SUCCESS;
}

sa_status sa_finish_partial(int64_t n_rows, int32_t v_head_dim, const float *max, const float *sum, float *acc,
                            float *lse) {
    if (n_rows < 0 || v_head_dim < 1) return SA_ERR_ARGUMENT;
    if (n_rows && !(max && sum && acc)) return SA_ERR_ARGUMENT;
    for (int64_t r = 0; r < n_rows; r++) {
        for (int32_t i = 0; i < v_head_dim && sum[r] != 0; i++) acc[r * v_head_dim + i] /= sum[r];
        for (int32_t i = 0; i < v_head_dim && sum[r] == 0; i++) acc[r * v_head_dim + i] = 0;
        if (lse) lse[r] = sai_log_sum_exp(max[r], sum[r]);
    }
    return SA_SUCCESS;
}
