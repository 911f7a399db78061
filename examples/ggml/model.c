/*
 * From a GGUF file to tensors, by ggml's own reader.
 *
 * SPDX-License-Identifier: MIT
 */
#include "host.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

static int64_t key_of(const model *m, const char *name, enum gguf_type type) {
    char key[64];
    snprintf(key, sizeof key, "llama.%s", name);
    int64_t id = gguf_find_key(m->file, key);
    if (id >= 0 && gguf_get_kv_type(m->file, id) != type) {
        die("%s has another type than is usual", key);
    }
    return id;
}

static int32_t number(const model *m, const char *name) {
    int64_t id = key_of(m, name, GGUF_TYPE_UINT32);
    if (id < 0) {
        die("llama.%s is missing", name);
    }
    return (int32_t)gguf_get_val_u32(m->file, id);
}

static float real_number(const model *m, const char *name, float otherwise) {
    int64_t id = key_of(m, name, GGUF_TYPE_FLOAT32);
    return id < 0 ? otherwise : gguf_get_val_f32(m->file, id);
}

static struct ggml_tensor *tensor(const model *m, const char *name, int64_t cols, int64_t rows) {
    struct ggml_tensor *t = ggml_get_tensor(m->tensors, name);
    if (t == NULL || t->ne[0] != cols || t->ne[1] != rows) {
        die("tensor %s is missing, or has another shape", name);
    }
    return t;
}

static struct ggml_tensor *layer_tensor(const model *m, int32_t l, const char *name, int64_t cols, int64_t rows) {
    char full[64];
    snprintf(full, sizeof full, "blk.%d.%s.weight", l, name);
    return tensor(m, full, cols, rows);
}

static void read_layer(model *m, int32_t l, int64_t hidden) {
    int64_t dim = m->dim, heads = m->n_heads * m->head_dim, kv = m->n_kv_heads * m->head_dim;
    m->layers[l] = (layer){.attn_norm = layer_tensor(m, l, "attn_norm", dim, 1),
                           .q = layer_tensor(m, l, "attn_q", dim, heads),
                           .k = layer_tensor(m, l, "attn_k", dim, kv),
                           .v = layer_tensor(m, l, "attn_v", dim, kv),
                           .out = layer_tensor(m, l, "attn_output", heads, dim),
                           .ffn_norm = layer_tensor(m, l, "ffn_norm", dim, 1),
                           .gate = layer_tensor(m, l, "ffn_gate", dim, hidden),
                           .up = layer_tensor(m, l, "ffn_up", dim, hidden),
                           .down = layer_tensor(m, l, "ffn_down", hidden, dim)};
}

static void read_numbers(model *m) {
    int64_t family = gguf_find_key(m->file, "general.architecture");
    if (family < 0 || strcmp(gguf_get_val_str(m->file, family), "llama") != 0) {
        die("this example knows the family llama alone");
    }
    if (gguf_find_key(m->file, "llama.rope.scaling.type") >= 0 || ggml_get_tensor(m->tensors, "rope_freqs.weight")) {
        die("this example knows no scaled rotations");
    }
    m->n_layers = number(m, "block_count");
    m->dim = number(m, "embedding_length");
    m->n_heads = number(m, "attention.head_count");
    m->n_kv_heads = number(m, "attention.head_count_kv");
    m->head_dim = number(m, "rope.dimension_count");
    m->norm_epsilon = real_number(m, "attention.layer_norm_rms_epsilon", 1e-5f);
    m->rope_theta = real_number(m, "rope.freq_base", 10000.0f);
}

void model_open(model *m, const char *path) {
    memset(m, 0, sizeof *m);
    m->file = gguf_init_from_file(path, (struct gguf_init_params){.no_alloc = false, .ctx = &m->tensors});
    if (m->file == NULL) {
        die("%s cannot be read as a GGUF file", path);
    }
    read_numbers(m);
    m->embedding = ggml_get_tensor(m->tensors, "token_embd.weight");
    m->n_vocab = m->embedding == NULL ? 0 : (int32_t)m->embedding->ne[1];
    m->embedding = tensor(m, "token_embd.weight", m->dim, m->n_vocab);
    m->output_norm = tensor(m, "output_norm.weight", m->dim, 1);
    bool shared = ggml_get_tensor(m->tensors, "output.weight") == NULL;
    m->output = shared ? m->embedding : tensor(m, "output.weight", m->dim, m->n_vocab);
    m->layers = calloc((size_t)m->n_layers, sizeof *m->layers);
    if (m->layers == NULL) {
        die("no memory");
    }
    for (int32_t l = 0; l < m->n_layers; l++) {
        read_layer(m, l, number(m, "feed_forward_length"));
    }
}

static struct ggml_tensor *to_f32(model *m, const struct ggml_tensor *t) {
    struct ggml_tensor *f = ggml_new_tensor_2d(m->floats, GGML_TYPE_F32, t->ne[0], t->ne[1]);
    if (t->type == GGML_TYPE_F32) {
        memcpy(f->data, t->data, ggml_nbytes(t));
    } else {
        ggml_get_type_traits(t->type)->to_float(t->data, f->data, ggml_nelements(t));
    }
    return f;
}

void model_to_f32(model *m) {
    size_t size = 0;
    for (struct ggml_tensor *t = ggml_get_first_tensor(m->tensors); t != NULL;
         t = ggml_get_next_tensor(m->tensors, t)) {
        size += (size_t)ggml_nelements(t) * sizeof(float) + ggml_tensor_overhead() + 64;
    }
    m->floats = ggml_init((struct ggml_init_params){.mem_size = size});
    if (m->floats == NULL) {
        die("no memory");
    }
    m->output = to_f32(m, m->output);
    for (int32_t i = 0; i < m->n_layers; i++) {
        layer *l = &m->layers[i];
        struct ggml_tensor **products[] = {&l->q, &l->k, &l->v, &l->out, &l->gate, &l->up, &l->down};
        for (size_t j = 0; j < sizeof products / sizeof products[0]; j++) {
            *products[j] = to_f32(m, *products[j]);
        }
    }
}

void model_close(model *m) {
    free(m->layers);
    ggml_free(m->floats);
    ggml_free(m->tensors);
    gguf_free(m->file);
}
