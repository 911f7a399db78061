/*
 * The GGUF container: named values and named tensors in one file, every length checked.
 *
 * SPDX-License-Identifier: MIT
 *
 * The file is kept as one block of bytes; strings, values and tensors are pointers into
 * it. After gguf_parse has returned true, everything these structs point at lies inside
 * the block, whatever the file contains.
 */
#ifndef STREAM_GGUF_H
#define STREAM_GGUF_H

#include "support.h"

/* Bytes of the file, not terminated. */
typedef struct text {
    const char *data;
    size_t size;
} text;

bool text_is(text a, const char *b);

typedef struct gguf_value {
    text key;
    uint32_t type;         /* of a scalar, or GGUF_ARRAY */
    uint32_t element_type; /* of an array */
    uint64_t count;        /* elements; 1 for a scalar */
    const uint8_t *data;   /* the first element */
    bool used;             /* gguf_find has returned it */
} gguf_value;

enum {
    GGUF_U8 = 0,
    GGUF_I8 = 1,
    GGUF_U16 = 2,
    GGUF_I16 = 3,
    GGUF_U32 = 4,
    GGUF_I32 = 5,
    GGUF_F32 = 6,
    GGUF_BOOL = 7,
    GGUF_STRING = 8,
    GGUF_ARRAY = 9,
    GGUF_U64 = 10,
    GGUF_I64 = 11,
    GGUF_F64 = 12
};

enum { GGUF_MAX_DIMS = 4 };

typedef struct gguf_tensor {
    text name;
    int32_t type;                 /* QUANT_*, one that quant.h knows */
    uint64_t size[GGUF_MAX_DIMS]; /* elements; size[0] is the row, unused ones are 1 */
    uint64_t rows;                /* the product of the others */
    uint64_t row_bytes;
    const uint8_t *data;
    bool used; /* gguf_find_tensor has returned it: a tensor that is never looked up is one that we do not know */
} gguf_tensor;

typedef struct gguf {
    const uint8_t *bytes;
    size_t n_bytes;
    uint32_t version;
    uint64_t n_values, n_tensors;
    gguf_value *values;
    gguf_tensor *tensors;
} gguf;

/* Reads the structure of a file that lies in memory, which must outlive `g`. On false nothing has to be closed. */
bool gguf_parse(gguf *g, const uint8_t *bytes, size_t n_bytes, failure *why);
void gguf_close(gguf *g);

const gguf_value *gguf_find(const gguf *g, const char *key);
gguf_tensor *gguf_find_tensor(gguf *g, const char *name);

/* A scalar as a number. Missing, of another kind or out of range: false, and *out keeps what it was. */
bool gguf_get_i64(const gguf *g, const char *key, int64_t *out);
bool gguf_get_f64(const gguf *g, const char *key, double *out);
bool gguf_get_text(const gguf *g, const char *key, text *out);
/* An array of that element type; false otherwise. */
bool gguf_get_array(const gguf *g, const char *key, uint32_t element_type, gguf_value *out);

/* Element `index` of an array of numbers. */
double gguf_number_at(const gguf_value *array, uint64_t index);
/* The strings of an array one after the other: start at array->data; each call moves *at on. */
text gguf_next_string(const uint8_t **at);

#endif
