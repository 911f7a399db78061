/* What a worker needs beside the cache: how much, and where each part lies.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include "attend.h"
#include "integers.h"
#include "kernels/integer_tiles.h"
#include "panel.h"

/* Cuts n floats off, in whole cache lines; with a NULL base it only counts. */
static float *scratch_carve(float *base, uint64_t *at, uint64_t n) {
    float *p = base ? base + *at : NULL;
    *at += (n + 15) / 16 * 16;
    return p;
}

static sai_states scratch_carve_states(float *base, uint64_t *at, uint64_t rows, uint64_t dv_pad) {
    sai_states s;
    s.max = scratch_carve(base, at, rows);
    s.sum = scratch_carve(base, at, rows);
    s.acc = scratch_carve(base, at, rows * dv_pad);
    return s;
}

static uint64_t scratch_carve_scratch(const sai_layer *l, int32_t max_append, float *base, sai_scratch *s) {
    uint64_t at = 0, rows = (uint64_t)max_append * (uint64_t)l->group, dv_pad = (uint64_t)l->dv_pad;
    if (rows > SAI_PANEL) rows = SAI_PANEL;
    uint64_t group = rows < SAI_MOST_ROWS ? rows : SAI_MOST_ROWS;
    s->q = scratch_carve(base, &at, rows * (uint64_t)l->dk);
    s->q_sinks = scratch_carve(base, &at, rows * (uint64_t)l->dk);
    int k_packed = sai_is_integer(l->ring.k_dtype);
    s->rotated = scratch_carve(base, &at, k_packed ? (uint64_t)l->dk : 0);
    s->q_packed = scratch_carve(base, &at, k_packed ? rows * (uint64_t)sai_query_words(l->dk) : 0);
    s->scores = scratch_carve(base, &at, group * SAI_CHUNK);
    s->wide_k = scratch_carve(base, &at, sai_wide_keys(l, rows) * (uint64_t)l->dk);
    s->wide_v = scratch_carve(base, &at, sai_wide_values(l, rows) * dv_pad);
    s->weights = scratch_carve(base, &at, sai_is_integer(l->ring.v_dtype) ? group * sai_weight_words(l->dv_pad) : 0);
    s->keep = scratch_carve(base, &at, group);
    s->chain = scratch_carve(base, &at, group * dv_pad);
    s->block = scratch_carve_states(base, &at, rows, dv_pad);
    s->total = scratch_carve_states(base, &at, rows, dv_pad);
    s->sinks = scratch_carve_states(base, &at, rows, 0);
    return at;
}

uint64_t sai_worker_floats(const sai_layer *layer, int32_t max_append) {
    sai_scratch s;
    return scratch_carve_scratch(layer, max_append, NULL, &s);
}

sai_scratch sai_worker_scratch(const sa_cache *cache, const sai_layer *layer, int32_t w) {
    sai_scratch s;
    scratch_carve_scratch(layer, cache->max_append,
                          (float *)sai_at(cache, cache->workers_at + (size_t)w * cache->worker_size), &s);
    return s;
}
