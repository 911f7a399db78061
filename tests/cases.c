/*
 * Random configurations: see cases.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

const case_limits case_limits_default = {6000000, 200000, 700, 0, 0};

static int draw_dim(test_rng *rng) {
    static const int known[] = {1, 2, 3, 16, 17, 64, 64, 80, 96, 128, 128, 192, 256, 512, 576};
    if (rng_chance(rng, 70)) {
        return rng_pick(rng, known, COUNT(known));
    }
    return (int)(rng_chance(rng, 70) ? rng_in(rng, 1, 80) : rng_in(rng, 1, 1024));
}

static void draw_geometry(sa_config *g, test_rng *rng) {
    static const int groups[] = {1, 1, 1, 2, 3, 4, 5, 7, 8, 9, 16, 71};
    int kv = (int)(rng_chance(rng, 50) ? rng_in(rng, 1, 2) : rng_in(rng, 1, 6));
    int group = rng_pick(rng, groups, COUNT(groups));
    g->head_dim = draw_dim(rng);
    if (rng_chance(rng, 35)) {
        g->v_head_dim = draw_dim(rng);
    }
    if (g->head_dim + g->v_head_dim > 300) {
        kv = kv > 2 ? 2 : kv;
        group = group > 16 ? 5 : group;
    }
    g->n_heads = kv * group;
    g->n_kv_heads = group == 1 && rng_chance(rng, 50) ? 0 : kv;
    g->k_dtype = (int)rng_in(rng, 0, SA_I4);
    g->v_dtype = (int)rng_in(rng, 0, SA_I4);
}

/* Codes of 8 bits, as cheaply drawn as the bars are wide. */
static void draw_bits(sa_config *g, test_rng *rng) {
    if (g->k_dtype >= SA_I8 && rng_chance(rng, 25)) {
        g->query_bits = rng_chance(rng, 80) ? 8 : 16;
    }
    if (g->v_dtype >= SA_I8 && rng_chance(rng, 25)) {
        g->weight_bits = rng_chance(rng, 80) ? 8 : 16;
    }
}

/* Precision by region, once it is known whether there are sinks. */
static void draw_regions(sa_config *g, test_rng *rng) {
    if ((g->n_sink > 0 || g->n_sink_kv > 0) && rng_chance(rng, 30)) {
        g->sink_k_dtype = (int)rng_in(rng, 0, SA_BF16);
        g->sink_v_dtype = (int)rng_in(rng, 0, SA_BF16);
    }
    if (rng_chance(rng, 25)) {
        g->n_recent = (int32_t)rng_in(rng, 1, rng_chance(rng, 50) && g->window > 20 ? 20 : g->window);
        g->recent_k_dtype = (int)rng_in(rng, 0, SA_BF16);
        g->recent_v_dtype = (int)rng_in(rng, 0, SA_BF16);
    }
}

static int32_t draw_window(test_rng *rng, int64_t largest) {
    static const int edges[] = {1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 256, 257, 272};
    int64_t window = rng_chance(rng, 40)   ? rng_pick(rng, edges, COUNT(edges))
                     : rng_chance(rng, 60) ? rng_in(rng, 1, 60)
                                           : rng_in(rng, 1, largest);
    return (int32_t)(window > largest ? largest : window);
}

static void draw_policy(sa_config *g, test_rng *rng, const case_limits *limits) {
    static const int policies[] = {SA_POLICY_SINK_WINDOW, SA_POLICY_SINK_WINDOW, SA_POLICY_SINK_WINDOW,
                                   SA_POLICY_SINK_WINDOW, SA_POLICY_WINDOW,      SA_POLICY_DENSE};
    g->policy = rng_pick(rng, policies, COUNT(policies));
    g->window = draw_window(rng, limits->largest_window);
    if (g->policy == SA_POLICY_SINK_WINDOW) {
        g->n_sink = (int32_t)(rng_chance(rng, 60) ? rng_in(rng, 0, 5) : rng_in(rng, 0, 40));
    }
    if (rng_chance(rng, 25)) {
        g->n_sink_kv = (int32_t)(rng_chance(rng, 70) ? rng_in(rng, 1, 3) : rng_in(rng, 1, 20));
    }
}

static void draw_softmax(sa_config *g, test_rng *rng, case_tables *tables) {
    int h, kind = (int)rng_in(rng, 0, 3);
    if (rng_chance(rng, 30)) {
        g->scale = (float)((0.3 + rng_unit(rng)) / sqrt(g->head_dim));
    }
    if (rng_chance(rng, 20)) {
        g->softcap = (float)(1.0 + 30.0 * rng_unit(rng));
    }
    if (!rng_chance(rng, 30)) {
        return;
    }
    for (h = 0; h < g->n_heads; h++) {
        tables->sink_logits[h] = kind == 0 ? 0.0f : kind == 1 && rng_chance(rng, 40) ? -INFINITY : 2 * rng_normal(rng);
    }
    g->sink_logits = tables->sink_logits;
}

static int has_sinks(const sa_config *g) { return g->n_sink > 0 || g->n_sink_kv > 0; }

static void draw_longrope(sa_config *g, test_rng *rng, case_tables *tables, int half) {
    int i;
    for (i = 0; i < half; i++) {
        tables->short_factors[i] = (float)(1.0 + 0.3 * rng_unit(rng));
        tables->long_factors[i] = (float)(1.0 + 40.0 * rng_unit(rng));
    }
    g->rope_short_factors = tables->short_factors;
    g->rope_long_factors = tables->long_factors;
    g->rope_original_context = (int32_t)rng_in(rng, 16, 400);
    if (g->position == SA_POSITION_ROPE) {
        g->rope_factor = 1.0 + 15.0 * rng_unit(rng);
    }
}

static void draw_scaling(sa_config *g, test_rng *rng, case_tables *tables, int d) {
    g->rope_scaling = (int32_t)rng_in(rng, 0, 5);
    if (g->rope_scaling == SA_ROPE_SCALING_NTK && d <= 2) {
        g->rope_scaling = SA_ROPE_SCALING_LINEAR;
    }
    if (g->rope_scaling == SA_ROPE_SCALING_LONGROPE) {
        draw_longrope(g, rng, tables, d / 2);
    } else if (g->rope_scaling != SA_ROPE_SCALING_NONE) {
        g->rope_factor = rng_chance(rng, 10) ? 1.0 : 1.0 + 15.0 * rng_unit(rng);
    }
    if (g->rope_scaling == SA_ROPE_SCALING_YARN || g->rope_scaling == SA_ROPE_SCALING_LLAMA3) {
        g->rope_original_context = (int32_t)rng_in(rng, 64, 8192);
    }
    if (g->rope_scaling == SA_ROPE_SCALING_YARN && rng_chance(rng, 40)) {
        g->flags |= SA_CONFIG_YARN_NO_TRUNCATE;
        g->rope_beta_fast = 8.0 + 40.0 * rng_unit(rng);
        g->rope_beta_slow = 0.5 + 2.0 * rng_unit(rng);
    }
    if (g->rope_scaling == SA_ROPE_SCALING_LLAMA3 && rng_chance(rng, 40)) {
        g->rope_low_freq_factor = 0.5 + rng_unit(rng);
        g->rope_high_freq_factor = 2.0 + 4.0 * rng_unit(rng);
    }
}

static void draw_rope(sa_config *g, test_rng *rng, case_tables *tables) {
    static const double thetas[] = {0.0, 10000.0, 500000.0, 1e6, 100.0, 1.5};
    int even = g->head_dim / 2 * 2, d = g->head_dim, i;
    g->rope_layout = (int32_t)rng_in(rng, 0, 1);
    if (even != g->head_dim || rng_chance(rng, 35)) {
        d = (int)rng_in(rng, 1, even / 2) * 2;
        g->rope_dims = d;
        g->rope_offset = rng_chance(rng, 50) ? (int32_t)rng_in(rng, 0, g->head_dim - d) : 0;
    }
    if (g->position == SA_POSITION_ROPE && rng_chance(rng, 15)) {
        g->rope_attention_factor = 0.5 + rng_unit(rng);
    }
    if (rng_chance(rng, 30)) {
        for (i = 0; i < d / 2; i++) {
            tables->inv_freq[i] = exp(-8.0 * rng_unit(rng));
        }
        g->rope_inv_freq = tables->inv_freq;
        return;
    }
    g->rope_theta = thetas[rng_in(rng, 0, COUNT(thetas) - 1)];
    draw_scaling(g, rng, tables, d);
    if (g->rope_scaling == SA_ROPE_SCALING_LONGROPE) {
        g->rope_attention_factor = 0.0; /* it would leave rope_factor without effect */
    }
}

static void draw_position(sa_config *g, test_rng *rng, case_tables *tables) {
    static const int positions[] = {SA_POSITION_NONE, SA_POSITION_ROPE,         SA_POSITION_ROPE,
                                    SA_POSITION_ROPE, SA_POSITION_ROPE_APPLIED, SA_POSITION_ROPE_APPLIED,
                                    SA_POSITION_ALIBI};
    int h;
    g->position = rng_pick(rng, positions, COUNT(positions));
    if (g->head_dim < 2 && g->position != SA_POSITION_NONE) {
        g->position = SA_POSITION_ALIBI;
    }
    if (g->position == SA_POSITION_NONE) {
        return;
    }
    if (g->n_sink_kv > 0) {
        g->sink_kv_position = rng_chance(rng, 40) ? SA_SINK_KV_AT_ZERO : SA_SINK_KV_BEFORE;
    }
    if (has_sinks(g) && g->policy != SA_POLICY_DENSE && rng_chance(rng, 25)) {
        g->position_mode = SA_IN_STREAM;
        if (g->position == SA_POSITION_ROPE_APPLIED) {
            g->sink_kv_position = 0;
        }
    }
    if (g->position == SA_POSITION_ALIBI) {
        for (h = 0; h < g->n_heads; h++) {
            tables->slopes[h] = (float)rng_unit(rng) * 0.5f;
        }
        g->alibi_slopes = rng_chance(rng, 50) ? tables->slopes : NULL;
    } else {
        draw_rope(g, rng, tables);
    }
}

static void draw_layer(sa_config *g, test_rng *rng, const case_limits *limits, case_tables *tables) {
    g->struct_size = sizeof *g;
    draw_geometry(g, rng);
    draw_policy(g, rng, limits);
    draw_regions(g, rng);
    draw_bits(g, rng);
    draw_softmax(g, rng, tables);
    draw_position(g, rng, tables);
}

static void draw_whole(test_case *c, test_rng *rng, const case_limits *limits) {
    sa_config *g = &c->config;
    g->n_layers = limits->one_layer || rng_chance(rng, 60) ? 1 : (int32_t)rng_in(rng, 2, CASE_LAYERS);
    g->max_append = (int32_t)(rng_chance(rng, 40) ? rng_in(rng, 1, 40) : rng_chance(rng, 50) ? 0 : rng_in(rng, 1, 300));
    g->rollback = (int32_t)(rng_chance(rng, 50) ? rng_in(rng, 1, 60) : 0);
    g->io_dtype = (int32_t)rng_in(rng, 0, 3);
    if (!limits->one_thread && rng_chance(rng, 15)) {
        c->pool.n_threads = (int)rng_in(rng, 2, 5);
        c->pool.backwards = rng_chance(rng, 50);
        g->n_threads = c->pool.n_threads;
        g->parallel_for = test_parallel_for;
        g->parallel_context = &c->pool;
    }
}

/* The cost of a token in a full cache, and the elements that it brings. */
static void measure(const sa_config *g, int64_t n, int64_t *work, int64_t *elements) {
    int64_t dims = g->head_dim + (g->v_head_dim ? g->v_head_dim : g->head_dim);
    int64_t kv = g->n_kv_heads ? g->n_kv_heads : g->n_heads;
    int64_t seen = g->n_sink + g->n_sink_kv + g->window;
    *work = n * g->n_heads * dims * (seen < n ? seen : n);
    *elements = n * kv * dims + n * g->n_heads * dims / 4;
}

static void draw_length(test_case *c, test_rng *rng, const case_limits *limits) {
    int64_t work, elements;
    int l;
    c->n_tokens = 3 * ((int64_t)c->config.window + c->config.n_sink) + rng_in(rng, 1, 40);
    if (rng_chance(rng, 30)) {
        c->n_tokens = rng_in(rng, 1, c->n_tokens);
    }
    for (l = 0; l < c->config.n_layers; l++) {
        const sa_config *g = case_layer(c, l);
        if (g->policy == SA_POLICY_DENSE && c->n_tokens > g->window) {
            c->n_tokens = g->window;
        }
        measure(g, c->n_tokens, &work, &elements);
        while (c->n_tokens > 1 && (work > limits->work || elements > limits->elements)) {
            c->n_tokens -= 1 + c->n_tokens / 8;
            measure(g, c->n_tokens, &work, &elements);
        }
    }
}

void case_draw(test_case *c, test_rng *rng, const case_limits *limits) {
    int l;
    memset(c, 0, sizeof *c);
    draw_layer(&c->config, rng, limits, &c->tables[CASE_LAYERS]);
    draw_whole(c, rng, limits);
    if (c->config.n_layers > 1 && rng_chance(rng, 70)) {
        for (l = 0; l < c->config.n_layers; l++) {
            if (rng_chance(rng, 60)) {
                draw_layer(&c->overrides[l], rng, limits, &c->tables[l]);
                c->overrides[l].n_layers = (int32_t)rng_in(rng, -3, 3); /* not read */
                c->overrides[l].max_append = (int32_t)rng_in(rng, -3, 3);
                c->pointers[l] = &c->overrides[l];
            }
        }
        c->config.layers = c->pointers;
    }
    draw_length(c, rng, limits);
    c->input_round = (int)rng_in(rng, 0, 3);
    if (c->config.io_dtype > SA_F32) {
        c->input_round = rng_chance(rng, 50) ? c->config.io_dtype : 0;
    }
    c->amplitude = rng_chance(rng, 20) ? 1.5 : 1.0;
}

const sa_config *case_layer(const test_case *c, int layer) {
    return c->config.layers && c->config.layers[layer] ? c->config.layers[layer] : &c->config;
}

int case_input_dtype(const test_case *c, test_rng *rng) {
    if (c->input_round == 0) {
        return (int)rng_in(rng, SA_F32, SA_BF16);
    }
    return rng_chance(rng, 50) ? c->input_round : SA_F32;
}
