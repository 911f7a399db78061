/* Attention of some queries over a layer: planned, run, merged, written out.
 *
 * SPDX-License-Identifier: MIT
 *
 * The keys of a layer are a list of blocks: learned sink rows, sink tokens, window, recent tokens, each cut at
 * multiples of layer->block. A row's state over a block is the merge, in order, of its states over the block's
 * chunks; its result the merge, in order, of the states of all blocks that it sees. That order is all that decides
 * the bits. Who processes a block, and beside which other rows, is free (plan.c).
 */
#include "exact.h"

#include "attend.h"

#include <math.h>
#include <string.h>

#include "integers.h"
#include "kernels/compiler.h"
#include "kernels/integer_tiles.h"
#include "parallel.h"
#include "partial.h"
#include "plan.h"
#include "rotations.h"

/* ---------------------------------- rows ---------------------------------- */

/* The position of the query that looks at the sinks. */
static uint64_t attend_sink_place(const sai_job *job, uint64_t t) {
    const sai_layer *l = job->layer;
    return l->position_mode == SA_IN_CACHE ? sai_cache_position(&l->stream, t) : t;
}

/* Do the sinks need a query that is rotated for them alone? */
static int attend_rotates_for_sinks(const sai_job *job) {
    const sai_layer *l = job->layer;
    return l->rope.pairs > 0 && l->position_mode == SA_IN_CACHE && (l->stream.n_sink > 0 || l->n_sink_kv > 0);
}

static const sai_region *attend_region(const sai_job *job, int span) {
    const sai_layer *l = job->layer;
    return span == SAI_SPAN_LEARNED  ? &l->learned
           : span == SAI_SPAN_SINKS  ? &l->sinks
           : span == SAI_SPAN_WINDOW ? &l->ring
                                     : &l->recent;
}

/* --------------------------------- queries -------------------------------- */

/* Rotates a row's query: to its position t for the window; for the sinks to its place in the cache or, where the host
 * has rotated it to t, back from t to that place. The rotations are those of attend_make_rotations. */
static void attend_rotate(const sai_job *job, int32_t row, int for_sinks, float *q) {
    const sai_layer *l = job->layer;
    uint64_t t = sai_job_position(job, row);
    const float *rotation = sai_rotation(job->cache, sai_job_token(job, row));
    if (l->position == SA_POSITION_ROPE && for_sinks && attend_sink_place(job, t) != t)
        rotation = (const float *)sai_at(job->cache, l->saturated_at);
    if (l->position == SA_POSITION_ROPE || for_sinks) job->kernels->rope_rotate(&l->rope, rotation, q);
}

/* Row i's query, packed for keys of integers. */
static void attend_pack(const sai_job *job, const float *q, int32_t i, const sai_scratch *s) {
    const sai_layer *l = job->layer;
    memcpy(s->rotated, q, (size_t)l->dk * sizeof *q);
    job->kernels->hadamard(s->rotated, l->dk, 1);
    job->kernels->pack_query(s->rotated, l->dk, sai_offset(l->ring.k_dtype),
                             (int32_t *)(void *)(s->q_packed + (size_t)i * sai_query_words(l->dk)));
}

/* The host's rows lie far apart, so the processor does not prefetch them by itself: we do, this many rows early. */
enum { ATTEND_PREFETCH = 8 };

SAI_INLINE_ALWAYS void attend_prefetch(const sai_job *job, const sai_view *view, int32_t kv_head, int32_t row,
                                       int32_t dims) {
    const char *p = sai_row_at(view, job->want->from + sai_job_token(job, row), sai_job_head(job, kv_head, row));
    sai_prefetch_lines(p, (size_t)dims * sai_dtype_size(view->dtype));
}

static void attend_load_queries(const sai_job *job, int32_t kv_head, int32_t row, int32_t n, const sai_scratch *s) {
    const sai_view *view = &job->want->q;
    size_t dk = (size_t)job->layer->dk;
    int rotates = job->layer->rope.pairs > 0, for_sinks = attend_rotates_for_sinks(job);
    for (int32_t i = 0; i < n; i++) {
        float *q = s->q + (size_t)i * dk, *q_sinks = s->q_sinks + (size_t)i * dk;
        const char *from =
            sai_row_at(view, job->want->from + sai_job_token(job, row + i), sai_job_head(job, kv_head, row + i));
        if (i + ATTEND_PREFETCH < n) attend_prefetch(job, view, kv_head, row + i + ATTEND_PREFETCH, job->layer->dk);
        job->kernels->load[view->dtype](from, job->layer->dk, q);
        if (for_sinks) memcpy(q_sinks, q, dk * sizeof *q);
        if (for_sinks) attend_rotate(job, row + i, 1, q_sinks);
        if (rotates) attend_rotate(job, row + i, 0, q);
        if (sai_is_integer(job->layer->ring.k_dtype)) attend_pack(job, q, i, s);
    }
}

/* The rotations that all rows of the call need, one per token. */
static void attend_make_rotations(sa_cache *cache, const sai_job *job) {
    const sai_layer *l = job->layer;
    uint64_t t = job->want->first;
    if (l->position == SA_POSITION_ROPE) {
        sai_rotations_make(cache, l, t, 1, job->want->n);
    } else if (l->position == SA_POSITION_ROPE_APPLIED && attend_rotates_for_sinks(job)) {
        /* Back by t - (S+W-1): 0 as long as nothing was evicted, then one more for every token. A call may begin
         * before the first eviction and end after it: then its rotations are computed one by one. */
        uint64_t last = t + (uint64_t)job->want->n - 1;
        if (attend_sink_place(job, last) == last) {
            sai_rotations_make(cache, l, 0, 0, job->want->n);
        } else if (attend_sink_place(job, t) == attend_sink_place(job, last)) {
            sai_rotations_make(cache, l, attend_sink_place(job, t) - t, UINT64_MAX, job->want->n);
        } else {
            const uint64_t *frequencies = (const uint64_t *)sai_at(cache, l->frequencies_at);
            for (int32_t i = 0; i < job->want->n; i++, t++)
                job->kernels->rope_row(&l->rope, frequencies, attend_sink_place(job, t) - t,
                                       sai_rotations_own(cache, i));
        }
    }
}

/* --------------------------------- states --------------------------------- */

static void attend_clear(const sai_job *job, int32_t n, sai_states *s) {
    for (int32_t r = 0; r < n; r++) {
        s->max[r] = -INFINITY;
        s->sum[r] = 0;
    }
    memset(s->acc, 0, (size_t)n * (size_t)job->layer->dv_pad * sizeof(float));
}

/* The state before any key: empty, or a sink logit with value 0. */
static void attend_begin(const sai_job *job, int32_t kv_head, int32_t row, int32_t n, sai_states *total) {
    attend_clear(job, n, total);
    if (!job->layer->logits_at) return;
    const float *logits = (const float *)sai_at(job->cache, job->layer->logits_at);
    for (int32_t r = 0; r < n; r++) {
        total->max[r] = logits[sai_job_head(job, kv_head, row + r)];
        total->sum[r] = total->max[r] > -INFINITY ? 1.0f : 0.0f;
    }
}

/* ALiBi: the rows' slopes and places, and where the keys of the span stand. */
typedef struct attend_bias {
    float slopes[SAI_PANEL];
    int64_t places[SAI_PANEL];
} attend_bias;

static void attend_set_bias(const sai_job *job, int span, int32_t kv_head, int32_t row, sai_panel *p, attend_bias *b) {
    const sai_layer *l = job->layer;
    int at_zero = span == SAI_SPAN_LEARNED && l->sink_kv_position == SA_SINK_KV_AT_ZERO;
    p->key_step = !at_zero;
    if (!l->slopes_at) return;
    const float *slopes = (const float *)sai_at(job->cache, l->slopes_at);
    for (int32_t r = 0; r < p->n_rows; r++) {
        uint64_t t = sai_job_position(job, row + r);
        b->slopes[r] = slopes[sai_job_head(job, kv_head, row + r)];
        b->places[r] = (int64_t)(span >= SAI_SPAN_WINDOW ? t : attend_sink_place(job, t));
    }
    p->slopes = b->slopes;
    p->query_places = b->places;
    if (span == SAI_SPAN_LEARNED && !at_zero) p->key_place = -(int64_t)l->n_sink_kv;
}

/* What to prefetch after this span: behind the window, that of the kv head that this thread processes next. */
static void attend_set_next(const sai_job *job, int span, int32_t kv_head, int32_t row, sai_panel *p) {
    p->next_k = p->tiles.k;
    p->next_v = p->tiles.v;
    if (span < SAI_SPAN_WINDOW || kv_head + job->n_workers >= job->layer->n_kv_heads) return;
    const sai_region *region = attend_region(job, span);
    sai_tiles tiles = sai_tiles_of(job->cache, job->layer, region, kv_head + job->n_workers);
    uint64_t from = sai_job_visible(job, span, sai_job_position(job, row)).from;
    p->next_k = sai_key_at(&tiles, from);
    p->next_v = sai_value_at(&tiles, from);
}

/* The state of rows [row, row + n) over a block of a span, into an empty one. */
static void attend_block(const sai_job *job, int32_t kv_head, int32_t row, int32_t n, int span, uint64_t block,
                         const sai_scratch *s, sai_states *to) {
    const sai_layer *l = job->layer;
    const sai_region *region = attend_region(job, span);
    sai_range visible[SAI_PANEL], all = {UINT64_MAX, 0};
    uint64_t from = block * l->block, end = from + l->block, last = 0;
    for (int32_t r = 0; r < n; r++) {
        sai_range v = sai_job_visible(job, span, sai_job_position(job, row + r));
        if (v.end > last) last = v.end;
        if (v.from < from) v.from = from;
        if (v.end > end) v.end = end;
        visible[r] = v;
        if (v.from >= v.end) continue;
        if (v.from < all.from) all.from = v.from;
        if (v.end > all.end) all.end = v.end;
    }
    attend_bias bias;
    sai_panel p = {job->kernels,
                   l,
                   sai_tiles_of(job->cache, l, region, kv_head),
                   s->q,
                   (size_t)l->dk,
                   n,
                   visible,
                   last,
                   NULL,
                   NULL,
                   0,
                   1,
                   s,
                   NULL,
                   NULL};
    if (span < SAI_SPAN_WINDOW && attend_rotates_for_sinks(job)) p.q = s->q_sinks;
    if (sai_is_integer(region->k_dtype)) {
        p.q = s->q_packed;
        p.q_stride = sai_query_words(l->dk);
    }
    attend_set_bias(job, span, kv_head, row, &p, &bias);
    attend_set_next(job, span, kv_head, row, &p);
    for (uint64_t base = all.from / SAI_CHUNK * SAI_CHUNK; base < all.end; base += SAI_CHUNK)
        sai_panel_chunk(&p, base, to);
    sai_panel_end(&p, to);
}

/* --------------------------------- results -------------------------------- */

/* Keeps the total as it is after the last sink. */
static void attend_keep_sinks(int32_t n, sai_scratch *s) {
    memcpy(s->sinks.max, s->total.max, (size_t)n * sizeof(float));
    memcpy(s->sinks.sum, s->total.sum, (size_t)n * sizeof(float));
}

static void attend_merge(const sai_job *job, int32_t n, sai_states *a, const sai_states *b) {
    job->kernels->merge(n, job->layer->dv_pad, a->max, a->sum, a->acc, b->max, b->sum, b->acc);
}

static void attend_write_row(const sai_job *job, int32_t kv_head, int32_t row, int32_t r, const sai_scratch *s) {
    const sai_queries *w = job->want;
    int32_t head = sai_job_head(job, kv_head, row + r);
    int64_t token = w->from + sai_job_token(job, row + r), at = token * job->layer->n_heads + head;
    float max = s->total.max[r], sum = s->total.sum[r], *acc = s->total.acc + (size_t)r * (size_t)job->layer->dv_pad;
    if (w->lse) w->lse[at] = sai_log_sum_exp(max, sum);
    if (w->sink_mass)
        w->sink_mass[at] =
            s->sinks.sum[r] == 0 ? 0 : s->sinks.sum[r] * job->kernels->exponential(s->sinks.max[r] - max) / sum;
    if (w->partial_max) {
        w->partial_max[at] = max;
        w->partial_sum[at] = sum;
    } else {
        job->kernels->divide(job->layer->dv_pad, acc, sum);
    }
    job->kernels->store[w->out.dtype](acc, job->layer->dv, sai_row_at(&w->out, token, head));
}

/* ---------------------------------- units --------------------------------- */

/* Stores a kv head's new tokens, and prefetches the place of those of the next one. */
static void attend_store(const sai_job *job, int32_t kv_head, const sai_scratch *s) {
    if (kv_head + job->n_workers < job->layer->n_kv_heads) sai_append_prefetch(job->tokens, kv_head + job->n_workers);
    sai_append_head(job->tokens, kv_head, s);
}

/* The rows of a panel. */
typedef struct attend_rows {
    int32_t kv_head, row, n;
} attend_rows;

static attend_rows attend_rows_of(const sai_job *job, int32_t panel) {
    attend_rows rows = {panel / job->n_panels, panel % job->n_panels * job->panel, job->panel};
    if (rows.n > job->rows - rows.row) rows.n = job->rows - rows.row;
    return rows;
}

/* Adds the keys of a block to the total. The state of the first block is the total itself. */
static void attend_add_block(const sai_job *job, attend_rows rows, int span, uint64_t block, int is_first,
                             sai_scratch *s) {
    if (!is_first) attend_clear(job, rows.n, &s->block);
    attend_block(job, rows.kv_head, rows.row, rows.n, span, block, s, is_first ? &s->total : &s->block);
    if (!is_first) attend_merge(job, rows.n, &s->total, &s->block);
}

static void attend_write_rows(const sai_job *job, attend_rows rows, const sai_scratch *s) {
    for (int32_t r = 0; r < rows.n; r++) {
        if (r + ATTEND_PREFETCH < rows.n)
            attend_prefetch(job, &job->want->out, rows.kv_head, rows.row + r + ATTEND_PREFETCH, job->layer->dv);
        attend_write_row(job, rows.kv_head, rows.row, r, s);
    }
}

/* Rows of one panel over all blocks that they see, start to end. */
static void attend_panel(const sai_job *job, int32_t unit, sai_scratch *s) {
    attend_rows rows = attend_rows_of(job, unit);
    int is_first = !job->layer->logits_at;
    if (job->tokens) attend_store(job, rows.kv_head, s);
    attend_load_queries(job, rows.kv_head, rows.row, rows.n, s);
    attend_begin(job, rows.kv_head, rows.row, rows.n, &s->total);
    for (int span = 0; span < SAI_N_SPANS; span++) {
        sai_range blocks = sai_job_blocks(job, span, rows.row, rows.n);
        if (span == SAI_SPAN_WINDOW) attend_keep_sinks(rows.n, s);
        for (uint64_t b = blocks.from; b < blocks.end; b++, is_first = 0)
            attend_add_block(job, rows, span, b, is_first, s);
    }
    attend_write_rows(job, rows, s);
}

/* Where the state of a row over a block waits to be merged: max, sum, acc. */
static float *attend_split_state(const sai_job *job, int32_t kv_head, int32_t row, int32_t block) {
    size_t index = ((size_t)kv_head * (size_t)job->rows + (size_t)row) * (size_t)job->all_blocks + (size_t)block;
    return (float *)sai_at(job->cache, job->cache->splits_at) + index * ((size_t)job->layer->dv_pad + 2);
}

static void attend_keep_states(const sai_job *job, attend_rows rows, int32_t block, const sai_states *states) {
    size_t dv_pad = (size_t)job->layer->dv_pad;
    for (int32_t r = 0; r < rows.n; r++) {
        float *state = attend_split_state(job, rows.kv_head, rows.row + r, block);
        state[0] = states->max[r];
        state[1] = states->sum[r];
        memcpy(state + 2, states->acc + (size_t)r * dv_pad, dv_pad * sizeof(float));
    }
}

/* Rows of one panel over those blocks of one segment that they see, left for attend_join. */
static void attend_segment(const sai_job *job, int32_t unit, sai_scratch *s) {
    int32_t from = unit % job->n_segments * job->segment, end = from + job->segment;
    attend_rows rows = attend_rows_of(job, unit / job->n_segments);
    attend_load_queries(job, rows.kv_head, rows.row, rows.n, s);
    for (int span = 0; span < SAI_N_SPANS; span++) {
        sai_range blocks = sai_job_blocks(job, span, rows.row, rows.n);
        for (uint64_t b = blocks.from; b < blocks.end; b++) {
            int32_t index = sai_job_block_index(job, span, b);
            if (index < from || index >= end) continue;
            attend_clear(job, rows.n, &s->block);
            attend_block(job, rows.kv_head, rows.row, rows.n, span, b, s, &s->block);
            attend_keep_states(job, rows, index, &s->block);
        }
    }
}

/* The blocks that one row sees, merged in order. */
static void attend_join(const sai_job *job, int32_t unit, sai_scratch *s) {
    int32_t kv_head = unit / job->rows, row = unit % job->rows;
    sai_scratch one = *s;
    attend_begin(job, kv_head, row, 1, &one.total);
    for (int span = 0; span < SAI_N_SPANS; span++) {
        sai_range blocks = sai_job_blocks(job, span, row, 1);
        if (span == SAI_SPAN_WINDOW) attend_keep_sinks(1, &one);
        for (uint64_t b = blocks.from; b < blocks.end; b++) {
            float *state = attend_split_state(job, kv_head, row, sai_job_block_index(job, span, b));
            one.block.max = state;
            one.block.sum = state + 1;
            one.block.acc = state + 2;
            attend_merge(job, 1, &one.total, &one.block);
        }
    }
    attend_write_row(job, kv_head, row, 0, &one);
}

/* ---------------------------------- phases -------------------------------- */

static int32_t attend_phases(const sai_job *job) { return job->n_segments == 1 ? 1 : 2; }

/* Every n-th unit of a phase, so that the workers need no agreement on who does what. */
static void attend_process(const sai_job *job, int32_t phase, int32_t worker, int32_t n_workers) {
    void (*process)(const sai_job *, int32_t, sai_scratch *) = phase                  ? attend_join
                                                               : job->n_segments == 1 ? attend_panel
                                                                                      : attend_segment;
    int32_t units = job->layer->n_kv_heads * (phase ? job->rows : job->n_panels * job->n_segments);
    sai_scratch s = sai_worker_scratch(job->cache, job->layer, worker);
    for (int32_t unit = worker; unit < units; unit += n_workers) process(job, unit, &s);
}

typedef struct attend_pass {
    const sai_job *job;
    int32_t phase;
} attend_pass;

static void attend_worker(void *context, int32_t w) {
    const attend_pass *pass = (const attend_pass *)context;
    attend_process(pass->job, pass->phase, w, pass->job->n_workers);
}

void sai_attend(sa_cache *cache, const sai_layer *layer, const sai_queries *queries, const sai_tokens *tokens) {
    sai_job job = sai_plan(cache, layer, queries);
    int by_head = job.n_panels == 1 && job.n_segments == 1; /* then nobody else reads what a unit stores */
    attend_make_rotations(cache, &job);
    if (tokens && by_head) job.tokens = tokens;
    if (tokens && !by_head) sai_store_tokens(tokens);
    for (int32_t phase = 0; phase < attend_phases(&job); phase++) {
        attend_pass pass = {&job, phase};
        sai_parallel(cache->parallel_for, cache->parallel_context, job.n_workers, attend_worker, &pass);
    }
}

int32_t sai_attend_begin(sa_cache *cache, const sai_layer *layer, const sai_queries *queries) {
    sai_job job = sai_plan(cache, layer, queries);
    attend_make_rotations(cache, &job);
    return attend_phases(&job);
}

void sai_attend_part(const sa_cache *cache, const sai_layer *layer, const sai_queries *queries, int32_t phase,
                     int32_t worker, int32_t n_workers) {
    sai_job job = sai_plan(cache, layer, queries);
    attend_process(&job, phase, worker, n_workers);
}
