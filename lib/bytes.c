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

/* Words i and i + 8 of a line. */
static uint64_t bytes_take(uint64_t lane, const unsigned char *word) {
    uint64_t later = sai_get64(word + SAI_LINE / 2);
    return sai_sum_step(lane, sai_get64(word)) + (later << 17 | later >> 47);
}

/* Eight names in place of an array: they stay in registers. With `to`, copies too. */
static void bytes_add(sai_sum *sum, unsigned char *to, const unsigned char *at, size_t size) {
    uint64_t *lanes = sum->lanes;
    uint64_t a = lanes[0], b = lanes[1], c = lanes[2], d = lanes[3];
    uint64_t e = lanes[4], f = lanes[5], g = lanes[6], h = lanes[7];
    for (const unsigned char *end = at + size; at < end; at += SAI_LINE) {
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
    if (!bytes_can_stream(to)) memcpy(to, from, size);
    bytes_add(sum, bytes_can_stream(to) ? to : NULL, from, size);
}

void sai_lines_copy(unsigned char *to, const unsigned char *from, size_t size) {
    for (size_t at = 0; bytes_can_stream(to) && at < size; at += 16) sai_stream16(to + at, from + at);
    if (!bytes_can_stream(to)) memcpy(to, from, size);
}

void sai_lines_end(void) { sai_stream_end(); }

uint64_t sai_sum_end(const sai_sum *sum) {
    uint64_t all = 0;
    for (int i = 0; i < SAI_SUM_LANES; i++) all = sai_sum_step(all, sum->lanes[i]);
    return all ^ all >> 32;
}
