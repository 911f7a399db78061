/* Runs a few tasks: in this thread, on the host's pool, or with OpenMP.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_PARALLEL_H
#define SAI_PARALLEL_H

#include "../include/sinkattn.h"

/* 1 if this library can start threads of its own (OpenMP), when config.n_threads asks for them. */
int sai_have_openmp(void);

/* task(context, i) for i in [0, n): on the pool if there is one, else with OpenMP, else here. */
void sai_parallel(sa_parallel_for pool, void *pool_context, int32_t n, sa_task task, void *context);

#endif
