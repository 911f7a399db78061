/* The public function that reads keys and values out, of positions that a layer holds or of rows of the host.
 *
 * SPDX-License-Identifier: MIT
 *
 * A token's key was rotated at its position in the stream, a row's at its place, which each kv head has its own of.
 * Rotations add up, so one more takes it to any other place, or back.
 */
#include "exact.h"

#include <string.h>

#include "arguments.h"
#include "kernels/kernel.h"
#include "store.h"

/* The size of the first version. New fields come behind; this stays. */
#define READ_FIRST_SIZE (offsetof(sa_read_args, places) + sizeof(int64_t *))

enum { READ_MOST_DIMS = 1024 };

/* What a call reads, of one lane of the layer. */
typedef struct read_call {
    sai_state state;
    const sai_kernels *kernels;
    const sa_read_args *args;
    sai_view k, v;
    sai_heads heads; /* that are read */
    sai_tiles rows;  /* of the host, where they are read */
} read_call;

/* The span that holds a position, or NULL. */
static const sai_span *read_span(const sai_spans *s, uint64_t position) {
    for (int32_t i = 0; i < s->n; i++) {
        const sai_span *a = &s->list[i];
        if (a->from <= position && position < a->end) return a->store == SAI_STORE_MASKED ? NULL : a;
    }
    return NULL;
}

/* ---------------------------------- keys ---------------------------------- */

/* The rotation that takes the keys of a token, or of a row of one kv head, to where they are wanted. */
typedef struct read_turn {
    float row[READ_MOST_DIMS]; /* (2 pairs) */
    uint64_t from;             /* where the keys were rotated */
    int is_ready;
} read_turn;

/* Neighbours often stand at one place, and a rotation takes longer than all else. */
static const float *read_turn_from(const read_call *c, int32_t token, uint64_t from, read_turn *turn) {
    const sai_layer *l = c->state.layer;
    const sa_read_args *a = c->args;
    sai_rope rope = l->rope;
    uint64_t place = 0;
    if (a->key_form == SA_KEY_AS_STORED || !rope.pairs) return NULL;
    if (turn->is_ready && turn->from == from) return turn->row;
    /* Only what the library has rotated has its factor, which an unrotated key gives back. */
    rope.factor = a->key_form == SA_KEY_UNROTATED ? 1 / l->rope.factor : 1;
    if (a->key_form == SA_KEY_AT_PLACE) place = (uint64_t)a->places[token];
    c->kernels->rope_row(&rope, (const uint64_t *)sai_at(c->state.pool, l->frequencies_at), place - from, turn->row);
    turn->from = from;
    turn->is_ready = 1;
    return turn->row;
}

static void read_key(const read_call *c, int32_t token, const sai_run *run, int32_t to, const float *rotation) {
    float key[READ_MOST_DIMS];
    uint64_t position = c->args->positions[token];
    int32_t dk = c->state.layer->dk;
    sai_fetch_key(c->kernels, run->k_dtype, sai_run_key(run, position), (int)(position % 16), dk, key);
    if (rotation) c->kernels->rope_rotate(&c->state.layer->rope, rotation, key);
    c->kernels->store[c->k.dtype](key, dk, sai_row_at(&c->k, token, to));
}

static void read_value(const read_call *c, int32_t token, const sai_run *run, int32_t to) {
    float value[READ_MOST_DIMS];
    uint64_t position = c->args->positions[token];
    int32_t dv = c->state.layer->dv;
    sai_fetch_value(c->kernels, run->v_dtype, sai_run_value(run, position), (int)(position % 16), dv, value);
    c->kernels->store[c->v.dtype](value, dv, sai_row_at(&c->v, token, to));
}

/* Which of the heads that are read a kv head of the lane is, or -1. */
static int32_t read_head(const read_call *c, int32_t kv_head) {
    return sai_head_among(c->state.pool, c->state.layer, kv_head, c->heads);
}

/* Where a kv head's key was rotated: a token's at its position, a row's at its place. */
static uint64_t read_place(const read_call *c, int32_t kv_head, uint64_t position) {
    if (!(c->args->flags & SA_READ_ROWS)) return position;
    return (uint64_t)sai_rows_in(c->state.pool, c->state.layer, &c->rows, kv_head, position)->place[position % 16];
}

static void read_token(const read_call *c, int32_t token) {
    read_turn turn;
    uint64_t position = c->args->positions[token];
    int is_row = (c->args->flags & SA_READ_ROWS) != 0;
    const sai_tiles *t = is_row ? &c->rows : &c->state.tiles[read_span(c->state.spans, position)->store];
    const uint32_t *map = sai_tiles_map(t, position / 16);
    turn.is_ready = 0;
    for (int32_t h = 0; h < c->state.layer->n_kv_heads; h++) {
        int32_t to = read_head(c, h);
        if (to < 0) continue;
        sai_run run = sai_run_of(t->block, t->arena, h, map, position / 16);
        if (c->k.data) read_key(c, token, &run, to, read_turn_from(c, token, read_place(c, h, position), &turn));
        if (c->v.data) read_value(c, token, &run, to);
    }
}

/* Makes lane `lane` that of the call; returns whether heads of it are read. */
static int read_lane(read_call *c, const sa_cache *cache, int32_t lane) {
    c->state = sai_lane_state(cache, lane);
    c->rows = sai_state_rows(&c->state);
    return sai_lane_has(c->state.pool, c->state.layer, c->heads);
}

/* --------------------------------- checks --------------------------------- */

static sai_error read_check_tensors(read_call *c, const sa_pool *pool) {
    const sa_read_args *a = c->args;
    const sai_layer *l = sai_layer_of(pool, a->layer);
    const sai_tensor_check k = {&a->k, SAI_ERROR_K_DTYPE, a->n_tokens, c->heads.n, l->dk},
                           v = {&a->v, SAI_ERROR_V_DTYPE, a->n_tokens, c->heads.n, l->dv};
    sai_error error = sai_arguments_view(pool, &k, &c->k);
    if (!error) error = sai_arguments_view(pool, &v, &c->v);
    if (error) return error;
    if (!a->k.data && !a->v.data && a->n_tokens) return SAI_ERROR_READ_NOTHING;
    if (a->k.data && sai_arguments_overlaps(&k, &c->k)) return SAI_ERROR_READ_OVERLAPS;
    return a->v.data && sai_arguments_overlaps(&v, &c->v) ? SAI_ERROR_READ_OVERLAPS : SAI_ERROR_NONE;
}

/* Whether all heads of the lane that are read have a row. */
static int read_has_row(const read_call *c, uint64_t number) {
    for (int32_t h = 0; h < c->state.layer->n_kv_heads; h++)
        if (read_head(c, h) >= 0 && !sai_rows_in(c->state.pool, c->state.layer, &c->rows, h, number)) return 0;
    return 1;
}

static sai_error read_check_position(const read_call *c, uint64_t position) {
    if (c->args->flags & SA_READ_ROWS) return read_has_row(c, position) ? SAI_ERROR_NONE : SAI_ERROR_ROW_ABSENT;
    return read_span(c->state.spans, position) ? SAI_ERROR_NONE : SAI_ERROR_POSITION_LOST;
}

static sai_error read_check_lanes(read_call *c, const sa_cache *cache) {
    const sa_pool *pool = sai_pool_of(cache);
    int32_t first = sai_first_lane(pool, c->args->layer), end = sai_first_lane(pool, c->args->layer + 1);
    for (int32_t lane = first; lane < end; lane++)
        for (int32_t i = 0, n = read_lane(c, cache, lane) ? c->args->n_tokens : 0; i < n; i++) {
            sai_error error = read_check_position(c, c->args->positions[i]);
            if (error) return error;
        }
    return SAI_ERROR_NONE;
}

static sai_error read_check(const sa_cache *cache, read_call *c) {
    const sa_pool *pool = sai_pool_of(cache);
    const sa_read_args *a = c->args;
    if (!cache->is_open) return SAI_ERROR_CLOSED;
    if (a->flags & ~(uint32_t)SA_READ_ROWS || a->reserved) return SAI_ERROR_READ_RESERVED;
    if (a->layer < 0 || a->layer >= pool->n_layers) return SAI_ERROR_LAYER;
    if (a->n_tokens < 0) return SAI_ERROR_N_TOKENS;
    if (a->key_form < SA_KEY_AS_STORED || a->key_form > SA_KEY_AT_PLACE) return SAI_ERROR_KEY_FORM;
    if (a->n_tokens && !a->positions) return SAI_ERROR_POSITIONS_NULL;
    if (a->n_tokens && a->k.data && (a->key_form == SA_KEY_AT_PLACE) != (a->places != NULL)) return SAI_ERROR_PLACES;
    c->kernels = sai_kernels_of(pool->isa);
    sai_error error = sai_arguments_heads(pool, a->layer, a->kv_head, a->n_kv_heads, &c->heads);
    if (!error) error = read_check_tensors(c, pool);
    return error ? error : read_check_lanes(c, cache);
}

static sai_error read_rows(const sa_cache *cache, const sa_read_args *args) {
    sa_read_args own;
    read_call call = {.args = &own};
    if (!args) return SAI_ERROR_ARGS_NULL;
    if (sai_read_struct(&own, sizeof own, READ_FIRST_SIZE, args)) return SAI_ERROR_READ_SIZE;
    sai_error error = read_check(cache, &call);
    if (error) return error;
    const sa_pool *pool = sai_pool_of(cache);
    for (int32_t lane = sai_first_lane(pool, own.layer); lane < sai_first_lane(pool, own.layer + 1); lane++)
        for (int32_t i = 0, n = read_lane(&call, cache, lane) ? own.n_tokens : 0; i < n; i++) read_token(&call, i);
    return SAI_ERROR_NONE;
}

sa_status sa_cache_read(sa_cache *cache, const sa_read_args *args) {
    return cache ? sai_error_keep(cache, read_rows(cache, args)) : SA_ERR_ARGUMENT;
}
