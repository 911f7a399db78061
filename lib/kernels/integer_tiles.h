/* How keys and values stored as integers lie in their tiles, and queries and weights packed for them.
 *
 * SPDX-License-Identifier: MIT
 *
 * A group is 32 dims of one key or value; it has one scale, a bfloat16, so that a code of 8 bits times
 * its scale is exact in binary32. Codes are stored unsigned: code + 128, or nibbles code + 8.
 *   K tile   units of 64 bytes, [unit][16 keys][4 bytes], then scales [group][16 keys]. A unit holds dims
 *            4u .. 4u+3, or 8u .. 8u+3 in the low and 8u+4 .. 8u+7 in the high nibbles
 *   V tile   [4 quads of keys][group], each two units [16 dims][4 keys], or one: dims i in the low and 16 + i in
 *            the high nibbles; then scales [group][16 keys]
 *   pack     16 codes of 16 bits of a query or of weights: 8 words, in the order that the dot products of an
 *   instruction set need query    packs; then per group what the keys' offset adds, negated; then the query's scale
 *   weights  of a row and a chunk: packs [16 tiles][group]; then what sai_weights names
 */
#ifndef SAI_INTEGER_TILES_H
#define SAI_INTEGER_TILES_H

#include <stddef.h>
#include <stdint.h>

enum { SAI_GROUP = 32, SAI_PACK = 8 };

/* The greatest code of a query or of weights: of 16 bits both bytes can be signed. */
enum { SAI_MOST_CODE = 127 * 256 + 127, SAI_MOST_BYTE = 127 };

static inline int sai_groups(int dims) { return (dims + SAI_GROUP - 1) / SAI_GROUP; }
static inline int sai_packs(int dims) { return (dims + 15) / 16; }
static inline int sai_query_quads(int dims) { return (dims + 7) / 8 * 2; }
static inline size_t sai_query_words(int dims) { return (size_t)(SAI_PACK * sai_packs(dims) + sai_groups(dims) + 1); }

/* Bytes; `unit` is the dims of a unit, `row` the bytes of a group of V. */
static inline size_t sai_int_key_codes(int dims, int unit) {
    return (size_t)sai_query_quads(dims) * 256 / (size_t)unit;
}
static inline size_t sai_int_key_tile(int dims, int unit) {
    return sai_int_key_codes(dims, unit) + ((size_t)sai_groups(dims) * 32 + 63) / 64 * 64;
}
static inline size_t sai_int_value_codes(int dims, int row) { return (size_t)sai_groups(dims) * 16 * (size_t)row; }
static inline size_t sai_int_value_tile(int dims, int row) {
    return sai_int_value_codes(dims, row) + ((size_t)sai_groups(dims) * 32 + 63) / 64 * 64;
}

/* A row's weights in scratch. */
typedef struct sai_weights {
    int32_t *codes; /* (16, groups) packs */
    int32_t *sums;  /* (32 groups) sums of products, while they are not in registers */
    int32_t *start; /* (groups) what the values' offset adds, negated */
    float *step;    /* (groups) the factor of a sum of products */
} sai_weights;

static inline size_t sai_weight_words(int dims) {
    return ((size_t)sai_groups(dims) * (16 * SAI_PACK + 34) + 15) / 16 * 16;
}
static inline sai_weights sai_weights_at(float *scratch, int r, int groups) {
    sai_weights w;
    w.codes = (int32_t *)(void *)(scratch + (size_t)r * sai_weight_words(SAI_GROUP * groups));
    w.sums = w.codes + 16 * SAI_PACK * (size_t)groups;
    w.start = w.sums + SAI_GROUP * (size_t)groups;
    w.step = (float *)(void *)(w.start + groups);
    return w;
}

#endif
