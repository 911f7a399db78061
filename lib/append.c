/* Takes the host's keys and values in: to f32, rotated to their position, stored.
 *
 * SPDX-License-Identifier: MIT
 *
 * A key is rotated once, at its position in the stream, and never touched again: what later moves relative to the
 * queries (sinks, pins, what comes after a removed range) is met by rotating the query.
 */
#include "exact.h"

#include "append.h"

#include "kernels/compiler.h"
#include "integers.h"
#include "parallel.h"
#include "store.h"

/* Keys or values of consecutive positions of one kv head: where they come from and where they go. */
typedef struct append_rows {
    const sai_view *from;
    int64_t token;        /* of the view, */
    int32_t host_head, n; /* and kv head of it */
    uint64_t first;       /* position, and number in its tile, of the first */
    char *tile, *copy;    /* in the store, and in that of the newest tokens or NULL; positions share one tile */
} append_rows;

/* `rotation`: of the first key, and behind it those of the others; or NULL. */
static void append_keys(const sai_job *job, const append_rows *r, int32_t dtype, int32_t copy_dtype,
                        const float *rotation, const sai_scratch *s) {
    const sai_layer *l = job->state.layer;
    for (int32_t i = 0; i < r->n; i++) {
        int lane = (int)((r->first + (uint64_t)i) % 16);
        job->kernels->load[r->from->dtype](sai_row_at(r->from, r->token + i, r->host_head), l->dk, s->q);
        if (rotation)
            job->kernels->rope_rotate(&l->rope, rotation + (int64_t)i * job->state.pool->work.rotation_stride, s->q);
        if (r->copy) sai_store_key(job->kernels, copy_dtype, r->copy, lane, l->dk, s->q);
        sai_store_key(job->kernels, dtype, r->tile, lane, l->dk, s->q); /* last: it may change the key */
    }
}

static void append_values(const sai_job *job, const append_rows *r, int32_t dtype, int32_t copy_dtype,
                          const sai_scratch *s) {
    int32_t dv = job->state.layer->dv;
    for (int32_t i = 0; i < r->n; i++) {
        int lane = (int)((r->first + (uint64_t)i) % 16);
        job->kernels->load[r->from->dtype](sai_row_at(r->from, r->token + i, r->host_head), dv, s->chain);
        if (r->copy) sai_store_value(job->kernels, copy_dtype, r->copy, lane, dv, s->chain);
        sai_store_value(job->kernels, dtype, r->tile, lane, dv, s->chain);
    }
}

/* The tiles of a store of one kv head from a position on. */
static sai_run append_run(const sai_job *job, int32_t store, int32_t kv_head, uint64_t from) {
    const sai_tiles *t = &job->state.tiles[store];
    return sai_run_of(t->block, t->arena, kv_head, sai_tiles_map(t, from / 16), from / 16);
}

/* Keys and values of one tile of a run, and of its second copy, if that has tiles. */
static void append_tile(const sai_job *job, append_rows *rows, const sai_run *run, const sai_run *copy,
                        const float *rotation, const sai_scratch *s) {
    rows->from = &job->call.k;
    rows->tile = (char *)(uintptr_t)sai_run_key(run, rows->first);
    if (copy->map) rows->copy = (char *)(uintptr_t)sai_run_key(copy, rows->first);
    append_keys(job, rows, run->k_dtype, copy->k_dtype, rotation, s);
    rows->from = &job->call.v;
    rows->tile = (char *)(uintptr_t)sai_run_value(run, rows->first);
    if (copy->map) rows->copy = (char *)(uintptr_t)sai_run_value(copy, rows->first);
    append_values(job, rows, run->v_dtype, copy->v_dtype, s);
}

/* Positions [first, end), all of one store, tile by tile: the tile that they go to stays in the first cache. */
static void append_range(const sai_job *job, int32_t store, int32_t kv_head, sai_range in, const sai_scratch *s) {
    if (in.from >= in.end) return;
    sai_run run = append_run(job, store, kv_head, in.from), copy = {0};
    int32_t host_head = sai_host_head(job->state.pool, job->state.layer, kv_head);
    if (store == SAI_STORE_MAIN && job->state.layer->rules.recent)
        copy = append_run(job, SAI_STORE_RECENT, kv_head, in.from);
    for (uint64_t first = in.from, end; first < in.end; first = end) {
        end = (first / 16 + 1) * 16 < in.end ? (first / 16 + 1) * 16 : in.end;
        int64_t token = (int64_t)(first - job->call.first);
        append_rows rows = {NULL, job->call.from + token, host_head, (int32_t)(end - first), first, NULL, NULL};
        append_tile(job, &rows, &run, &copy,
                    job->keys_row < 0 ? NULL : sai_rotation(job->state.pool, job->keys_row + token), s);
    }
}

/* The rotation of a node's key. A batch of deep nodes may need more than the pool has room for. */
static const float *append_node_rotation(const sai_job *job, int32_t token, const sai_scratch *s) {
    const sai_layer *l = job->state.layer;
    int32_t step = sai_token_step(job, token);
    if (l->position != SA_POSITION_ROPE || !l->rope.pairs) return NULL;
    if (job->keys_row >= 0) return sai_rotation(job->state.pool, (int64_t)job->keys_row + step);
    job->kernels->rope_row(&l->rope, (const uint64_t *)sai_at(job->state.pool, l->frequencies_at),
                           job->call.first + (uint64_t)step, s->rotation);
    return s->rotation;
}

/* The nodes of a draft, to the tiles of their numbers. */
static void append_nodes(const sai_job *job, int32_t kv_head, const sai_scratch *s) {
    const sai_state *state = &job->state;
    int32_t host_head = sai_host_head(state->pool, state->layer, kv_head);
    sai_run runs[SAI_NODE_STORES] = {{0}, {0}};
    for (int32_t i = 0; i < SAI_NODE_STORES; i++) {
        sai_tiles t = sai_nodes_tiles(sai_block_of(state->pool), state->layer, state->nodes, i);
        if (t.table->n) runs[i] = sai_run_of(t.block, t.arena, kv_head, sai_tiles_map(&t, 0), 0);
    }
    for (int32_t i = 0; i < job->call.n; i++) {
        append_rows rows = {NULL, job->call.from + i, host_head, 1, (uint64_t)(job->call.node + i), NULL, NULL};
        append_tile(job, &rows, &runs[SAI_NODES_MAIN], &runs[SAI_NODES_RECENT], append_node_rotation(job, i, s), s);
    }
}

/* The tokens of the call that are sinks, and the others. */
static void append_split(const sai_job *job, sai_range *sinks, sai_range *others) {
    uint64_t from = job->call.first, end = from + (uint64_t)job->call.n, sink_end = job->state.spans->sink_end;
    uint64_t middle = sink_end < from ? from : sink_end < end ? sink_end : end;
    sinks->from = from;
    sinks->end = others->from = middle;
    others->end = end;
}

void sai_append_head(const sai_job *job, int32_t kv_head, const sai_scratch *scratch) {
    sai_range sinks, others;
    if (job->depths) {
        append_nodes(job, kv_head, scratch);
        return;
    }
    append_split(job, &sinks, &others);
    append_range(job, SAI_STORE_SINKS, kv_head, sinks, scratch);
    append_range(job, SAI_STORE_MAIN, kv_head, others, scratch);
}

void sai_append_prefetch(const sai_job *job, int32_t kv_head) {
    sai_range sinks, others;
    if (job->depths) return;
    append_split(job, &sinks, &others);
    int is_sink = sinks.from < sinks.end;
    uint64_t first = is_sink ? sinks.from : others.from;
    sai_run run = append_run(job, is_sink ? SAI_STORE_SINKS : SAI_STORE_MAIN, kv_head, first);
    /* A key goes to a few bytes of every line of its tile. */
    sai_prefetch_lines(sai_run_key(&run, first), run.k_tile);
    const sai_layer *l = job->state.layer;
    if (!sai_is_integer(run.v_dtype))
        sai_prefetch_lines(sai_run_value(&run, first) + sai_value_in_tile(run.v_dtype, l->dv_pad, (int)(first % 16)),
                           run.v_tile / 16);
}

/* --------------------------------- threads -------------------------------- */

enum { APPEND_NUMBERS = 1 << 15 }; /* numbers to store that are worth another thread */

typedef struct append_share {
    const sa_pool *pool;
    int32_t n_jobs, n_workers;
} append_share;

/* kv heads worker, worker + n_workers, ... of every job. */
static void append_task(void *context, int32_t worker) {
    const append_share *share = (const append_share *)context;
    for (int32_t i = 0; i < share->n_jobs; i++) {
        const sai_job *job = &sai_jobs(share->pool)[i];
        const sai_layer *l = job->state.layer;
        if (!job->call.appends || job->stores_by_head) continue;
        sai_scratch s = sai_scratch_of(share->pool, l, worker);
        if (worker < l->n_kv_heads) sai_append_prefetch(job, worker);
        for (int32_t h = worker; h < l->n_kv_heads; h += share->n_workers) {
            if (h + share->n_workers < l->n_kv_heads) sai_append_prefetch(job, h + share->n_workers);
            sai_append_head(job, h, &s);
        }
    }
}

void sai_append_all(const sa_pool *pool, int32_t n_jobs, int may_share) {
    append_share share = {pool, n_jobs, 1};
    int64_t numbers = 0;
    int any = 0;
    for (int32_t i = 0; i < n_jobs; i++) {
        const sai_job *job = &sai_jobs(pool)[i];
        const sai_layer *l = job->state.layer;
        if (!job->call.appends || job->stores_by_head) continue;
        any = 1;
        numbers += (int64_t)job->call.n * l->n_kv_heads * (l->dk + l->dv);
    }
    if (!any) return;
    if (!may_share || numbers < APPEND_NUMBERS || pool->n_threads == 1) {
        append_task(&share, 0);
        return;
    }
    share.n_workers = pool->n_threads;
    sai_parallel(pool->parallel_for, pool->parallel_context, share.n_workers, append_task, &share);
}
