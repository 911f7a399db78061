/*
 * One token through all layers, in plain loops.
 *
 * SPDX-License-Identifier: MIT
 */
#include "llama2c.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOGETHER = 8 };

/* The sums of 8 rows of `cols`: side by side, since each is a chain of additions that wait for each other. */
static void multiply_rows(const float *w, const float *x, float *y, int32_t cols) {
    float sums[TOGETHER] = {0};
    for (int32_t i = 0; i < cols; i++) {
        for (int32_t r = 0; r < TOGETHER; r++) {
            sums[r] += w[(size_t)r * (size_t)cols + (size_t)i] * x[i];
        }
    }
    memcpy(y, sums, sizeof sums);
}

/* y = W x, W (rows, cols) */
static void multiply(const float *w, const float *x, float *y, int32_t rows, int32_t cols) {
    int32_t r = 0;
    for (; r + TOGETHER <= rows; r += TOGETHER) {
        multiply_rows(w + (size_t)r * (size_t)cols, x, y + r, cols);
    }
    for (; r < rows; r++) {
        y[r] = 0.0f;
        for (int32_t i = 0; i < cols; i++) {
            y[r] += w[(size_t)r * (size_t)cols + (size_t)i] * x[i];
        }
    }
}

/* y = x / rms(x) * weight; y may be x. */
static void norm(const float *x, const float *weight, float *y, int32_t n) {
    float sum = 0.0f;
    for (int32_t i = 0; i < n; i++) {
        sum += x[i] * x[i];
    }
    float scale = 1.0f / sqrtf(sum / (float)n + 1e-5f);
    for (int32_t i = 0; i < n; i++) {
        y[i] = x[i] * scale * weight[i];
    }
}

static void add(float *x, const float *y, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        x[i] += y[i];
    }
}

static int attention_block(pass *p, int32_t l, int64_t t) {
    const checkpoint *c = p->c;
    size_t dim = (size_t)c->dim, kv = (size_t)c->kv_dim, i = (size_t)l;
    norm(p->x, c->attn_norm + i * dim, p->h, c->dim);
    multiply(c->q + i * dim * dim, p->h, p->q, c->dim, c->dim);
    multiply(c->k + i * dim * kv, p->h, p->k, c->kv_dim, c->dim);
    multiply(c->v + i * dim * kv, p->h, p->v, c->kv_dim, c->dim);
    int status = p->a.attend(p->a.state, l, t, p->q, p->k, p->v, p->results);
    multiply(c->out + i * dim * dim, p->results, p->h, c->dim, c->dim);
    add(p->x, p->h, c->dim);
    return status;
}

static void ffn_block(pass *p, int32_t l) {
    const checkpoint *c = p->c;
    size_t dim = (size_t)c->dim, hidden = (size_t)c->hidden, i = (size_t)l;
    norm(p->x, c->ffn_norm + i * dim, p->h, c->dim);
    multiply(c->gate + i * dim * hidden, p->h, p->gate, c->hidden, c->dim);
    multiply(c->up + i * dim * hidden, p->h, p->up, c->hidden, c->dim);
    for (int32_t j = 0; j < c->hidden; j++) {
        p->gate[j] = p->gate[j] / (1.0f + expf(-p->gate[j])) * p->up[j];
    }
    multiply(c->down + i * dim * hidden, p->gate, p->h, c->dim, c->hidden);
    add(p->x, p->h, c->dim);
}

int pass_token(pass *p, int32_t id, int64_t t) {
    const checkpoint *c = p->c;
    memcpy(p->x, c->embedding + (size_t)id * (size_t)c->dim, (size_t)c->dim * sizeof *p->x);
    for (int32_t l = 0; l < c->n_layers; l++) {
        int status = attention_block(p, l, t);
        if (status != 0) {
            return status;
        }
        ffn_block(p, l);
    }
    norm(p->x, c->last_norm, p->x, c->dim);
    multiply(c->output, p->x, p->logits, c->n_vocab, c->dim);
    return 0;
}

void pass_open(pass *p, const checkpoint *c, attention a) {
    size_t dim = (size_t)c->dim, kv = (size_t)c->kv_dim, hidden = (size_t)c->hidden;
    *p = (pass){c,
                a,
                floats(dim),
                floats(dim),
                floats(dim),
                floats(kv),
                floats(kv),
                floats(dim),
                floats(hidden),
                floats(hidden),
                floats((size_t)c->n_vocab)};
}

void pass_close(pass *p) {
    float *buffers[] = {p->x, p->h, p->q, p->k, p->v, p->results, p->gate, p->up, p->logits};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++) {
        free(buffers[i]);
    }
    p->a.close(p->a.state);
}
