/* Runs a few tasks: in this thread, on the host's pool, or with OpenMP.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include "parallel.h"

int sai_have_openmp(void) {
#ifdef _OPENMP
    return 1;
#else
    return 0;
#endif
}

void sai_parallel(sa_parallel_for pool, void *pool_context, int32_t n, sa_task task, void *context) {
    if (n == 1) {
        task(context, 0);
        return;
    }
    if (pool) {
        pool(pool_context, n, task, context);
        return;
    }
#ifdef _OPENMP
#pragma omp parallel for num_threads(n) schedule(static, 1)
#endif
    for (int32_t i = 0; i < n; i++) task(context, i);
}
