/* What each key weighs in a call's softmaxes: a second pass over the keys, when these are finished.
 *
 * SPDX-License-Identifier: MIT
 *
 * A layer's keys are listed as the host knows them: the sink logit where there is one, learned sink rows, the slots
 * for rows of the host, the positions held. What is in front of these has no position.
 */
#ifndef SAI_MASS_H
#define SAI_MASS_H

#include "plan.h"

/* How many entries of the list stand before the positions, and how many there are at most. */
uint64_t sai_mass_front(const sai_layer *layer);
uint64_t sai_mass_most(const sai_layer *layer);

/* Before the workspace's first n jobs run: nothing weighs anything yet. */
void sai_mass_begin(const sa_pool *pool, int32_t n_jobs);

/* Keeps the end of a row's softmax: the greatest logit and the sum of exp(logit - max). */
void sai_mass_keep(const sai_job *job, int32_t kv_head, int32_t row, float max, float sum);

/* What worker `worker` of n_workers does when all rows of the jobs are finished. */
void sai_mass_part(const sa_pool *pool, int32_t n_jobs, int32_t worker, int32_t n_workers);

#endif
