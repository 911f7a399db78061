/*
 * llama2.c checkpoints, "version 0": seven numbers, then all weights as 32-bit floats.
 *
 * SPDX-License-Identifier: MIT
 *
 * The format does not begin with a magic number, so a file is accepted only if its size is
 * exactly what its seven numbers call for. It has no tokenizer.
 */
#include "model.h"

#include "quant.h"

#include <sinkattn.h>
#include <string.h>

static int32_t i32_at(const uint8_t *p) {
    return (int32_t)((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
}

/* The next `rows` rows of `cols` floats; the sizes have been checked against the file. */
static matrix next_matrix(const uint8_t **at, int64_t rows, int64_t cols) {
    matrix w = {*at, (uint64_t)cols * 4, rows, cols, QUANT_F32};
    *at += (uint64_t)rows * w.row_bytes;
    return w;
}

static bool read_numbers(model *m, bool *shared, int32_t *context, failure *why) {
    int32_t n[7];
    for (int i = 0; i < 7; i++) {
        n[i] = m->n_bytes >= 28 ? i32_at(m->bytes + 4 * i) : 0;
    }
    bool negative = n[5] < 0 && n[5] > INT32_MIN;
    n[5] = negative ? -n[5] : n[5];
    for (int i = 0; i < 7; i++) {
        if (n[i] < 1 || n[i] > 1 << 20) {
            return fail(why, "this is neither a GGUF file nor a llama2.c checkpoint");
        }
    }
    *shared = !negative;
    m->dim = n[0], m->hidden = n[1], m->n_layers = n[2], m->n_heads = n[3], m->n_kv_heads = n[4];
    m->n_vocab = n[5], *context = n[6];
    if (m->n_layers > 4096 || m->dim % m->n_heads != 0 || m->n_heads % m->n_kv_heads != 0 ||
        m->dim / m->n_heads % 2 != 0 || m->dim / m->n_heads > 1024) {
        return fail(why, "this is neither a GGUF file nor a llama2.c checkpoint (its header makes no sense)");
    }
    m->head_dim = m->v_head_dim = m->rope_dims = m->dim / m->n_heads;
    m->trained_context = *context;
    return true;
}

/* In doubles, which cannot overflow here and are exact up to 2^53, more bytes than any file has. */
static double expected_bytes(const model *m, bool shared, int32_t context) {
    double dim = m->dim, kv = (double)m->n_kv_heads * m->head_dim;
    double per_layer = 2 * dim + 2 * dim * dim + 2 * dim * kv + 3 * dim * m->hidden;
    double rotations = (double)context * m->head_dim;
    return 28 + 4 * (m->n_layers * per_layer + (shared ? 1.0 : 2.0) * m->n_vocab * dim + dim + rotations);
}

static const float *vector_of(model *m, const matrix *w, int64_t row, failure *why) {
    float *values = model_allocate(m, (uint64_t)w->cols, sizeof *values, why);
    if (values != NULL) {
        quant_to_float(w->type, w->data + (uint64_t)row * w->row_bytes, w->cols, values);
    }
    return values;
}

bool load_llama2c(model *m, failure *why) {
    bool shared = true;
    int32_t context = 0;
    if (!read_numbers(m, &shared, &context, why)) {
        return false;
    }
    double expected = expected_bytes(m, shared, context);
    if (expected != (double)m->n_bytes) {
        return fail(why, "this is no GGUF file, and as a llama2.c checkpoint it would have %.0f bytes, not %zu",
                    expected, m->n_bytes);
    }
    m->layers = model_allocate(m, (uint64_t)m->n_layers, sizeof *m->layers, why);
    if (m->layers == NULL) {
        return false;
    }
    int64_t dim = m->dim, kv = (int64_t)m->n_kv_heads * m->head_dim, layers = m->n_layers;
    const uint8_t *at = m->bytes + 28;
    m->embedding = next_matrix(&at, m->n_vocab, dim);
    matrix attn_norm = next_matrix(&at, layers, dim);
    matrix q = next_matrix(&at, layers * dim, dim), k = next_matrix(&at, layers * kv, dim);
    matrix v = next_matrix(&at, layers * kv, dim), out = next_matrix(&at, layers * dim, dim);
    matrix ffn_norm = next_matrix(&at, layers, dim);
    matrix gate = next_matrix(&at, layers * m->hidden, dim), down = next_matrix(&at, layers * dim, m->hidden);
    matrix up = next_matrix(&at, layers * m->hidden, dim), last_norm = next_matrix(&at, 1, dim);
    next_matrix(&at, context, m->head_dim); /* tables of cosines and sines: sinkattn makes its own */
    m->output = shared ? m->embedding : next_matrix(&at, m->n_vocab, dim);
    for (int64_t l = 0; l < layers; l++) {
        m->layers[l] = (layer){.attn_norm = vector_of(m, &attn_norm, l, why),
                               .ffn_norm = vector_of(m, &ffn_norm, l, why),
                               .q = matrix_rows(&q, l * dim, dim),
                               .k = matrix_rows(&k, l * kv, kv),
                               .v = matrix_rows(&v, l * kv, kv),
                               .out = matrix_rows(&out, l * dim, dim),
                               .gate = matrix_rows(&gate, l * m->hidden, m->hidden),
                               .up = matrix_rows(&up, l * m->hidden, m->hidden),
                               .down = matrix_rows(&down, l * dim, dim)};
        if (m->layers[l].attn_norm == NULL || m->layers[l].ffn_norm == NULL) {
            return false;
        }
    }
    memcpy(m->family, "llama2.c", sizeof "llama2.c");
    m->norm_epsilon = 1e-5f;
    m->embedding_scale = 1.0f;
    m->rope_layout = SA_ROPE_INTERLEAVED;
    m->rope.theta = 10000.0;
    m->output_norm = vector_of(m, &last_norm, 0, why);
    return m->output_norm != NULL;
}
