/*
 * From the names and numbers of a GGUF file to a model; refuses what would not be computed as it was trained.
 *
 * SPDX-License-Identifier: MIT
 *
 * Three rules keep results right. A number or tensor that is needed and missing, or out of
 * range, is an error and never guessed. A tensor that this program does not know is an error
 * too: the model has a part that would be left out silently. And a number of the model that
 * this program does not know is listed in m->unused, which is said on the screen.
 */
#include "loader.h"
#include "quant.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void give_up(loader *l, const char *what, const char *name) {
    if (l->ok) {
        l->ok = fail(l->why, "%s: %s", name, what);
    }
}

int32_t number(loader *l, const char *name, int64_t fallback, int64_t low, int64_t high) {
    char key[128];
    snprintf(key, sizeof key, "%s.%s", l->family->name, name);
    int64_t value = fallback;
    if (gguf_find(&l->m->file, key) != NULL && !gguf_get_i64(&l->m->file, key, &value)) {
        give_up(l, "is not a single whole number; such models are not supported", key);
    }
    if (value < low || value > high) {
        give_up(l, gguf_find(&l->m->file, key) == NULL ? "is missing" : "is out of range", key);
    }
    return l->ok ? (int32_t)value : 0;
}

double real(loader *l, const char *name, double fallback, double low, double high) {
    char key[128];
    snprintf(key, sizeof key, "%s.%s", l->family->name, name);
    double value = fallback;
    if (gguf_find(&l->m->file, key) != NULL && !gguf_get_f64(&l->m->file, key, &value)) {
        give_up(l, "is not a single number; such models are not supported", key);
    }
    if (!(value >= low && value <= high)) {
        give_up(l, gguf_find(&l->m->file, key) == NULL ? "is missing" : "is out of range", key);
    }
    return value;
}

static gguf_tensor *tensor(loader *l, const char *name, int64_t rows, int64_t cols, bool needed) {
    gguf_tensor *found = gguf_find_tensor(&l->m->file, name);
    if (found == NULL) {
        if (needed) {
            give_up(l, "this tensor is missing", name);
        }
        return NULL;
    }
    if ((rows > 0 && found->rows != (uint64_t)rows) || found->size[0] != (uint64_t)cols || found->rows > INT32_MAX) {
        give_up(l, "this tensor does not have the shape that the metadata calls for", name);
        return NULL;
    }
    return found;
}

static matrix matrix_named(loader *l, const char *name, int64_t rows, int64_t cols) {
    gguf_tensor *t = tensor(l, name, rows, cols, true);
    return t == NULL ? (matrix){0} : (matrix){t->data, t->row_bytes, (int64_t)t->rows, cols, t->type};
}

const float *vector_named(loader *l, const char *name, int64_t size, bool needed) {
    gguf_tensor *t = tensor(l, name, 1, size, needed);
    float *values = t == NULL ? NULL : model_allocate(l->m, (uint64_t)size, sizeof *values, l->why);
    if (values != NULL) {
        quant_to_float(t->type, t->data, size, values);
    } else if (t != NULL) {
        l->ok = false;
    }
    return values;
}

/* Rows of a matrix that was looked up; nothing if it was not there, which has been noted. */
static matrix rows_of(const matrix *all, int64_t first, int64_t rows) {
    return all->data == NULL ? (matrix){0} : matrix_rows(all, first, rows);
}

static const char *in_layer(char buffer[64], int32_t index, const char *name) {
    snprintf(buffer, 64, "blk.%d.%s", index, name);
    return buffer;
}

static void read_sizes(loader *l) {
    model *m = l->m;
    m->dim = number(l, "embedding_length", 0, 1, 1 << 20);
    m->n_layers = number(l, "block_count", 0, 1, 4096);
    m->n_heads = number(l, "attention.head_count", 0, 1, 65536);
    m->n_kv_heads = number(l, "attention.head_count_kv", m->n_heads, 1, 65536);
    m->hidden = number(l, "feed_forward_length", 0, 1, 1 << 22);
    m->trained_context = number(l, "context_length", 0, 0, 1 << 30);
    if (!l->ok) {
        return;
    }
    m->head_dim = number(l, "attention.key_length", m->dim / m->n_heads, 1, 1024);
    m->v_head_dim = number(l, "attention.value_length", m->dim / m->n_heads, 1, 1024);
    if (m->n_heads % m->n_kv_heads != 0) {
        give_up(l, "the heads cannot be shared out among them", "attention.head_count_kv");
    }
    if (number(l, "expert_count", 0, 0, 1 << 20) > 0) {
        give_up(l, "mixtures of experts are not supported", l->family->name);
    }
    m->norm_epsilon = (float)real(l, "attention.layer_norm_rms_epsilon", -1.0, 0.0, 1.0);
    m->attn_softcap = (float)real(l, "attn_logit_softcapping", 0.0, 0.0, 1e9);
    m->logit_softcap = (float)real(l, "final_logit_softcapping", 0.0, 0.0, 1e9);
    m->embedding_scale = l->family->scaled_embedding ? sqrtf((float)m->dim) : 1.0f;
    m->activation = l->family->activation;
    if (l->family->wide_layers == m->n_layers) {
        m->attn_scale = sqrtf((float)m->n_heads / (float)m->dim);
    }
    m->attn_scale = (float)real(l, "attention.scale", (double)m->attn_scale, 0.0, 1e6);
}

static void load_attention(loader *l, layer *at, int32_t i) {
    model *m = l->m;
    char name[64];
    int64_t q = (int64_t)m->n_heads * m->head_dim, k = (int64_t)m->n_kv_heads * m->head_dim;
    int64_t v = (int64_t)m->n_kv_heads * m->v_head_dim;
    at->attn_norm = vector_named(l, in_layer(name, i, "attn_norm.weight"), m->dim, true);
    if (l->family->fused) {
        matrix all = matrix_named(l, in_layer(name, i, "attn_qkv.weight"), q + k + v, m->dim);
        at->q = rows_of(&all, 0, q);
        at->k = rows_of(&all, q, k);
        at->v = rows_of(&all, q + k, v);
    } else {
        at->q = matrix_named(l, in_layer(name, i, "attn_q.weight"), q, m->dim);
        at->k = matrix_named(l, in_layer(name, i, "attn_k.weight"), k, m->dim);
        at->v = matrix_named(l, in_layer(name, i, "attn_v.weight"), v, m->dim);
    }
    at->out = matrix_named(l, in_layer(name, i, "attn_output.weight"), m->dim, (int64_t)m->n_heads * m->v_head_dim);
    at->q_bias = vector_named(l, in_layer(name, i, "attn_q.bias"), q, (l->parts & PART_BIAS) != 0);
    at->k_bias = vector_named(l, in_layer(name, i, "attn_k.bias"), k, (l->parts & PART_BIAS) != 0);
    at->v_bias = vector_named(l, in_layer(name, i, "attn_v.bias"), v, (l->parts & PART_BIAS) != 0);
    bool head_norm = (l->parts & PART_HEAD_NORM) != 0, post_norm = (l->parts & PART_POST_NORM) != 0;
    at->q_norm = vector_named(l, in_layer(name, i, "attn_q_norm.weight"), m->head_dim, head_norm);
    at->k_norm = vector_named(l, in_layer(name, i, "attn_k_norm.weight"), m->head_dim, head_norm);
    at->attn_post_norm = vector_named(l, in_layer(name, i, "post_attention_norm.weight"), m->dim, post_norm);
}

static void load_ffn(loader *l, layer *at, int32_t i) {
    model *m = l->m;
    char name[64];
    at->ffn_norm = vector_named(l, in_layer(name, i, "ffn_norm.weight"), m->dim, true);
    at->ffn_post_norm =
        vector_named(l, in_layer(name, i, "post_ffw_norm.weight"), m->dim, (l->parts & PART_POST_NORM) != 0);
    if (l->family->fused) {
        matrix both = matrix_named(l, in_layer(name, i, "ffn_up.weight"), 2 * (int64_t)m->hidden, m->dim);
        at->gate = rows_of(&both, 0, m->hidden);
        at->up = rows_of(&both, m->hidden, m->hidden);
    } else {
        at->gate = matrix_named(l, in_layer(name, i, "ffn_gate.weight"), m->hidden, m->dim);
        at->up = matrix_named(l, in_layer(name, i, "ffn_up.weight"), m->hidden, m->dim);
    }
    at->down = matrix_named(l, in_layer(name, i, "ffn_down.weight"), m->dim, m->hidden);
}

/* A part of which one tensor is there must be there whole: else a layer would be computed without it. */
static int32_t parts_in_file(const gguf *file) {
    static const struct {
        const char *ending;
        int32_t part;
    } tensors[] = {
        {".attn_q.bias", PART_BIAS},
        {".attn_k.bias", PART_BIAS},
        {".attn_v.bias", PART_BIAS},
        {".attn_q_norm.weight", PART_HEAD_NORM},
        {".attn_k_norm.weight", PART_HEAD_NORM},
        {".post_attention_norm.weight", PART_POST_NORM},
        {".post_ffw_norm.weight", PART_POST_NORM},
    };
    int32_t parts = 0;
    for (uint64_t i = 0; i < file->n_tensors; i++) {
        text name = file->tensors[i].name;
        for (size_t k = 0; k < sizeof tensors / sizeof tensors[0]; k++) {
            size_t size = strlen(tensors[k].ending);
            bool ends_so = name.size > size && memcmp(name.data + name.size - size, tensors[k].ending, size) == 0;
            parts |= ends_so ? tensors[k].part : 0;
        }
    }
    return parts;
}

static void refuse_unknown_tensors(loader *l) {
    for (uint64_t i = 0; l->ok && i < l->m->file.n_tensors; i++) {
        const gguf_tensor *t = &l->m->file.tensors[i];
        if (!t->used) {
            l->ok = fail(l->why, "the tensor '%.*s' belongs to a part of the model that is not supported here",
                         (int)(t->name.size < 60 ? t->name.size : 60), t->name.data);
        }
    }
}

static void load_tensors(loader *l) {
    model *m = l->m;
    m->embedding = matrix_named(l, "token_embd.weight", 0, m->dim);
    m->n_vocab = (int32_t)m->embedding.rows;
    m->output_norm = vector_named(l, "output_norm.weight", m->dim, true);
    bool own_output = gguf_find_tensor(&m->file, "output.weight") != NULL;
    l->parts = l->family->parts | parts_in_file(&m->file);
    m->output = own_output ? matrix_named(l, "output.weight", m->n_vocab, m->dim) : m->embedding;
    m->layers = model_allocate(m, (uint64_t)m->n_layers, sizeof *m->layers, l->why);
    l->ok = l->ok && m->layers != NULL;
    for (int32_t i = 0; l->ok && i < m->n_layers; i++) {
        load_attention(l, &m->layers[i], i);
        load_ffn(l, &m->layers[i], i);
    }
    refuse_unknown_tensors(l);
}

/* Programs that split a model number the parts by split.no, from 0 on. Only the first part has the metadata. */
static bool is_whole(const gguf *file, failure *why) {
    int64_t part = 0, parts = 1;
    gguf_get_i64(file, "split.no", &part);
    gguf_get_i64(file, "split.count", &parts);
    return parts <= 1 || fail(why,
                              "this is part %lld of %lld of a model: please join the parts into one file first "
                              "(llama-gguf-split --merge)",
                              (long long)part + 1, (long long)parts);
}

/* Numbers of the model's family that change nothing in what is computed here. */
static bool changes_nothing(text name) {
    static const char *const names[] = {"vocab_size", "expert_used_count", "rope.scaling.finetuned",
                                        "rope.scaling.original_context_length", "tensor_data_layout"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (text_is(name, names[i])) {
            return true;
        }
    }
    return false;
}

static void list_unused_values(loader *l) {
    const gguf *file = &l->m->file;
    char *list = l->m->unused;
    size_t prefix = strlen(l->family->name) + 1, length = 0, room = sizeof l->m->unused;
    for (uint64_t i = 0; i < file->n_values; i++) {
        text key = file->values[i].key;
        if (file->values[i].used || key.size <= prefix || memcmp(key.data, l->family->name, prefix - 1) != 0 ||
            key.data[prefix - 1] != '.' || changes_nothing((text){key.data + prefix, key.size - prefix})) {
            continue;
        }
        int written = snprintf(list + length, room - length, "%s%.*s", length > 0 ? ", " : "",
                               (int)(key.size < 60 ? key.size : 60), key.data);
        length += written > 0 ? (size_t)written : 0;
        if (length >= room) {
            return; /* a list cut off at its end says enough */
        }
    }
}

bool load_gguf(model *m, failure *why) {
    text name = {"", 0};
    if (!gguf_parse(&m->file, m->bytes, m->n_bytes, why)) {
        return false;
    }
    if (!is_whole(&m->file, why)) {
        return false;
    }
    if (!gguf_get_text(&m->file, "general.architecture", &name)) {
        return fail(why, "the file does not name its architecture (general.architecture)");
    }
    loader l = {.m = m, .family = family_find(name.data, name.size), .why = why, .ok = true};
    if (l.family == NULL) {
        return fail(why, "the architecture '%.*s' is not supported; these are: %s",
                    (int)(name.size < 40 ? name.size : 40), name.data, family_names());
    }
    snprintf(m->family, sizeof m->family, "%s", l.family->name);
    read_sizes(&l);
    if (l.ok) {
        read_rotation(&l);
    }
    if (l.ok) {
        load_tensors(&l);
    }
    if (l.ok) {
        list_unused_values(&l);
    }
    return l.ok;
}
