/* The public functions that take rows of the host: those that a model has learned, and those that the host computes.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include <stddef.h>

#include "arguments.h"

/* The size of the first version. New fields come behind; this stays. */
#define SET_ROWS_FIRST_SIZE (offsetof(sa_rows, biases) + sizeof(float *))

/* --------------------------- learned sink rows ---------------------------- */

static sai_error set_rows_learned(const sa_cache *cache, int32_t layer, const void *k, const void *v) {
    sa_pool *pool = sai_pool_of(cache);
    sai_view keys, values;
    if (!cache->is_open) return SAI_ERROR_CLOSED;
    if (layer < 0 || layer >= pool->n_layers) return SAI_ERROR_LAYER;
    const sai_layer *l = sai_layer_of(pool, layer);
    if (!l->n_sink_kv) return SAI_ERROR_NO_SINK_KV;
    if (!k) return SAI_ERROR_SINK_K_NULL;
    if (!v) return SAI_ERROR_SINK_V_NULL;
    const sa_tensor k_tensor = {(void *)(uintptr_t)k, 0, 0, 0, 0}, v_tensor = {(void *)(uintptr_t)v, 0, 0, 0, 0};
    const sai_tensor_check k_rows = {&k_tensor, SAI_ERROR_K_DTYPE, l->n_sink_kv, l->layer_kv_heads, l->dk},
                           v_rows = {&v_tensor, SAI_ERROR_V_DTYPE, l->n_sink_kv, l->layer_kv_heads, l->dv};
    sai_error error = sai_arguments_view(pool, &k_rows, &keys);
    if (!error) error = sai_arguments_view(pool, &v_rows, &values);
    if (error) return error;
    pool->work.begun_layer = -1;
    for (int32_t lane = sai_first_lane(pool, layer); lane < sai_first_lane(pool, layer + 1); lane++)
        sai_rows_learn(pool, sai_lane_of(pool, lane), &keys, &values);
    return SAI_ERROR_NONE;
}

sa_status sa_set_sink_kv(sa_cache *cache, int32_t layer, const void *k, const void *v) {
    return cache ? sai_error_keep(cache, set_rows_learned(cache, layer, k, v)) : SA_ERR_ARGUMENT;
}

/* ---------------------------- rows of the host ---------------------------- */

static sai_error set_rows_check_shape(const sa_pool *pool, const sa_rows *r, sai_heads *heads) {
    if (r->flags & ~(uint32_t)SA_ROWS_AT_DISTANCE || r->reserved) return SAI_ERROR_ROWS_FLAGS;
    if (r->layer < 0 || r->layer >= pool->n_layers) return SAI_ERROR_LAYER;
    sai_error error = sai_arguments_heads(pool, r->layer, r->kv_head, r->n_kv_heads, heads);
    if (error) return error;
    if (r->first < 0 || r->n_rows < 0 || r->n_rows > sai_layer_of(pool, r->layer)->n_rows - r->first)
        return SAI_ERROR_ROWS_RANGE;
    if (r->k.data && !r->v.data) return SAI_ERROR_K_ALONE;
    if (r->v.data && !r->k.data) return SAI_ERROR_V_ALONE;
    return !r->k.data && (r->places || r->biases || r->flags) ? SAI_ERROR_ROWS_TAKEN : SAI_ERROR_NONE;
}

static sai_error set_rows_check_numbers(const sai_rows_given *g, uint64_t n) {
    sai_error error = sai_arguments_array(n, sizeof *g->places, g->places, SAI_ERROR_PLACES_ADDRESS);
    if (!error) error = sai_arguments_array(n, sizeof *g->biases, g->biases, SAI_ERROR_BIASES_ADDRESS);
    if (error) return error;
    const int64_t limit = (int64_t)SAI_POSITION_LIMIT;
    for (uint64_t i = 0; g->places && i < n; i++)
        if (g->places[i] <= -limit || g->places[i] >= limit) return SAI_ERROR_ROWS_PLACE;
    for (uint64_t i = 0; g->biases && i < n; i++)
        if (!(g->biases[i] <= 1e30f)) return SAI_ERROR_ROWS_BIAS;
    return SAI_ERROR_NONE;
}

static sai_error set_rows_check(const sa_pool *pool, const sa_rows *r, sai_rows_given *g) {
    sai_error error = set_rows_check_shape(pool, r, &g->heads);
    if (error) return error;
    const sai_layer *l = sai_layer_of(pool, r->layer);
    const sai_tensor_check k_rows = {&r->k, SAI_ERROR_K_DTYPE, r->n_rows, g->heads.n, l->dk},
                           v_rows = {&r->v, SAI_ERROR_V_DTYPE, r->n_rows, g->heads.n, l->dv};
    error = sai_arguments_view(pool, &k_rows, &g->k);
    if (!error) error = sai_arguments_view(pool, &v_rows, &g->v);
    if (error) return error;
    g->places = r->places;
    g->biases = r->biases;
    g->first = r->first;
    g->n = r->n_rows;
    g->kind = r->flags & SA_ROWS_AT_DISTANCE ? SAI_ROWS_AT_DISTANCE : SAI_ROWS_IN_FRONT;
    return set_rows_check_numbers(g, (uint64_t)g->n * (uint64_t)g->heads.n);
}

static sai_error set_rows(const sa_cache *cache, const sa_rows *theirs) {
    sa_pool *pool = sai_pool_of(cache);
    sa_rows r;
    sai_rows_given given;
    if (!theirs) return SAI_ERROR_ROWS_NULL;
    if (sai_read_struct(&r, sizeof r, SET_ROWS_FIRST_SIZE, theirs)) return SAI_ERROR_ROWS_SIZE;
    if (!cache->is_open) return SAI_ERROR_CLOSED;
    sai_error error = set_rows_check(pool, &r, &given);
    if (error || !given.n) return error;
    pool->work.begun_layer = -1;
    for (int32_t lane = sai_first_lane(pool, r.layer); lane < sai_first_lane(pool, r.layer + 1); lane++) {
        sai_state state = sai_lane_state(cache, lane);
        sai_tiles tiles = sai_state_rows(&state);
        sai_rows_set(pool, state.layer, &tiles, state.rows, &given);
    }
    return SAI_ERROR_NONE;
}

sa_status sa_set_rows(sa_cache *cache, const sa_rows *rows) {
    return cache ? sai_error_keep(cache, set_rows(cache, rows)) : SA_ERR_ARGUMENT;
}
