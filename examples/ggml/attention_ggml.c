/*
 * ggml's own attention, for comparison: keys and values in tensors, rotated, copied to their rows, and attended.
 *
 * SPDX-License-Identifier: MIT
 *
 * One token at a time; the graph reads as many rows as there are, so it is built anew for every token, and ends where
 * the rows do.
 */
#include "host.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct dense {
    attention base;
    struct ggml_context *ctx;
    struct ggml_tensor **k, **v;     /* (n_layers): (n_kv_heads * head_dim, context) each */
    int64_t context, held;           /* rows there are, and rows that the graph reads */
    bool flash;                      /* by ggml_flash_attn_ext, or by two matrix products and a softmax */
    struct ggml_tensor *place, *row; /* inputs of the graph that stands: the token's position, twice */
} dense;

static struct ggml_tensor *rotated(const dense *d, const building *b, struct ggml_tensor *x, int64_t heads) {
    const model *m = b->m;
    return ggml_rope_ext(b->ctx, ggml_reshape_3d(b->ctx, x, m->head_dim, heads, b->n), d->place, NULL, m->head_dim, 0,
                         0, m->rope_theta, 1.0f, 0.0f, 1.0f, 0.0f, 0.0f);
}

/* Rows 0 .. n-1 of a cache tensor as (head_dim, n, n_kv_heads). */
static struct ggml_tensor *rows(const building *b, struct ggml_tensor *cache, int64_t n) {
    const model *m = b->m;
    return ggml_view_3d(b->ctx, cache, m->head_dim, n, m->n_kv_heads, cache->nb[1],
                        ggml_row_size(cache->type, m->head_dim), 0);
}

/* The weights of all keys, (keys, n, heads), and then the sums of values. */
static struct ggml_tensor *by_products(struct ggml_context *ctx, struct ggml_tensor *q, struct ggml_tensor *k,
                                       struct ggml_tensor *v, float scale) {
    struct ggml_tensor *weights = ggml_soft_max_ext(ctx, ggml_mul_mat(ctx, k, q), NULL, scale, 0.0f);
    return ggml_mul_mat(ctx, ggml_cont(ctx, ggml_transpose(ctx, v)), weights);
}

static struct ggml_tensor *build(attention *a, const building *b, int32_t l, struct ggml_tensor *q,
                                 struct ggml_tensor *k, struct ggml_tensor *v) {
    dense *d = (dense *)a;
    const model *m = b->m;
    int64_t size = (int64_t)m->n_kv_heads * m->head_dim;
    if (b->n != 1) {
        die("ggml's attention takes one token at a time here");
    }
    if (l == 0) {
        d->place = ggml_new_tensor_1d(b->ctx, GGML_TYPE_I32, 1);
        d->row = ggml_new_tensor_1d(b->ctx, GGML_TYPE_I64, 1);
        ggml_set_input(d->place);
        ggml_set_input(d->row);
    }
    q = rotated(d, b, q, m->n_heads);
    k = ggml_reshape_2d(b->ctx, rotated(d, b, k, m->n_kv_heads), size, 1);
    ggml_build_forward_expand(b->graph, ggml_set_rows(b->ctx, d->k[l], k, d->row));
    ggml_build_forward_expand(b->graph, ggml_set_rows(b->ctx, d->v[l], v, d->row));
    q = ggml_permute(b->ctx, q, 0, 2, 1, 3);
    k = rows(b, d->k[l], d->held);
    v = rows(b, d->v[l], d->held);
    float scale = 1.0f / sqrtf((float)m->head_dim);
    struct ggml_tensor *results =
        d->flash ? ggml_flash_attn_ext(b->ctx, q, k, v, NULL, scale, 0.0f, 0.0f) : by_products(b->ctx, q, k, v, scale);
    return ggml_reshape_2d(b->ctx, results, (int64_t)m->n_heads * m->head_dim, 1);
}

static bool serves(attention *a, int64_t end) {
    dense *d = (dense *)a;
    bool same = d->held == end;
    if (end > d->context) {
        die("ggml's attention: the context of %lld tokens is full", (long long)d->context);
    }
    d->held = end;
    return same;
}

static void begin(attention *a, int64_t position) {
    const dense *d = (const dense *)a;
    int32_t place = (int32_t)position;
    ggml_backend_tensor_set(d->place, &place, 0, sizeof place);
    ggml_backend_tensor_set(d->row, &position, 0, sizeof position);
}

/* Rows that were never written are 0, which takes as long. */
static void fill(attention *a, const model *m, int64_t n) {
    (void)a;
    (void)m;
    (void)n;
}

static size_t bytes(const attention *a, const model *m) {
    const dense *d = (const dense *)a;
    return (size_t)m->n_layers * (ggml_nbytes(d->k[0]) + ggml_nbytes(d->v[0]));
}

static void close_dense(attention *a) {
    dense *d = (dense *)a;
    ggml_free(d->ctx);
    free(d->k);
    free(d->v);
    free(d);
}

attention *attention_ggml(const model *m, enum ggml_type dtype, bool flash, int64_t context) {
    int64_t size = (int64_t)m->n_kv_heads * m->head_dim;
    size_t tensors = 2 * (size_t)m->n_layers;
    dense *d = calloc(1, sizeof *d);
    struct ggml_init_params params = {
        .mem_size = tensors * (ggml_row_size(dtype, size) * (size_t)context + ggml_tensor_overhead() + 64)};
    if (d == NULL || (d->ctx = ggml_init(params)) == NULL ||
        (d->k = calloc((size_t)m->n_layers, sizeof *d->k)) == NULL ||
        (d->v = calloc((size_t)m->n_layers, sizeof *d->v)) == NULL) {
        die("no memory");
    }
    for (int32_t l = 0; l < m->n_layers; l++) {
        d->k[l] = ggml_new_tensor_2d(d->ctx, dtype, size, context);
        d->v[l] = ggml_new_tensor_2d(d->ctx, dtype, size, context);
        memset(d->k[l]->data, 0, ggml_nbytes(d->k[l]));
        memset(d->v[l]->data, 0, ggml_nbytes(d->v[l]));
    }
    d->context = context;
    d->flash = flash;
    d->base = (attention){build, serves, begin, fill, bytes, close_dense};
    return &d->base;
}
