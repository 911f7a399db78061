/* Takes the host's keys and values in: to f32, rotated to their position, stored.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_APPEND_H
#define SAI_APPEND_H

#include "plan.h"

/* Stores the tokens of a job for one kv head, by any thread with a scratch of its own. */
void sai_append_head(const sai_job *job, int32_t kv_head, const sai_scratch *scratch);

/* Prefetches the lines that a kv head's first token goes to. */
void sai_append_prefetch(const sai_job *job, int32_t kv_head);

/* Stores the tokens of those of the workspace's first n jobs that append and whose units do not store them: by as many
 * threads as that pays for, or by the calling one. */
void sai_append_all(const sa_pool *pool, int32_t n_jobs, int may_share);

#endif
