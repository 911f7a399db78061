/* The public functions that change what a sequence holds, and say it: going back, jumping, removing, pinning.
 *
 * SPDX-License-Identifier: MIT
 *
 * Each first asks every lane of every layer that is meant, and then changes them all.
 */
#include "exact.h"

#include "draft.h"

/* The lanes of the layers that a call means: [first, end). */
typedef struct stream_lanes {
    int32_t first, end;
} stream_lanes;

static sai_error stream_lanes_of(const sa_cache *cache, int32_t layer, stream_lanes *out) {
    const sa_pool *pool = sai_pool_of(cache);
    if (!cache->is_open) return SAI_ERROR_CLOSED;
    if (layer < SA_ALL_LAYERS || layer >= pool->n_layers) return SAI_ERROR_ANY_LAYER;
    out->first = layer == SA_ALL_LAYERS ? 0 : sai_first_lane(pool, layer);
    out->end = layer == SA_ALL_LAYERS ? pool->n_lanes : sai_first_lane(pool, layer + 1);
    return SAI_ERROR_NONE;
}

/* The most tokens that a lane has seen. */
static uint64_t stream_seen(const sa_cache *cache, stream_lanes lanes) {
    uint64_t most = 0;
    for (int32_t l = lanes.first; l < lanes.end; l++) {
        uint64_t seen = sai_lane_state(cache, l).spans->seen;
        if (seen > most) most = seen;
    }
    return most;
}

/* The call is going to change the sequence: a step that has begun is over. */
static void stream_begin(const sa_cache *cache) { sai_pool_of(cache)->work.begun_layer = -1; }

/* What moves the place of the next token cannot be done while nodes stand there. */
static sai_error stream_check_no_draft(const sa_cache *cache, stream_lanes lanes) {
    for (int32_t l = lanes.first; l < lanes.end; l++) {
        sai_state state = sai_lane_state(cache, l);
        if (sai_draft_is_open(&state)) return SAI_ERROR_DRAFT_OPEN;
    }
    return SAI_ERROR_NONE;
}

/* -------------------------- reset, rollback, jumps ------------------------ */

sa_status sa_cache_reset(sa_cache *cache, int32_t layer) {
    stream_lanes lanes;
    if (!cache) return SA_ERR_ARGUMENT;
    sai_error error = stream_lanes_of(cache, layer, &lanes);
    if (error) return sai_error_keep(cache, error);
    stream_begin(cache);
    for (int32_t l = lanes.first; l < lanes.end; l++) {
        sai_state state = sai_lane_state(cache, l);
        sai_state_reset(&state);
    }
    return sai_error_keep(cache, SAI_ERROR_NONE);
}

static sai_error stream_check_rollback(const sa_cache *cache, stream_lanes lanes, int64_t n_tokens, uint64_t seen) {
    if (n_tokens < 0) return SAI_ERROR_N_TOKENS;
    if ((uint64_t)n_tokens > seen) return SAI_ERROR_ROLLBACK_LENGTH;
    for (int32_t l = lanes.first; l < lanes.end; l++) {
        sai_state state = sai_lane_state(cache, l);
        if (sai_spans_can_truncate(&state.layer->rules, state.spans, seen - (uint64_t)n_tokens))
            return SAI_ERROR_ROLLBACK_LOST;
    }
    return SAI_ERROR_NONE;
}

sa_status sa_cache_rollback(sa_cache *cache, int32_t layer, int64_t n_tokens) {
    stream_lanes lanes;
    uint64_t seen = 0;
    if (!cache) return SA_ERR_ARGUMENT;
    sai_error error = stream_lanes_of(cache, layer, &lanes);
    if (!error) error = stream_check_no_draft(cache, lanes);
    if (!error) seen = stream_seen(cache, lanes);
    if (!error) error = stream_check_rollback(cache, lanes, n_tokens, seen);
    if (error) return sai_error_keep(cache, error);
    stream_begin(cache);
    for (int32_t l = lanes.first; l < lanes.end; l++) {
        sai_state state = sai_lane_state(cache, l);
        sai_state_truncate(&state, seen - (uint64_t)n_tokens);
    }
    return sai_error_keep(cache, SAI_ERROR_NONE);
}

/* Jumps; a lane that stands there already is left alone, or emptied as well. */
static sa_status stream_jump(sa_cache *cache, int32_t layer, uint64_t position, int empties) {
    stream_lanes lanes;
    sai_error error = stream_lanes_of(cache, layer, &lanes);
    if (!error) error = stream_check_no_draft(cache, lanes);
    if (!error && position >= SAI_POSITION_LIMIT) error = SAI_ERROR_POSITION_LIMIT;
    if (!error && position < stream_seen(cache, lanes)) error = SAI_ERROR_POSITION_BEHIND;
    for (int32_t l = lanes.first; l < lanes.end && !error; l++) {
        sai_state state = sai_lane_state(cache, l);
        if (!empties && state.spans->seen == position) continue;
        if (sai_spans_can_jump(&state.layer->rules, state.spans, position)) error = SAI_ERROR_NO_SPAN;
    }
    if (error) return sai_error_keep(cache, error);
    stream_begin(cache);
    for (int32_t l = lanes.first; l < lanes.end; l++) {
        sai_state state = sai_lane_state(cache, l);
        if (empties || state.spans->seen != position) sai_state_jump(&state, position);
    }
    return sai_error_keep(cache, SAI_ERROR_NONE);
}

sa_status sa_cache_seek(sa_cache *cache, int32_t layer, uint64_t position) {
    return cache ? stream_jump(cache, layer, position, 0) : SA_ERR_ARGUMENT;
}

sa_status sa_cache_restart(sa_cache *cache, int32_t layer, uint64_t position) {
    return cache ? stream_jump(cache, layer, position, 1) : SA_ERR_ARGUMENT;
}

/* -------------------------- removing, pinning, sinks ---------------------- */

static uint64_t stream_end(const sai_state *state, sai_range in) {
    return in.end == SA_END ? state->spans->seen : in.end;
}

static sai_error stream_check_change(const sa_cache *cache, stream_lanes lanes, sai_change how, sai_range in) {
    for (int32_t l = lanes.first; l < lanes.end; l++) {
        sai_state state = sai_lane_state(cache, l);
        uint64_t end = stream_end(&state, in);
        if (end > state.spans->seen || in.from > end || (in.from == end && how != SAI_ANCHOR)) return SAI_ERROR_RANGE;
        sa_status status = sai_state_can_change(&state, how, in.from, end);
        if (status) return status == SA_ERR_DEPTH ? SAI_ERROR_RANGE_LOST : SAI_ERROR_NO_SPAN;
    }
    return SAI_ERROR_NONE;
}

static sa_status stream_change(sa_cache *cache, int32_t layer, sai_change how, uint64_t from, uint64_t end) {
    stream_lanes lanes;
    sai_range in = {from, end};
    if (!cache) return SA_ERR_ARGUMENT;
    sai_error error = stream_lanes_of(cache, layer, &lanes);
    if (!error) error = stream_check_change(cache, lanes, how, in);
    if (error) return sai_error_keep(cache, error);
    stream_begin(cache);
    for (int32_t l = lanes.first; l < lanes.end; l++) {
        sai_state state = sai_lane_state(cache, l);
        sai_state_change(&state, how, from, stream_end(&state, in));
    }
    return sai_error_keep(cache, SAI_ERROR_NONE);
}

sa_status sa_cache_remove(sa_cache *cache, int32_t layer, uint64_t from, uint64_t end, int32_t gap) {
    if (cache && gap != SA_GAP_CLOSE && gap != SA_GAP_KEEP) return sai_error_keep(cache, SAI_ERROR_GAP);
    return stream_change(cache, layer, gap == SA_GAP_KEEP ? SAI_REMOVE_KEEP : SAI_REMOVE_CLOSE, from, end);
}

sa_status sa_cache_pin(sa_cache *cache, int32_t layer, uint64_t from, uint64_t end) {
    return stream_change(cache, layer, SAI_PIN, from, end);
}

sa_status sa_cache_unpin(sa_cache *cache, int32_t layer, uint64_t from, uint64_t end) {
    return stream_change(cache, layer, SAI_UNPIN, from, end);
}

sa_status sa_cache_anchor(sa_cache *cache, int32_t layer, uint64_t from, uint64_t end) {
    return stream_change(cache, layer, SAI_ANCHOR, from, end);
}

/* ---------------------------------- drafts -------------------------------- */

static sai_error stream_check_accept(const sa_cache *cache, stream_lanes lanes, int32_t n, const int32_t *path) {
    if (n < 0 || n > sai_pool_of(cache)->max_append || (n && !path)) return SAI_ERROR_PATH_LENGTH;
    for (int32_t l = lanes.first; l < lanes.end; l++) {
        sai_state state = sai_lane_state(cache, l);
        sai_error error = sai_draft_check_path(&state, n, path);
        if (error) return error;
    }
    return SAI_ERROR_NONE;
}

sa_status sa_draft_accept(sa_cache *cache, int32_t layer, int32_t n, const int32_t *path) {
    stream_lanes lanes;
    if (!cache) return SA_ERR_ARGUMENT;
    sai_error error = stream_lanes_of(cache, layer, &lanes);
    if (!error) error = stream_check_accept(cache, lanes, n, path);
    if (error) return sai_error_keep(cache, error);
    stream_begin(cache);
    for (int32_t l = lanes.first; l < lanes.end; l++) {
        sai_state state = sai_lane_state(cache, l);
        sai_draft_accept(&state, n, path);
    }
    return sai_error_keep(cache, SAI_ERROR_NONE);
}

/* --------------------------------- the list ------------------------------- */

sa_status sa_cache_spans(const sa_cache *cache, int32_t layer, int32_t kv_head, int32_t capacity, sa_span *spans_out,
                         int32_t *n_out) {
    if (!cache || !n_out || capacity < 0 || (capacity && !spans_out)) return SA_ERR_ARGUMENT;
    const sa_pool *pool = sai_pool_of(cache);
    if (layer < 0 || layer >= pool->n_layers || kv_head < 0 || kv_head >= sai_layer_of(pool, layer)->layer_kv_heads)
        return SA_ERR_ARGUMENT;
    if (!cache->is_open) return SA_ERR_STATE;
    const sai_spans *s = sai_lane_state(cache, sai_lane_with(pool, layer, kv_head)).spans;
    for (int32_t i = 0; i < s->n && i < capacity; i++) {
        const sai_span *a = &s->list[i];
        sa_span out = {a->from, a->end, a->shift, a->kind, a->store == SAI_STORE_MASKED};
        spans_out[i] = out;
    }
    *n_out = s->n;
    return SA_SUCCESS;
}

sa_status sa_cache_positions(const sa_cache *cache, int32_t layer, int32_t kv_head, int64_t capacity,
                             uint64_t *positions_out, int64_t *n_out) {
    if (!cache || !n_out || capacity < 0 || (capacity && !positions_out)) return SA_ERR_ARGUMENT;
    const sa_pool *pool = sai_pool_of(cache);
    if (layer < 0 || layer >= pool->n_layers || kv_head < 0 || kv_head >= sai_layer_of(pool, layer)->layer_kv_heads)
        return SA_ERR_ARGUMENT;
    if (!cache->is_open) return SA_ERR_STATE;
    const sai_spans *s = sai_lane_state(cache, sai_lane_with(pool, layer, kv_head)).spans;
    int64_t n = 0;
    for (int32_t i = 0; i < s->n; i++)
        for (uint64_t p = s->list[i].from; s->list[i].store != SAI_STORE_MASKED && p < s->list[i].end; p++, n++)
            if (n < capacity) positions_out[n] = p;
    *n_out = n;
    return SA_SUCCESS;
}
