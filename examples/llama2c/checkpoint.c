/*
 * Reads a llama2.c checkpoint.
 *
 * SPDX-License-Identifier: MIT
 */
#include "llama2c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void die(const char *sentence, const char *what) {
    fprintf(stderr, "%s%s%s\n", sentence, what[0] == '\0' ? "" : ": ", what);
    exit(EXIT_FAILURE);
}

float *floats(size_t n) {
    float *memory = calloc(n > 0 ? n : 1, sizeof *memory);
    if (memory == NULL) {
        die("no memory", "");
    }
    return memory;
}

/* Returns whether the embedding's weights are the output's too. */
static int read_numbers(checkpoint *c, FILE *file, const char *path) {
    int32_t n[7] = {0};
    if (fread(n, sizeof n[0], 7, file) != 7) {
        die("this is no llama2.c checkpoint", path);
    }
    c->dim = n[0], c->hidden = n[1], c->n_layers = n[2], c->n_heads = n[3], c->n_kv_heads = n[4];
    c->n_vocab = n[5] < -(1 << 20) ? 0 : abs(n[5]), c->context = n[6];
    const int32_t positive[] = {c->dim, c->hidden, c->n_layers, c->n_heads, c->n_kv_heads, c->n_vocab, c->context};
    for (size_t i = 0; i < sizeof positive / sizeof positive[0]; i++) {
        if (positive[i] < 1 || positive[i] > 1 << 20) {
            die("this is no llama2.c checkpoint", path);
        }
    }
    if (c->n_layers > 4096 || c->dim % c->n_heads != 0 || c->n_heads % c->n_kv_heads != 0 ||
        c->dim / c->n_heads % 2 != 0) {
        die("the header of this checkpoint makes no sense", path);
    }
    c->head_dim = c->dim / c->n_heads;
    c->kv_dim = c->n_kv_heads * c->head_dim;
    return n[5] > 0;
}

/* Where the next tensor begins, in floats; `at` moves behind it. */
static size_t place(size_t *at, size_t count, size_t size) {
    size_t here = *at;
    *at += count * size;
    return here;
}

void checkpoint_open(checkpoint *c, const char *path) {
    FILE *file = fopen(path, "rb");
    memset(c, 0, sizeof *c);
    if (file == NULL) {
        die("this file cannot be opened", path);
    }
    int shared = read_numbers(c, file, path);
    size_t at = 0, layers = (size_t)c->n_layers, dim = (size_t)c->dim, kv = (size_t)c->kv_dim,
           hidden = (size_t)c->hidden, n_vocab = (size_t)c->n_vocab;
    size_t embedding = place(&at, n_vocab, dim), attn_norm = place(&at, layers, dim);
    size_t q = place(&at, layers, dim * dim), k = place(&at, layers, dim * kv), v = place(&at, layers, dim * kv);
    size_t out = place(&at, layers, dim * dim), ffn_norm = place(&at, layers, dim);
    size_t gate = place(&at, layers, dim * hidden), down = place(&at, layers, dim * hidden);
    size_t up = place(&at, layers, dim * hidden), last_norm = place(&at, 1, dim);
    place(&at, (size_t)c->context, (size_t)c->head_dim); /* tables of cosines and sines that nobody reads any more */
    size_t output = shared ? embedding : place(&at, n_vocab, dim);
    c->weights = floats(at);
    if (fread(c->weights, sizeof(float), at, file) != at || fgetc(file) != EOF) {
        die("this checkpoint has another size than its header calls for", path);
    }
    fclose(file);
    const float *w = c->weights;
    c->embedding = w + embedding, c->attn_norm = w + attn_norm, c->q = w + q, c->k = w + k, c->v = w + v;
    c->out = w + out, c->ffn_norm = w + ffn_norm, c->gate = w + gate, c->down = w + down, c->up = w + up;
    c->last_norm = w + last_norm, c->output = w + output;
}

void checkpoint_close(checkpoint *c) { free(c->weights); }
