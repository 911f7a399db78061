/*
 * Average context vector (after Hilsenbek 2024, arXiv 2406.10906): the mean of what the window has left, as one row.
 *
 * SPDX-License-Identifier: MIT
 *
 * The row stands for all n tokens that have left: its logit has the bias ln(n). It takes a tile of memory, which a
 * window shorter by 16 tokens pays for.
 */
#include "heads.h"

#include <math.h>

enum { TILE = 16 };

typedef struct mean {
    float *k, *v;           /* (layers of the cache, dims) the means */
    float *left_k, *left_v; /* (dims) of the token that leaves */
} mean;

static bool begin(policy_run *run, failure *why) {
    const model *m = run->m;
    uint64_t heads = (uint64_t)m->n_layers * (uint64_t)m->n_kv_heads;
    mean *state = run->state = policy_allocate(run, 1, sizeof *state, why);
    if (state == NULL) {
        return false;
    }
    state->k = policy_allocate(run, heads * (uint64_t)m->head_dim, sizeof(float), why);
    state->v = policy_allocate(run, heads * (uint64_t)m->v_head_dim, sizeof(float), why);
    state->left_k = policy_allocate(run, (uint64_t)m->head_dim, sizeof(float), why);
    state->left_v = policy_allocate(run, (uint64_t)m->v_head_dim, sizeof(float), why);
    run->own_bytes = heads * (uint64_t)(m->head_dim + m->v_head_dim) * sizeof(float);
    return state->left_v != NULL;
}

static void configure(void *context, sa_config *config) { heads_configure(context, config, TILE); }

/* The mean of n numbers becomes that of n + 1. In float: n is thousands here. */
static void take_in(float *means, const float *left, int32_t size, int64_t n) {
    for (int32_t i = 0; i < size; i++) {
        means[i] = n == 0 ? left[i] : means[i] + (left[i] - means[i]) / (float)(n + 1);
    }
}

/* The window is about to leave a token, behind n others. */
static sa_status leave(policy_run *run, int32_t cache_layer, int64_t n) {
    mean *state = run->state;
    const model *m = run->m;
    float *k = state->k + (int64_t)cache_layer * m->head_dim, *v = state->v + (int64_t)cache_layer * m->v_head_dim;
    sa_status status = heads_read(run, cache_layer, POLICY_SINKS + n, 1, state->left_k, state->left_v);
    if (status != SA_SUCCESS) {
        return status;
    }
    take_in(k, state->left_k, m->head_dim, n);
    take_in(v, state->left_v, m->v_head_dim, n);
    return heads_set_row(run, cache_layer, 0, k, v, logf((float)(n + 1)));
}

static sa_status step(policy_run *run, int32_t cache_layer, int32_t token) {
    sa_step_args args = {.flags = 0};
    int64_t left = run->s.seen + token - heads_window(run, TILE) - POLICY_SINKS;
    sa_status status = left >= 0 ? leave(run, cache_layer, left) : SA_SUCCESS;
    return status == SA_SUCCESS ? heads_step(run, cache_layer, token, &args) : status;
}

static sa_status attend(void *context, int32_t layer) { return heads_each(context, layer, step); }

const policy policy_mean = {.name = "mean", .begin = begin, .configure = configure, .attend = attend};
