/* Takes the host's keys and values in: to f32, turned to their position, stored.
 *
 * SPDX-License-Identifier: MIT
 *
 * A key is turned once, at its place in the stream, and never touched again: what later moves
 * relative to the queries (the sinks) is met by turning the query.
 */
#include "exact.h"

#include "append.h"

#include "attend.h"
#include "kernels/kernel.h"
#include "store.h"
#include "turns.h"

/* What is the same for all tokens of a call. */
typedef struct append_job {
    const sa_cache *cache;
    const sai_layer *layer;
    const sai_kernels *kernels;
    const sai_view *k, *v;
    sai_scratch scratch;
} append_job;

static append_job append_plan(const sa_cache *cache, const sai_layer *layer, const sai_view *k, const sai_view *v) {
    append_job j = {cache, layer, sai_kernels_of(cache->isa), k, v, sai_worker_scratch(cache, layer, 0)};
    return j;
}

enum { APPEND_TOKENS = 16 }; /* of a kv head before the next one's: the tile that they go to stays in L1 */

/* Where a token goes: its place in a region and, if not NULL, in the other one too; the rotation of its position,
 * or NULL. */
typedef struct append_slot {
    const sai_region *region, *other;
    uint64_t position;
    const float *turn;
} append_slot;

/* Stores n tokens' rows, from row `token` of the views on, for all kv heads. */
static void append_tokens(const append_job *j, const append_slot *slots, int32_t n, int64_t token) {
    const sa_cache *cache = j->cache;
    const sai_layer *layer = j->layer;
    const sai_kernels *kernels = j->kernels;
    const sai_view *k = j->k, *v = j->v;
    float *row = j->scratch.q;
    for (int32_t h = 0; h < layer->n_kv_heads; h++)
        for (int32_t i = 0; i < n; i++) {
            const append_slot *s = slots + i;
            kernels->load[k->dtype](sai_row_at(k, token + i, h), layer->dk, row);
            if (s->turn) kernels->rope_turn(&layer->rope, s->turn, row);
            if (s->other) sai_store_key(cache, layer, s->other, h, s->position, row);
            sai_store_key(cache, layer, s->region, h, s->position, row); /* last: it may change the row */
        }
    row = j->scratch.chain;
    for (int32_t h = 0; h < layer->n_kv_heads; h++)
        for (int32_t i = 0; i < n; i++) {
            const append_slot *s = slots + i;
            kernels->load[v->dtype](sai_row_at(v, token + i, h), layer->dv, row);
            if (s->other) sai_store_value(cache, layer, s->other, h, s->position, row);
            sai_store_value(cache, layer, s->region, h, s->position, row);
        }
}

void sai_append(sa_cache *cache, sai_layer *layer, int64_t from, int32_t n, const sai_view *k, const sai_view *v) {
    sai_stream *s = &layer->stream;
    int turns = layer->position == SA_POSITION_ROPE;
    append_job j = append_plan(cache, layer, k, v);
    if (turns) sai_turns_make(cache, layer, s->seen, 1, n);
    for (int32_t i = 0, m; i < n; i += m) {
        append_slot slots[APPEND_TOKENS];
        uint64_t position = s->seen + (uint64_t)i;
        m = APPEND_TOKENS - (int32_t)(position % APPEND_TOKENS);
        if (m > n - i) m = n - i;
        for (int32_t u = 0; u < m; u++, position++) {
            int is_sink = position < s->sinks;
            slots[u].region = is_sink ? &layer->sinks : &layer->ring;
            slots[u].other = s->recent && !is_sink ? &layer->recent : NULL;
            slots[u].position = position;
            slots[u].turn = turns ? sai_turn(cache, i + u) : NULL;
        }
        append_tokens(&j, slots, m, from + i);
    }
    sai_stream_append(s, (uint64_t)n);
}

void sai_append_learned(sa_cache *cache, sai_layer *layer, const sai_view *k, const sai_view *v) {
    int turns = layer->position == SA_POSITION_ROPE, before = layer->sink_kv_position == SA_SINK_KV_BEFORE;
    append_job j = append_plan(cache, layer, k, v);
    for (int32_t r = 0; r < layer->n_sink_kv; r++) {
        uint64_t place = before ? (uint64_t)r - (uint64_t)layer->n_sink_kv : 0; /* modulo 2^64 */
        if (turns) sai_turns_make(cache, layer, place, 1, 1);
        append_slot slot = {&layer->learned, NULL, (uint64_t)r, turns ? sai_turn(cache, 0) : NULL};
        append_tokens(&j, &slot, 1, r);
    }
    layer->sink_kv_ready = 1;
}
