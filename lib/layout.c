/* Where everything lies in a pool's block, and so its size: one walk serves both.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include <math.h>
#include <string.h>

#include "kernels/integer_tiles.h"
#include "kernels/kernel.h"
#include "lanes.h"
#include "plan.h"
#include "pool.h"
#include "sequence.h"
#include "store.h"

/* A place in the block that sticks at the top instead of wrapping. */
typedef struct layout_cursor {
    uint64_t at;
    int overflow;
} layout_cursor;

static uint64_t layout_times(layout_cursor *c, uint64_t a, uint64_t b) {
    if (a && b > UINT64_MAX / a) c->overflow = 1;
    return c->overflow ? 0 : a * b;
}

/* Takes n elements of a size and returns where they start. */
static size_t layout_take(layout_cursor *c, uint64_t n, uint64_t size) {
    uint64_t bytes = layout_times(c, n, size), start = (c->at + SAI_ALIGNMENT - 1) / SAI_ALIGNMENT * SAI_ALIGNMENT;
    if (bytes > ((uint64_t)1 << 62) - start || start + bytes > SIZE_MAX / 2) c->overflow = 1;
    if (!c->overflow) c->at = start + bytes;
    return (size_t)start;
}

/* --------------------------------- layers --------------------------------- */

/* `paths`: tiles behind those of the arena that no table knows. */
static void layout_arena(layout_cursor *c, const sai_layer *l, uint64_t tiles, uint64_t paths, int32_t k_dtype,
                         int32_t v_dtype, sai_arena *a) {
    if (tiles > UINT32_MAX / 2 || paths > UINT32_MAX / 2) c->overflow = 1;
    a->n_tiles = a->n_free = (uint32_t)tiles;
    a->n_kv_heads = l->n_kv_heads;
    a->k_dtype = k_dtype;
    a->v_dtype = v_dtype;
    a->k_tile = sai_key_tile(k_dtype, l->dk);
    a->v_tile = sai_value_tile(v_dtype, l->dv_pad);
    uint64_t k_head = layout_times(c, tiles + paths, a->k_tile), v_head = layout_times(c, tiles + paths, a->v_tile);
    a->k_at = layout_take(c, k_head, (uint64_t)l->n_kv_heads);
    a->v_at = layout_take(c, v_head, (uint64_t)l->n_kv_heads);
    a->uses_at = layout_take(c, tiles, sizeof(uint32_t));
    a->k_head = (size_t)k_head;
    a->v_head = (size_t)v_head;
}

static sai_rules layout_rules(const sa_config *c, const sa_config *whole) {
    sai_rules r;
    memset(&r, 0, sizeof r);
    uint64_t slack = (uint64_t)(whole->max_append > whole->rollback + 1 ? whole->max_append : whole->rollback + 1);
    r.n_sink = (uint64_t)c->n_sink;
    r.window = (uint64_t)c->window;
    r.is_dense = c->policy == SA_POLICY_DENSE;
    r.in_stream = c->position_mode == SA_IN_STREAM;
    r.hold = r.is_dense ? r.window : r.window - 1 + slack;
    r.recent = (uint64_t)c->n_recent;
    r.recent_hold = r.recent ? r.recent - 1 + slack : 0;
    r.most_pinned = (uint64_t)whole->n_pin;
    r.most_spans = 5 + whole->n_spans;
    return r;
}

/* Keys per block: 1024, doubled until a window has at most 64 of them. It depends on the config
 * alone, since it decides the order in which partial states are merged. */
static int32_t layout_block_bits(const sa_config *c) {
    int32_t most = c->window > c->n_sink ? c->window : c->n_sink, bits = 10;
    if (c->n_sink_kv > most) most = c->n_sink_kv;
    while ((uint64_t)most > (uint64_t)64 << bits) bits++;
    return bits;
}

/* Tiles of a store for all sequences: of the main one, no more than the budget asks for. */
static uint64_t layout_tiles(layout_cursor *c, const sai_layer *l, const sa_config *whole, int32_t store) {
    uint64_t n = (uint64_t)whole->n_sequences;
    uint64_t most = layout_times(c, n, sai_sequence_most_tiles(&l->rules, store));
    uint64_t budget = ((uint64_t)whole->pool_tokens + 15) / 16;
    return store == SAI_STORE_MAIN && whole->pool_tokens && budget < most ? budget : most;
}

/* Rows of the host: for every sequence as many as it may have, so that there is always one more tile to copy to. */
static void layout_rows(layout_cursor *cursor, sai_layer *l, const sa_config *whole, const sa_config *c) {
    uint64_t tiles = layout_times(cursor, (uint64_t)whole->n_sequences, sai_rows_tiles(l));
    sai_arena *a = &l->rows;
    layout_arena(cursor, l, tiles, 0, c->sink_k_dtype, c->sink_v_dtype, a);
    a->homes = (uint32_t)sai_rows_tiles(l);
    a->beside_tile = sizeof(sai_row_facts);
    a->beside_head = (size_t)layout_times(cursor, tiles, a->beside_tile);
    a->beside_at = layout_take(cursor, (uint64_t)l->n_kv_heads, a->beside_head);
}

/* Nodes are stored as what they may become, in tiles that each sequence has to itself. */
static void layout_drafts(layout_cursor *cursor, sai_layer *l, const sa_config *whole, int32_t store) {
    const sai_arena *like = &l->arenas[store == SAI_NODES_MAIN ? SAI_STORE_MAIN : SAI_STORE_RECENT];
    uint64_t tiles = like->n_tiles ? sai_nodes_most_tiles(l->max_draft) : 0;
    layout_arena(cursor, l, layout_times(cursor, (uint64_t)whole->n_sequences, tiles), 0, like->k_dtype, like->v_dtype,
                 &l->drafts[store]);
    l->drafts[store].homes = tiles ? (uint32_t)tiles : 1;
}

static void layout_arenas(layout_cursor *cursor, sai_layer *l, const sa_config *whole, const sa_config *c) {
    const int32_t k_dtypes[SAI_STORES] = {c->k_dtype, c->sink_k_dtype, c->recent_k_dtype};
    const int32_t v_dtypes[SAI_STORES] = {c->v_dtype, c->sink_v_dtype, c->recent_v_dtype};
    for (int32_t i = 0; i < SAI_STORES; i++) {
        uint64_t tiles = layout_tiles(cursor, l, whole, i);
        uint64_t paths = tiles && i != SAI_STORE_SINKS ? (uint64_t)l->path_tiles * (uint64_t)whole->n_threads : 0;
        layout_arena(cursor, l, tiles, paths, k_dtypes[i], v_dtypes[i], &l->arenas[i]);
        l->arenas[i].homes = (uint32_t)(tiles / (uint64_t)whole->n_sequences);
        if (!l->arenas[i].homes) l->arenas[i].homes = 1;
    }
    uint64_t learned = ((uint64_t)c->n_sink_kv + 15) / 16;
    layout_arena(cursor, l, learned, 0, c->sink_k_dtype, c->sink_v_dtype, &l->learned);
    l->learned_map_at = layout_take(cursor, learned, sizeof(uint32_t));
    if (l->n_rows) layout_rows(cursor, l, whole, c);
    for (int32_t i = 0; i < SAI_NODE_STORES; i++) layout_drafts(cursor, l, whole, i);
}

/* Tables that all lanes of a layer share. */
static void layout_tables(layout_cursor *cursor, sai_layer *l, const sa_config *layer) {
    l->frequencies_at = layout_take(cursor, (uint64_t)l->rope.pairs, sizeof(uint64_t));
    if (layer->position == SA_POSITION_ALIBI)
        l->slopes_at = layout_take(cursor, (uint64_t)layer->n_heads, sizeof(float));
    if (layer->sink_logits) l->logits_at = layout_take(cursor, (uint64_t)layer->n_heads, sizeof(float));
}

/* A lane of its own config, all but its place. */
static sai_layer layout_lane(const sa_config *whole, const sa_config *c) {
    sai_layer l;
    memset(&l, 0, sizeof l);
    l.n_heads = c->n_heads;
    l.n_kv_heads = c->n_kv_heads;
    l.group = c->n_heads / c->n_kv_heads;
    l.dk = c->head_dim;
    l.dv = c->v_head_dim;
    l.dv_pad = sai_round16(c->v_head_dim);
    l.position = c->position;
    l.n_sink_kv = c->n_sink_kv;
    l.sink_kv_position = c->sink_kv_position;
    l.n_rows = c->n_rows;
    l.scale = c->scale;
    l.softcap = c->softcap;
    l.block_bits = layout_block_bits(c);
    l.rope = sai_rope_of(c);
    l.rules = layout_rules(c, whole);
    l.max_draft = whole->max_draft;
    l.query_most = c->query_bits == 8 ? SAI_MOST_BYTE : SAI_MOST_CODE;
    l.weight_most = c->weight_bits == 8 ? SAI_MOST_BYTE : SAI_MOST_CODE;
    /* A path begins anywhere in its first tile. */
    if (l.max_draft) l.path_tiles = (sai_most_depth(whole->max_draft, whole->max_append) + 30) / 16;
    return l;
}

/* A lane of a layer and its place, all but the contents of its tables; *sequence_at: where its part of a sequence
 * begins. `first`: the layer's first lane, or NULL if it is this one. */
static sai_layer layout_layer(layout_cursor *cursor, const sa_config *whole, const sa_config *layer,
                              const sa_config *lane, const sai_layer *first, uint64_t *sequence_at) {
    sai_layer l = layout_lane(whole, lane);
    l.layer_heads = layer->n_heads;
    l.layer_kv_heads = layer->n_kv_heads;
    l.layer_window = layer->window;
    if (first) {
        l.frequencies_at = first->frequencies_at;
        l.slopes_at = first->slopes_at;
        l.logits_at = first->logits_at;
    } else {
        layout_tables(cursor, &l, layer);
    }
    if (l.n_kv_heads < l.layer_kv_heads) l.heads_at = layout_take(cursor, (uint64_t)l.n_kv_heads, sizeof(int32_t));
    layout_arenas(cursor, &l, whole, lane);
    *sequence_at = sai_sequence_place(&l, *sequence_at);
    return l;
}

/* Slopes of Press et al. for n heads: 2^(-8 i / n) where n is a power of two; else those of the
 * power below, then every other one of twice that power. */
static void layout_alibi_slopes(int32_t n, float *slopes) {
    int32_t power = 1;
    while (2 * power <= n) power *= 2;
    for (int32_t h = 0; h < n; h++)
        slopes[h] = (float)(h < power ? pow(2, -8.0 * (h + 1) / power) : pow(2, -4.0 * (2 * (h - power) + 1) / power));
}

/* The earliest of the few layers before this one that rotates alike, or the layer itself. */
static int32_t layout_rope_id(const sa_pool *pool, int32_t layer) {
    const sai_layer *l = sai_layer_of(pool, layer);
    for (int32_t other = layer - 1; other >= 0 && other >= layer - 8; other--) {
        const sai_layer *o = sai_layer_of(pool, other);
        if (o->rope.pairs == l->rope.pairs && o->rope.factor == l->rope.factor &&
            !memcmp(sai_at(pool, o->frequencies_at), sai_at(pool, l->frequencies_at),
                    (size_t)l->rope.pairs * sizeof(uint64_t)))
            return o->rope_id;
    }
    return layer;
}

/* The tables that all lanes share, by the first one. */
static void layout_fill_tables(sa_pool *pool, int32_t layer, const sa_config *c) {
    sai_layer *l = sai_layer_of(pool, layer);
    if (l->rope.pairs) sai_rope_frequencies(c, (uint64_t *)sai_at(pool, l->frequencies_at));
    l->rope_id = layout_rope_id(pool, layer);
    if (l->slopes_at) {
        float *slopes = (float *)sai_at(pool, l->slopes_at);
        if (c->alibi_slopes)
            memcpy(slopes, c->alibi_slopes, (size_t)l->layer_heads * sizeof *slopes);
        else
            layout_alibi_slopes(l->layer_heads, slopes);
    }
    if (l->logits_at) memcpy(sai_at(pool, l->logits_at), c->sink_logits, (size_t)l->layer_heads * sizeof(float));
}

static void layout_fill_lane(sa_pool *pool, int32_t layer, const sa_config *c, const sai_lanes *lanes, int32_t lane) {
    sai_layer *l = sai_layer_of(pool, layer) + lane;
    l->rope_id = sai_layer_of(pool, layer)->rope_id;
    if (l->heads_at) sai_lanes_heads(c, lanes, lane, (int32_t *)sai_at(pool, l->heads_at));
    for (uint32_t i = 0; i < l->learned.n_tiles; i++) ((uint32_t *)sai_at(pool, l->learned_map_at))[i] = i;
    for (int32_t i = 0; i < pool->n_sequences; i++) sai_sequence_tables(sai_sequence_at(pool, i), l);
}

/* -------------------------------- workspace ------------------------------- */

/* What a walk over the layers finds that they need at most. */
typedef struct layout_needs {
    uint64_t worker, split, pairs, heads;
    int32_t lanes;
} layout_needs;

/* What one lane needs; *split: floats for all lanes of the layer, since they run together. */
static void layout_need(layout_needs *needs, const sa_config *whole, const sai_layer *l, uint64_t *split) {
    uint64_t worker = sai_scratch_floats(l, whole->max_append);
    uint64_t rows = (uint64_t)l->n_heads * (uint64_t)whole->max_append * (uint64_t)whole->n_sequences;
    uint64_t split_rows = sai_split_rows(whole->n_threads);
    *split += (rows < split_rows ? rows : split_rows) * sai_most_blocks(l) * ((uint64_t)l->dv_pad + 2);
    if (worker > needs->worker) needs->worker = worker;
    if (*split > needs->split) needs->split = *split;
    if ((uint64_t)l->layer_heads > needs->heads) needs->heads = (uint64_t)l->layer_heads;
    if ((uint64_t)l->rope.pairs > needs->pairs) needs->pairs = (uint64_t)l->rope.pairs;
}

static void layout_workspace(layout_cursor *cursor, const layout_needs *needs, const sa_config *whole,
                             sai_workspace *work) {
    uint64_t n = (uint64_t)whole->n_sequences, jobs = n * (uint64_t)needs->lanes;
    /* Two sets of rows: some models rotate every other layer by another theta; and some for spans and sequences. A lane
     * more may have its sinks at a place of its own. */
    work->rotation_rows =
        (1 + needs->lanes) * (whole->max_append > whole->n_sequences ? whole->max_append : whole->n_sequences) + 16;
    work->rotation_stride = (int32_t)(2 * needs->pairs);
    work->rotation_filling = 1;
    work->rotations_at = layout_take(cursor, (uint64_t)work->rotation_rows, 2 * needs->pairs * sizeof(float));
    work->keys_at = layout_take(cursor, needs->pairs ? SAI_ROTATION_KEYS : 1, sizeof(sai_rotations_key));
    work->worker_size = (size_t)((needs->worker * sizeof(float) + SAI_ALIGNMENT - 1) / SAI_ALIGNMENT * SAI_ALIGNMENT);
    work->workers_at = layout_take(cursor, (uint64_t)whole->n_threads, work->worker_size);
    work->split_floats = needs->split;
    work->splits_at = layout_take(cursor, needs->split, sizeof(float));
    work->most_view_spans = 2 * sai_spans_room(5 + whole->n_spans);
    work->most_parts = 2 * work->most_view_spans + 1 + SAI_ROW_KINDS;
    uint64_t tokens = (uint64_t)(whole->max_append > whole->n_sequences ? whole->max_append : whole->n_sequences);
    work->kept_at = layout_take(cursor, layout_times(cursor, 2 * needs->heads, tokens), sizeof(float));
    work->calls_at = layout_take(cursor, n, sizeof(sai_batch_call));
    work->jobs_at = layout_take(cursor, jobs, sizeof(sai_job));
    work->parts_at = layout_take(cursor, layout_times(cursor, jobs, (uint64_t)work->most_parts), sizeof(sai_part));
    work->views_at = layout_take(cursor, layout_times(cursor, jobs, (uint64_t)work->most_view_spans), sizeof(sai_span));
    work->claims_at = layout_take(cursor, (uint64_t)needs->lanes, sizeof(int64_t));
    work->most_lanes = needs->lanes;
    work->begun_layer = -1;
}

/* ---------------------------------- walk ---------------------------------- */

/* A walk over all layers: on paper, or while the pool is built. */
typedef struct layout_walker {
    const sa_config *whole;
    sa_pool *pool;
    int builds;
    layout_cursor cursor;
    layout_needs needs;
    uint64_t sequence_at;
} layout_walker;

static void layout_pool(const sa_config *whole, size_t at, sa_pool *pool) {
    pool->at = at;
    pool->n_layers = whole->n_layers;
    pool->n_threads = whole->n_threads;
    pool->max_append = whole->max_append;
    pool->io_dtype = whole->io_dtype;
    pool->isa = whole->isa;
    pool->n_sequences = whole->n_sequences;
    pool->has_budget = whole->pool_tokens != 0;
    pool->parallel_for = whole->parallel_for;
    pool->parallel_context = whole->parallel_context;
}

/* The size of a sequence, and how many lanes it has: its lanes' parts do not depend on where they lie. */
static sa_status layout_sequence(const sa_config *whole, uint64_t *size, int32_t *n_lanes, sai_verdict *verdict) {
    *size = sizeof(sa_cache);
    *n_lanes = 0;
    for (int32_t l = 0; l < whole->n_layers; l++) {
        sa_config own;
        sai_layer place;
        sa_status status = sai_config_layer(whole, l, &own, verdict);
        if (status) return status;
        sai_lanes lanes = sai_lanes_of(&own);
        *n_lanes += lanes.n;
        for (int32_t i = 0; i < lanes.n; i++) {
            sa_config lane = sai_lanes_config(&own, &lanes, i);
            place.rules = layout_rules(&lane, whole);
            place.n_rows = own.n_rows;
            place.max_draft = whole->max_draft;
            *size = sai_sequence_place(&place, *size);
        }
    }
    *size = (*size + SAI_ALIGNMENT - 1) / SAI_ALIGNMENT * SAI_ALIGNMENT;
    return SA_SUCCESS;
}

/* The lanes of layer `l`, the first of which is number `at` of all; returns the number behind the last. */
static int32_t layout_lanes(layout_walker *w, int32_t l, int32_t at, const sa_config *layer) {
    sai_lanes lanes = sai_lanes_of(layer);
    sai_layer first;
    uint64_t split = 0;
    if (lanes.n > w->needs.lanes) w->needs.lanes = lanes.n;
    for (int32_t i = 0; i < lanes.n; i++) {
        sa_config own = sai_lanes_config(layer, &lanes, i);
        sai_layer lane = layout_layer(&w->cursor, w->whole, layer, &own, i ? &first : NULL, &w->sequence_at);
        layout_need(&w->needs, w->whole, &lane, &split);
        if (!i) first = lane;
        if (w->builds) *sai_lane_of(w->pool, at + i) = lane;
    }
    if (!w->builds) return at + lanes.n;
    ((int32_t *)sai_at(w->pool, w->pool->lanes_at))[l] = at;
    layout_fill_tables(w->pool, l, layer);
    for (int32_t i = 0; i < lanes.n; i++) layout_fill_lane(w->pool, l, layer, &lanes, i);
    return at + lanes.n;
}

static sa_status layout_layers(layout_walker *w, sai_verdict *verdict) {
    sa_pool *pool = w->pool;
    int32_t at = 0;
    pool->layers_at = layout_take(&w->cursor, (uint64_t)pool->n_lanes, sizeof(sai_layer));
    pool->lanes_at = layout_take(&w->cursor, (uint64_t)pool->n_layers + 1, sizeof(int32_t));
    for (int32_t l = 0; l < pool->n_layers; l++) {
        sa_config own;
        sa_status status = sai_config_layer(w->whole, l, &own, verdict);
        if (status) return status;
        at = layout_lanes(w, l, at, &own);
    }
    if (w->builds) ((int32_t *)sai_at(pool, pool->lanes_at))[pool->n_layers] = at;
    return SA_SUCCESS;
}

/* Lays out a checked or yet unchecked config; with `memory`, also builds the pool there. */
static sa_status layout_walk(const sa_config *config, void *memory, sa_pool **pool_out, uint64_t *size,
                             sai_verdict *verdict) {
    sa_config whole;
    sa_pool on_paper, *pool = &on_paper;
    uint64_t sequence_size = 0;
    int32_t n_lanes = 0;
    sa_status status = sai_config_cache(config, &whole, verdict);
    if (!status) status = layout_sequence(&whole, &sequence_size, &n_lanes, verdict);
    if (status) return status;
    layout_walker w = {&whole, NULL, memory != NULL, {0, 0}, {0, 0, 0, 0, 0}, sizeof(sa_cache)};
    layout_take(&w.cursor, (uint64_t)whole.n_sequences, sequence_size);
    size_t at = layout_take(&w.cursor, 1, sizeof *pool);
    if (memory) pool = (sa_pool *)(void *)((char *)memory + at);
    memset(pool, 0, sizeof *pool);
    layout_pool(&whole, at, pool);
    w.pool = pool;
    pool->n_lanes = n_lanes;
    pool->sequence_size = (size_t)sequence_size;
    for (int32_t i = 0; memory && i < whole.n_sequences; i++) {
        sa_cache *cache = sai_sequence_at(pool, i);
        cache->at = (size_t)i * pool->sequence_size;
        cache->pool_at = at;
    }
    status = layout_layers(&w, verdict);
    if (status) return status;
    layout_workspace(&w.cursor, &w.needs, &whole, &pool->work);
    pool->size = (w.cursor.at + SAI_ALIGNMENT - 1) / SAI_ALIGNMENT * SAI_ALIGNMENT;
    *size = pool->size;
    if (memory) *pool_out = pool;
    verdict->layer = -1;
    verdict->why = w.cursor.overflow ? "the cache would be larger than memory can be" : "";
    return w.cursor.overflow ? SA_ERR_OVERFLOW : SA_SUCCESS;
}

sa_status sai_layout_size(const sa_config *config, size_t *size_out, sai_verdict *verdict) {
    uint64_t size;
    sa_status status = layout_walk(config, NULL, NULL, &size, verdict);
    if (!status) *size_out = (size_t)size;
    return status;
}

sa_pool *sai_layout_build(void *memory, const sa_config *config) {
    sai_verdict verdict;
    sa_pool *pool = NULL;
    uint64_t size;
    return layout_walk(config, memory, &pool, &size, &verdict) ? NULL : pool;
}
