/* Numbers as little-endian bytes, and the checksum of a snapshot.
 *
 * SPDX-License-Identifier: MIT
 *
 * A snapshot is made of lines of 128 bytes, of 16 words. The checksum takes words i and i + 8 of a line into lane i, so
 * that the eight chains do not wait for each other, and multiplies once for both: with a product for each word it would
 * be slower than memory is.
 */
#ifndef SAI_BYTES_H
#define SAI_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SAI_SUM_FACTOR UINT64_C(0x9e3779b97f4a7c15) /* 2^64 / golden ratio, odd */

enum { SAI_LINE = 128, SAI_SUM_LANES = 8 };

static inline uint64_t sai_round_line(uint64_t size) { return (size + SAI_LINE - 1) / SAI_LINE * SAI_LINE; }

/* Compilers know the answer. */
static inline int sai_is_big_endian(void) {
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 0;
}

static inline uint32_t sai_get32(const unsigned char *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}
static inline uint64_t sai_get64(const unsigned char *at) {
    return (uint64_t)sai_get32(at) | (uint64_t)sai_get32(at + 4) << 32;
}
static inline void sai_set32(unsigned char *at, uint32_t x) {
    for (int i = 0; i < 4; i++) at[i] = (unsigned char)(x >> (8 * i));
}
static inline void sai_set64(unsigned char *at, uint64_t x) {
    sai_set32(at, (uint32_t)x);
    sai_set32(at + 4, (uint32_t)(x >> 32));
}
static inline float sai_get_float(const unsigned char *at) {
    uint32_t bits = sai_get32(at);
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
static inline void sai_set_float(unsigned char *at, float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    sai_set32(at, bits);
}

/* Takes one more word into a chain. */
static inline uint64_t sai_sum_step(uint64_t lane, uint64_t word) {
    lane ^= word;
    return (lane << 29 | lane >> 35) * SAI_SUM_FACTOR;
}

typedef struct sai_sum {
    uint64_t lanes[SAI_SUM_LANES];
} sai_sum;

void sai_sum_begin(sai_sum *sum);
void sai_sum_add(sai_sum *sum, const unsigned char *lines, size_t size); /* whole lines */

/* Copies whole lines, past the caches where that is possible: they are not read again soon, and memory need not be read
 * before it is written. Before others may see them, sai_lines_end. */
void sai_lines_copy(unsigned char *to, const unsigned char *from, size_t size);
void sai_lines_end(void);

/* The same, and adds them. */
void sai_sum_copy(sai_sum *sum, unsigned char *to, const unsigned char *from, size_t size);

uint64_t sai_sum_end(const sai_sum *sum);

#endif
