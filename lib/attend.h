/* Runs the jobs of a pool's workspace: attention of some queries over the keys that they see.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_ATTEND_H
#define SAI_ATTEND_H

#include "plan.h"

/* Stores tokens and attends for the workspace's first n jobs, by the pool's workers. */
void sai_attend(sa_pool *pool, int32_t n_jobs);

/* The same by threads of the host: what worker `worker` of n_workers <= n_threads does in a phase. No thread may begin
 * a phase before all have ended the one before. Tokens are stored already. */
void sai_attend_part(const sa_pool *pool, int32_t n_jobs, int32_t phase, int32_t worker, int32_t n_workers);

#endif
