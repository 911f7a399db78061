/* Runs units of work: rows times blocks of keys, merged in one fixed order, written out.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include "attend.h"

#include <math.h>
#include <string.h>

#include "append.h"
#include "gather.h"
#include "kernels/compiler.h"
#include "panel.h"
#include "parallel.h"
#include "partial.h"
#include "query.h"

/* --------------------------------- states --------------------------------- */

static void attend_clear(const sai_unit *u, sai_states *s) {
    for (int32_t r = 0; r < u->n; r++) {
        s->max[r] = -INFINITY;
        s->sum[r] = 0;
    }
    memset(s->acc, 0, (size_t)u->n * (size_t)u->job->state.layer->dv_pad * sizeof(float));
}

static void attend_copy_sums(int32_t n, sai_states *to, const sai_states *from) {
    memcpy(to->max, from->max, (size_t)n * sizeof(float));
    memcpy(to->sum, from->sum, (size_t)n * sizeof(float));
}

/* The state before any key: empty, or a sink logit with value 0. */
static void attend_begin(const sai_unit *u, sai_scratch *s) {
    const sai_layer *l = u->job->state.layer;
    attend_clear(u, &s->total);
    if (l->logits_at) {
        const float *logits = (const float *)sai_at(u->job->state.pool, l->logits_at);
        for (int32_t r = 0; r < u->n; r++) {
            s->total.max[r] = logits[sai_row_head(u, u->row + r)];
            s->total.sum[r] = s->total.max[r] > -INFINITY ? 1.0f : 0.0f;
        }
    }
    if (u->job->call.sink_mass) attend_copy_sums(u->n, &s->sinks, &s->total);
}

/* Adds a block's state to the total, and to that of the sinks. */
static void attend_merge(const sai_unit *u, const sai_part *part, sai_scratch *s) {
    void (*merge)(int, int, float *, float *, float *, const float *, const float *, const float *) =
        u->job->kernels->merge;
    const sai_states *b = &s->block;
    if (part->is_sink && u->job->call.sink_mass)
        merge(u->n, 0, s->sinks.max, s->sinks.sum, s->sinks.acc, b->max, b->sum, b->acc);
    merge(u->n, u->job->state.layer->dv_pad, s->total.max, s->total.sum, s->total.acc, b->max, b->sum, b->acc);
}

/* ---------------------------------- parts --------------------------------- */

/* A part as a unit's rows go through it. */
typedef struct attend_way {
    const sai_unit *unit;
    const sai_part *part;
    sai_panel panel;
    sai_run path;                /* of nodes of a draft: the tiles from the part's tail on */
    sai_range all;               /* what some row sees of it */
    sai_range seen[SAI_PANEL];   /* what each row sees of it, */
    sai_range within[SAI_PANEL]; /* and of one block */
    float slopes[SAI_PANEL];     /* ALiBi: and where its query stands */
    int64_t places[SAI_PANEL];
} attend_way;

static void attend_look(attend_way *way) {
    const sai_unit *u = way->unit;
    const sai_layer *l = u->job->state.layer;
    if (u->job->call.n == 1) {
        for (int32_t r = 0; r < u->n; r++) {
            way->seen[r] = way->part->reach;
            way->places[r] = (int64_t)way->part->place[0];
        }
        way->all = way->part->reach;
        return;
    }
    sai_range seen = {0, 0};
    int64_t place = 0;
    int32_t token = -1;
    way->all.from = UINT64_MAX;
    way->all.end = 0;
    for (int32_t r = 0; r < u->n; r++) {
        if (sai_row_token(u->job, u->row + r) != token) {
            token = sai_row_token(u->job, u->row + r);
            sai_place at = sai_token_place(u->job, token);
            seen = sai_part_visible(u->job, way->part, at);
            if (l->slopes_at) place = (int64_t)sai_part_place(u->job, way->part, at);
            if (seen.from < seen.end && seen.from < way->all.from) way->all.from = seen.from;
            if (seen.from < seen.end && seen.end > way->all.end) way->all.end = seen.end;
        }
        way->seen[r] = seen;
        way->places[r] = place;
    }
}

/* Rows that are no tokens: learned ones stand at a place each, or all at 0; those of the host as they say. */
static void attend_set_rows(attend_way *way) {
    const sai_job *job = way->unit->job;
    const sai_layer *l = job->state.layer;
    if (way->part->span != SAI_PART_LEARNED) {
        way->panel.facts = sai_rows_facts(job->state.pool, l, way->unit->kv_head);
        way->panel.kind = sai_part_kind(way->part->span);
    } else if (l->sink_kv_position == SA_SINK_KV_AT_ZERO) {
        way->panel.key_step = 0;
    } else {
        way->panel.key_place = -(int64_t)l->n_sink_kv;
    }
}

static void attend_set_bias(attend_way *way) {
    const sai_unit *u = way->unit;
    const sai_layer *l = u->job->state.layer;
    way->panel.key_place = 0;
    way->panel.key_step = 1;
    way->panel.facts = NULL;
    if (way->part->span < 0) attend_set_rows(way);
    if (!l->slopes_at) return;
    const float *slopes = (const float *)sai_at(u->job->state.pool, l->slopes_at);
    for (int32_t r = 0; r < u->n; r++) way->slopes[r] = slopes[sai_row_head(u, u->row + r)];
    way->panel.slopes = way->slopes;
    way->panel.query_places = way->places;
}

/* What is read after a part's last keys: the next part's first ones, or those of the unit that comes next. */
static void attend_set_next(attend_way *way) {
    const sai_unit *u = way->unit;
    sai_panel *p = &way->panel;
    const sai_part *last = u->job->parts + u->job->n_parts - 1, *next = way->part < last ? way->part + 1 : NULL;
    const sai_job *job = u->job;
    int32_t head = u->kv_head;
    if (!next && u->next) {
        job = u->next;
        head = u->next_head;
        next = job->n_parts ? job->parts + job->n_parts - 1 : NULL;
    }
    p->next_k = p->tiles.k;
    p->next_v = p->tiles.v;
    if (!next || next->reach.from >= next->tail) return;
    sai_run run = sai_run_of(sai_block_of(job->state.pool), next->arena, head, next->map, next->map_first);
    uint64_t from = next->reach.from;
    p->next_k = sai_run_key(&run, from);
    p->next_v = sai_run_value(&run, from);
}

static void attend_enter(attend_way *way, const sai_unit *u, const sai_part *part, const sai_scratch *s) {
    const sai_job *job = u->job;
    const sai_layer *l = job->state.layer;
    way->unit = u;
    way->part = part;
    attend_look(way);
    if (way->all.from >= way->all.end) return;
    sai_query query = sai_query_enter(u, part, s);
    sai_panel *panel = &way->panel;
    panel->kernels = job->kernels;
    panel->layer = l;
    panel->tiles = sai_run_of(sai_block_of(job->state.pool), part->arena, u->kv_head, part->map, part->map_first);
    panel->q = query.q;
    panel->q_stride = query.stride;
    panel->n_rows = u->n;
    panel->visible = way->within;
    panel->end = way->all.end < part->tail ? way->all.end : part->tail;
    panel->slopes = NULL;
    panel->scratch = s;
    attend_set_bias(way);
    attend_set_next(way);
    if (way->all.end > part->tail) sai_gather_begin(u, part, s, &way->path);
}

/* Rows of nodes of which each is the next one's parent: [row, end), whose last node's path is that of all. */
typedef struct attend_chain {
    int32_t row, end, node;
} attend_chain;

static attend_chain attend_chain_from(const sai_unit *u, int32_t row) {
    const int32_t *parents = sai_nodes_parents(u->job->state.nodes);
    attend_chain c = {row, row, -1};
    for (; c.end < u->n; c.end++) {
        int32_t node = u->job->call.node + sai_row_token(u->job, u->row + c.end);
        if (node != c.node && c.node >= 0 && parents[node] != c.node) break;
        c.node = node;
    }
    return c;
}

/* Whether some row of the chain sees a key of the chunk. */
static int attend_chain_sees(const attend_way *way, const attend_chain *c, uint64_t base, uint64_t *end) {
    int sees = 0;
    for (int32_t r = c->row; r < c->end; r++) {
        const sai_range *in = &way->within[r];
        sees |= in->from < in->end && in->from < base + SAI_CHUNK && in->end > base;
        if (in->end > *end) *end = in->end;
    }
    return sees;
}

/* A chunk of the part's tail, chain by chain. */
static void attend_tail(attend_way *way, uint64_t base, const sai_states *to) {
    const sai_unit *u = way->unit;
    attend_chain c;
    for (int32_t row = 0; row < u->n; row = c.end) {
        uint64_t end = 0;
        c = attend_chain_from(u, row);
        if (!attend_chain_sees(way, &c, base, &end)) continue;
        sai_gather_path(u, way->part, c.node, way->panel.scratch, &way->path);
        sai_panel panel = way->panel;
        sai_states states = {to->max + row, to->sum + row, to->acc + (size_t)row * (size_t)panel.layer->dv_pad};
        panel.tiles = way->path;
        panel.q += (size_t)row * panel.q_stride;
        panel.n_rows = c.end - row;
        panel.visible += row;
        panel.end = end;
        if (panel.slopes) panel.slopes += row;
        if (panel.slopes) panel.query_places += row;
        sai_panel_chunk(&panel, base, &states);
    }
}

/* The state of a unit's rows over the positions of one block of the part, into an empty one. */
static void attend_block(attend_way *way, uint64_t block, sai_states *to) {
    int32_t bits = way->unit->job->state.layer->block_bits;
    uint64_t from = block << bits, end = (block + 1) << bits;
    for (int32_t r = 0; r < way->unit->n; r++) {
        way->within[r].from = way->seen[r].from > from ? way->seen[r].from : from;
        way->within[r].end = way->seen[r].end < end ? way->seen[r].end : end;
    }
    if (from < way->all.from) from = way->all.from;
    if (end > way->all.end) end = way->all.end;
    for (uint64_t base = from / SAI_CHUNK * SAI_CHUNK; base < end; base += SAI_CHUNK)
        if (base < way->part->tail)
            sai_panel_chunk(&way->panel, base, to);
        else
            attend_tail(way, base, to);
    sai_panel_end(&way->panel, to);
}

/* --------------------------------- results -------------------------------- */

static void attend_write_row(const sai_unit *u, int32_t r, const sai_scratch *s) {
    const sai_call *call = &u->job->call;
    const sai_layer *l = u->job->state.layer;
    int32_t head = sai_row_head(u, u->row + r);
    int64_t token = call->from + sai_row_token(u->job, u->row + r), at = token * l->layer_heads + head;
    float max = s->total.max[r], sum = s->total.sum[r], *acc = s->total.acc + (size_t)r * (size_t)l->dv_pad;
    if (call->lse) call->lse[at] = sai_log_sum_exp(max, sum);
    if (call->sink_mass)
        call->sink_mass[at] =
            s->sinks.sum[r] == 0 ? 0 : s->sinks.sum[r] * u->job->kernels->exponential(s->sinks.max[r] - max) / sum;
    if (call->partial_max) {
        call->partial_max[at] = max;
        call->partial_sum[at] = sum;
    } else {
        u->job->kernels->divide(l->dv_pad, acc, sum);
    }
    u->job->kernels->store[call->out.dtype](acc, l->dv, sai_row_at(&call->out, token, head));
}

/* The host's rows lie far apart, so no processor prefetches the next one by itself: done this many rows ahead. */
enum { ATTEND_AHEAD = 8 };

static void attend_write(const sai_unit *u, const sai_scratch *s) {
    const sai_call *call = &u->job->call;
    for (int32_t r = 0; r < u->n; r++) {
        int32_t ahead = u->row + r + ATTEND_AHEAD;
        if (r + ATTEND_AHEAD < u->n)
            sai_prefetch_lines(
                sai_row_at(&call->out, call->from + sai_row_token(u->job, ahead), sai_row_head(u, ahead)),
                (size_t)u->job->state.layer->dv * sai_dtype_size(call->out.dtype));
        attend_write_row(u, r, s);
    }
}

/* ---------------------------------- units --------------------------------- */

/* Rows of one panel over all that they see. */
static void attend_panel(const sai_unit *u, sai_scratch *s) {
    const sai_layer *l = u->job->state.layer;
    int empty = !l->logits_at;
    attend_way way;
    sai_query_load(u, s);
    attend_begin(u, s);
    for (int32_t i = 0; i < u->job->n_parts; i++) {
        const sai_part *part = &u->job->parts[i];
        attend_enter(&way, u, part, s);
        for (uint64_t b = way.all.from >> l->block_bits; b << l->block_bits < way.all.end; b++) {
            if (!empty) attend_clear(u, &s->block);
            attend_block(&way, b, empty ? &s->total : &s->block);
            /* Merged with an empty state, that of the first block would stay what it is. */
            if (!empty) attend_merge(u, part, s);
            if (empty && part->is_sink && u->job->call.sink_mass) attend_copy_sums(u->n, &s->sinks, &s->total);
            empty = 0;
        }
    }
    attend_write(u, s);
}

/* Where the state of a row over a block waits to be merged: max, sum, acc. */
static float *attend_split_state(const sai_job *job, int32_t kv_head, int32_t row, int32_t block) {
    size_t index = ((size_t)kv_head * (size_t)job->rows + (size_t)row) * (size_t)job->all_blocks + (size_t)block;
    float *splits = (float *)sai_at(job->state.pool, job->state.pool->work.splits_at);
    return splits + job->split_at + index * ((size_t)job->state.layer->dv_pad + 2);
}

static void attend_keep_state(const sai_unit *u, int32_t block, const sai_scratch *s) {
    size_t dv_pad = (size_t)u->job->state.layer->dv_pad;
    for (int32_t r = 0; r < u->n; r++) {
        float *state = attend_split_state(u->job, u->kv_head, u->row + r, block);
        state[0] = s->block.max[r];
        state[1] = s->block.sum[r];
        memcpy(state + 2, s->block.acc + (size_t)r * dv_pad, dv_pad * sizeof(float));
    }
}

/* Rows of one panel over the blocks of one segment, left for attend_join. */
static void attend_segment(const sai_unit *u, sai_scratch *s) {
    attend_way way;
    int32_t first = 0;
    sai_query_load(u, s);
    for (int32_t i = 0; i < u->job->n_parts; first += u->job->parts[i++].n_blocks) {
        const sai_part *part = &u->job->parts[i];
        int32_t from = u->block > first ? u->block : first, end = first + part->n_blocks;
        if (end > u->block_end) end = u->block_end;
        if (from >= end) continue;
        attend_enter(&way, u, part, s);
        for (int32_t b = from; b < end; b++) {
            attend_clear(u, &s->block);
            if (way.all.from < way.all.end) attend_block(&way, part->first_block + (uint64_t)(b - first), &s->block);
            attend_keep_state(u, b, s);
        }
    }
}

/* One row's blocks, merged in order. */
static void attend_join(sai_job *job, int32_t index, sai_scratch *s) {
    sai_unit u = {job, NULL, 0, index / job->rows, index % job->rows, 1, 0, 0, 0};
    sai_scratch one = *s;
    int32_t b = 0;
    u.host_head = sai_host_head(job->state.pool, job->state.layer, u.kv_head);
    attend_begin(&u, &one);
    for (int32_t i = 0; i < job->n_parts; i++)
        for (int32_t end = b + job->parts[i].n_blocks; b < end; b++) {
            one.block.max = attend_split_state(job, u.kv_head, u.row, b);
            one.block.sum = one.block.max + 1;
            one.block.acc = one.block.max + 2;
            attend_merge(&u, &job->parts[i], &one);
        }
    attend_write_row(&u, 0, &one);
}

/* ---------------------------------- phases -------------------------------- */

static void attend_unit(const sai_unit *u, sai_scratch *s) {
    if (u->job->n_segments > 1) {
        attend_segment(u, s);
        return;
    }
    if (u->job->stores_by_head) {
        if (u->next && u->next->stores_by_head) sai_append_prefetch(u->next, u->next_head);
        sai_append_head(u->job, u->kv_head, s);
    }
    attend_panel(u, s);
}

/* The cost of all units: what the workers share out evenly. */
static double attend_cost(const sa_pool *pool, int32_t n_jobs) {
    double cost = 0;
    for (int32_t i = 0; i < n_jobs; i++)
        for (int32_t n = sai_job_units(&sai_jobs(pool)[i]), k = 0; k < n; k++)
            cost += sai_plan_cost(&sai_jobs(pool)[i], k);
    return cost;
}

/* Units in their order, the worker's share of their cost: neighbours in memory go to one worker, and who works what
 * needs no agreement. */
static void attend_units(const sa_pool *pool, int32_t n_jobs, int32_t worker, int32_t n_workers) {
    double all = n_workers > 1 ? attend_cost(pool, n_jobs) : 0, done = 0;
    for (int32_t i = 0; i < n_jobs; i++) {
        sai_job *job = &sai_jobs(pool)[i];
        sai_scratch s = sai_scratch_of(pool, job->state.layer, worker);
        for (int32_t n = sai_job_units(job), k = 0; k < n; k++) {
            if (n_workers > 1) {
                double cost = sai_plan_cost(job, k), middle = done + cost / 2;
                done += cost;
                if (middle * n_workers < all * worker) continue;
                if (middle * n_workers >= all * (worker + 1) && worker + 1 < n_workers) continue;
            }
            sai_unit unit = sai_plan_unit(pool, n_jobs, i, k);
            attend_unit(&unit, &s);
        }
    }
}

/* Every n-th row of the jobs that were split. */
static void attend_rows(const sa_pool *pool, int32_t n_jobs, int32_t worker, int32_t n_workers) {
    for (int32_t i = 0; i < n_jobs; i++) {
        sai_job *job = &sai_jobs(pool)[i];
        sai_scratch s = sai_scratch_of(pool, job->state.layer, worker);
        int32_t n = job->n_segments > 1 ? job->state.layer->n_kv_heads * job->rows : 0;
        for (int32_t k = worker; k < n; k += n_workers) attend_join(job, k, &s);
    }
}

void sai_attend_part(const sa_pool *pool, int32_t n_jobs, int32_t phase, int32_t worker, int32_t n_workers) {
    if (phase == 0)
        attend_units(pool, n_jobs, worker, n_workers);
    else
        attend_rows(pool, n_jobs, worker, n_workers);
}

typedef struct attend_pass {
    const sa_pool *pool;
    int32_t n_jobs, phase, n_workers;
} attend_pass;

static void attend_task(void *context, int32_t worker) {
    const attend_pass *pass = (const attend_pass *)context;
    sai_attend_part(pass->pool, pass->n_jobs, pass->phase, worker, pass->n_workers);
}

void sai_attend(sa_pool *pool, int32_t n_jobs) {
    int64_t units = sai_plan_units(pool, n_jobs);
    attend_pass pass = {pool, n_jobs, 0, units < pool->n_threads ? (int32_t)units : pool->n_threads};
    sai_append_all(pool, n_jobs, 1);
    for (int32_t phases = sai_plan_phases(pool, n_jobs); pass.phase < phases; pass.phase++)
        sai_parallel(pool->parallel_for, pool->parallel_context, pass.n_workers, attend_task, &pass);
}
