/* A worker's scratch: how much it needs, and where each part lies.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include "workspace.h"

#include "integers.h"
#include "kernels/integer_tiles.h"
#include "kernels/kernel.h"
#include "panel.h"
#include "pool.h"

/* Cuts n floats off, in whole cache lines; with a NULL base it only counts. */
static float *workspace_carve(float *base, uint64_t *at, uint64_t n) {
    float *p = base ? base + *at : NULL;
    *at += (n + 15) / 16 * 16;
    return p;
}

static sai_states workspace_carve_states(float *base, uint64_t *at, uint64_t rows, uint64_t dv_pad) {
    sai_states s;
    s.max = workspace_carve(base, at, rows);
    s.sum = workspace_carve(base, at, rows);
    s.acc = workspace_carve(base, at, rows * dv_pad);
    return s;
}

/* Whether keys or values of some store of a layer are converted to f32 for so many rows. */
static int workspace_widens(const sai_layer *l, uint64_t rows, int values) {
    int widens = l->learned.n_tiles && sai_panel_widens(values ? l->learned.v_dtype : l->learned.k_dtype, rows);
    widens |= l->rows.n_tiles && sai_panel_widens(values ? l->rows.v_dtype : l->rows.k_dtype, rows);
    for (int i = 0; i < SAI_STORES; i++) {
        const sai_arena *a = &l->arenas[i];
        if (a->n_tiles) widens |= sai_panel_widens(values ? a->v_dtype : a->k_dtype, rows);
    }
    return widens;
}

/* How many keys and values are converted at a time where so many rows use them: a chunk of them, or none. */
static uint64_t workspace_wide_keys(const sai_layer *l, uint64_t rows) {
    return rows >= SAI_WIDEN_ROWS && workspace_widens(l, rows, 0) ? SAI_CHUNK : 0;
}
static uint64_t workspace_wide_values(const sai_layer *l, uint64_t rows) {
    return rows >= SAI_WIDEN_ROWS && workspace_widens(l, rows, 1) ? SAI_CHUNK : 0;
}

static uint64_t workspace_carve_scratch(const sai_layer *l, int32_t max_append, float *base, sai_scratch *s) {
    uint64_t at = 0, rows = (uint64_t)max_append * (uint64_t)l->group, dv_pad = (uint64_t)l->dv_pad;
    if (rows > SAI_PANEL) rows = SAI_PANEL;
    uint64_t group = rows < SAI_MOST_ROWS ? rows : SAI_MOST_ROWS, dk = (uint64_t)l->dk;
    int integer_keys = sai_is_integer(l->arenas[SAI_STORE_MAIN].k_dtype);
    int integer_values = sai_is_integer(l->arenas[SAI_STORE_MAIN].v_dtype);
    s->raw = workspace_carve(base, &at, rows * dk);
    s->q = workspace_carve(base, &at, rows * dk);
    s->hadamard = workspace_carve(base, &at, integer_keys ? dk : 0);
    s->packed = workspace_carve(base, &at, integer_keys ? rows * (uint64_t)sai_query_words(l->dk) : 0);
    s->rotation = workspace_carve(base, &at, 2 * (uint64_t)l->rope.pairs);
    s->scores = workspace_carve(base, &at, group * SAI_CHUNK);
    s->wide_k = workspace_carve(base, &at, workspace_wide_keys(l, rows) * dk);
    s->wide_v = workspace_carve(base, &at, workspace_wide_values(l, rows) * dv_pad);
    s->weights = workspace_carve(base, &at, integer_values ? group * sai_weight_words(l->dv_pad) : 0);
    s->keep = workspace_carve(base, &at, group);
    s->chain = workspace_carve(base, &at, group * dv_pad);
    if (l->max_draft) {
        s->path_map = (uint32_t *)(void *)workspace_carve(base, &at, 16 + (uint64_t)l->path_tiles);
        s->path = (int32_t *)(void *)workspace_carve(base, &at, (uint64_t)sai_most_depth(l->max_draft, max_append));
    }
    s->block = workspace_carve_states(base, &at, rows, dv_pad);
    s->total = workspace_carve_states(base, &at, rows, dv_pad);
    s->sinks = workspace_carve_states(base, &at, rows, 0);
    return at;
}

uint64_t sai_scratch_floats(const sai_layer *layer, int32_t max_append) {
    sai_scratch s;
    return workspace_carve_scratch(layer, max_append, NULL, &s);
}

sai_scratch sai_scratch_of(const sa_pool *pool, const sai_layer *layer, int32_t w) {
    sai_scratch s;
    float *base = (float *)sai_at(pool, pool->work.workers_at + (size_t)w * pool->work.worker_size);
    workspace_carve_scratch(layer, pool->max_append, base, &s);
    s.worker = w;
    return s;
}
