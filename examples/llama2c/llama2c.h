/*
 * A small program for llama2.c checkpoints, as such programs are usually written, with two attentions to choose from.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef LLAMA2C_H
#define LLAMA2C_H

#include <stddef.h>
#include <stdint.h>

/* A "version 0" file: seven numbers, then all weights as floats, read into memory as one. */
typedef struct checkpoint {
    int32_t dim, hidden, n_layers, n_heads, n_kv_heads, n_vocab, context;
    int32_t head_dim, kv_dim; /* dim / n_heads, and n_kv_heads of these */
    float *weights;
    const float *embedding, *attn_norm, *q, *k, *v, *out, *ffn_norm, *gate, *down, *up, *last_norm, *output;
} checkpoint;

/* Ends the program with a sentence if the file is none. */
void checkpoint_open(checkpoint *c, const char *path);
void checkpoint_close(checkpoint *c);
void die(const char *sentence, const char *what);
float *floats(size_t n); /* zeroed, or the end of the program */

/* What keeps keys and values and attends: one for each way. */
typedef struct attention {
    void *state;
    /* The newest token's results (n_heads, head_dim) in layer l, at stream position t; q and k come unrotated, and are
     * the attention's to change. 0 on success. */
    int (*attend)(void *state, int32_t l, int64_t t, float *q, float *k, float *v, float *out);
    size_t (*bytes)(const void *state); /* of memory, all of it */
    void (*close)(void *state);
} attention;

/* The usual way: two arrays of `context` rows a layer, and loops over them. Ends when they are full. */
attention attention_array(const checkpoint *c, int32_t context);
/* sinkattn: goes on for ever on `sinks` + `window` rows. */
attention attention_cache(const checkpoint *c, int32_t sinks, int32_t window);

/* The numbers of one token on its way through the layers. */
typedef struct pass {
    const checkpoint *c;
    attention a;
    float *x, *h, *q, *k, *v, *results, *gate, *up, *logits;
} pass;

void pass_open(pass *p, const checkpoint *c, attention a);
/* 0 on success; p->logits are then those of the next token. */
int pass_token(pass *p, int32_t id, int64_t t);
void pass_close(pass *p);

#endif
