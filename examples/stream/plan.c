/*
 * From a model and the options of the command line to a sinkattn configuration.
 *
 * SPDX-License-Identifier: MIT
 */
#include "forward.h"

#include <stdlib.h>
#include <string.h>

static void set_rotation(sa_config *c, const model *m, const rotation *r) {
    c->position = SA_POSITION_ROPE;
    c->rope_layout = m->rope_layout;
    c->rope_dims = m->rope_dims;
    c->rope_attention_factor = r->attention_factor;
    c->rope_inv_freq = r->inv_freq;
    c->rope_theta = r->inv_freq == NULL ? r->theta : 0.0;
    c->rope_scaling = r->scaling;
    c->rope_factor = r->factor;
    c->rope_original_context = r->original_context;
    c->rope_beta_fast = r->beta_fast;
    c->rope_beta_slow = r->beta_slow;
    c->rope_short_factors = r->short_factors;
    c->rope_long_factors = r->long_factors;
}

static void set_common(sa_config *c, const model *m, const stream_options *options) {
    c->struct_size = sizeof *c;
    c->n_layers = m->n_layers;
    c->n_heads = m->n_heads;
    c->n_kv_heads = m->n_kv_heads;
    c->head_dim = m->head_dim;
    c->v_head_dim = m->v_head_dim;
    c->k_dtype = c->v_dtype = options->kv_dtype;
    if (options->kv_dtype == SA_I8 || options->kv_dtype == SA_I4) {
        c->query_bits = c->weight_bits = options->code_bits;
    }
    c->scale = m->attn_scale;
    c->softcap = m->attn_softcap;
    c->policy = options->policy;
    c->window = options->window;
    c->n_recent = options->recent < c->window ? options->recent : c->window;
    c->n_sink = options->policy == SA_POLICY_SINK_WINDOW ? options->sinks : 0;
    c->position_mode = options->policy == SA_POLICY_SINK_WINDOW && options->sinks > 0 ? options->position_mode : 0;
    c->n_threads = options->threads;
    if (options->threads > 1) {
        c->parallel_for = run_parallel; /* the library runs on the same threads as the matrix products */
    }
}

static bool is_wider(const model *m, int32_t sinks, int32_t window) {
    return sinks + (int64_t)window > m->local_window;
}

bool plan_is_narrow(const model *m, const stream_options *options, int32_t layer) {
    int32_t sinks = options->policy == SA_POLICY_SINK_WINDOW ? options->sinks : 0;
    return model_layer_is_local(m, layer) && is_wider(m, sinks, options->window);
}

/* Layers that were trained with a sliding window keep it, whatever the policy of the others. Where the cache that was
 * asked for holds no more than that window, they get the same policy as all: they see no more than they may, and a
 * window of 2^18 tokens, as some files have it, takes no memory that nobody asked for. */
static bool plan_local(cache_plan *plan, const model *m, failure *why) {
    sa_config *c = &plan->local;
    *c = plan->config;
    set_rotation(c, m, &m->local_rope);
    if (is_wider(m, c->n_sink, c->window)) {
        c->policy = SA_POLICY_WINDOW;
        c->window = m->local_window;
        c->n_sink = c->position_mode = 0;
        c->n_recent = c->n_recent < c->window ? c->n_recent : c->window;
    }
    plan->layers = allocate((uint64_t)m->n_layers, sizeof *plan->layers, why);
    for (int32_t i = 0; plan->layers != NULL && i < m->n_layers; i++) {
        plan->layers[i] = model_layer_is_local(m, i) ? c : NULL;
    }
    plan->config.layers = plan->layers;
    return plan->layers != NULL;
}

bool plan_cache(cache_plan *plan, const model *m, const stream_options *options, failure *why) {
    memset(plan, 0, sizeof *plan);
    if (options->zero_sink) { /* one more logit of 0 in every softmax, without a value */
        plan->sink_logits = allocate((uint64_t)m->n_heads, sizeof *plan->sink_logits, why);
        if (plan->sink_logits == NULL) {
            return false;
        }
        plan->config.sink_logits = plan->sink_logits;
    }
    set_common(&plan->config, m, options);
    set_rotation(&plan->config, m, &m->rope);
    if (m->local_window > 0 && !plan_local(plan, m, why)) {
        plan_free(plan);
        return false;
    }
    const char *reason = "";
    int32_t layer = -1;
    if (sa_config_check(&plan->config, &reason, &layer) != SA_SUCCESS) {
        plan_free(plan);
        fail(why, "sinkattn refuses this configuration: %s", reason);
        return fail_in(why, m->path);
    }
    return true;
}

void plan_free(cache_plan *plan) {
    free(plan->layers);
    free(plan->sink_logits);
    plan->layers = NULL;
    plan->sink_logits = NULL;
}
