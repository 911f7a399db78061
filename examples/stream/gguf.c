/*
 * The GGUF container: a reader that checks every number of the file before it uses it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "gguf.h"

#include "quant.h"

#include <stdlib.h>
#include <string.h>

bool text_is(text a, const char *b) { return strlen(b) == a.size && memcmp(a.data, b, a.size) == 0; }

/* Where in the bytes the reader is; after a read beyond the end, `bad` stays set and all reads give 0. */
typedef struct cursor {
    const uint8_t *at;
    size_t left;
    bool bad;
} cursor;

static const uint8_t *take(cursor *c, uint64_t size) {
    if (c->bad || size > c->left) {
        c->bad = true;
        return NULL;
    }
    const uint8_t *data = c->at;
    c->at += size;
    c->left -= (size_t)size;
    return data;
}

static uint64_t little_endian(const uint8_t *data, int n) {
    uint64_t x = 0;
    for (int i = n - 1; i >= 0; i--) {
        x = x << 8 | data[i];
    }
    return x;
}

static uint64_t take_number(cursor *c, int n) {
    const uint8_t *data = take(c, (uint64_t)n);
    return data == NULL ? 0 : little_endian(data, n);
}

static text take_text(cursor *c) {
    uint64_t size = take_number(c, 8);
    const uint8_t *data = take(c, size);
    return data == NULL ? (text){"", 0} : (text){(const char *)data, (size_t)size};
}

/* Bytes of one element; 0 for those without a fixed size and for unknown types. */
static size_t element_size(uint32_t type) {
    static const uint8_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return type < sizeof sizes ? sizes[type] : 0;
}

static bool skip_elements(cursor *c, uint32_t type, uint64_t count) {
    if (type == GGUF_STRING) {
        for (uint64_t i = 0; i < count && !c->bad; i++) {
            take_text(c);
        }
        return true;
    }
    size_t size = element_size(type);
    if (size == 0) {
        return false;
    }
    c->bad = c->bad || count > c->left / size;
    take(c, c->bad ? 0 : count * size);
    return true;
}

static bool parse_value(cursor *c, gguf_value *value, failure *why) {
    value->key = take_text(c);
    value->type = (uint32_t)take_number(c, 4);
    value->element_type = value->type;
    value->count = 1;
    if (value->type == GGUF_ARRAY) {
        value->element_type = (uint32_t)take_number(c, 4);
        value->count = take_number(c, 8);
    }
    value->data = c->at;
    if (!skip_elements(c, value->element_type, value->count)) {
        return fail(why, "value '%.*s' has the unknown or nested type %u",
                    (int)(value->key.size < 60 ? value->key.size : 60), value->key.data, value->element_type);
    }
    return true;
}

static bool in_file(cursor *c, const char *what, failure *why) {
    return !c->bad || fail(why, "the file ends in the middle of its %s: it is truncated or damaged", what);
}

/* Room for `count` items that each take at least `least` bytes of the file: a hostile count cannot make us
 * allocate more than a small multiple of the file. */
static void *room_for(const cursor *c, uint64_t count, size_t least, size_t item, failure *why) {
    if (count > c->left / least) {
        fail(why, "the header announces %llu entries, more than the file can hold", (unsigned long long)count);
        return NULL;
    }
    return allocate(count, item, why);
}

static bool parse_values(gguf *g, cursor *c, failure *why) {
    g->values = room_for(c, g->n_values, 13, sizeof *g->values, why);
    if (g->values == NULL) {
        return false;
    }
    for (uint64_t i = 0; i < g->n_values; i++) {
        if (!parse_value(c, &g->values[i], why) || !in_file(c, "metadata", why)) {
            return false;
        }
    }
    return true;
}

/* Everything of a tensor but its data pointer, for which the end of all entries must be known. */
static bool parse_tensor(cursor *c, gguf_tensor *tensor, uint64_t *offset, failure *why) {
    tensor->name = take_text(c);
    int shown_name = (int)(tensor->name.size < 60 ? tensor->name.size : 60);
    uint64_t n_dims = take_number(c, 4);
    if (n_dims > GGUF_MAX_DIMS) {
        return fail(why, "tensor '%.*s' has %llu dimensions", shown_name, tensor->name.data,
                    (unsigned long long)n_dims);
    }
    uint64_t elements = 1;
    for (uint64_t i = 0; i < GGUF_MAX_DIMS; i++) {
        tensor->size[i] = i < n_dims ? take_number(c, 8) : 1;
        /* 2^48 elements are far beyond any memory, and keep every product below in 64 bits. */
        if (tensor->size[i] != 0 && elements > ((uint64_t)1 << 48) / tensor->size[i]) {
            return fail(why, "tensor '%.*s' is too large", shown_name, tensor->name.data);
        }
        elements *= tensor->size[i];
    }
    tensor->type = (int32_t)take_number(c, 4);
    *offset = take_number(c, 8);
    if (c->bad) {
        return in_file(c, "list of tensors", why);
    }
    int32_t block = quant_block_elements(tensor->type);
    if (block == 0) {
        return fail(why, "tensor '%.*s' has weights of type %d (%s), which this program does not read", shown_name,
                    tensor->name.data, tensor->type, quant_name(tensor->type));
    }
    if (elements == 0 || tensor->size[0] % (uint64_t)block != 0) {
        return fail(why, "tensor '%.*s' has rows of %llu elements, not a multiple of %d", shown_name, tensor->name.data,
                    (unsigned long long)tensor->size[0], block);
    }
    tensor->rows = elements / tensor->size[0];
    tensor->row_bytes = tensor->size[0] / (uint64_t)block * quant_block_bytes(tensor->type);
    return true;
}

static bool place_tensor(gguf_tensor *tensor, uint64_t offset, uint64_t start, const gguf *g, failure *why) {
    uint64_t size = tensor->rows * tensor->row_bytes; /* below 2^48 * 8 */
    if (start > g->n_bytes || offset > g->n_bytes - start || size > g->n_bytes - start - offset) {
        return fail(why, "the file ends before the data of tensor '%.*s': it is truncated or damaged",
                    (int)(tensor->name.size < 60 ? tensor->name.size : 60), tensor->name.data);
    }
    tensor->data = g->bytes + start + offset;
    return true;
}

static bool parse_tensors(gguf *g, cursor *c, failure *why) {
    int64_t alignment = 32; /* what the format says where the file does not */
    gguf_get_i64(g, "general.alignment", &alignment);
    if (alignment < 1 || alignment > 1 << 20) {
        return fail(why, "the alignment of the tensors, %lld, is not in 1 .. 2^20", (long long)alignment);
    }
    g->tensors = room_for(c, g->n_tensors, 24, sizeof *g->tensors, why);
    uint64_t *offsets = g->tensors == NULL ? NULL : allocate(g->n_tensors, sizeof *offsets, why);
    bool ok = offsets != NULL;
    for (uint64_t i = 0; ok && i < g->n_tensors; i++) {
        ok = parse_tensor(c, &g->tensors[i], &offsets[i], why);
    }
    uint64_t start = g->n_bytes - c->left;
    start += ((uint64_t)alignment - start % (uint64_t)alignment) % (uint64_t)alignment;
    for (uint64_t i = 0; ok && i < g->n_tensors; i++) {
        ok = place_tensor(&g->tensors[i], offsets[i], start, g, why);
    }
    free(offsets);
    return ok;
}

static bool parse_header(gguf *g, cursor *c, failure *why) {
    const uint8_t *magic = take(c, 4);
    if (magic == NULL || memcmp(magic, "GGUF", 4) != 0) {
        return fail(why, "this is not a GGUF file (it does not begin with the letters GGUF)");
    }
    g->version = (uint32_t)take_number(c, 4);
    if (g->version != 2 && g->version != 3) {
        bool swapped = g->version != 0 && (g->version & 0xffff) == 0;
        return fail(why, "GGUF version %u%s is not supported, only 2 and 3", g->version,
                    swapped ? " (a big-endian file)" : "");
    }
    g->n_tensors = take_number(c, 8);
    g->n_values = take_number(c, 8);
    return in_file(c, "header", why);
}

bool gguf_parse(gguf *g, const uint8_t *bytes, size_t n_bytes, failure *why) {
    memset(g, 0, sizeof *g);
    g->bytes = bytes;
    g->n_bytes = n_bytes;
    cursor c = {bytes, n_bytes, false};
    if (!parse_header(g, &c, why) || !parse_values(g, &c, why) || !parse_tensors(g, &c, why)) {
        gguf_close(g);
        return false;
    }
    return true;
}

void gguf_close(gguf *g) {
    free(g->values);
    free(g->tensors);
    memset(g, 0, sizeof *g);
}

const gguf_value *gguf_find(const gguf *g, const char *key) {
    for (uint64_t i = 0; i < g->n_values; i++) {
        if (text_is(g->values[i].key, key)) {
            g->values[i].used = true;
            return &g->values[i];
        }
    }
    return NULL;
}

gguf_tensor *gguf_find_tensor(gguf *g, const char *name) {
    for (uint64_t i = 0; i < g->n_tensors; i++) {
        if (text_is(g->tensors[i].name, name)) {
            g->tensors[i].used = true;
            return &g->tensors[i];
        }
    }
    return NULL;
}

static double float_at(const uint8_t *data) {
    uint32_t bits = (uint32_t)little_endian(data, 4);
    float x;
    memcpy(&x, &bits, sizeof x);
    return (double)x;
}

static double double_at(const uint8_t *data) {
    uint64_t bits = little_endian(data, 8);
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static bool is_integer(uint32_t type) { return element_size(type) != 0 && type != GGUF_F32 && type != GGUF_F64; }

static int64_t integer_at(const uint8_t *data, uint32_t type) {
    int bits = (int)element_size(type) * 8;
    uint64_t x = little_endian(data, bits / 8);
    bool is_signed = type == GGUF_I8 || type == GGUF_I16 || type == GGUF_I32 || type == GGUF_I64;
    if (is_signed && bits < 64 && (x >> (bits - 1)) != 0) {
        return (int64_t)x - ((int64_t)1 << bits);
    }
    if (bits == 64 && (x >> 63) != 0) {
        return is_signed ? -(int64_t)(~x) - 1 : INT64_MAX;
    }
    return (int64_t)x;
}

bool gguf_get_i64(const gguf *g, const char *key, int64_t *out) {
    const gguf_value *value = gguf_find(g, key);
    if (value == NULL || !is_integer(value->type)) {
        return false;
    }
    *out = integer_at(value->data, value->type);
    return true;
}

bool gguf_get_f64(const gguf *g, const char *key, double *out) {
    const gguf_value *value = gguf_find(g, key);
    if (value == NULL || element_size(value->type) == 0) {
        return false;
    }
    *out = gguf_number_at(value, 0);
    return true;
}

bool gguf_get_text(const gguf *g, const char *key, text *out) {
    const gguf_value *value = gguf_find(g, key);
    if (value == NULL || value->type != GGUF_STRING) {
        return false;
    }
    const uint8_t *at = value->data;
    *out = gguf_next_string(&at);
    return true;
}

bool gguf_get_array(const gguf *g, const char *key, uint32_t element_type, gguf_value *out) {
    const gguf_value *value = gguf_find(g, key);
    if (value == NULL || value->type != GGUF_ARRAY || value->element_type != element_type) {
        return false;
    }
    *out = *value;
    return true;
}

double gguf_number_at(const gguf_value *array, uint64_t index) {
    const uint8_t *data = array->data + index * element_size(array->element_type);
    switch (array->element_type) {
    case GGUF_F32:
        return float_at(data);
    case GGUF_F64:
        return double_at(data);
    default:
        return (double)integer_at(data, array->element_type);
    }
}

text gguf_next_string(const uint8_t **at) {
    uint64_t size = little_endian(*at, 8);
    text found = {(const char *)*at + 8, (size_t)size};
    *at += 8 + size;
    return found;
}
