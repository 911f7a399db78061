/* How keys and values stored as integers lie in their tiles, and a query packed for them.
 *
 * SPDX-License-Identifier: MIT
 *
 * A group is 32 dims of one key or value; it has one scale, a bfloat16, so that a code of 8 bits times
 * its scale is exact in binary32.
 *   K tile   units of 64 bytes, [unit][16 keys][4 bytes], then scales [group][16 keys]. A unit holds dims
 *            4u .. 4u+3 as bytes (code + 128), or 8u .. 8u+3 in the low and 8u+4 .. 8u+7 in the high
 *            nibbles (code + 8)
 *   V tile   [16 keys][group][32 signed bytes], or 16 bytes: dims i in the low and 16 + i in the high
 *            nibbles (code + 8); then scales [16 keys][group]
 *   query    per 4 dims two words: codes 0, 2 and codes 1, 3 as pairs of 16 bits; then per group what
 *            the keys' offset adds, negated; then the query's scale. Codes have 16 bits
 */
#ifndef SAI_INTEGER_TILES_H
#define SAI_INTEGER_TILES_H

#include <stddef.h>
#include <stdint.h>

enum { SAI_GROUP = 32, SAI_MOST_GROUPS = 32, SAI_QUERY_MOST = 127 * 256 + 127 };

static inline int sai_groups(int dims) { return (dims + SAI_GROUP - 1) / SAI_GROUP; }
static inline int sai_query_quads(int dims) { return (dims + 7) / 8 * 2; }
static inline size_t sai_query_words(int dims) { return (size_t)(2 * sai_query_quads(dims) + sai_groups(dims) + 1); }

/* Bytes; `unit` is the dims of a unit, `row` the bytes of a group of V. */
static inline size_t sai_int_key_codes(int dims, int unit) {
    return (size_t)sai_query_quads(dims) * 256 / (size_t)unit;
}
static inline size_t sai_int_key_tile(int dims, int unit) {
    return sai_int_key_codes(dims, unit) + ((size_t)sai_groups(dims) * 32 + 63) / 64 * 64;
}
static inline size_t sai_int_value_tile(int dims, int row) {
    return (size_t)sai_groups(dims) * 16 * (size_t)row + ((size_t)sai_groups(dims) * 32 + 63) / 64 * 64;
}

#endif
