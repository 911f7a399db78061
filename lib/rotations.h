/* The rotations that a call needs, as rows of cos and sin, kept from layer to layer.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_ROTATIONS_H
#define SAI_ROTATIONS_H

#include "cache.h"

/* Computes the rows for positions first, first + step, ... (n <= max_append of them; modulo 2^64, so that step may be
 * "-1"), unless they are kept; row i is then at sai_rotation(cache, i). Does nothing for a layer without rotation. */
void sai_rotations_make(sa_cache *cache, const sai_layer *layer, uint64_t first, uint64_t step, int32_t n);

/* Row i of the whole table, for a caller that computes rows which are not evenly spaced: what was kept is dropped. */
float *sai_rotations_own(sa_cache *cache, int32_t i);

static inline const float *sai_rotation(const sa_cache *cache, int64_t i) {
    return (const float *)sai_at(cache, cache->rope_at) + (cache->rope_row + i) * cache->rope_stride;
}

#endif
