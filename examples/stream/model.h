/*
 * A decoder-only transformer as data: its sizes and weights. forward.c runs it.
 *
 * SPDX-License-Identifier: MIT
 *
 * All supported families are this computation, in which some have parts that others have not:
 *
 *     x = embedding * embedding_scale
 *     per layer:  h = norm(x); q, k, v = W h (+ bias) (each head normed); attention;
 *                 x += (norm)(W out); h = norm(x); x += (norm)(W_down(act(W_gate h) * W_up h))
 *     logits = softcap(W_output norm(x))
 *
 * So a family is a row of a table (families.c), and a part is a pointer that may be NULL.
 */
#ifndef STREAM_MODEL_H
#define STREAM_MODEL_H

#include "gguf.h"
#include "matmul.h"
#include "support.h"

typedef struct layer {
    const float *attn_norm, *ffn_norm;           /* (dim) */
    const float *attn_post_norm, *ffn_post_norm; /* (dim) or NULL */
    const float *q_norm, *k_norm;                /* (head_dim) or NULL */
    const float *q_bias, *k_bias, *v_bias;       /* (heads * head_dim) or NULL */
    matrix q, k, v, out, gate, up, down;
} layer;

enum { ACT_SILU = 0, ACT_GELU = 1 };

/* A rotation: the fields have the names and meanings of sa_config. */
typedef struct rotation {
    int32_t scaling, original_context;
    double theta, factor, attention_factor, beta_fast, beta_slow;
    const double *inv_freq;                    /* (rope_dims / 2) or NULL */
    const float *short_factors, *long_factors; /* (rope_dims / 2) or NULL */
} rotation;

typedef struct model {
    const char *path; /* for messages; NULL if the model was made from bytes */
    char family[32];
    int32_t dim, n_layers, n_heads, n_kv_heads, head_dim, v_head_dim, hidden, n_vocab;
    int32_t trained_context;                                                      /* tokens; 0: not in the file */
    float norm_epsilon, embedding_scale, logit_softcap, attn_softcap, attn_scale; /* 0: none, or the default */
    int32_t activation;
    int32_t rope_layout, rope_dims;
    rotation rope, local_rope;
    int32_t local_window; /* tokens that a query of a local layer sees, its own included; 0: every layer is global */
    int32_t local_period; /* of so many layers all but the last are local; 1: all */

    matrix embedding, output; /* (n_vocab, dim) */
    const float *output_norm;
    layer *layers;

    char unused[256]; /* names of numbers in the file that this program does not use, for a message; "" if none */

    gguf file; /* empty for a llama2.c checkpoint */
    uint8_t *bytes;
    size_t n_bytes;
    void **owned; /* what model_close frees */
    size_t n_owned;
} model;

/* Reads a GGUF file or a llama2.c checkpoint; the first bytes say which it is. On false nothing has to be closed. */
bool model_open(model *m, const char *path, failure *why);
/* The same from bytes in memory, which the model takes over and frees with free(), also on failure. */
bool model_from_bytes(model *m, uint8_t *bytes, size_t n_bytes, failure *why);
void model_close(model *m);

/* Whether the queries of a layer see the newest local_window tokens only, rotated by local_rope. */
bool model_layer_is_local(const model *m, int32_t layer);
int32_t model_local_layers(const model *m); /* how many of them there are */

/* Memory that lives as long as the model. */
void *model_allocate(model *m, uint64_t count, size_t size, failure *why);

/* The two loaders behind model_from_bytes. */
bool load_gguf(model *m, failure *why);
bool load_llama2c(model *m, failure *why);

#endif
