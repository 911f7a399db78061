/*
 * Sinks, memory and window: what the window leaves is folded into fewer rows with biases, by least squares on recent
 * queries. A streaming form of Attention Matching (arXiv 2602.16284).
 *
 * SPDX-License-Identifier: MIT
 *
 * The stream goes in pieces, whose queries are the references, each kv head for itself. Of the oldest tokens of the
 * window, each FOLD become one row:
 *   keys     of those tokens that got most attention from the references;
 *   biases   ln(w), w >= 0, such that to each reference the rows together weigh what the tokens did;
 *   values   such that to each reference the rows together give what the tokens did.
 * Half of the budget is for rows. New ones take the place of the oldest ones, so nothing is folded twice, and the memory
 * reaches back FOLD times as far as it has rows.
 */
#include "fit.h"
#include "heads.h"

#include <math.h>
#include <string.h>

enum { FOLD = 8 };

typedef struct memory {
    int32_t n_rows, piece; /* of a kv head; tokens that go in before some are folded */
    int32_t group, most;   /* query heads of a kv head; tokens that are folded at a time, at most */
    int64_t *folded;       /* (layers of the cache) how many tokens have been, behind the sinks */
    float *mass;           /* (group, 2 budget) of a step */
    float *shares;         /* (references, most) softmax weights of the oldest tokens */
    float *chosen, *total; /* (references, FIT_MOST) of those chosen; (references) of all of them */
    float *k, *v;          /* (most, dims) of the tokens */
    float *outputs;        /* (references, v_head_dim) what the tokens give */
    float *values;         /* (FIT_MOST, v_head_dim) of the new rows */
} memory;

static bool begin(policy_run *run, failure *why) {
    const model *m = run->m;
    memory *state = run->state = policy_allocate(run, 1, sizeof *state, why);
    if (state == NULL) {
        return false;
    }
    int32_t third = heads_window(run, heads_half(run)) / 3 / FOLD * FOLD;
    state->n_rows = heads_half(run);
    state->piece = third < POLICY_CHUNK - FOLD ? third : POLICY_CHUNK - FOLD;
    state->most = state->piece + FOLD;
    state->group = m->n_heads / m->n_kv_heads;
    if (state->piece < FOLD) {
        return fail(why, "memory: the budget must be at least 64");
    }
    uint64_t references = (uint64_t)state->piece * (uint64_t)state->group, most = (uint64_t)state->most;
    uint64_t dims = (uint64_t)m->v_head_dim, layers = (uint64_t)m->n_layers * (uint64_t)m->n_kv_heads;
    state->folded = policy_allocate(run, layers, sizeof *state->folded, why);
    state->mass = policy_allocate(run, 2 * (uint64_t)(run->budget * state->group), sizeof(float), why);
    state->shares = policy_allocate(run, references * most, sizeof(float), why);
    state->chosen = policy_allocate(run, references * FIT_MOST, sizeof(float), why);
    state->total = policy_allocate(run, references, sizeof(float), why);
    state->k = policy_allocate(run, most * (uint64_t)m->head_dim, sizeof(float), why);
    state->v = policy_allocate(run, most * dims, sizeof(float), why);
    state->outputs = policy_allocate(run, references * dims, sizeof(float), why);
    return (state->values = policy_allocate(run, FIT_MOST * dims, sizeof(float), why)) != NULL;
}

static void configure(void *context, sa_config *config) { heads_configure(context, config, heads_half(context)); }

static void reset(policy_run *run) {
    memory *state = run->state;
    memset(state->folded, 0, (size_t)run->n_layers * sizeof *state->folded);
}

/* The m tokens that the references looked at most, in the order of the stream. */
static void choose(const memory *state, int32_t references, int32_t n, int32_t m, int32_t *chosen) {
    double weight[POLICY_CHUNK] = {0};
    for (int32_t i = 0; i < references * n; i++) {
        double share = (double)state->shares[i / n * state->most + i % n];
        weight[i % n] += share * share;
    }
    for (int32_t taken = 0; taken < m; taken++) {
        int32_t best = 0;
        for (int32_t i = 1; i < n; i++) {
            best = weight[i] > weight[best] ? i : best;
        }
        weight[best] = -1.0;
        chosen[taken] = best;
    }
}

/* What all n tokens weigh and give to each reference, and what those chosen weigh. */
static void sum_up(const memory *state, int32_t references, int32_t n, int32_t m, const int32_t *chosen, int32_t dims) {
    memset(state->outputs, 0, (size_t)(references * dims) * sizeof(float));
    for (int32_t r = 0; r < references; r++) {
        const float *shares = state->shares + r * state->most;
        state->total[r] = 0.0f;
        for (int32_t i = 0; i < n; i++) {
            state->total[r] += shares[i];
            for (int32_t d = 0; d < dims; d++) {
                state->outputs[r * dims + d] += shares[i] * state->v[i * dims + d];
            }
        }
        for (int32_t c = 0; c < m; c++) {
            state->chosen[r * FIT_MOST + c] = shares[chosen[c]];
        }
    }
}

/* The n oldest tokens of the window become n / FOLD rows. */
static sa_status fold(policy_run *run, int32_t cache_layer, int32_t references, int32_t n) {
    memory *state = run->state;
    int32_t m = n / FOLD, chosen[FIT_MOST], head_dim = run->m->head_dim, dims = run->m->v_head_dim;
    int64_t first = POLICY_SINKS + state->folded[cache_layer], row = state->folded[cache_layer] / FOLD;
    double w[FIT_MOST];
    sa_status status = heads_read(run, cache_layer, first, n, state->k, state->v);
    choose(state, references, n, m, chosen);
    sum_up(state, references, n, m, chosen, dims);
    fit_weights(references, m, state->chosen, FIT_MOST, state->total, 1e-3, w);
    for (int32_t c = 0; c < m; c++) {
        memcpy(state->values + c * dims, state->v + chosen[c] * dims, (size_t)dims * sizeof(float));
        for (int32_t r = 0; r < references; r++) {
            state->chosen[r * FIT_MOST + c] *= (float)w[c];
        }
    }
    fit_rows(references, m, state->chosen, FIT_MOST, state->outputs, dims, 1e-3, state->values);
    for (int32_t c = 0; c < m && status == SA_SUCCESS; c++, row++) {
        status = heads_set_row(run, cache_layer, (int32_t)(row % state->n_rows), state->k + chosen[c] * head_dim,
                               state->values + c * dims, (float)log(w[c]));
    }
    state->folded[cache_layer] += n;
    return status;
}

/* A token, which sees what has not been folded; and what it sees the oldest of those weigh. */
static sa_status step(policy_run *run, int32_t cache_layer, int32_t token, float *shares) {
    memory *state = run->state;
    int64_t first = POLICY_SINKS + state->folded[cache_layer], view = run->s.seen + token + 1 - first, n = 0;
    int64_t stride = 2 * run->budget;
    sa_step_args args = {.flags = SA_STEP_MASS_PER_HEAD,
                         .view_window = view > 0 ? (int32_t)view : 0,
                         .key_mass = state->mass,
                         .key_stride = stride};
    sa_status status = heads_step(run, cache_layer, token, &args);
    sa_cache_positions(run->s.cache, cache_layer, 0, 0, NULL, &n); /* the last of n is the token itself */
    for (int32_t h = 0; h < state->group; h++, shares += state->most) {
        for (int32_t i = 0; i < state->most; i++) {
            shares[i] = i < view ? state->mass[h * stride + state->n_rows + n - view + i] : 0.0f;
        }
    }
    return status;
}

static sa_status attend_piece(policy_run *run, int32_t cache_layer, int32_t token, int32_t n) {
    memory *state = run->state;
    sa_status status = SA_SUCCESS;
    for (int32_t i = 0; i < n && status == SA_SUCCESS; i++) {
        status = step(run, cache_layer, token + i, state->shares + i * state->group * state->most);
    }
    int64_t held = run->s.seen + token + n - POLICY_SINKS - state->folded[cache_layer];
    int64_t over = held + state->piece - heads_window(run, state->n_rows); /* if another piece were to come */
    if (status == SA_SUCCESS && over > 0) {
        status = fold(run, cache_layer, n * state->group, (int32_t)((over + FOLD - 1) / FOLD * FOLD));
    }
    return status;
}

static sa_status attend(void *context, int32_t layer) {
    policy_run *run = context;
    int32_t piece = ((memory *)run->state)->piece, fed = run->s.fed, heads = run->m->n_kv_heads;
    sa_status status = SA_SUCCESS;
    for (int32_t h = 0; h < heads; h++) {
        for (int32_t token = 0; token < fed && status == SA_SUCCESS; token += piece) {
            status = attend_piece(run, layer * heads + h, token, fed - token < piece ? fed - token : piece);
        }
    }
    return status;
}

const policy policy_memory = {
    .name = "memory", .begin = begin, .configure = configure, .attend = attend, .reset = reset};
