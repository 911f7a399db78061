/* The checksum of a snapshot.
 *
 * SPDX-License-Identifier: MIT
 *
 * Against damage, not against an enemy: who can write a snapshot can write its checksum too.
 */
#include "exact.h"

#include "bytes.h"

void sai_sum_begin(sai_sum *sum) {
    for (int i = 0; i < SAI_SUM_LANES; i++) sum->lanes[i] = (uint64_t)(i + 1) * SAI_SUM_FACTOR;
}

/* Eight names in place of an array: they stay in registers, and are multiplied one by one, which is faster than vectors
 * where these have no product of 64 bits. */
void sai_sum_add(sai_sum *sum, const unsigned char *at, size_t size) {
    uint64_t *lanes = sum->lanes;
    uint64_t a = lanes[0], b = lanes[1], c = lanes[2], d = lanes[3];
    uint64_t e = lanes[4], f = lanes[5], g = lanes[6], h = lanes[7];
    for (const unsigned char *end = at + size; at < end; at += SAI_LINE) {
        a = sai_sum_step(a, sai_get64(at));
        b = sai_sum_step(b, sai_get64(at + 8));
        c = sai_sum_step(c, sai_get64(at + 16));
        d = sai_sum_step(d, sai_get64(at + 24));
        e = sai_sum_step(e, sai_get64(at + 32));
        f = sai_sum_step(f, sai_get64(at + 40));
        g = sai_sum_step(g, sai_get64(at + 48));
        h = sai_sum_step(h, sai_get64(at + 56));
    }
    lanes[0] = a, lanes[1] = b, lanes[2] = c, lanes[3] = d;
    lanes[4] = e, lanes[5] = f, lanes[6] = g, lanes[7] = h;
}

uint64_t sai_sum_end(const sai_sum *sum) {
    uint64_t all = 0;
    for (int i = 0; i < SAI_SUM_LANES; i++) all = sai_sum_step(all, sum->lanes[i]);
    return all ^ all >> 32;
}
