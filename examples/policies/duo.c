/*
 * DuoAttention (Xiao et al. 2024, arXiv 2410.10819): a few kv heads look far back and keep much, the others stream.
 *
 * SPDX-License-Identifier: MIT
 *
 * Heads that look things up are found by what they do, not by training: random tokens come, and come again, and an
 * induction head looks at the token behind the first coming of the newest one. The fifth of heads that do so most get a
 * window of FAR times the budget; what is left of the bytes is shared out among all others.
 */
#include "policy.h"

enum { FAR = 4, FAR_HEADS = 5 }; /* one head in five looks far */

typedef struct duo {
    sa_config *layers; /* (n_layers) */
    const sa_config **pointers;
    int32_t *windows; /* (n_layers, n_kv_heads) */
    /* While it looks at a model: */
    stream s;
    float *looks; /* (n_layers, n_kv_heads) attention to the token to be found, summed over tokens */
    float *mass;  /* (n_kv_heads, period * 2) of a step */
    int32_t period;
    int32_t *ids; /* (period) */
} duo;

/* After a chunk of the second coming: where does each of its tokens look? */
static void watch(void *context, int32_t layer) {
    duo *state = context;
    const stream *s = &state->s;
    const model *m = s->m;
    for (int32_t i = 0; s->seen >= state->period && i < s->fed; i++) {
        int64_t position = s->seen + i, wanted = position - state->period + 1;
        sa_step_args args = {.struct_size = sizeof args,
                             .layer = layer,
                             .n_tokens = 1,
                             .q = {.data = s->q + (int64_t)i * m->n_heads * m->head_dim},
                             .out = {.data = s->attention + (int64_t)i * m->n_heads * m->v_head_dim},
                             .q_offset = i - s->fed,
                             .key_mass = state->mass,
                             .key_stride = 2 * state->period};
        sa_step(s->cache, &args); /* writes once more what is there */
        for (int32_t h = 0; h < m->n_kv_heads; h++) {
            state->looks[layer * m->n_kv_heads + h] += state->mass[(int64_t)h * 2 * state->period + wanted];
        }
    }
}

/* Random tokens, twice. */
static bool look(policy_run *run, duo *state, failure *why) {
    stream_options options = {.policy = SA_POLICY_DENSE,
                              .window = 2 * state->period,
                              .kv_dtype = SA_F32,
                              .chunk = state->period,
                              .threads = set_threads(0)};
    uint32_t random = 1;
    for (int32_t i = 0; i < state->period; i++) {
        random = random * 1664525u + 1013904223u;
        state->ids[i] = (int32_t)((random >> 8) % (uint32_t)run->m->n_vocab);
    }
    if (!stream_open(&state->s, run->m, &options, why)) {
        return false;
    }
    state->s.watch = watch;
    state->s.watch_context = state;
    bool ok = true;
    for (int32_t i = 0; ok && i < 2; i++) {
        ok = stream_feed(&state->s, state->period, state->ids, why) == FEED_OK;
    }
    stream_close(&state->s);
    return ok;
}

/* The heads that look back most get the long window, all others the same share of the bytes that are left. */
static void share_out(const policy_run *run, duo *state) {
    int32_t n = run->m->n_layers * run->m->n_kv_heads, far_heads = n / FAR_HEADS, far_window = FAR * run->budget;
    for (int32_t i = 0; i < n; i++) {
        state->windows[i] = (n * (run->budget - POLICY_SINKS) - far_heads * far_window) / (n - far_heads);
    }
    for (int32_t taken = 0; taken < far_heads; taken++) {
        int32_t best = 0;
        for (int32_t i = 1; i < n; i++) {
            best = state->looks[i] > state->looks[best] ? i : best;
        }
        state->looks[best] = -1.0f;
        state->windows[best] = far_window;
    }
}

static bool begin(policy_run *run, failure *why) {
    const model *m = run->m;
    uint64_t layers = (uint64_t)m->n_layers, heads = layers * (uint64_t)m->n_kv_heads;
    duo *state = run->state = policy_allocate(run, 1, sizeof *state, why);
    if (state == NULL) {
        return false;
    }
    state->period = run->budget / 2;
    state->layers = policy_allocate(run, layers, sizeof *state->layers, why);
    state->pointers = policy_allocate(run, layers, sizeof *state->pointers, why);
    state->windows = policy_allocate(run, heads, sizeof *state->windows, why);
    state->looks = policy_allocate(run, heads, sizeof *state->looks, why);
    state->mass = policy_allocate(run, (uint64_t)m->n_kv_heads * 2 * (uint64_t)state->period, sizeof(float), why);
    state->ids = policy_allocate(run, (uint64_t)state->period, sizeof *state->ids, why);
    if (state->ids == NULL || !look(run, state, why)) {
        return false;
    }
    share_out(run, state);
    return true;
}

static void configure(void *context, sa_config *config) {
    const policy_run *run = context;
    duo *state = run->state;
    for (int32_t i = 0; i < config->n_layers; i++) {
        const int32_t *windows = state->windows + i * config->n_kv_heads;
        state->layers[i] = *config;
        state->layers[i].head_windows = windows;
        state->layers[i].window = 1; /* the largest of its heads */
        for (int32_t h = 0; h < config->n_kv_heads; h++) {
            state->layers[i].window = windows[h] > state->layers[i].window ? windows[h] : state->layers[i].window;
        }
        state->pointers[i] = &state->layers[i];
    }
    config->layers = state->pointers;
}

const policy policy_duo = {.name = "duo", .begin = begin, .configure = configure};
