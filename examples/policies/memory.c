/*
 * Sinks, memory and window: what the window leaves is folded into fewer rows with biases, by least squares on recent
 * queries. A streaming form of Attention Matching (arXiv 2602.16284).
 *
 * SPDX-License-Identifier: MIT
 *
 * Half of the budget is for rows, each kv head for itself. The stream goes in pieces, and each piece's queries say what
 * becomes of the window's oldest tokens: of every FOLD of them one stays, those that these queries look at most, with
 * biases and values that give to the queries what all of them gave (match.h). The new rows take the places of the rows
 * that have had least attention. A row is written once, and not folded again.
 */
#include "heads.h"
#include "match.h"

#include <string.h>

enum { FOLD = 8 };

typedef struct memory {
    int32_t n_rows, window, piece; /* of a kv head; tokens that go in before some are folded */
    int32_t group;                 /* query heads of a kv head */
    int64_t *folded;               /* (layers of the cache) tokens that have been, behind the sinks */
    float *of_rows;                /* (layers of the cache, n_rows) attention so far; below 0: there is no row */
    float *of_tokens;              /* (layers of the cache, window) the same of tokens, at position % window */
    float *mass;                   /* (group, 2 budget) of a step */
    float *k, *v, *values;         /* (piece, dims) of tokens that are folded; of the rows that they become */
    float *shares;                 /* (piece * group, piece) softmax weights of the oldest tokens */
    match it;                      /* over these */
} memory;

static void reset(policy_run *run) {
    memory *state = run->state;
    int32_t layers = run->m->n_layers * run->m->n_kv_heads;
    memset(state->folded, 0, (size_t)layers * sizeof *state->folded);
    for (int32_t i = 0; i < layers * state->n_rows; i++) {
        state->of_rows[i] = -1.0f; /* sa_cache_reset has taken the rows away */
    }
}

static bool begin(policy_run *run, failure *why) {
    const model *m = run->m;
    memory *state = run->state = policy_allocate(run, 1, sizeof *state, why);
    if (state == NULL) {
        return false;
    }
    state->n_rows = heads_half(run);
    state->window = heads_window(run, state->n_rows);
    state->piece = state->window / 3 < POLICY_CHUNK ? state->window / 3 / FOLD * FOLD : POLICY_CHUNK;
    state->group = m->n_heads / m->n_kv_heads;
    if (state->piece < FOLD) {
        return fail(why, "memory: the budget must be at least 64");
    }
    uint64_t piece = (uint64_t)state->piece, queries = piece * (uint64_t)state->group;
    uint64_t dims = (uint64_t)m->v_head_dim, layers = (uint64_t)m->n_layers * (uint64_t)m->n_kv_heads;
    state->folded = policy_allocate(run, layers, sizeof *state->folded, why);
    state->of_rows = policy_allocate(run, layers * (uint64_t)state->n_rows, sizeof(float), why);
    state->of_tokens = policy_allocate(run, layers * (uint64_t)state->window, sizeof(float), why);
    state->mass = policy_allocate(run, 2 * (uint64_t)(run->budget * state->group), sizeof(float), why);
    state->k = policy_allocate(run, piece * (uint64_t)m->head_dim, sizeof(float), why);
    state->v = policy_allocate(run, piece * dims, sizeof(float), why);
    state->values = policy_allocate(run, MATCH_MOST * dims, sizeof(float), why);
    state->shares = policy_allocate(run, queries * piece, sizeof(float), why);
    float *kept = policy_allocate(run, queries * MATCH_MOST, sizeof(float), why);
    float *wanted = policy_allocate(run, queries * (dims + 1), sizeof(float), why);
    if (wanted == NULL) {
        return false;
    }
    state->it = (match){0, 0, m->v_head_dim, state->piece, state->shares, state->v, kept, wanted};
    reset(run);
    return true;
}

static void configure(void *context, sa_config *config) { heads_configure(context, config, heads_half(context)); }

static int32_t lowest(const float *x, int32_t n) {
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++) {
        best = x[i] < x[best] ? i : best;
    }
    return best;
}

/* The n oldest tokens of the window become n / FOLD rows. */
static sa_status fold(policy_run *run, int32_t cache_layer, int32_t queries, int32_t n) {
    memory *state = run->state;
    int32_t chosen[MATCH_MOST], head_dim = run->m->head_dim, dims = run->m->v_head_dim;
    int64_t first = POLICY_SINKS + state->folded[cache_layer];
    float biases[MATCH_MOST], *of_rows = state->of_rows + (int64_t)cache_layer * state->n_rows;
    const float *of_tokens = state->of_tokens + (int64_t)cache_layer * state->window;
    sa_status status = heads_read(run, cache_layer, first, n, state->k, state->v);
    state->it.queries = queries;
    state->it.n = n;
    match_tokens(&state->it, n / FOLD, chosen, biases, state->values);
    for (int32_t i = 0; i < n / FOLD && status == SA_SUCCESS; i++) {
        int32_t row = lowest(of_rows, state->n_rows);
        of_rows[row] = of_tokens[(first + chosen[i]) % state->window];
        status =
            heads_set_row(run, cache_layer, row, state->k + chosen[i] * head_dim, state->values + i * dims, biases[i]);
    }
    state->folded[cache_layer] += n;
    return status;
}

/* What a query head looked at: of rows, and of the tokens that it saw, the newest of which is its own. */
static void count(memory *state, int32_t cache_layer, const float *of_view, int64_t view, float *shares) {
    float *of_tokens = state->of_tokens + (int64_t)cache_layer * state->window;
    int64_t first = POLICY_SINKS + state->folded[cache_layer];
    for (int64_t i = 0; i < view; i++) {
        of_tokens[(first + i) % state->window] += of_view[i];
    }
    for (int64_t i = 0; i < state->piece; i++) {
        shares[i] = i < view ? of_view[i] : 0.0f;
    }
}

/* A token, which sees what has not been folded. */
static sa_status step(policy_run *run, int32_t cache_layer, int32_t token, float *shares) {
    memory *state = run->state;
    int64_t newest = run->s.seen + token, view = newest + 1 - POLICY_SINKS - state->folded[cache_layer], n = 0;
    sa_step_args args = {.flags = SA_STEP_MASS_PER_HEAD,
                         .view_window = view > 0 ? (int32_t)view : 0,
                         .key_mass = state->mass,
                         .key_stride = 2 * run->budget};
    sa_status status = heads_step(run, cache_layer, token, &args);
    sa_cache_positions(run->s.cache, cache_layer, 0, 0, NULL, &n);
    state->of_tokens[(int64_t)cache_layer * state->window + newest % state->window] = 0.0f;
    for (int32_t h = 0; h < state->group; h++, shares += state->piece) {
        const float *mass = state->mass + h * args.key_stride;
        for (int32_t r = 0; r < state->n_rows; r++) {
            state->of_rows[(int64_t)cache_layer * state->n_rows + r] += mass[r];
        }
        count(state, cache_layer, mass + state->n_rows + n - view, view, shares);
    }
    return status;
}

static sa_status attend_piece(policy_run *run, int32_t cache_layer, int32_t token, int32_t n) {
    memory *state = run->state;
    sa_status status = SA_SUCCESS;
    for (int32_t i = 0; i < n && status == SA_SUCCESS; i++) {
        status = step(run, cache_layer, token + i, state->shares + i * state->group * state->piece);
    }
    int64_t held = run->s.seen + token + n - POLICY_SINKS - state->folded[cache_layer];
    int64_t over = held + state->piece - state->window; /* if another piece were to come */
    if (status == SA_SUCCESS && over > 0) {
        status = fold(run, cache_layer, n * state->group, (int32_t)((over + FOLD - 1) / FOLD * FOLD));
    }
    return status;
}

static sa_status attend(void *context, int32_t layer) {
    policy_run *run = context;
    int32_t piece = ((memory *)run->state)->piece, fed = run->s.fed, heads = run->m->n_kv_heads;
    sa_status status = SA_SUCCESS;
    for (int32_t i = 0; i < heads * ((fed + piece - 1) / piece) && status == SA_SUCCESS; i++) {
        int32_t token = i / heads * piece;
        status = attend_piece(run, layer * heads + i % heads, token, fed - token < piece ? fed - token : piece);
    }
    return status;
}

const policy policy_memory = {
    .name = "memory", .begin = begin, .configure = configure, .attend = attend, .reset = reset};
