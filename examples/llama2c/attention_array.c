/*
 * Attention as such programs usually have it: arrays with a row for each position, and loops. For comparison.
 *
 * SPDX-License-Identifier: MIT
 */
#include "llama2c.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct arrays {
    const checkpoint *c;
    int32_t context;
    float *keys, *values; /* (n_layers, context, kv_dim) */
    float *weights;       /* (context) */
} arrays;

/* The pairs 2i, 2i + 1 of each head, by the angle t * 10000^(-2i / head_dim). */
static void rotate(const checkpoint *c, float *x, int32_t size, int64_t t) {
    for (int32_t i = 0; i < size; i += 2) {
        float angle = (float)t * powf(10000.0f, -(float)(i % c->head_dim) / (float)c->head_dim);
        float cosine = cosf(angle), sine = sinf(angle), a = x[i], b = x[i + 1];
        x[i] = a * cosine - b * sine;
        x[i + 1] = a * sine + b * cosine;
    }
}

static void softmax(float *x, int64_t n) {
    float highest = x[0], sum = 0.0f;
    for (int64_t i = 1; i < n; i++) {
        highest = fmaxf(highest, x[i]);
    }
    for (int64_t i = 0; i < n; i++) {
        x[i] = expf(x[i] - highest);
        sum += x[i];
    }
    for (int64_t i = 0; i < n; i++) {
        x[i] /= sum;
    }
}

/* One query head over n rows of keys and values; a row is kv_dim long, of which this head reads head_dim. */
static void attend_head(const arrays *s, int64_t n, const float *q, const float *keys, const float *values,
                        float *out) {
    int32_t dim = s->c->head_dim, row = s->c->kv_dim;
    for (int64_t u = 0; u < n; u++) {
        float sum = 0.0f;
        for (int32_t i = 0; i < dim; i++) {
            sum += q[i] * keys[u * row + i];
        }
        s->weights[u] = sum / sqrtf((float)dim);
    }
    softmax(s->weights, n);
    memset(out, 0, (size_t)dim * sizeof *out);
    for (int64_t u = 0; u < n; u++) {
        for (int32_t i = 0; i < dim; i++) {
            out[i] += s->weights[u] * values[u * row + i];
        }
    }
}

static int attend(void *state, int32_t l, int64_t t, float *q, float *k, float *v, float *out) {
    const arrays *s = state;
    const checkpoint *c = s->c;
    if (t >= s->context) {
        return 1;
    }
    float *keys = s->keys + (size_t)l * (size_t)s->context * (size_t)c->kv_dim;
    float *values = s->values + (size_t)l * (size_t)s->context * (size_t)c->kv_dim;
    rotate(c, q, c->dim, t);
    rotate(c, k, c->kv_dim, t);
    memcpy(keys + t * c->kv_dim, k, (size_t)c->kv_dim * sizeof *k);
    memcpy(values + t * c->kv_dim, v, (size_t)c->kv_dim * sizeof *v);
    for (int32_t h = 0; h < c->n_heads; h++) {
        int32_t kv = h / (c->n_heads / c->n_kv_heads) * c->head_dim;
        attend_head(s, t + 1, q + h * c->head_dim, keys + kv, values + kv, out + h * c->head_dim);
    }
    return 0;
}

static size_t bytes(const void *state) {
    const arrays *s = state;
    return ((size_t)s->c->n_layers * (size_t)s->c->kv_dim * 2 + 1) * (size_t)s->context * sizeof(float);
}

static void close_arrays(void *state) {
    arrays *s = state;
    free(s->keys);
    free(s->values);
    free(s->weights);
    free(s);
}

attention attention_array(const checkpoint *c, int32_t context) {
    arrays *s = malloc(sizeof *s);
    size_t size = (size_t)c->n_layers * (size_t)context * (size_t)c->kv_dim;
    if (s == NULL) {
        die("no memory", "");
    }
    *s = (arrays){c, context, floats(size), floats(size), floats((size_t)context)};
    return (attention){s, attend, bytes, close_arrays};
}
