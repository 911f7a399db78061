/* Attention of some queries over a layer: cut into units, run, merged, written out.
 *
 * SPDX-License-Identifier: MIT
 *
 * The keys of a layer are a list of blocks: learned sink rows, sink tokens, window, each cut at
 * multiples of layer->block. A row's state over a block is the merge, in order, of its states over
 * the block's chunks; its result the merge, in order, of the states of all blocks. That order is all
 * that decides the bits. Who works a block, and beside which other rows, is free: a unit is some
 * rows of a kv head times some of the blocks (Flash-Decoding's split, fixed by position).
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
#include "turns.h"

enum { SPAN_LEARNED, SPAN_SINKS, SPAN_WINDOW, SPAN_RECENT, N_SPANS };

/* One call on one layer: what it wants, and how it is cut. */
typedef struct attend_job {
    const sa_cache *cache;
    const sai_layer *layer;
    const sai_kernels *kernels;
    const sai_queries *want;
    const sai_tokens *tokens;      /* to be stored by whoever works their kv head; NULL: none */
    uint64_t first_block[N_SPANS]; /* of a span, in units of layer->block positions */
    int32_t n_blocks[N_SPANS], all_blocks;
    int32_t rows;                /* of a kv head: tokens times group */
    int32_t panel, n_panels;     /* rows of a panel, panels of a kv head */
    int32_t segment, n_segments; /* blocks of a segment, segments; 1 segment: not split */
    int32_t n_workers;
} attend_job;

/* ---------------------------------- rows ---------------------------------- */

static int32_t attend_token(const attend_job *j, int32_t row) { return row / j->layer->group; }
static int32_t attend_head(const attend_job *j, int32_t kv_head, int32_t row) {
    return kv_head * j->layer->group + row % j->layer->group;
}
static uint64_t attend_position(const attend_job *j, int32_t row) {
    return j->want->first + (uint64_t)attend_token(j, row);
}

/* Where a query stands that looks at the sinks. */
static uint64_t attend_sink_place(const attend_job *j, uint64_t t) {
    return j->layer->position_mode == SA_IN_CACHE ? sai_cache_position(&j->layer->stream, t) : t;
}

/* Whether the sinks are met by a query of their own. */
static int attend_turns_back(const attend_job *j) {
    const sai_layer *l = j->layer;
    return l->rope.pairs > 0 && l->position_mode == SA_IN_CACHE && (l->stream.n_sink > 0 || l->n_sink_kv > 0);
}

static sai_range attend_visible(const attend_job *j, int span, uint64_t t) {
    sai_range learned = {0, (uint64_t)j->layer->n_sink_kv};
    if (span == SPAN_LEARNED) return learned;
    if (span == SPAN_SINKS) return sai_visible_sinks(&j->layer->stream, t);
    return span == SPAN_WINDOW ? sai_visible_old(&j->layer->stream, t) : sai_visible_recent(&j->layer->stream, t);
}

static const sai_region *attend_region(const attend_job *j, int span) {
    const sai_layer *l = j->layer;
    return span == SPAN_LEARNED  ? &l->learned
           : span == SPAN_SINKS  ? &l->sinks
           : span == SPAN_WINDOW ? &l->ring
                                 : &l->recent;
}

/* --------------------------------- queries -------------------------------- */

/* The rotation of a row's query: at t for the window; for the sinks at its cache place, or, where the
 * host has turned it to t, by what turns it back there. The rows are those of attend_make_turns. */
static void attend_turn(const attend_job *j, int32_t row, int for_sinks, float *q) {
    const sai_layer *l = j->layer;
    uint64_t t = attend_position(j, row);
    const float *turn = sai_turn(j->cache, attend_token(j, row));
    if (l->position == SA_POSITION_ROPE && for_sinks && attend_sink_place(j, t) != t)
        turn = (const float *)sai_at(j->cache, l->saturated_at);
    if (l->position == SA_POSITION_ROPE || for_sinks) j->kernels->rope_rotate(&l->rope, turn, q);
}

/* Row i's query as integer keys want it. */
static void attend_pack(const attend_job *j, const float *q, int32_t i, const sai_scratch *s) {
    const sai_layer *l = j->layer;
    memcpy(s->rotated, q, (size_t)l->dk * sizeof *q);
    j->kernels->hadamard(s->rotated, l->dk, 1);
    j->kernels->pack_query(s->rotated, l->dk, sai_offset(l->ring.k_dtype),
                           (int32_t *)(void *)(s->q_packed + (size_t)i * sai_query_words(l->dk)));
}

/* The host's rows lie far apart, so no processor foresees the next one: asked for this many rows ahead. */
enum { ATTEND_AHEAD = 8 };

SAI_INLINE_ALWAYS void attend_foresee(const attend_job *j, const sai_view *view, int32_t kv_head, int32_t row,
                                      int32_t dims) {
    const char *p = sai_row_at(view, j->want->from + attend_token(j, row), attend_head(j, kv_head, row));
    sai_prefetch_lines(p, (size_t)dims * sai_dtype_size(view->dtype));
}

static void attend_load_queries(const attend_job *j, int32_t kv_head, int32_t row, int32_t n, const sai_scratch *s) {
    const sai_view *view = &j->want->q;
    size_t dk = (size_t)j->layer->dk;
    int rope = j->layer->rope.pairs > 0, back = attend_turns_back(j);
    for (int32_t i = 0; i < n; i++) {
        float *q = s->q + (size_t)i * dk, *q_sinks = s->q_sinks + (size_t)i * dk;
        const char *from = sai_row_at(view, j->want->from + attend_token(j, row + i), attend_head(j, kv_head, row + i));
        if (i + ATTEND_AHEAD < n) attend_foresee(j, view, kv_head, row + i + ATTEND_AHEAD, j->layer->dk);
        j->kernels->load[view->dtype](from, j->layer->dk, q);
        if (back) memcpy(q_sinks, q, dk * sizeof *q);
        if (back) attend_turn(j, row + i, 1, q_sinks);
        if (rope) attend_turn(j, row + i, 0, q);
        if (sai_is_integer(j->layer->ring.k_dtype)) attend_pack(j, q, i, s);
    }
}

/* The rotations that all rows of the call need, one per token. */
static void attend_make_turns(sa_cache *cache, const attend_job *j) {
    const sai_layer *l = j->layer;
    uint64_t t = j->want->first;
    if (l->position == SA_POSITION_ROPE) {
        sai_turns_make(cache, l, t, 1, j->want->n);
    } else if (l->position == SA_POSITION_ROPE_APPLIED && attend_turns_back(j)) {
        /* Back by t - (S+W-1): a distance that grows by one a token, or 0 as long as nothing was evicted.
         * A call may begin there and end beyond: then its rows are made one by one. */
        uint64_t last = t + (uint64_t)j->want->n - 1;
        if (attend_sink_place(j, last) == last) {
            sai_turns_make(cache, l, 0, 0, j->want->n);
        } else if (attend_sink_place(j, t) == attend_sink_place(j, last)) {
            sai_turns_make(cache, l, attend_sink_place(j, t) - t, UINT64_MAX, j->want->n);
        } else {
            const uint64_t *frequencies = (const uint64_t *)sai_at(cache, l->frequencies_at);
            for (int32_t i = 0; i < j->want->n; i++, t++)
                j->kernels->rope_row(&l->rope, frequencies, attend_sink_place(j, t) - t, sai_turns_own(cache, i));
        }
    }
}

/* --------------------------------- states --------------------------------- */

static void attend_clear(const attend_job *j, int32_t n, sai_states *s) {
    for (int32_t r = 0; r < n; r++) {
        s->max[r] = -INFINITY;
        s->sum[r] = 0;
    }
    memset(s->acc, 0, (size_t)n * (size_t)j->layer->dv_pad * sizeof(float));
}

/* The state before any key: empty, or a sink logit with value 0. */
static void attend_begin(const attend_job *j, int32_t kv_head, int32_t row, int32_t n, sai_states *total) {
    attend_clear(j, n, total);
    if (!j->layer->logits_at) return;
    const float *logits = (const float *)sai_at(j->cache, j->layer->logits_at);
    for (int32_t r = 0; r < n; r++) {
        total->max[r] = logits[attend_head(j, kv_head, row + r)];
        total->sum[r] = total->max[r] > -INFINITY ? 1.0f : 0.0f;
    }
}

/* ALiBi: the rows' slopes and places, and where the keys of the span stand. */
typedef struct attend_bias {
    float slopes[SAI_PANEL];
    int64_t places[SAI_PANEL];
} attend_bias;

static void attend_set_bias(const attend_job *j, int span, int32_t kv_head, int32_t row, sai_panel *p, attend_bias *b) {
    const sai_layer *l = j->layer;
    int at_zero = span == SPAN_LEARNED && l->sink_kv_position == SA_SINK_KV_AT_ZERO;
    p->key_step = !at_zero;
    if (!l->slopes_at) return;
    const float *slopes = (const float *)sai_at(j->cache, l->slopes_at);
    for (int32_t r = 0; r < p->n_rows; r++) {
        uint64_t t = attend_position(j, row + r);
        b->slopes[r] = slopes[attend_head(j, kv_head, row + r)];
        b->places[r] = (int64_t)(span >= SPAN_WINDOW ? t : attend_sink_place(j, t));
    }
    p->slopes = b->slopes;
    p->query_places = b->places;
    if (span == SPAN_LEARNED && !at_zero) p->key_place = -(int64_t)l->n_sink_kv;
}

/* Where a panel goes on behind the end of a span: from the window to that of the kv head that the thread works next. */
static void attend_go_on(const attend_job *j, int span, int32_t kv_head, int32_t row, sai_panel *p) {
    p->next_k = p->tiles.k;
    p->next_v = p->tiles.v;
    if (span < SPAN_WINDOW || kv_head + j->n_workers >= j->layer->n_kv_heads) return;
    const sai_region *region = attend_region(j, span);
    sai_tiles tiles = sai_tiles_of(j->cache, j->layer, region, kv_head + j->n_workers);
    uint64_t from = attend_visible(j, span, attend_position(j, row)).from;
    p->next_k = sai_key_at(&tiles, from);
    p->next_v = sai_value_at(&tiles, from);
}

/* The state of rows [row, row + n) over block number `block` of the whole list, into an empty one. */
static void attend_block(const attend_job *j, int32_t kv_head, int32_t row, int32_t n, int32_t block,
                         const sai_scratch *s, sai_states *to) {
    const sai_layer *l = j->layer;
    int span = SPAN_LEARNED;
    while (block >= j->n_blocks[span]) block -= j->n_blocks[span++];
    const sai_region *region = attend_region(j, span);
    sai_range visible[SAI_PANEL], whole = {UINT64_MAX, 0};
    uint64_t from = (j->first_block[span] + (uint64_t)block) * l->block, end = from + l->block, last = 0;
    for (int32_t r = 0; r < n; r++) {
        sai_range v = attend_visible(j, span, attend_position(j, row + r));
        if (v.end > last) last = v.end;
        if (v.from < from) v.from = from;
        if (v.end > end) v.end = end;
        visible[r] = v;
        if (v.from >= v.end) continue;
        if (v.from < whole.from) whole.from = v.from;
        if (v.end > whole.end) whole.end = v.end;
    }
    attend_bias bias;
    sai_panel p = {j->kernels,
                   l,
                   sai_tiles_of(j->cache, l, region, kv_head),
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
    if (span < SPAN_WINDOW && attend_turns_back(j)) p.q = s->q_sinks;
    if (sai_is_integer(region->k_dtype)) {
        p.q = s->q_packed;
        p.q_stride = sai_query_words(l->dk);
    }
    attend_set_bias(j, span, kv_head, row, &p, &bias);
    attend_go_on(j, span, kv_head, row, &p);
    for (uint64_t base = whole.from / SAI_CHUNK * SAI_CHUNK; base < whole.end; base += SAI_CHUNK)
        sai_panel_chunk(&p, base, to);
    sai_panel_end(&p, to);
}

/* --------------------------------- results -------------------------------- */

/* Before block number `block`: keeps the total as it is after the last sink. */
static void attend_keep_sinks(const attend_job *j, int32_t n, int32_t block, sai_scratch *s) {
    if (block != j->n_blocks[SPAN_LEARNED] + j->n_blocks[SPAN_SINKS]) return;
    memcpy(s->sinks.max, s->total.max, (size_t)n * sizeof(float));
    memcpy(s->sinks.sum, s->total.sum, (size_t)n * sizeof(float));
}

static void attend_merge(const attend_job *j, int32_t n, sai_states *a, const sai_states *b) {
    j->kernels->merge(n, j->layer->dv_pad, a->max, a->sum, a->acc, b->max, b->sum, b->acc);
}

static void attend_write_row(const attend_job *j, int32_t kv_head, int32_t row, int32_t r, const sai_scratch *s) {
    const sai_queries *w = j->want;
    int32_t head = attend_head(j, kv_head, row + r);
    int64_t token = w->from + attend_token(j, row + r), at = token * j->layer->n_heads + head;
    float max = s->total.max[r], sum = s->total.sum[r], *acc = s->total.acc + (size_t)r * (size_t)j->layer->dv_pad;
    if (w->lse) w->lse[at] = sai_log_sum_exp(max, sum);
    if (w->sink_mass)
        w->sink_mass[at] =
            s->sinks.sum[r] == 0 ? 0 : s->sinks.sum[r] * j->kernels->exponential(s->sinks.max[r] - max) / sum;
    if (w->partial_max) {
        w->partial_max[at] = max;
        w->partial_sum[at] = sum;
    } else {
        j->kernels->divide(j->layer->dv_pad, acc, sum);
    }
    j->kernels->store[w->out.dtype](acc, j->layer->dv, sai_row_at(&w->out, token, head));
}

/* ---------------------------------- units --------------------------------- */

/* Stores a kv head's new tokens, and asks for where those of the next one will go. */
static void attend_store(const attend_job *j, int32_t kv_head, const sai_scratch *s) {
    if (kv_head + j->n_workers < j->layer->n_kv_heads) sai_append_foresee(j->tokens, kv_head + j->n_workers);
    sai_append_head(j->tokens, kv_head, s);
}

/* Rows of one panel over all blocks, start to end. */
static void attend_panel(const attend_job *j, int32_t unit, sai_scratch *s) {
    int32_t kv_head = unit / j->n_panels, row = unit % j->n_panels * j->panel;
    int32_t n = j->rows - row < j->panel ? j->rows - row : j->panel;
    if (j->tokens) attend_store(j, kv_head, s);
    attend_load_queries(j, kv_head, row, n, s);
    attend_begin(j, kv_head, row, n, &s->total);
    for (int32_t b = 0; b < j->all_blocks; b++) {
        /* Merged with an empty state, that of the first block would stay what it is. */
        int first = b == 0 && !j->layer->logits_at;
        attend_keep_sinks(j, n, b, s);
        if (!first) attend_clear(j, n, &s->block);
        attend_block(j, kv_head, row, n, b, s, first ? &s->total : &s->block);
        if (!first) attend_merge(j, n, &s->total, &s->block);
    }
    attend_keep_sinks(j, n, j->all_blocks, s);
    for (int32_t r = 0; r < n; r++) {
        if (r + ATTEND_AHEAD < n) attend_foresee(j, &j->want->out, kv_head, row + r + ATTEND_AHEAD, j->layer->dv);
        attend_write_row(j, kv_head, row, r, s);
    }
}

/* Where the state of a row over a block waits to be merged: max, sum, acc. */
static float *attend_split_state(const attend_job *j, int32_t kv_head, int32_t row, int32_t block) {
    size_t index = ((size_t)kv_head * (size_t)j->rows + (size_t)row) * (size_t)j->all_blocks + (size_t)block;
    return (float *)sai_at(j->cache, j->cache->splits_at) + index * ((size_t)j->layer->dv_pad + 2);
}

/* Rows of one panel over the blocks of one segment, left for attend_join. */
static void attend_segment(const attend_job *j, int32_t unit, sai_scratch *s) {
    int32_t segment = unit % j->n_segments, panel = unit / j->n_segments;
    int32_t kv_head = panel / j->n_panels, row = panel % j->n_panels * j->panel;
    int32_t n = j->rows - row < j->panel ? j->rows - row : j->panel;
    size_t dv_pad = (size_t)j->layer->dv_pad;
    attend_load_queries(j, kv_head, row, n, s);
    for (int32_t b = segment * j->segment; b < (segment + 1) * j->segment && b < j->all_blocks; b++) {
        attend_clear(j, n, &s->block);
        attend_block(j, kv_head, row, n, b, s, &s->block);
        for (int32_t r = 0; r < n; r++) {
            float *state = attend_split_state(j, kv_head, row + r, b);
            state[0] = s->block.max[r];
            state[1] = s->block.sum[r];
            memcpy(state + 2, s->block.acc + (size_t)r * dv_pad, dv_pad * sizeof(float));
        }
    }
}

/* One row's blocks, merged in order. */
static void attend_join(const attend_job *j, int32_t unit, sai_scratch *s) {
    int32_t kv_head = unit / j->rows, row = unit % j->rows;
    sai_scratch one = *s;
    attend_begin(j, kv_head, row, 1, &one.total);
    for (int32_t b = 0; b < j->all_blocks; b++) {
        float *state = attend_split_state(j, kv_head, row, b);
        one.block.max = state;
        one.block.sum = state + 1;
        one.block.acc = state + 2;
        attend_keep_sinks(j, 1, b, &one);
        attend_merge(j, 1, &one.total, &one.block);
    }
    attend_keep_sinks(j, 1, j->all_blocks, &one);
    attend_write_row(j, kv_head, row, 0, &one);
}

/* ----------------------------------- cut ---------------------------------- */

static int32_t attend_ceil(int64_t a, int64_t b) { return (int32_t)((a + b - 1) / b); }

static void attend_list_blocks(attend_job *j) {
    uint64_t last = j->want->first + (uint64_t)j->want->n - 1, block = j->layer->block;
    j->all_blocks = 0;
    for (int span = 0; span < N_SPANS; span++) {
        sai_range a = attend_visible(j, span, j->want->first), b = attend_visible(j, span, last);
        j->first_block[span] = a.from / block;
        j->n_blocks[span] = b.end > a.from ? (int32_t)((b.end - 1) / block - a.from / block + 1) : 0;
        j->all_blocks += j->n_blocks[span];
    }
}

/* Whether units of one size, dealt out in turn, keep the threads busy nine tenths of the time. */
static int attend_is_even(int64_t units, int32_t threads) {
    return 10 * units >= 9 * (int64_t)attend_ceil(units, threads) * threads;
}

/* Rows go to panels, as large as may be: a panel reads all keys. Several threads get more and smaller ones if that
 * is what makes their shares even; where rows are too few for that, the blocks are dealt out too, in pieces small
 * enough that their different lengths do not matter. */
static void attend_cut(attend_job *j) {
    int32_t kv = j->layer->n_kv_heads, threads = j->cache->n_threads;
    j->rows = j->want->n * j->layer->group;
    j->n_panels = attend_ceil(j->rows, SAI_PANEL);
    j->n_segments = 1;
    while (!attend_is_even((int64_t)kv * j->n_panels, threads) && j->rows / (j->n_panels + 1) >= SAI_ROWS_A_TASK)
        j->n_panels++;
    j->panel = attend_ceil(j->rows, j->n_panels);
    /* Whole groups of rows, if that leaves as many panels. */
    int32_t whole = attend_ceil(j->panel, j->kernels->rows) * j->kernels->rows;
    if (whole < j->rows && attend_ceil(j->rows, whole) == j->n_panels) j->panel = whole;
    j->n_panels = attend_ceil(j->rows, j->panel);
    int64_t panels = (int64_t)kv * j->n_panels;
    if (!attend_is_even(panels, threads) && j->n_blocks[SPAN_WINDOW] + j->n_blocks[SPAN_RECENT] > 1 &&
        (uint64_t)kv * (uint64_t)j->rows <= sai_split_rows(threads)) {
        int32_t segments = attend_ceil((int64_t)threads * SAI_TASKS_A_THREAD, panels);
        if (segments > j->all_blocks) segments = j->all_blocks;
        j->segment = attend_ceil(j->all_blocks, segments);
        j->n_segments = attend_ceil(j->all_blocks, j->segment);
    }
    panels *= j->n_segments;
    j->n_workers = panels < threads ? (int32_t)panels : threads;
}

/* A job says all that its call says, so every thread makes the same one for itself. */
static attend_job attend_plan(const sa_cache *cache, const sai_layer *layer, const sai_queries *queries) {
    attend_job j;
    memset(&j, 0, sizeof j);
    j.cache = cache;
    j.layer = layer;
    j.kernels = sai_kernels_of(cache->isa);
    j.want = queries;
    attend_list_blocks(&j);
    attend_cut(&j);
    return j;
}

/* ---------------------------------- phases -------------------------------- */

static int32_t attend_phases(const attend_job *j) { return j->n_segments == 1 ? 1 : 2; }

/* Every n-th unit of a phase, so that who works what needs no agreement. */
static void attend_work(const attend_job *j, int32_t phase, int32_t worker, int32_t n_workers) {
    void (*work)(const attend_job *, int32_t, sai_scratch *) = phase                ? attend_join
                                                               : j->n_segments == 1 ? attend_panel
                                                                                    : attend_segment;
    int32_t units = j->layer->n_kv_heads * (phase ? j->rows : j->n_panels * j->n_segments);
    sai_scratch s = sai_worker_scratch(j->cache, j->layer, worker);
    for (int32_t unit = worker; unit < units; unit += n_workers) work(j, unit, &s);
}

typedef struct attend_pass {
    const attend_job *job;
    int32_t phase;
} attend_pass;

static void attend_worker(void *context, int32_t w) {
    const attend_pass *pass = (const attend_pass *)context;
    attend_work(pass->job, pass->phase, w, pass->job->n_workers);
}

void sai_attend(sa_cache *cache, const sai_layer *layer, const sai_queries *queries, const sai_tokens *tokens) {
    attend_job j = attend_plan(cache, layer, queries);
    int by_head = j.n_panels == 1 && j.n_segments == 1; /* then nobody else reads what a unit stores */
    attend_make_turns(cache, &j);
    if (tokens && by_head) j.tokens = tokens;
    if (tokens && !by_head) sai_store_tokens(tokens);
    for (int32_t phase = 0; phase < attend_phases(&j); phase++) {
        attend_pass pass = {&j, phase};
        sai_parallel(cache->parallel_for, cache->parallel_context, j.n_workers, attend_worker, &pass);
    }
}

int32_t sai_attend_begin(sa_cache *cache, const sai_layer *layer, const sai_queries *queries) {
    attend_job j = attend_plan(cache, layer, queries);
    attend_make_turns(cache, &j);
    return attend_phases(&j);
}

void sai_attend_part(const sa_cache *cache, const sai_layer *layer, const sai_queries *queries, int32_t phase,
                     int32_t worker, int32_t n_workers) {
    attend_job j = attend_plan(cache, layer, queries);
    attend_work(&j, phase, worker, n_workers);
}
