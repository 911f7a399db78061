/*
 * Tokens that stay when the window leaves them, because queries look at them: what H2O and SnapKV have in common.
 *
 * SPDX-License-Identifier: MIT
 */
#include "kept.h"

#include <string.h>

typedef struct kept {
    kept_rule rule;
    int32_t n_rows, window;
    int32_t ring;        /* tokens whose scores are there: the window's, and those before that are still near */
    float *of_rows;      /* (layers of the cache, n_rows) scores */
    float *of_tokens;    /* (layers of the cache, ring) scores, a token's at its position % ring */
    int32_t *used;       /* (layers of the cache) rows that are there */
    float *mass;         /* (n_rows + budget) of a step */
    uint64_t *positions; /* (budget) that mass is of, behind the rows */
    float *k, *v;        /* (dims) of a token that leaves */
} kept;

bool kept_begin(policy_run *run, kept_rule rule, failure *why) {
    const model *m = run->m;
    uint64_t layers = (uint64_t)m->n_layers * (uint64_t)m->n_kv_heads, budget = (uint64_t)run->budget;
    kept *state = run->state = policy_allocate(run, 1, sizeof *state, why);
    if (state == NULL) {
        return false;
    }
    state->rule = rule;
    state->n_rows = heads_half(run);
    state->window = heads_window(run, state->n_rows);
    state->ring = state->window + rule.near;
    state->of_rows = policy_allocate(run, layers * (uint64_t)state->n_rows, sizeof(float), why);
    state->of_tokens = policy_allocate(run, layers * (uint64_t)state->ring, sizeof(float), why);
    state->used = policy_allocate(run, layers, sizeof *state->used, why);
    state->mass = policy_allocate(run, 2 * budget, sizeof(float), why);
    state->positions = policy_allocate(run, budget, sizeof *state->positions, why);
    state->k = policy_allocate(run, (uint64_t)m->head_dim, sizeof(float), why);
    return (state->v = policy_allocate(run, (uint64_t)m->v_head_dim, sizeof(float), why)) != NULL;
}

void kept_configure(void *context, sa_config *config) { heads_configure(context, config, heads_half(context)); }

void kept_reset(policy_run *run) {
    kept *state = run->state; /* sa_cache_reset has taken the rows away */
    memset(state->used, 0, (size_t)run->n_layers * sizeof *state->used);
}

/* A row that is not there yet, or else the one with the lowest score. */
static int32_t weakest(const kept *state, const float *of_rows, int32_t used) {
    int32_t lowest = 0;
    for (int32_t r = 1; r < used; r++) {
        lowest = of_rows[r] < of_rows[lowest] ? r : lowest;
    }
    return used < state->n_rows ? used : lowest;
}

static float score_of(const kept *state, const float *of_tokens, int64_t position) {
    float most = 0.0f;
    for (int64_t p = position - state->rule.near; p <= position + state->rule.near; p++) {
        float score = p < POLICY_SINKS ? 0.0f : of_tokens[p % state->ring];
        most = score > most ? score : most;
    }
    return most;
}

/* The window is about to leave a token: is it kept? */
static sa_status leave(policy_run *run, int32_t cache_layer, int64_t position) {
    kept *state = run->state;
    float *of_rows = state->of_rows + (int64_t)cache_layer * state->n_rows;
    float score = score_of(state, state->of_tokens + (int64_t)cache_layer * state->ring, position);
    int32_t row = weakest(state, of_rows, state->used[cache_layer]);
    if (row < state->used[cache_layer] && score <= of_rows[row]) {
        return SA_SUCCESS;
    }
    state->used[cache_layer] += row == state->used[cache_layer];
    of_rows[row] = score;
    sa_status status = heads_read(run, cache_layer, position, 1, state->k, state->v);
    return status == SA_SUCCESS ? heads_set_row(run, cache_layer, row, state->k, state->v, 0.0f) : status;
}

/* Adds what the newest token's queries looked at. */
static sa_status count(policy_run *run, int32_t cache_layer, int64_t newest) {
    kept *state = run->state;
    float *of_rows = state->of_rows + (int64_t)cache_layer * state->n_rows;
    float *of_tokens = state->of_tokens + (int64_t)cache_layer * state->ring;
    int64_t n = 0;
    sa_status status = sa_cache_positions(run->s.cache, cache_layer, 0, run->budget, state->positions, &n);
    for (int32_t r = 0; r < state->used[cache_layer]; r++) {
        of_rows[r] = of_rows[r] * state->rule.decay + state->mass[r];
    }
    of_tokens[newest % state->ring] = 0.0f;
    for (int64_t i = 0; i < n; i++) {
        if (state->positions[i] >= POLICY_SINKS) {
            float *score = of_tokens + state->positions[i] % (uint64_t)state->ring;
            *score = *score * state->rule.decay + state->mass[state->n_rows + i];
        }
    }
    return status;
}

static sa_status step(policy_run *run, int32_t cache_layer, int32_t token) {
    kept *state = run->state;
    int64_t position = run->s.seen + token;
    sa_step_args args = {.key_mass = state->mass, .key_stride = 2 * run->budget};
    sa_status status = SA_SUCCESS;
    if (position - state->window >= POLICY_SINKS) {
        status = leave(run, cache_layer, position - state->window);
    }
    status = status == SA_SUCCESS ? heads_step(run, cache_layer, token, &args) : status;
    return status == SA_SUCCESS ? count(run, cache_layer, position) : status;
}

sa_status kept_attend(void *context, int32_t layer) { return heads_each(context, layer, step); }
