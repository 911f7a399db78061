/*
 * Worlds for test_lanes.c: a layer whose kv heads have sinks and windows of their own, and a pool for each set of equal
 * heads, whose only layer has these heads alone.
 *
 * SPDX-License-Identifier: MIT
 */
#include "lanes.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------- configs --------------------------------- */

static int32_t window_of(const sa_config *c, int h) { return c->head_windows[h] ? c->head_windows[h] : c->window; }
static int32_t sinks_of(const sa_config *c, int h) {
    int32_t n = c->head_sinks[h];
    return n == 0 ? c->n_sink : n < 0 ? 0 : n;
}
static int is_dense(const sa_config *c, int h) { return c->policy == SA_POLICY_DENSE && !c->head_windows[h]; }

static int are_alike(const sa_config *c, int a, int b) {
    return window_of(c, a) == window_of(c, b) && sinks_of(c, a) == sinks_of(c, b) && is_dense(c, a) == is_dense(c, b);
}

static void draw_stored(sa_config *c, test_rng *rng) {
    static const int dtypes[] = {SA_F32, SA_F32, SA_F16, SA_BF16, SA_I8, SA_I4};
    c->k_dtype = rng_pick(rng, dtypes, 6);
    c->v_dtype = rng_pick(rng, dtypes, 6);
    if (rng_chance(rng, 30)) c->n_recent = (int32_t)rng_in(rng, 1, c->window);
    c->n_sink_kv = rng_chance(rng, 30) ? (int32_t)rng_in(rng, 1, 20) : 0;
    c->sink_kv_position = c->n_sink_kv && rng_chance(rng, 50) ? SA_SINK_KV_AT_ZERO : SA_SINK_KV_BEFORE;
}

static void draw_heads(lanes_world *w, test_rng *rng) {
    sa_config *c = &w->config;
    int32_t narrow = (int32_t)rng_in(rng, 1, c->window);
    for (int h = 0; h < c->n_kv_heads; h++) {
        int32_t *own = &w->arrays.windows[h];
        *own = rng_chance(rng, 40) ? 0 : rng_chance(rng, 60) ? narrow : (int32_t)rng_in(rng, 1, c->window);
        int32_t most = c->policy == SA_POLICY_DENSE ? (*own ? c->window - *own : 0) : c->n_sink;
        w->arrays.sinks[h] = (int32_t)rng_in(rng, -1, most < 3 ? most : 3);
    }
    c->head_windows = w->arrays.windows;
    c->head_sinks = w->arrays.sinks;
}

/* What belongs to the layer, whichever heads a lane has: default slopes, and which factors its frequencies take. */
static void draw_position(lanes_world *w, test_rng *rng) {
    sa_config *c = &w->config;
    c->position = (int32_t)rng_in(rng, SA_POSITION_NONE, SA_POSITION_ALIBI);
    if (c->position != SA_POSITION_NONE && rng_chance(rng, 30)) c->position_mode = SA_IN_STREAM;
    int is_power = (c->n_heads & (c->n_heads - 1)) == 0, by_default = is_power && rng_chance(rng, 50);
    for (int h = 0; h < MOST_HEADS; h++)
        w->arrays.slopes[h] = by_default ? (float)pow(2, -8.0 * (h + 1) / c->n_heads) : (float)rng_unit(rng);
    if (c->position == SA_POSITION_ALIBI && !by_default) c->alibi_slopes = w->arrays.slopes;
    if (c->position != SA_POSITION_ROPE && c->position != SA_POSITION_ROPE_APPLIED) return;
    if (!rng_chance(rng, 30)) return;
    c->rope_scaling = SA_ROPE_SCALING_LONGROPE;
    c->rope_factor = 4;
    c->rope_original_context = (int32_t)rng_in(rng, 1, c->window + 10);
    for (int i = 0; i < MOST_DIM / 2; i++) {
        w->arrays.shorts[i] = 1;
        w->arrays.longs[i] = (float)(1 + 3 * rng_unit(rng));
    }
    c->rope_short_factors = w->arrays.shorts;
    c->rope_long_factors = w->arrays.longs;
}

static void draw(lanes_world *w, test_rng *rng) {
    static const int policies[] = {SA_POLICY_SINK_WINDOW, SA_POLICY_SINK_WINDOW, SA_POLICY_WINDOW, SA_POLICY_DENSE};
    sa_config *c = &w->config;
    memset(w, 0, sizeof *w);
    c->struct_size = sizeof *c;
    c->n_layers = 1;
    c->max_append = (int32_t)rng_in(rng, 1, 24);
    c->rollback = (int32_t)rng_in(rng, 0, 24);
    c->n_kv_heads = (int32_t)rng_in(rng, 1, MOST_KV);
    c->n_heads = c->n_kv_heads * (int32_t)rng_in(rng, 1, MOST_GROUP);
    c->head_dim = 2 * (int32_t)rng_in(rng, 1, MOST_DIM / 2);
    c->v_head_dim = (int32_t)rng_in(rng, 1, MOST_DIM);
    c->policy = rng_pick(rng, policies, 4);
    c->window = (int32_t)(c->policy == SA_POLICY_DENSE ? rng_in(rng, 200, 500) : rng_in(rng, 1, 90));
    c->n_sink = c->policy == SA_POLICY_SINK_WINDOW ? (int32_t)rng_in(rng, 0, 5) : 0;
    draw_stored(c, rng);
    draw_heads(w, rng);
    draw_position(w, rng);
    for (int h = 0; h < MOST_HEADS; h++) w->arrays.logits[h] = rng_chance(rng, 20) ? -INFINITY : rng_normal(rng);
    if (rng_chance(rng, 40)) c->sink_logits = w->arrays.logits;
    c->n_sequences = SEQUENCES;
    c->n_spans = rng_chance(rng, 70) ? (int32_t)rng_in(rng, 1, 6) : 0;
    c->n_pin = c->n_spans ? (int32_t)rng_in(rng, 1, 60) : 0;
}

/* The config of a pool for some heads of the layer, all alike. */
static sa_config part_config(const lanes_world *w, lanes_part *p) {
    sa_config c = w->config;
    int group = c.n_heads / c.n_kv_heads, h = p->heads[0];
    c.n_kv_heads = p->n;
    c.n_heads = p->n * group;
    c.policy = c.policy == SA_POLICY_DENSE && !is_dense(&w->config, h) ? SA_POLICY_SINK_WINDOW : c.policy;
    c.window = window_of(&w->config, h);
    c.n_sink = sinks_of(&w->config, h);
    c.head_windows = c.head_sinks = NULL;
    if (c.n_recent > c.window) c.n_recent = c.window;
    for (int i = 0; i < c.n_heads; i++) {
        int from = p->heads[i / group] * group + i % group;
        p->arrays.slopes[i] = w->arrays.slopes[from];
        p->arrays.logits[i] = w->arrays.logits[from];
    }
    if (c.position == SA_POSITION_ALIBI) c.alibi_slopes = p->arrays.slopes;
    /* The layer's positions, not the lane's, say which factors are taken. */
    int may_pass = c.position_mode == SA_IN_STREAM && w->config.policy != SA_POLICY_DENSE;
    int is_long = may_pass || w->config.n_sink + w->config.window > c.rope_original_context;
    if (c.rope_short_factors) c.rope_short_factors = c.rope_long_factors = is_long ? w->arrays.longs : w->arrays.shorts;
    if (c.sink_logits) c.sink_logits = p->arrays.logits;
    return c;
}

static void open_part(lanes_part *p, sa_config *c, int sequences) {
    const char *why = "";
    c->n_sequences = sequences;
    if (sa_pool_create(c, NULL, &p->pool) == SA_SUCCESS) return;
    (void)sa_config_check(c, &why, NULL);
    printf("a pool of %d kv heads: %s\n", (int)c->n_kv_heads, why);
    abort();
}

/* The layer and two beside it, of which one has lanes of its own. */
static sa_config whole_config(lanes_world *w, test_rng *rng) {
    static const int32_t windows[] = {3, 0};
    sa_config c = w->config;
    memset(&w->other, 0, sizeof w->other);
    w->other.struct_size = sizeof w->other;
    w->other.n_heads = 2;
    w->other.head_dim = 8;
    w->other.window = 20;
    w->other.position = SA_POSITION_ROPE;
    w->other.head_windows = rng_chance(rng, 50) ? windows : NULL;
    w->layer = (int)rng_in(rng, 0, LAYERS - 1);
    for (int l = 0; l < LAYERS; l++) w->layers[l] = l == w->layer ? &w->config : &w->other;
    c.n_layers = LAYERS;
    c.layers = w->layers;
    /* With a budget, it is the layer alone that may be refused. */
    if (rng_chance(rng, 25)) c.pool_tokens = rng_in(rng, 1, 400);
    w->has_budget = c.pool_tokens != 0;
    return c;
}

/* The whole layer with threads and an instruction set of its own, which do not show. */
void lanes_open(lanes_world *w, test_rng *rng) {
    draw(w, rng);
    sa_config c = whole_config(w, rng);
    for (int h = 0; h < c.n_kv_heads; h++) {
        int p = 0;
        while (p < w->n_parts && !are_alike(&w->config, w->parts[p].heads[0], h)) p++;
        if (p == w->n_parts) w->n_parts++;
        w->parts[p].heads[w->parts[p].n++] = h;
        w->whole.heads[w->whole.n++] = h;
    }
    for (int p = 0; p < w->n_parts; p++) {
        sa_config own = part_config(w, &w->parts[p]);
        open_part(&w->parts[p], &own, SEQUENCES + 1);
    }
    if (rng_chance(rng, 60)) {
        w->threads.n_threads = c.n_threads = (int32_t)rng_in(rng, 2, 4);
        w->threads.backwards = rng_chance(rng, 50);
        c.parallel_for = test_parallel_for;
        c.parallel_context = &w->threads;
    }
    /* Plain C has the bits of the best set, if it is the one that fuses as that does. */
    int fuses = sa_isa_best() != SA_ISA_PLAIN_NOFMA && sa_isa_best() != SA_ISA_WASM;
    if (rng_chance(rng, 20)) c.isa = fuses ? SA_ISA_PLAIN : SA_ISA_PLAIN_NOFMA;
    open_part(&w->whole, &c, SEQUENCES);
}

void lanes_close(lanes_world *w) {
    for (int p = 0; p < w->n_parts; p++) sa_pool_destroy(w->parts[p].pool);
    sa_pool_destroy(w->whole.pool);
}

int32_t lanes_window(const lanes_world *w, int kv_head) { return window_of(&w->config, kv_head); }
