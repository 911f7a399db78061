/* The checksum of a snapshot, and copies of whole lines.
 *
 * SPDX-License-Identifier: MIT
 *
 * Against damage, not against an enemy: who can write a snapshot can write its checksum too.
 */
#include "exact.h"

#include "bytes.h"

#include "kernels/compiler.h"

void sai_sum_begin(sai_sum *sum) {
    for (int i = 0; i < SAI_SUM_LANES; i++) sum->lanes[i] = (uint64_t)(i + 1) * SAI_SUM_FACTOR;
}

enum {
    BYTES_AHEAD = 2048
}; /* processors that fetch ahead by themselves do not do so far enough: a third of the time */

/* Fetches a line that comes later, or lies behind the last one, which does no harm. */
static inline void bytes_prefetch(const unsigned char *at) {
    SAI_PREFETCH((const unsigned char *)((uintptr_t)at + BYTES_AHEAD));
    SAI_PREFETCH((const unsigned char *)((uintptr_t)at + BYTES_AHEAD + SAI_LINE / 2));
}

/* As sai_get64, in one load where the order of bytes is ours: what takes many operations is not put in line. */
static inline uint64_t bytes_word(const unsigned char *at) {
    uint64_t word;
    if (sai_is_big_endian()) return sai_get64(at);
    memcpy(&word, at, sizeof word);
    return word;
}

/* Words i and i + 8 of a line. */
static inline uint64_t bytes_take(uint64_t lane, const unsigned char *word) {
    uint64_t first = bytes_word(word), later = bytes_word(word + SAI_LINE / 2);
    return sai_sum_step(lane, first) + (later << 17 | later >> 47);
}

/* Eight names in place of an array: they stay in registers. With `to`, copies too. */
SAI_INLINE_ALWAYS void bytes_add(sai_sum *sum, unsigned char *to, const unsigned char *at, size_t size) {
    uint64_t *lanes = sum->lanes;
    uint64_t a = lanes[0], b = lanes[1], c = lanes[2], d = lanes[3];
    uint64_t e = lanes[4], f = lanes[5], g = lanes[6], h = lanes[7];
    for (const unsigned char *end = at + size; at < end; at += SAI_LINE) {
        bytes_prefetch(at);
        a = bytes_take(a, at);
        b = bytes_take(b, at + 8);
        c = bytes_take(c, at + 16);
        d = bytes_take(d, at + 24);
        e = bytes_take(e, at + 32);
        f = bytes_take(f, at + 40);
        g = bytes_take(g, at + 48);
        h = bytes_take(h, at + 56);
        if (!to) continue;
        for (int i = 0; i < SAI_LINE; i += 16) sai_stream16(to + i, at + i);
        to += SAI_LINE;
    }
    lanes[0] = a, lanes[1] = b, lanes[2] = c, lanes[3] = d;
    lanes[4] = e, lanes[5] = f, lanes[6] = g, lanes[7] = h;
}

void sai_sum_add(sai_sum *sum, const unsigned char *lines, size_t size) { bytes_add(sum, NULL, lines, size); }

static int bytes_can_stream(const unsigned char *to) { return (uintptr_t)to % 16 == 0; }

void sai_sum_copy(sai_sum *sum, unsigned char *to, const unsigned char *from, size_t size) {
    if (bytes_can_stream(to)) {
        bytes_add(sum, to, from, size);
        return;
    }
    memcpy(to, from, size);
    bytes_add(sum, NULL, from, size);
}

void sai_lines_copy(unsigned char *to, const unsigned char *from, size_t size) {
    if (!bytes_can_stream(to)) memcpy(to, from, size);
    for (const unsigned char *end = from + size; bytes_can_stream(to) && from < end; from += SAI_LINE, to += SAI_LINE) {
        bytes_prefetch(from);
        for (int i = 0; i < SAI_LINE; i += 16) sai_stream16(to + i, from + i);
    }
}

void sai_lines_end(void) { sai_stream_end(); }

uint64_t sai_sum_end(const sai_sum *sum) {
    uint64_t all = 0;
    for (int i = 0; i < SAI_SUM_LANES; i++) all = sai_sum_step(all, sum->lanes[i]);
    return all ^ all >> 32;
}
