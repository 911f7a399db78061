/*
 * Policies that choose by kv head: each kv head of the model is a layer of the cache.
 *
 * SPDX-License-Identifier: MIT
 */
#include "heads.h"

int32_t heads_half(const policy_run *run) { return run->budget / 2 / 16 * 16; }

int32_t heads_window(const policy_run *run, int32_t n_rows) { return run->budget - POLICY_SINKS - n_rows; }

void heads_configure(policy_run *run, sa_config *config, int32_t n_rows) {
    config->n_layers = run->m->n_layers * run->m->n_kv_heads;
    config->n_heads = run->m->n_heads / run->m->n_kv_heads;
    config->n_kv_heads = 1;
    config->n_rows = n_rows;
    config->window = heads_window(run, n_rows);
    config->n_threads = 1; /* a step of one token and one kv head is too small to share out */
    config->parallel_for = NULL;
}

sa_status heads_each(policy_run *run, int32_t layer, heads_task *task) {
    int32_t heads = run->m->n_kv_heads;
    sa_status status = SA_SUCCESS;
    for (int32_t i = 0; i < heads * run->s.fed && status == SA_SUCCESS; i++) {
        status = task(run, layer * heads + i / run->s.fed, i % run->s.fed);
    }
    return status;
}

sa_status heads_step(const policy_run *run, int32_t cache_layer, int32_t token, sa_step_args *args) {
    const model *m = run->m;
    const stream *s = &run->s;
    int64_t kv_row = (int64_t)token * m->n_kv_heads + cache_layer % m->n_kv_heads;
    int64_t row = kv_row * (m->n_heads / m->n_kv_heads);
    args->struct_size = sizeof *args;
    args->layer = cache_layer;
    args->n_tokens = 1;
    args->q.data = s->q + row * m->head_dim;
    args->k.data = s->k + kv_row * m->head_dim;
    args->v.data = s->v + kv_row * m->v_head_dim;
    args->out.data = s->attention + row * m->v_head_dim;
    return sa_step(s->cache, args);
}

sa_status heads_read(const policy_run *run, int32_t cache_layer, int64_t from, int32_t n, float *k, float *v) {
    uint64_t positions[POLICY_CHUNK];
    for (int32_t i = 0; i < n; i++) {
        positions[i] = (uint64_t)from + (uint64_t)i;
    }
    sa_read_args args = {.struct_size = sizeof args,
                         .layer = cache_layer,
                         .n_tokens = n,
                         .key_form = SA_KEY_UNROTATED,
                         .positions = positions,
                         .k = {.data = k},
                         .v = {.data = v}};
    return sa_cache_read(run->s.cache, &args);
}

sa_status heads_set_row(const policy_run *run, int32_t cache_layer, int32_t row, float *k, float *v, float bias) {
    int64_t place = POLICY_SINKS - 1; /* `window` behind a query, once the window is full */
    sa_rows rows = {.struct_size = sizeof rows,
                    .layer = cache_layer,
                    .first = row,
                    .n_rows = 1,
                    .k = {.data = k},
                    .v = {.data = v},
                    .places = &place,
                    .biases = &bias};
    return sa_set_rows(run->s.cache, &rows);
}
