/*
 * The layers as a graph of ggml, and running it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "host.h"

#include <stdlib.h>

enum { MAX_NODES = 4096 };

static struct ggml_tensor *norm(const building *b, struct ggml_tensor *x, struct ggml_tensor *weight) {
    return ggml_mul(b->ctx, ggml_rms_norm(b->ctx, x, b->m->norm_epsilon), weight);
}

static struct ggml_tensor *attention_block(const building *b, attention *a, int32_t index, struct ggml_tensor *x) {
    const layer *l = &b->m->layers[index];
    struct ggml_tensor *h = norm(b, x, l->attn_norm);
    struct ggml_tensor *q = ggml_mul_mat(b->ctx, l->q, h), *k = ggml_mul_mat(b->ctx, l->k, h),
                       *v = ggml_mul_mat(b->ctx, l->v, h);
    struct ggml_tensor *results = a->build(a, b, index, q, k, v);
    return ggml_add(b->ctx, x, ggml_mul_mat(b->ctx, l->out, results));
}

static struct ggml_tensor *ffn_block(const building *b, const layer *l, struct ggml_tensor *x) {
    struct ggml_tensor *h = norm(b, x, l->ffn_norm);
    struct ggml_tensor *gate = ggml_mul_mat(b->ctx, l->gate, h), *up = ggml_mul_mat(b->ctx, l->up, h);
    return ggml_add(b->ctx, x, ggml_mul_mat(b->ctx, l->down, ggml_swiglu_split(b->ctx, gate, up)));
}

/* The column of the last of n tokens. */
static struct ggml_tensor *last(const building *b, struct ggml_tensor *x) {
    return ggml_view_2d(b->ctx, x, x->ne[0], 1, x->nb[1], (size_t)(b->n - 1) * x->nb[1]);
}

static void build(runner *r, int32_t n) {
    ggml_free(r->ctx);
    size_t size = MAX_NODES * ggml_tensor_overhead() + ggml_graph_overhead_custom(MAX_NODES, false);
    r->ctx = ggml_init((struct ggml_init_params){.mem_size = size, .mem_buffer = r->meta, .no_alloc = true});
    r->graph = ggml_new_graph_custom(r->ctx, MAX_NODES, false);
    building b = {r->m, r->ctx, r->graph, n};
    r->ids = ggml_new_tensor_1d(r->ctx, GGML_TYPE_I32, n);
    ggml_set_input(r->ids);
    struct ggml_tensor *x = ggml_get_rows(r->ctx, r->m->embedding, r->ids);
    for (int32_t l = 0; l < r->m->n_layers; l++) {
        x = attention_block(&b, r->a, l, x);
        x = ffn_block(&b, &r->m->layers[l], x);
    }
    r->logits = ggml_mul_mat(r->ctx, r->m->output, norm(&b, last(&b, x), r->m->output_norm));
    ggml_set_output(r->logits);
    ggml_build_forward_expand(r->graph, r->logits);
    if (!ggml_gallocr_alloc_graph(r->memory, r->graph)) {
        die("no memory for the graph");
    }
    r->n = n;
}

void runner_open(runner *r, const model *m, attention *a, int32_t n_threads) {
    *r = (runner){.m = m, .a = a, .backend = ggml_backend_cpu_init()};
    ggml_backend_cpu_set_n_threads(r->backend, n_threads);
    r->memory = ggml_gallocr_new(ggml_backend_cpu_buffer_type());
    r->meta = malloc(MAX_NODES * ggml_tensor_overhead() + ggml_graph_overhead_custom(MAX_NODES, false));
    if (r->meta == NULL) {
        die("no memory");
    }
}

const float *runner_feed(runner *r, int32_t n, const int32_t *ids) {
    if (!r->a->serves(r->a, r->position + n) || r->n != n) {
        build(r, n);
    }
    ggml_backend_tensor_set(r->ids, ids, 0, (size_t)n * sizeof *ids);
    r->a->begin(r->a, r->position);
    if (ggml_backend_graph_compute(r->backend, r->graph) != GGML_STATUS_SUCCESS) {
        die("ggml could not run the graph");
    }
    r->position += n;
    return ggml_get_data_f32(r->logits);
}

int32_t best_of(const model *m, const float *logits) {
    int32_t best = 0;
    for (int32_t i = 1; i < m->n_vocab; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    return best;
}

void runner_close(runner *r) {
    ggml_free(r->ctx);
    ggml_gallocr_free(r->memory);
    ggml_backend_free(r->backend);
    free(r->meta);
}
