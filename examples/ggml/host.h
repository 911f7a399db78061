/*
 * A language model on ggml, in four parts: weights from a GGUF file, the layers as a graph, what does the attention in
 * it, and a runner.
 *
 * SPDX-License-Identifier: MIT
 *
 * Only the two attentions differ: ggml's own, and sinkattn as three chained custom operations. All
 * matrix products are ggml's, on the weights as they are quantised in the file.
 */
#ifndef GGML_HOST_H
#define GGML_HOST_H

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <ggml.h>
#include <gguf.h>
#include <stdbool.h>
#include <stdint.h>

/* --- weights --- */

typedef struct layer {
    struct ggml_tensor *attn_norm, *q, *k, *v, *out, *ffn_norm, *gate, *up, *down;
} layer;

/* A model of the family "llama" (SmolLM2, TinyLlama, Llama 2). */
typedef struct model {
    struct gguf_context *file;
    struct ggml_context *tensors, *floats;
    int32_t n_layers, dim, n_heads, n_kv_heads, head_dim, n_vocab;
    float norm_epsilon, rope_theta;
    struct ggml_tensor *embedding, *output_norm, *output;
    layer *layers; /* (n_layers) */
} model;

/* Each of these ends the program with a sentence if it cannot do what it is asked for: this is an example. */
void model_open(model *m, const char *path);
/* The weights of the layers and of the output in f32: ggml's products then no longer round what they multiply with. */
void model_to_f32(model *m);
void model_close(model *m);
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* --- attention --- */

/* Where a graph is being built: for n tokens. */
typedef struct building {
    const model *m;
    struct ggml_context *ctx;
    struct ggml_cgraph *graph;
    int32_t n;
} building;

typedef struct attention attention;
struct attention {
    /* Adds to the graph what makes results (n_heads * head_dim, n) of q (n_heads * head_dim, n) and k, v
     * (n_kv_heads * head_dim, n), all in f32 and without position, the n newest tokens of the stream. */
    struct ggml_tensor *(*build)(attention *a, const building *b, int32_t layer, struct ggml_tensor *q,
                                 struct ggml_tensor *k, struct ggml_tensor *v);
    /* Called before a token's graph runs, with the position behind its last token: false if no graph that was built
     * before serves for it. */
    bool (*serves)(attention *a, int64_t end);
    /* Called then, with the position of its first token: fills inputs of its own. */
    void (*begin)(attention *a, int64_t position);
    /* Makes all layers hold n tokens of made-up numbers, for measuring. */
    void (*fill)(attention *a, const model *m, int64_t n);
    /* Bytes of keys and values, all layers. */
    size_t (*bytes)(const attention *a, const model *m);
    void (*close)(attention *a);
};

/* ggml's own: a cache of `context` keys in tensors, ggml_rope_ext, ggml_set_rows, and ggml_flash_attn_ext or, without
 * `flash`, two ggml_mul_mat and ggml_soft_max_ext. */
attention *attention_ggml(const model *m, enum ggml_type dtype, bool flash, int64_t context);
/* sinkattn: `sinks` and `window` tokens, or with sinks -1 a dense cache of `window`. dtype is one of SA_*. */
attention *attention_sinkattn(const model *m, int32_t dtype, int32_t sinks, int32_t window, int32_t n_threads);

/* --- running --- */

typedef struct runner {
    const model *m;
    attention *a;
    ggml_backend_t backend;
    ggml_gallocr_t memory;
    void *meta; /* where tensors and the graph are described */
    struct ggml_context *ctx;
    struct ggml_cgraph *graph;
    struct ggml_tensor *ids, *logits;
    int64_t position; /* of the next token */
    int32_t n;        /* tokens of the graph that stands; 0: none */
} runner;

void runner_open(runner *r, const model *m, attention *a, int32_t n_threads);
/* Runs n tokens through all layers; returns the logits (n_vocab) of the last one, valid until the next call. */
const float *runner_feed(runner *r, int32_t n, const int32_t *ids);
void runner_close(runner *r);

/* The most likely token. */
int32_t best_of(const model *m, const float *logits);

/* --- what main.c offers --- */

/* sinkattn, and ggml's two ways, over the same ids, all with keys and values in f32: how often they agree on the most
 * likely next token. */
void compare(const model *m, const char *weights, const int32_t *ids, int32_t n, int32_t n_threads);
/* Tokens a second of ggml and sinkattn with f32 and f16 keys and values, as a line of the table under speed_head. */
void speed_head(int32_t n_threads, int32_t rounds);
void speed(const model *m, int64_t keys, int32_t n_threads, int32_t rounds);

#endif
