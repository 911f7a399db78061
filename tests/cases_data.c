/*
 * Random streams for the random configurations of cases.h, and their configs as text.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cases.h"

float case_number(const test_case *c, double x) {
    if (c->input_round == 0) {
        return (float)oracle_round_bf16(oracle_round_f16(x));
    }
    return (float)dtype_round(c->input_round, x);
}

/* A query or key of head_dim numbers, as the host would hand it in. */
static void draw_vector(const test_case *c, test_rng *rng, oracle *o, int64_t position, float *out) {
    double x[1024];
    int i, d = o->layer.head_dim;
    for (i = 0; i < d; i++) {
        x[i] = c->amplitude * rng_normal(rng);
    }
    if (o->layer.position == SA_POSITION_ROPE_APPLIED) {
        oracle_rotate(&o->layer, position, 1.0, x);
    }
    for (i = 0; i < d; i++) {
        out[i] = case_number(c, x[i]);
    }
}

static void draw_key(const test_case *c, test_rng *rng, oracle *o, int64_t position, float *out) {
    unsigned char marks[1024];
    int i;
    draw_vector(c, rng, o, position, out);
    while (oracle_delicate_dims(o, position, out, marks) > 0) {
        for (i = 0; i < o->layer.head_dim; i++) {
            out[i] = marks[i] ? case_number(c, c->amplitude * rng_normal(rng)) : out[i];
        }
    }
}

static void take_data(const oracle_layer *l, int64_t n, case_data *data) {
    data->q = test_take((size_t)(n * l->n_heads * l->head_dim) * sizeof(float));
    data->k = test_take((size_t)(n * l->n_kv_heads * l->head_dim) * sizeof(float));
    data->v = test_take((size_t)(n * l->n_kv_heads * l->v_head_dim) * sizeof(float));
}

static void draw_values(const test_case *c, test_rng *rng, int64_t count, float *out) {
    int64_t i;
    for (i = 0; i < count; i++) {
        out[i] = case_number(c, rng_normal(rng));
    }
}

void case_fill(const test_case *c, test_rng *rng, oracle *o, int64_t first, int64_t n, case_data *data) {
    const oracle_layer *l = &o->layer;
    int64_t i;
    int h;
    take_data(l, n, data);
    for (i = 0; i < n; i++) {
        for (h = 0; h < l->n_heads; h++) {
            draw_vector(c, rng, o, first + i, data->q + (i * l->n_heads + h) * l->head_dim);
        }
        for (h = 0; h < l->n_kv_heads; h++) {
            draw_key(c, rng, o, first + i, data->k + (i * l->n_kv_heads + h) * l->head_dim);
        }
    }
    draw_values(c, rng, n * l->n_kv_heads * l->v_head_dim, data->v);
}

void case_fill_sink_kv(const test_case *c, test_rng *rng, oracle *o, case_data *data) {
    const oracle_layer *l = &o->layer;
    int r, g;
    take_data(l, l->n_sink_kv, data);
    for (r = 0; r < l->n_sink_kv; r++) {
        for (g = 0; g < l->n_kv_heads; g++) {
            float *k = data->k + ((int64_t)r * l->n_kv_heads + g) * l->head_dim;
            draw_key(c, rng, o, oracle_sink_kv_position(l, r), k);
        }
    }
    draw_values(c, rng, (int64_t)l->n_sink_kv * l->n_kv_heads * l->v_head_dim, data->v);
}

void case_data_free(case_data *data) {
    free(data->q);
    free(data->k);
    free(data->v);
    data->q = data->k = data->v = NULL;
}

static char text[4096];
static int text_length;

static void say(const char *format, ...) {
    va_list arguments;
    int room = (int)sizeof text - text_length, n;
    va_start(arguments, format);
    n = vsnprintf(text + text_length, (size_t)room, format, arguments);
    va_end(arguments);
    text_length += n < room ? n : room - 1;
}

static void say_number(const char *name, double value) {
    if (value != 0.0) {
        say(" %s=%.9g", name, value);
    }
}

static void say_layer(const sa_config *g) {
    say(" heads=%d/%d dims=%d/%d policy=%d S=%d W=%d k=%d v=%d position=%d", g->n_heads, g->n_kv_heads, g->head_dim,
        g->v_head_dim, g->policy, g->n_sink, g->window, g->k_dtype, g->v_dtype, g->position);
    say_number("sink_k", g->sink_k_dtype);
    say_number("sink_v", g->sink_v_dtype);
    say_number("recent", g->n_recent);
    say_number("recent_k", g->recent_k_dtype);
    say_number("recent_v", g->recent_v_dtype);
    say_number("query_bits", g->query_bits);
    say_number("weight_bits", g->weight_bits);
    say_number("mode", g->position_mode);
    say_number("scale", g->scale);
    say_number("softcap", g->softcap);
    say_number("n_sink_kv", g->n_sink_kv);
    say_number("sink_kv_position", g->sink_kv_position);
    say_number("layout", g->rope_layout);
    say_number("rope_dims", g->rope_dims);
    say_number("rope_offset", g->rope_offset);
    say_number("scaling", g->rope_scaling);
    say_number("original_context", g->rope_original_context);
    say_number("theta", g->rope_theta);
    say_number("factor", g->rope_factor);
    say_number("attention_factor", g->rope_attention_factor);
    say_number("beta_fast", g->rope_beta_fast);
    say_number("beta_slow", g->rope_beta_slow);
    say_number("low_freq", g->rope_low_freq_factor);
    say_number("high_freq", g->rope_high_freq_factor);
    say_number("flags", g->flags);
    say("%s%s%s", g->rope_inv_freq ? " inv_freq" : "", g->alibi_slopes ? " slopes" : "",
        g->sink_logits ? " sink_logits" : "");
}

const char *config_text(const sa_config *g) {
    int l;
    text_length = 0;
    text[0] = 0;
    say("layers=%d max_append=%d rollback=%d isa=%d threads=%d io=%d", g->n_layers, g->max_append, g->rollback, g->isa,
        g->n_threads, g->io_dtype);
    say_layer(g);
    for (l = 0; g->layers && l < g->n_layers && l < CASE_LAYERS; l++) {
        if (g->layers[l]) {
            say(" | layer %d:", l);
            say_layer(g->layers[l]);
        }
    }
    return text;
}

const char *case_text(const test_case *c) {
    config_text(&c->config);
    say(" tokens=%lld round=%d amplitude=%g", (long long)c->n_tokens, c->input_round, c->amplitude);
    return text;
}
