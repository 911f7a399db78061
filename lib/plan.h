/* How attention of one call is cut into units of work.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_PLAN_H
#define SAI_PLAN_H

#include "append.h"
#include "cache.h"
#include "kernels/kernel.h"

/* The keys of a layer, in the order in which their states are merged. */
enum { SAI_SPAN_LEARNED, SAI_SPAN_SINKS, SAI_SPAN_WINDOW, SAI_SPAN_RECENT, SAI_N_SPANS };

/* One call on one layer: what it wants, and how it is cut. A block is layer->block positions of a span; blocks have
 * the number position / layer->block. */
typedef struct sai_job {
    const sa_cache *cache;
    const sai_layer *layer;
    const sai_kernels *kernels;
    const sai_queries *want;
    const sai_tokens *tokens;      /* to be stored by whoever processes their kv head; NULL: none */
    sai_range blocks[SAI_N_SPANS]; /* that some row of the call sees */
    int32_t all_blocks;
    int32_t rows;                /* of a kv head: tokens times group */
    int32_t panel, n_panels;     /* rows of a panel, panels of a kv head */
    int32_t segment, n_segments; /* blocks of a segment, segments; 1 segment: not split */
    int32_t n_workers;
} sai_job;

/* A job says all that its call says, so every thread makes the same one for itself. */
sai_job sai_plan(const sa_cache *cache, const sai_layer *layer, const sai_queries *queries);

/* What a query at position t sees of a span. */
sai_range sai_job_visible(const sai_job *job, int span, uint64_t t);

/* The blocks of a span that rows [row, row + n) see. */
sai_range sai_job_blocks(const sai_job *job, int span, int32_t row, int32_t n);

/* The place of a block in the list of all blocks of the call. */
int32_t sai_job_block_index(const sai_job *job, int span, uint64_t block);

static inline int32_t sai_job_token(const sai_job *job, int32_t row) { return row / job->layer->group; }
static inline int32_t sai_job_head(const sai_job *job, int32_t kv_head, int32_t row) {
    return kv_head * job->layer->group + row % job->layer->group;
}
static inline uint64_t sai_job_position(const sai_job *job, int32_t row) {
    return job->want->first + (uint64_t)sai_job_token(job, row);
}

#endif
