/*
 * Random small configs for the random test of sequences, and random keys, values and queries for them.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../cases.h"
#include "random.h"

static int pick(source *from, const int *choices, int count) { return choices[source_in(from, 0, count - 1)]; }
#define PICK(from, choices) pick(from, choices, (int)(sizeof(choices) / sizeof((choices)[0])))

static int draw_dims(source *from) {
    static const int common[] = {1, 2, 4, 8, 16, 17, 32};
    return source_chance(from, 60) ? PICK(from, common) : (int)source_in(from, 1, RANDOM_DIMS);
}

static void draw_geometry(sa_config *g, source *from) {
    static const int dtypes[] = {0, 0, 0, 0, SA_F32, SA_F16, SA_BF16, SA_I8, SA_I4};
    int kv = (int)source_in(from, 1, source_chance(from, 70) ? 2 : RANDOM_KV);
    g->head_dim = draw_dims(from);
    g->v_head_dim = source_chance(from, 30) ? draw_dims(from) : 0;
    g->n_kv_heads = kv;
    g->n_heads = kv * (int)source_in(from, 1, source_chance(from, 70) ? 2 : 3);
    if (source_chance(from, 35)) {
        g->k_dtype = PICK(from, dtypes);
        g->v_dtype = PICK(from, dtypes);
    }
}

static void draw_policy(sa_config *g, source *from) {
    static const int policies[] = {SA_POLICY_SINK_WINDOW, SA_POLICY_SINK_WINDOW, SA_POLICY_SINK_WINDOW,
                                   SA_POLICY_SINK_WINDOW, SA_POLICY_WINDOW,      SA_POLICY_DENSE};
    g->policy = PICK(from, policies);
    g->window = (int32_t)source_in(from, 1, source_chance(from, 30) ? 6 : 40);
    if (g->policy == SA_POLICY_DENSE) {
        g->window += (int32_t)source_in(from, 0, 40);
    }
    if (g->policy == SA_POLICY_SINK_WINDOW) {
        g->n_sink = (int32_t)source_in(from, 0, source_chance(from, 90) ? 6 : 20);
    }
    if (source_chance(from, 20)) {
        g->n_sink_kv = (int32_t)source_in(from, 1, 3);
    }
    if (source_chance(from, 35)) {
        g->n_rows = (int32_t)source_in(from, 1, source_chance(from, 70) ? 4 : RANDOM_ROWS);
    }
}

/* Sinks and windows of their own. */
static void draw_heads(sa_config *g, source *from, setup_tables *tables) {
    int32_t narrow = (int32_t)source_in(from, 1, g->window), h, most;
    if (!source_chance(from, 30)) {
        return;
    }
    for (h = 0; h < g->n_kv_heads; h++) {
        int32_t *own = &tables->windows[h];
        *own = source_chance(from, 40)   ? 0
               : source_chance(from, 60) ? narrow
               : source_chance(from, 40) ? g->window
                                         : (int32_t)source_in(from, 1, g->window);
        most = g->policy != SA_POLICY_DENSE ? g->n_sink : *own ? g->window - *own : 0;
        tables->sinks[h] = (int32_t)source_in(from, -1, most < 6 ? most : 6);
    }
    g->head_windows = tables->windows;
    g->head_sinks = source_chance(from, 80) ? tables->sinks : NULL;
}

static void draw_regions(sa_config *g, source *from) {
    if ((g->n_sink > 0 || g->n_sink_kv > 0 || g->n_rows > 0 || g->head_sinks) && source_chance(from, 15)) {
        g->sink_k_dtype = (int32_t)source_in(from, 0, SA_BF16);
        g->sink_v_dtype = (int32_t)source_in(from, 0, SA_BF16);
    }
    if (source_chance(from, g->head_windows ? 30 : 15)) {
        g->n_recent = (int32_t)source_in(from, 1, g->window);
        g->recent_k_dtype = (int32_t)source_in(from, 0, SA_BF16);
        g->recent_v_dtype = (int32_t)source_in(from, 0, SA_BF16);
    }
    if (g->k_dtype >= SA_I8 && source_chance(from, 20)) {
        g->query_bits = 8;
    }
    if (g->v_dtype >= SA_I8 && source_chance(from, 20)) {
        g->weight_bits = 8;
    }
}

static void draw_softmax(sa_config *g, source *from, setup_tables *tables) {
    test_rng rng = {source_seed(from)};
    int h, kind = (int)source_in(from, 0, 2);
    g->softcap = source_chance(from, 15) ? (float)(1.0 + 20.0 * rng_unit(&rng)) : 0.0f;
    if (!source_chance(from, 20)) {
        return;
    }
    for (h = 0; h < g->n_heads; h++) {
        int none = kind == 1 && rng_chance(&rng, 40);
        tables->sink_logits[h] = kind == 0 ? 0.0f : none ? -INFINITY : rng_normal(&rng);
    }
    g->sink_logits = tables->sink_logits;
}

/* Frequencies are handed in, so that both sides have the same ones at any distance. */
static void draw_rope(sa_config *g, source *from, setup_tables *tables) {
    test_rng rng = {source_seed(from)};
    int even = g->head_dim / 2 * 2, d = g->head_dim, i;
    g->rope_layout = (int32_t)source_in(from, 0, 1);
    if (even != g->head_dim || source_chance(from, 25)) {
        d = (int)source_in(from, 1, even / 2) * 2;
        g->rope_dims = d;
        g->rope_offset = (int32_t)source_in(from, 0, g->head_dim - d);
    }
    if (g->position == SA_POSITION_ROPE && source_chance(from, 20)) {
        g->rope_attention_factor = 0.5 + rng_unit(&rng);
    }
    for (i = 0; i < d / 2; i++) {
        tables->inv_freq[i] = exp(-7.0 * rng_unit(&rng));
    }
    g->rope_inv_freq = tables->inv_freq;
}

static void draw_position(sa_config *g, source *from, setup_tables *tables) {
    static const int positions[] = {SA_POSITION_NONE,         SA_POSITION_ROPE,  SA_POSITION_ROPE, SA_POSITION_ROPE,
                                    SA_POSITION_ROPE_APPLIED, SA_POSITION_ALIBI, SA_POSITION_ALIBI};
    int has_sinks = g->n_sink > 0 || g->n_sink_kv > 0 || g->n_rows > 0 || g->head_sinks, h;
    test_rng rng = {source_seed(from)};
    g->position = PICK(from, positions);
    if (g->head_dim < 2 && g->position != SA_POSITION_NONE) {
        g->position = SA_POSITION_ALIBI;
    }
    if (g->position == SA_POSITION_NONE) {
        return;
    }
    if (has_sinks && (g->policy != SA_POLICY_DENSE || g->head_windows) && source_chance(from, 25)) {
        g->position_mode = SA_IN_STREAM;
    }
    if (g->n_sink_kv > 0 && !(g->position == SA_POSITION_ROPE_APPLIED && g->position_mode == SA_IN_STREAM)) {
        g->sink_kv_position = (int32_t)source_in(from, SA_SINK_KV_BEFORE, SA_SINK_KV_AT_ZERO);
    }
    if (g->position != SA_POSITION_ALIBI) {
        draw_rope(g, from, tables);
        return;
    }
    for (h = 0; h < g->n_heads; h++) {
        tables->slopes[h] = (float)(0.3 * rng_unit(&rng));
    }
    g->alibi_slopes = tables->slopes;
}

static void draw_layer(sa_config *g, source *from, setup_tables *tables) {
    g->struct_size = sizeof *g;
    draw_geometry(g, from);
    draw_policy(g, from);
    draw_heads(g, from, tables);
    draw_regions(g, from);
    draw_softmax(g, from, tables);
    draw_position(g, from, tables);
    if (g->position == SA_POSITION_ROPE && g->k_dtype == SA_I4) {
        g->k_dtype = SA_I8; /* no code of a rotated key in 4 bits could be held to a useful bound */
    }
}

static void draw_whole(setup *s, source *from) {
    sa_config *g = &s->config;
    g->n_layers = source_chance(from, 75) ? 1 : (int32_t)source_in(from, 2, RANDOM_LAYERS);
    g->max_append = (int32_t)source_in(from, 1, source_chance(from, 50) ? 8 : 40);
    g->rollback = source_chance(from, 50) ? (int32_t)source_in(from, 1, 40) : 0;
    g->n_sequences = (int32_t)source_in(from, 1, RANDOM_SEQUENCES);
    g->n_spans = source_chance(from, 80) ? (int32_t)source_in(from, 1, 12) : 0;
    g->n_pin = g->n_spans && source_chance(from, 80) ? (int32_t)source_in(from, 1, 48) : 0;
    if (source_chance(from, 35)) {
        g->pool_tokens = source_in(from, 1, 64 * g->n_sequences);
    }
    g->max_draft = source_chance(from, 40) ? RANDOM_DRAFT : 0;
    s->max_append = g->max_append;
    s->slack = g->max_append > g->rollback + 1 ? g->max_append : g->rollback + 1;
}

const sa_config *setup_layer(const setup *s, int layer) {
    return s->config.layers && s->config.layers[layer] ? s->config.layers[layer] : &s->config;
}

/* ----------------------------------- lanes --------------------------------- */

static lane rules_of(const sa_config *g, int kv_head) {
    int32_t window = g->head_windows ? g->head_windows[kv_head] : 0, sinks = g->head_sinks ? g->head_sinks[kv_head] : 0;
    lane l;
    memset(&l, 0, sizeof l);
    l.window = window ? window : g->window;
    l.n_sink = sinks > 0 ? sinks : sinks < 0 ? 0 : g->n_sink;
    l.is_dense = g->policy == SA_POLICY_DENSE && !window;
    l.n_recent = g->n_recent < l.window ? g->n_recent : l.window;
    return l;
}

static void find_lanes(setup *s, int layer) {
    const sa_config *g = setup_layer(s, layer);
    lane *list = s->lanes[layer];
    int h, i;
    for (h = 0; h < g->n_kv_heads; h++) {
        lane own = rules_of(g, h);
        for (i = 0; i < s->n_lanes[layer] &&
                    !(list[i].window == own.window && list[i].n_sink == own.n_sink && list[i].is_dense == own.is_dense);
             i++) {
        }
        if (i == s->n_lanes[layer]) {
            list[i] = own;
            s->n_lanes[layer]++;
        }
        list[i].heads[list[i].n_heads++] = h;
    }
}

int setup_lane(const setup *s, int layer, int kv_head) {
    int i, h;
    for (i = 0; i < s->n_lanes[layer]; i++) {
        for (h = 0; h < s->lanes[layer][i].n_heads; h++) {
            if (s->lanes[layer][i].heads[h] == kv_head) {
                return i;
            }
        }
    }
    return -1;
}

/* A query or key as the host hands it in: rotated by the host, if that is the scheme. */
static void draw_vector(test_rng *rng, oracle_layer *l, uint64_t position, float *out) {
    double x[RANDOM_DIMS];
    int i;
    for (i = 0; i < l->head_dim; i++) {
        x[i] = rng_normal(rng);
    }
    if (l->position == SA_POSITION_ROPE_APPLIED) {
        oracle_rotate(l, (int64_t)position, 1.0, x);
    }
    for (i = 0; i < l->head_dim; i++) {
        out[i] = (float)x[i];
    }
}

/* Without dims whose rounding after rotation could go either way. */
void setup_key(test_rng *rng, oracle *o, uint64_t position, float *out) {
    const oracle_layer *l = &o->layer;
    unsigned char marks[RANDOM_DIMS];
    int i;
    draw_vector(rng, &o->layer, position, out);
    if (l->k_dtype == SA_F32 && l->sink_k_dtype == SA_F32 && (!l->n_recent || l->recent_k_dtype == SA_F32)) {
        return;
    }
    while (oracle_delicate_dims(o, (int64_t)position, out, marks) > 0) {
        for (i = 0; i < l->head_dim; i++) {
            out[i] = marks[i] ? rng_normal(rng) : out[i];
        }
    }
}

static void draw_learned(setup *s, source *from, arena *a, int layer) {
    const oracle_layer *l = &s->layers[layer]->layer;
    test_rng rng = {source_seed(from)};
    int64_t n_k = (int64_t)l->n_sink_kv * l->n_kv_heads, n_v = n_k * l->v_head_dim, i;
    float *k = arena_take(a, (size_t)(n_k * l->head_dim) * sizeof *k), *v = arena_take(a, (size_t)n_v * sizeof *v);
    for (i = 0; i < n_k; i++) {
        int64_t position = oracle_sink_kv_position(l, (int)(i / l->n_kv_heads));
        setup_key(&rng, s->layers[layer], (uint64_t)position, k + i * l->head_dim);
    }
    for (i = 0; i < n_v; i++) {
        v[i] = rng_normal(&rng);
        s->v_most[layer] = fabs(v[i]) > s->v_most[layer] ? fabs(v[i]) : s->v_most[layer];
    }
    s->sink_k[layer] = k;
    s->sink_v[layer] = v;
    oracle_set_sink_kv(s->layers[layer], k, v);
}

/* Where a logit depends on the distance from token 0 by a slope, a float cannot hold both. */
static int64_t farthest_of(const sa_config *g) {
    int is_far = g->position_mode == SA_IN_STREAM || g->policy == SA_POLICY_DENSE;
    return g->position == SA_POSITION_ALIBI && is_far ? 400 : (int64_t)1 << 40;
}

void setup_draw(setup *s, source *from, arena *a) {
    int l;
    memset(s, 0, sizeof *s);
    draw_layer(&s->config, from, &s->tables[RANDOM_LAYERS]);
    draw_whole(s, from);
    for (l = 0; s->config.n_layers > 1 && l < s->config.n_layers; l++) {
        if (source_chance(from, 50)) {
            draw_layer(&s->overrides[l], from, &s->tables[l]);
            s->pointers[l] = &s->overrides[l];
        }
        s->config.layers = s->pointers;
    }
    s->farthest = (int64_t)1 << 40;
    for (l = 0; l < s->config.n_layers; l++) {
        const sa_config *g = setup_layer(s, l);
        s->farthest = farthest_of(g) < s->farthest ? farthest_of(g) : s->farthest;
        s->layers[l] = oracle_create(g);
        find_lanes(s, l);
        draw_learned(s, from, a, l);
    }
}

const char *setup_text(const setup *s) {
    static char text[4800];
    char heads[120] = "";
    const sa_config *g = &s->config;
    int h, at = 0;
    for (h = 0; g->head_windows && h < g->n_kv_heads; h++) {
        at += snprintf(heads + at, sizeof heads - (size_t)at, "head %d: %d+%d ", h,
                       g->head_sinks ? g->head_sinks[h] : 0, g->head_windows[h]);
    }
    snprintf(text, sizeof text, "sequences=%d spans=%d pin=%d rows=%d draft=%d pool_tokens=%lld %s%s", g->n_sequences,
             g->n_spans, g->n_pin, g->n_rows, g->max_draft, (long long)g->pool_tokens, heads, config_text(g));
    return text;
}

void setup_free(setup *s) {
    int l;
    for (l = 0; l < s->config.n_layers; l++) {
        oracle_destroy(s->layers[l]);
    }
}

inputs setup_inputs(setup *s, arena *a, uint64_t seed, int layer, uint64_t first, int64_t n) {
    oracle *o = s->layers[layer];
    oracle_layer *l = &o->layer;
    test_rng rng = {seed};
    int64_t i, values = n * l->n_kv_heads * l->v_head_dim;
    float *q = arena_take(a, (size_t)(n * l->n_heads * l->head_dim) * sizeof *q);
    float *k = arena_take(a, (size_t)(n * l->n_kv_heads * l->head_dim) * sizeof *k);
    float *v = arena_take(a, (size_t)values * sizeof *v);
    inputs in = {n, q, k, v};
    for (i = 0; i < n * l->n_heads; i++) {
        draw_vector(&rng, l, first + (uint64_t)(i / l->n_heads), q + i * l->head_dim);
    }
    for (i = 0; i < n * l->n_kv_heads; i++) {
        setup_key(&rng, o, first + (uint64_t)(i / l->n_kv_heads), k + i * l->head_dim);
    }
    for (i = 0; i < values; i++) {
        v[i] = rng_normal(&rng);
        s->v_most[layer] = fabs(v[i]) > s->v_most[layer] ? fabs(v[i]) : s->v_most[layer];
    }
    return in;
}
