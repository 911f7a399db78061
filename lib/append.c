/* Takes the host's keys and values in: to f32, rotated to their position, stored.
 *
 * SPDX-License-Identifier: MIT
 *
 * A key is rotated once, to its position in the stream, and never touched again. Where keys later move relative to the
 * queries (the sinks do), the query is rotated instead.
 */
#include "exact.h"

#include "append.h"

#include "attend.h"
#include "integers.h"
#include "kernels/compiler.h"
#include "kernels/kernel.h"
#include "parallel.h"
#include "store.h"
#include "rotations.h"

enum { APPEND_TOKENS = 16 }; /* stored together, so that the tile that they go to stays in L1 */

/* Where a token goes: its place in a region and, if not NULL, in the other one too; the rotation of its position,
 * or NULL. */
typedef struct append_slot {
    const sai_region *region, *other;
    uint64_t position;
    const float *rotation;
} append_slot;

/* Stores n tokens' rows, from row `token` of the views on, for one kv head. */
static void append_rows(const sai_tokens *t, const append_slot *slots, int32_t n, int64_t token, int32_t kv_head,
                        const sai_scratch *scratch) {
    const sa_cache *cache = t->cache;
    const sai_layer *layer = t->layer;
    const sai_kernels *kernels = sai_kernels_of(cache->isa);
    float *row = scratch->q;
    for (int32_t i = 0; i < n; i++) {
        const append_slot *s = slots + i;
        kernels->load[t->k.dtype](sai_row_at(&t->k, token + i, kv_head), layer->dk, row);
        if (s->rotation) kernels->rope_rotate(&layer->rope, s->rotation, row);
        if (s->other) sai_store_key(cache, layer, s->other, kv_head, s->position, row);
        sai_store_key(cache, layer, s->region, kv_head, s->position, row); /* last: it may change the row */
    }
    row = scratch->chain;
    for (int32_t i = 0; i < n; i++) {
        const append_slot *s = slots + i;
        kernels->load[t->v.dtype](sai_row_at(&t->v, token + i, kv_head), layer->dv, row);
        if (s->other) sai_store_value(cache, layer, s->other, kv_head, s->position, row);
        sai_store_value(cache, layer, s->region, kv_head, s->position, row);
    }
}

static append_slot append_slot_of(const sai_tokens *t, int32_t i) {
    const sai_layer *l = t->layer;
    uint64_t position = t->first + (uint64_t)i;
    int is_sink = position < l->stream.sinks;
    append_slot s = {is_sink ? &l->sinks : &l->ring, l->stream.recent && !is_sink ? &l->recent : NULL, position, NULL};
    if (l->position == SA_POSITION_ROPE) s.rotation = sai_rotation(t->cache, i);
    return s;
}

sai_tokens sai_append_begin(sa_cache *cache, sai_layer *layer, int64_t from, int32_t n, const sai_view *k,
                            const sai_view *v) {
    sai_tokens t = {cache, layer, *k, *v, from, n, layer->stream.seen};
    if (layer->position == SA_POSITION_ROPE) sai_rotations_make(cache, layer, t.first, 1, n);
    sai_stream_append(&layer->stream, (uint64_t)n);
    return t;
}

void sai_append_head(const sai_tokens *t, int32_t kv_head, const sai_scratch *scratch) {
    for (int32_t i = 0, m; i < t->n; i += m) {
        append_slot slots[APPEND_TOKENS];
        m = APPEND_TOKENS - (int32_t)((t->first + (uint64_t)i) % APPEND_TOKENS);
        if (m > t->n - i) m = t->n - i;
        for (int32_t u = 0; u < m; u++) slots[u] = append_slot_of(t, i + u);
        append_rows(t, slots, m, t->from + i, kv_head, scratch);
    }
}

/* A key goes to a few bytes of every line of its tile: all are prefetched before the first is needed. */
void sai_append_prefetch(const sai_tokens *t, int32_t kv_head) {
    append_slot s = append_slot_of(t, 0);
    sai_tiles tiles = sai_tiles_of(t->cache, t->layer, s.region, kv_head);
    sai_prefetch_lines(sai_key_at(&tiles, s.position), tiles.k_tile);
    if (!sai_is_integer(tiles.v_dtype)) sai_prefetch_lines(sai_value_at(&tiles, s.position), tiles.v_tile / 16);
}

/* kv heads first, first + step, ... */
static void append_heads(const sai_tokens *t, int32_t first, int32_t step, const sai_scratch *scratch) {
    if (first < t->layer->n_kv_heads) sai_append_prefetch(t, first);
    for (int32_t h = first; h < t->layer->n_kv_heads; h += step) {
        if (h + step < t->layer->n_kv_heads) sai_append_prefetch(t, h + step);
        sai_append_head(t, h, scratch);
    }
}

enum { APPEND_NUMBERS = 1 << 15 }; /* with fewer numbers to store, waking other threads costs more than it saves */

static void append_task(void *context, int32_t w) {
    const sai_tokens *t = (const sai_tokens *)context;
    sai_scratch s = sai_worker_scratch(t->cache, t->layer, w);
    append_heads(t, w, t->cache->n_threads, &s);
}

void sai_store_tokens_here(const sai_tokens *tokens) {
    sai_scratch s = sai_worker_scratch(tokens->cache, tokens->layer, 0);
    append_heads(tokens, 0, 1, &s);
}

void sai_store_tokens(const sai_tokens *tokens) {
    const sa_cache *cache = tokens->cache;
    const sai_layer *l = tokens->layer;
    int64_t numbers = (int64_t)tokens->n * l->n_kv_heads * (l->dk + l->dv);
    if (numbers < APPEND_NUMBERS || cache->n_threads == 1)
        sai_store_tokens_here(tokens);
    else
        sai_parallel(cache->parallel_for, cache->parallel_context, cache->n_threads, append_task,
                     (void *)(uintptr_t)tokens);
}

void sai_append_learned(sa_cache *cache, sai_layer *layer, const sai_view *k, const sai_view *v) {
    int rotates = layer->position == SA_POSITION_ROPE, before = layer->sink_kv_position == SA_SINK_KV_BEFORE;
    sai_tokens t = {cache, layer, *k, *v, 0, layer->n_sink_kv, 0};
    sai_scratch scratch = sai_worker_scratch(cache, layer, 0);
    for (int32_t r = 0; r < layer->n_sink_kv; r++) {
        uint64_t place = before ? (uint64_t)r - (uint64_t)layer->n_sink_kv : 0; /* modulo 2^64 */
        if (rotates) sai_rotations_make(cache, layer, place, 1, 1);
        append_slot slot = {&layer->learned, NULL, (uint64_t)r, rotates ? sai_rotation(cache, 0) : NULL};
        for (int32_t h = 0; h < layer->n_kv_heads; h++) append_rows(&t, &slot, 1, r, h, &scratch);
    }
    layer->sink_kv_ready = 1;
}
