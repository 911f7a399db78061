/*
 * The forward pass: chunks of tokens through all layers, with sinkattn as the KV cache.
 *
 * SPDX-License-Identifier: MIT
 */
#include "forward.h"

#include "quant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool make_cache(stream *s, const stream_options *options, failure *why) {
    cache_plan plan;
    if (!plan_cache(&plan, s->m, options, why)) {
        return false;
    }
    if (options->configure != NULL) {
        options->configure(options->configure_context, &plan.config);
    }
    sa_status status = sa_cache_create(&plan.config, NULL, &s->cache);
    plan_free(&plan);
    return status == SA_SUCCESS || fail(why, "sinkattn: %s", sa_status_string(status)) || fail_in(why, s->m->path);
}

bool stream_open(stream *s, const model *m, const stream_options *options, failure *why) {
    memset(s, 0, sizeof *s);
    s->m = m;
    s->chunk = options->chunk;
    bool any_dense = model_local_layers(m) < m->n_layers || options->window <= m->local_window; /* as in plan.c */
    s->room = options->policy == SA_POLICY_DENSE && any_dense ? options->window : INT64_MAX;
    s->cache = options->cache;
    s->borrowed = options->cache != NULL;
    if (!s->borrowed && !make_cache(s, options, why)) {
        return false;
    }
    const struct {
        float **buffer;
        int64_t width;
    } buffers[] = {
        {&s->x, m->dim},
        {&s->h, m->dim},
        {&s->q, (int64_t)m->n_heads * m->head_dim},
        {&s->k, (int64_t)m->n_kv_heads * m->head_dim},
        {&s->v, (int64_t)m->n_kv_heads * m->v_head_dim},
        {&s->attention, (int64_t)m->n_heads * m->v_head_dim},
        {&s->gate, m->hidden},
        {&s->up, m->hidden},
    };
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++) {
        *buffers[i].buffer = allocate((uint64_t)s->chunk, (size_t)buffers[i].width * sizeof(float), why);
        if (*buffers[i].buffer == NULL) {
            stream_close(s);
            return false;
        }
    }
    return true;
}

void stream_close(stream *s) {
    float *buffers[] = {s->x, s->h, s->q, s->k, s->v, s->attention, s->gate, s->up};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++) {
        free(buffers[i]);
    }
    sa_cache_destroy(s->borrowed ? NULL : s->cache);
    memset(s, 0, sizeof *s);
}

void stream_reset(stream *s) {
    sa_cache_reset(s->cache, SA_ALL_LAYERS);
    s->fed = 0;
    s->seen = 0;
}

/* out = x / rms(x) * weight, over rows of `size`; out may be x. */
static void norm_rows(int64_t rows, int64_t size, const float *x, const float *weight, float epsilon, float *out) {
    for (int64_t r = 0; r < rows; r++, x += size, out += size) {
        float sum = 0.0f;
        for (int64_t i = 0; i < size; i++) {
            sum += x[i] * x[i];
        }
        float scale = 1.0f / sqrtf(sum / (float)size + epsilon);
        for (int64_t i = 0; i < size; i++) {
            out[i] = x[i] * scale * weight[i];
        }
    }
}

static void add_bias(int64_t rows, int64_t size, const float *bias, float *x) {
    for (int64_t r = 0; bias != NULL && r < rows; r++, x += size) {
        for (int64_t i = 0; i < size; i++) {
            x[i] += bias[i];
        }
    }
}

/* y = W h + bias, and then a norm of each head, if the model has these. */
static void project(const stream *s, const matrix *w, const float *bias, const float *norm, int32_t heads, float *y) {
    int32_t n = s->fed;
    matmul(w, n, s->h, y, w->rows);
    add_bias(n, w->rows, bias, y);
    if (norm != NULL) {
        norm_rows((int64_t)n * heads, w->rows / heads, y, norm, s->m->norm_epsilon, y);
    }
}

/* Adds a block's result to the residual stream, after a norm of its own if the model has one. */
static void add_to_residual(stream *s, const float *post_norm) {
    int64_t total = (int64_t)s->fed * s->m->dim;
    if (post_norm != NULL) {
        norm_rows(s->fed, s->m->dim, s->h, post_norm, s->m->norm_epsilon, s->h);
    }
    for (int64_t i = 0; i < total; i++) {
        s->x[i] += s->h[i];
    }
}

static sa_status attend(stream *s, int32_t index) {
    return s->attend != NULL ? s->attend(s->attend_context, index)
                             : sa_append_attend(s->cache, index, s->fed, s->q, s->k, s->v, s->attention);
}

static sa_status attention_block(stream *s, int32_t index) {
    const model *m = s->m;
    const layer *l = &m->layers[index];
    norm_rows(s->fed, m->dim, s->x, l->attn_norm, m->norm_epsilon, s->h);
    project(s, &l->q, l->q_bias, l->q_norm, m->n_heads, s->q);
    project(s, &l->k, l->k_bias, l->k_norm, m->n_kv_heads, s->k);
    project(s, &l->v, l->v_bias, NULL, m->n_kv_heads, s->v);
    double start = now_seconds();
    sa_status status = attend(s, index);
    s->attention_seconds += now_seconds() - start;
    if (status == SA_SUCCESS && s->watch != NULL) {
        s->watch(s->watch_context, index);
    }
    if (status == SA_SUCCESS) {
        matmul(&l->out, s->fed, s->attention, s->h, m->dim);
        add_to_residual(s, l->attn_post_norm);
    }
    return status;
}

/* gate = act(gate) * up for one token of the chunk */
static void activate_task(void *context, int32_t token) {
    stream *s = context;
    int64_t hidden = s->m->hidden;
    float *gate = s->gate + token * hidden;
    const float *up = s->up + token * hidden;
    if (s->m->activation == ACT_SILU) {
        for (int64_t i = 0; i < hidden; i++) {
            gate[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
        }
    } else {
        for (int64_t i = 0; i < hidden; i++) {
            float g = gate[i], inner = 0.79788456f * (g + 0.044715f * g * g * g); /* sqrt(2 / pi) */
            gate[i] = 0.5f * g * (1.0f + tanhf(inner)) * up[i];
        }
    }
}

static void ffn_block(stream *s, int32_t index) {
    const model *m = s->m;
    const layer *l = &m->layers[index];
    norm_rows(s->fed, m->dim, s->x, l->ffn_norm, m->norm_epsilon, s->h);
    matmul(&l->gate, s->fed, s->h, s->gate, m->hidden);
    matmul(&l->up, s->fed, s->h, s->up, m->hidden);
    run_parallel(NULL, s->fed, activate_task, s);
    matmul(&l->down, s->fed, s->gate, s->h, m->dim);
    add_to_residual(s, l->ffn_post_norm);
}

static bool embed(stream *s, const int32_t *ids, failure *why) {
    const model *m = s->m;
    for (int32_t t = 0; t < s->fed; t++) {
        if (ids[t] < 0 || ids[t] >= m->n_vocab) {
            fail(why, "token id %d is not in the vocabulary of %d", ids[t], m->n_vocab);
            return fail_in(why, m->path);
        }
        float *x = s->x + (int64_t)t * m->dim;
        quant_to_float(m->embedding.type, m->embedding.data + (uint64_t)ids[t] * m->embedding.row_bytes, m->dim, x);
        for (int32_t i = 0; i < m->dim; i++) {
            x[i] *= m->embedding_scale;
        }
    }
    return true;
}

int stream_feed(stream *s, int32_t n, const int32_t *ids, failure *why) {
    if (n >
        s->room -
            s->seen) { /* checked before the first layer: otherwise some layers would have the tokens and others not */
        return FEED_FULL;
    }
    s->fed = n;
    if (!embed(s, ids, why)) {
        return FEED_FAILED;
    }
    for (int32_t i = 0; i < s->m->n_layers; i++) {
        sa_status status = attention_block(s, i);
        if (status != SA_SUCCESS) {
            fail(why, "sinkattn, layer %d: %s", i, sa_status_string(status));
            fail_in(why, s->m->path);
            return FEED_FAILED;
        }
        ffn_block(s, i);
    }
    s->seen += n;
    norm_rows(n, s->m->dim, s->x, s->m->output_norm, s->m->norm_epsilon, s->x);
    return FEED_OK;
}

void stream_logits(const stream *s, int32_t first, int32_t n, float *logits) {
    const model *m = s->m;
    matmul(&m->output, n, s->x + (int64_t)first * m->dim, logits, m->n_vocab);
    float cap = m->logit_softcap;
    for (int64_t i = 0; cap > 0.0f && i < (int64_t)n * m->n_vocab; i++) {
        logits[i] = cap * tanhf(logits[i] / cap);
    }
}
