/* How attention of one call is cut into units of work.
 *
 * SPDX-License-Identifier: MIT
 *
 * A unit is a panel, some rows of a kv head, over all blocks of keys that its rows see; or, where a call has too few
 * rows for its threads, a panel over one segment, a part of the list of blocks (Flash-Decoding's split, fixed by
 * position). How a call is cut decides who does what, and never the bits.
 */
#include "exact.h"

#include "plan.h"

#include <string.h>

static int32_t plan_ceil(int64_t a, int64_t b) { return (int32_t)((a + b - 1) / b); }

/* --------------------------------- blocks --------------------------------- */

sai_range sai_job_visible(const sai_job *job, int span, uint64_t t) {
    sai_range learned = {0, (uint64_t)job->layer->n_sink_kv};
    if (span == SAI_SPAN_LEARNED) return learned;
    if (span == SAI_SPAN_SINKS) return sai_visible_sinks(&job->layer->stream, t);
    return span == SAI_SPAN_WINDOW ? sai_visible_old(&job->layer->stream, t)
                                   : sai_visible_recent(&job->layer->stream, t);
}

/* Both ends of what a query sees grow with its position, so the first and the last query say it for all. */
static sai_range plan_blocks(const sai_job *job, int span, uint64_t first, uint64_t last) {
    uint64_t from = sai_job_visible(job, span, first).from, end = sai_job_visible(job, span, last).end;
    sai_range blocks = {0, 0};
    if (from >= end) return blocks;
    blocks.from = from / job->layer->block;
    blocks.end = (end - 1) / job->layer->block + 1;
    return blocks;
}

sai_range sai_job_blocks(const sai_job *job, int span, int32_t row, int32_t n) {
    if (n == job->rows) return job->blocks[span];
    return plan_blocks(job, span, sai_job_position(job, row), sai_job_position(job, row + n - 1));
}

int32_t sai_job_block_index(const sai_job *job, int span, uint64_t block) {
    uint64_t index = block - job->blocks[span].from;
    for (int s = 0; s < span; s++) index += job->blocks[s].end - job->blocks[s].from;
    return (int32_t)index;
}

static void plan_list_blocks(sai_job *job) {
    uint64_t last = job->want->first + (uint64_t)job->want->n - 1;
    for (int span = 0; span < SAI_N_SPANS; span++) {
        job->blocks[span] = plan_blocks(job, span, job->want->first, last);
        job->all_blocks += (int32_t)(job->blocks[span].end - job->blocks[span].from);
    }
}

/* ----------------------------------- cut ---------------------------------- */

/* Whether units of one size, dealt out in turn, keep the threads busy nine tenths of the time. */
static int plan_is_even(int64_t units, int32_t threads) {
    return 10 * units >= 9 * (int64_t)plan_ceil(units, threads) * threads;
}

/* Rows go to panels, as large as may be: a panel reads all keys that its rows see. Several threads get more and
 * smaller ones if that is what makes their shares even. */
static void plan_panels(sai_job *job) {
    int32_t kv = job->layer->n_kv_heads, threads = job->cache->n_threads;
    job->rows = job->want->n * job->layer->group;
    job->n_panels = plan_ceil(job->rows, SAI_PANEL);
    while (!plan_is_even((int64_t)kv * job->n_panels, threads) && job->rows / (job->n_panels + 1) >= SAI_ROWS_A_TASK)
        job->n_panels++;
    job->panel = plan_ceil(job->rows, job->n_panels);
    /* Whole groups of the rows that a kernel takes, if that leaves as many panels. */
    int32_t rounded = plan_ceil(job->panel, job->kernels->rows) * job->kernels->rows;
    if (rounded < job->rows && plan_ceil(job->rows, rounded) == job->n_panels) job->panel = rounded;
    job->n_panels = plan_ceil(job->rows, job->panel);
}

/* Where rows are too few for the threads, the blocks are dealt out too, in pieces small enough that their different
 * lengths do not matter. */
static void plan_segments(sai_job *job) {
    int32_t kv = job->layer->n_kv_heads, threads = job->cache->n_threads;
    int64_t panels = (int64_t)kv * job->n_panels;
    uint64_t blocks = job->blocks[SAI_SPAN_WINDOW].end - job->blocks[SAI_SPAN_WINDOW].from +
                      job->blocks[SAI_SPAN_RECENT].end - job->blocks[SAI_SPAN_RECENT].from;
    job->n_segments = 1;
    job->segment = job->all_blocks;
    if (plan_is_even(panels, threads) || blocks < 2 || job->want->n > sai_split_tokens(job->layer, threads)) return;
    int32_t segments = plan_ceil((int64_t)threads * SAI_TASKS_A_THREAD, panels);
    if (segments > job->all_blocks) segments = job->all_blocks;
    job->segment = plan_ceil(job->all_blocks, segments);
    job->n_segments = plan_ceil(job->all_blocks, job->segment);
}

sai_job sai_plan(const sa_cache *cache, const sai_layer *layer, const sai_queries *queries) {
    sai_job job;
    memset(&job, 0, sizeof job);
    job.cache = cache;
    job.layer = layer;
    job.kernels = sai_kernels_of(cache->isa);
    job.want = queries;
    plan_list_blocks(&job);
    plan_panels(&job);
    plan_segments(&job);
    int64_t units = (int64_t)layer->n_kv_heads * job.n_panels * job.n_segments;
    job.n_workers = units < cache->n_threads ? (int32_t)units : cache->n_threads;
    return job;
}
