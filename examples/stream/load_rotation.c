/*
 * From a GGUF file's metadata to rotations: theta, scaling, and what local layers do differently.
 *
 * SPDX-License-Identifier: MIT
 */
#include "loader.h"

#include <math.h>
#include <sinkattn.h>
#include <stdio.h>

/* One divisor for each frequency, one set for short and one for long contexts. */
static void read_longrope(loader *l) {
    rotation *r = &l->m->rope;
    int32_t half = l->m->rope_dims / 2;
    r->short_factors = vector_named(l, "rope_factors_short.weight", half, true);
    r->long_factors = vector_named(l, "rope_factors_long.weight", half, true);
    r->scaling = SA_ROPE_SCALING_LONGROPE;
    r->original_context = number(l, "rope.scaling.original_context_length", 0, 2, 1 << 30);
    r->attention_factor = real(l, "rope.scaling.attn_factor", 1.0, 1e-6, 1e6);
}

static void read_yarn(loader *l) {
    rotation *r = &l->m->rope;
    r->scaling = SA_ROPE_SCALING_YARN;
    r->factor = real(l, "rope.scaling.factor", 0.0, 1.0, 1e6);
    r->original_context = number(l, "rope.scaling.original_context_length", l->m->trained_context, 1, 1 << 30);
    double attention = real(l, "rope.scaling.attn_factor", 1.0, 1e-6, 1e6);
    r->attention_factor = l->ok ? attention * (0.1 * log(r->factor) + 1.0) : 1.0;
    r->beta_fast = real(l, "rope.scaling.yarn_beta_fast", 0.0, 0.0, 1e6); /* 0: the usual ones, as in sinkattn.h */
    r->beta_slow = real(l, "rope.scaling.yarn_beta_slow", 0.0, 0.0, 1e6);
}

static void read_scaling(loader *l) {
    rotation *r = &l->m->rope;
    char key[128];
    text type = {"none", 4};
    snprintf(key, sizeof key, "%s.rope.scaling.type", l->family->name);
    if (gguf_find(&l->m->file, key) != NULL && !gguf_get_text(&l->m->file, key, &type)) {
        give_up(l, "is not text", key);
    } else if (gguf_find_tensor(&l->m->file, "rope_factors_long.weight") != NULL || text_is(type, "longrope")) {
        read_longrope(l);
    } else if (text_is(type, "linear")) {
        r->scaling = SA_ROPE_SCALING_LINEAR;
        r->factor = real(l, "rope.scaling.factor", 0.0, 1.0, 1e6);
    } else if (text_is(type, "yarn")) {
        read_yarn(l);
    } else if (!text_is(type, "none")) {
        give_up(l, "this rotary scaling is not supported", key);
    }
}

/* Files of Llama 3 have a divisor for each frequency. */
static void read_divisors(loader *l) {
    rotation *r = &l->m->rope;
    int32_t half = l->m->rope_dims / 2;
    const float *divisors = vector_named(l, "rope_freqs.weight", half, false);
    if (divisors == NULL || !l->ok) {
        return;
    }
    if (r->scaling != SA_ROPE_SCALING_NONE) {
        give_up(l, "comes together with another rotary scaling; that is not supported", "rope_freqs.weight");
        return;
    }
    double *frequencies = model_allocate(l->m, (uint64_t)half, sizeof *frequencies, l->why);
    l->ok = frequencies != NULL;
    for (int32_t i = 0; l->ok && i < half; i++) {
        frequencies[i] = pow(r->theta, -2.0 * i / l->m->rope_dims) / (double)divisors[i];
        if (!(divisors[i] > 0.0f)) {
            give_up(l, "holds a number that is not positive", "rope_freqs.weight");
        }
    }
    r->inv_freq = frequencies;
}

/* Whatever the family, a sliding window in the file is used: the model was trained with it. */
static void read_local(loader *l) {
    model *m = l->m;
    char key[128];
    m->local_window = number(l, "attention.sliding_window", l->family->local_window, 0, 1 << 30);
    m->local_period = l->family->local_period > 0 ? l->family->local_period : 1;
    snprintf(key, sizeof key, "%s.attention.sliding_window_pattern", l->family->name);
    if (gguf_find(&m->file, key) != NULL) {
        m->local_period = number(l, "attention.sliding_window_pattern", 0, 2, 4096);
    }
    m->local_rope = m->rope;
    double theta = real(l, "rope.freq_base_swa", l->family->local_theta, 0.0, 1e12);
    if (theta > 0.0) {
        m->local_rope = (rotation){.theta = theta};
    }
}

void read_rotation(loader *l) {
    model *m = l->m;
    m->rope_layout = l->family->rope_layout;
    m->rope_dims = number(l, "rope.dimension_count", m->head_dim, 2, m->head_dim);
    if (l->ok && m->rope_dims % 2 != 0) {
        give_up(l, "is odd", "rope.dimension_count");
    }
    m->rope.theta = real(l, "rope.freq_base", 10000.0, 1.000001, 1e12);
    void (*const parts[])(loader *) = {read_scaling, read_divisors, read_local};
    for (size_t i = 0; l->ok && i < sizeof parts / sizeof parts[0]; i++) {
        parts[i](l);
    }
}
