/* Where everything lies in a cache's block, and so its size: one walk serves both.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include <math.h>
#include <string.h>

#include "cache.h"
#include "kernels/kernel.h"
#include "store.h"

/* A place in the block. Once it would overflow, it moves no more and says so. */
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

static void layout_region(layout_cursor *c, const sai_layer *l, uint64_t tokens, int32_t k_dtype, int32_t v_dtype,
                          sai_region *r) {
    /* At most 2^43 bytes, so 64 bits hold it; whether size_t does is the cursor's to say. */
    r->n_tiles = (tokens + 15) / 16;
    r->k_dtype = k_dtype;
    r->v_dtype = v_dtype;
    uint64_t k_head = r->n_tiles * (uint64_t)sai_key_tile(k_dtype, l->dk);
    uint64_t v_head = r->n_tiles * (uint64_t)sai_value_tile(v_dtype, l->dv_pad);
    r->k_at = layout_take(c, k_head, (uint64_t)l->n_kv_heads);
    r->v_at = layout_take(c, v_head, (uint64_t)l->n_kv_heads);
    r->k_head = (size_t)k_head;
    r->v_head = (size_t)v_head;
}

static sai_stream layout_stream(const sa_config *c, int32_t max_append, int32_t rollback) {
    sai_stream s;
    memset(&s, 0, sizeof s);
    int32_t slack = max_append > rollback + 1 ? max_append : rollback + 1;
    s.n_sink = c->n_sink;
    s.window = (uint64_t)c->window;
    s.dense = c->policy == SA_POLICY_DENSE;
    s.ring = s.dense ? s.window : s.window - 1 + (uint64_t)slack;
    s.ring = (s.ring + 15) / 16 * 16;
    /* Same slack as the ring, so it never limits rollback. */
    uint64_t beyond = s.ring - s.window + 1 > (uint64_t)slack ? s.ring - s.window + 1 : (uint64_t)slack;
    s.recent = (uint64_t)c->n_recent;
    if (s.recent) s.recent_ring = (s.recent - 1 + beyond + 15) / 16 * 16;
    sai_stream_reset(&s);
    return s;
}

/* Keys per block: 1024, doubled until a window has at most 64 of them. It depends on the config
 * alone, since it decides the order in which partial states are merged. */
static uint64_t layout_block(const sa_config *c) {
    int32_t most = c->window > c->n_sink ? c->window : c->n_sink;
    if (c->n_sink_kv > most) most = c->n_sink_kv;
    uint64_t block = 1024;
    while ((uint64_t)most > 64 * block) block *= 2;
    return block;
}

/* A layer and its place, all but the contents of its tables. */
static sai_layer layout_layer(layout_cursor *cursor, const sa_config *whole, const sa_config *c) {
    sai_layer l;
    memset(&l, 0, sizeof l);
    l.n_heads = c->n_heads;
    l.n_kv_heads = c->n_kv_heads;
    l.group = c->n_heads / c->n_kv_heads;
    l.dk = c->head_dim;
    l.dv = c->v_head_dim;
    l.dv_pad = sai_round16(c->v_head_dim);
    l.position = c->position;
    l.position_mode = c->position_mode;
    l.n_sink_kv = c->n_sink_kv;
    l.sink_kv_position = c->sink_kv_position;
    l.scale = c->scale;
    l.softcap = c->softcap;
    l.block = layout_block(c);
    l.rope = sai_rope_of(c);
    l.stream = layout_stream(c, whole->max_append, whole->rollback);
    l.frequencies_at = layout_take(cursor, (uint64_t)l.rope.pairs, sizeof(uint64_t));
    l.saturated_at = layout_take(cursor, 2 * (uint64_t)l.rope.pairs, sizeof(float));
    if (c->position == SA_POSITION_ALIBI) l.slopes_at = layout_take(cursor, (uint64_t)c->n_heads, sizeof(float));
    if (c->sink_logits) l.logits_at = layout_take(cursor, (uint64_t)c->n_heads, sizeof(float));
    layout_region(cursor, &l, l.stream.ring, c->k_dtype, c->v_dtype, &l.ring);
    layout_region(cursor, &l, l.stream.recent_ring, c->recent_k_dtype, c->recent_v_dtype, &l.recent);
    layout_region(cursor, &l, (uint64_t)c->n_sink, c->sink_k_dtype, c->sink_v_dtype, &l.sinks);
    layout_region(cursor, &l, (uint64_t)c->n_sink_kv, c->sink_k_dtype, c->sink_v_dtype, &l.learned);
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
static int32_t layout_rope_id(const sa_cache *cache, int32_t layer) {
    const sai_layer *l = sai_layer_of(cache, layer);
    for (int32_t other = layer - 1; other >= 0 && other >= layer - 8; other--) {
        const sai_layer *o = sai_layer_of(cache, other);
        if (o->rope.pairs == l->rope.pairs && o->rope.factor == l->rope.factor &&
            !memcmp(sai_at(cache, o->frequencies_at), sai_at(cache, l->frequencies_at),
                    (size_t)l->rope.pairs * sizeof(uint64_t)))
            return o->rope_id;
    }
    return layer;
}

static void layout_fill_tables(sa_cache *cache, int32_t layer, const sa_config *c) {
    sai_layer *l = sai_layer_of(cache, layer);
    uint64_t *frequencies = (uint64_t *)sai_at(cache, l->frequencies_at);
    if (l->rope.pairs) {
        sai_rope_frequencies(c, frequencies);
        sai_kernels_of(cache->isa)
            ->rope_row(&l->rope, frequencies, (uint64_t)c->n_sink + (uint64_t)c->window - 1,
                       (float *)sai_at(cache, l->saturated_at));
    }
    l->rope_id = layout_rope_id(cache, layer);
    if (l->slopes_at) {
        float *slopes = (float *)sai_at(cache, l->slopes_at);
        if (c->alibi_slopes)
            memcpy(slopes, c->alibi_slopes, (size_t)l->n_heads * sizeof *slopes);
        else
            layout_alibi_slopes(l->n_heads, slopes);
    }
    if (l->logits_at) memcpy(sai_at(cache, l->logits_at), c->sink_logits, (size_t)l->n_heads * sizeof(float));
}

/* --------------------------------- scratch -------------------------------- */

int32_t sai_split_tokens(const sai_layer *l, int32_t n_threads) {
    return n_threads > 1 ? n_threads * SAI_TASKS_A_THREAD * SAI_ROWS_A_TASK / l->n_heads : 0;
}

/* Blocks that the rows of a call of n tokens see at most. */
static uint64_t layout_most_blocks(const sai_layer *l, uint64_t n) {
    uint64_t learned = (uint64_t)l->n_sink_kv, sinks = (uint64_t)l->stream.n_sink, block = l->block;
    uint64_t most = (learned + block - 1) / block + (sinks + block - 1) / block + (l->stream.window + n) / block + 2;
    return l->stream.recent ? most + (l->stream.recent + n) / block + 2 : most;
}

/* Floats that keep the states of all blocks of a call whose blocks are dealt out. */
static uint64_t layout_split(const sai_layer *l, const sa_config *whole) {
    uint64_t most = (uint64_t)sai_split_tokens(l, whole->n_threads), n = (uint64_t)whole->max_append;
    if (n > most) n = most;
    return (uint64_t)l->n_heads * n * layout_most_blocks(l, n) * ((uint64_t)l->dv_pad + 2);
}

/* What a walk over the layers finds that they need at most. */
typedef struct layout_needs {
    uint64_t worker, split, pairs;
} layout_needs;

static void layout_need(layout_needs *needs, const sa_config *whole, const sai_layer *l) {
    uint64_t worker = sai_worker_floats(l, whole->max_append), split = layout_split(l, whole);
    if (worker > needs->worker) needs->worker = worker;
    if (split > needs->split) needs->split = split;
    if ((uint64_t)l->rope.pairs > needs->pairs) needs->pairs = (uint64_t)l->rope.pairs;
}

static void layout_scratch(layout_cursor *cursor, const layout_needs *needs, sa_cache *cache) {
    cache->rope_stride = (int32_t)(2 * needs->pairs);
    cache->rope_at = layout_take(cursor, (uint64_t)cache->max_append, 2 * needs->pairs * sizeof(float));
    cache->worker_size = (size_t)((needs->worker * sizeof(float) + SAI_ALIGNMENT - 1) / SAI_ALIGNMENT * SAI_ALIGNMENT);
    cache->workers_at = layout_take(cursor, (uint64_t)cache->n_threads, cache->worker_size);
    cache->splits_at = layout_take(cursor, needs->split, sizeof(float));
}

/* ---------------------------------- walk ---------------------------------- */

/* Lays out a checked or yet unchecked config; with `memory`, also builds the cache there. */
static sa_status layout_walk(const sa_config *config, void *memory, sa_cache *cache, sai_verdict *verdict) {
    sa_config whole, own;
    layout_needs needs = {0, 0, 0};
    sa_status status = sai_config_cache(config, &whole, verdict);
    if (status) return status;
    cache->n_layers = whole.n_layers;
    cache->n_threads = whole.n_threads;
    cache->max_append = whole.max_append;
    cache->io_dtype = whole.io_dtype;
    cache->isa = whole.isa;
    cache->parallel_for = whole.parallel_for;
    cache->parallel_context = whole.parallel_context;
    cache->memo[0].rope_id = cache->memo[1].rope_id = -1;
    cache->begun.layer = -1;
    layout_cursor cursor = {sizeof *cache, 0};
    cache->layers_at = layout_take(&cursor, (uint64_t)whole.n_layers, sizeof(sai_layer));
    for (int32_t l = 0; l < whole.n_layers; l++) {
        status = sai_config_layer(&whole, l, &own, verdict);
        if (status) return status;
        sai_layer layer = layout_layer(&cursor, &whole, &own);
        layout_need(&needs, &whole, &layer);
        if (!memory) continue;
        *sai_layer_of((sa_cache *)memory, l) = layer;
        layout_fill_tables((sa_cache *)memory, l, &own);
    }
    layout_scratch(&cursor, &needs, cache);
    cache->size = (cursor.at + SAI_ALIGNMENT - 1) / SAI_ALIGNMENT * SAI_ALIGNMENT;
    verdict->layer = -1;
    verdict->why = cursor.overflow ? "the cache would be larger than memory can be" : "";
    return cursor.overflow ? SA_ERR_OVERFLOW : SA_SUCCESS;
}

sa_status sai_layout_size(const sa_config *config, size_t *size_out, sai_verdict *verdict) {
    sa_cache cache;
    memset(&cache, 0, sizeof cache);
    sa_status status = layout_walk(config, NULL, &cache, verdict);
    if (!status) *size_out = (size_t)cache.size;
    return status;
}

sa_cache *sai_layout_build(void *memory, const sa_config *config) {
    sai_verdict verdict;
    sa_cache *cache = (sa_cache *)memory;
    return layout_walk(config, memory, cache, &verdict) ? NULL : cache;
}
