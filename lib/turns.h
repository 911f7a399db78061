/* The rows of cos and sin that a call needs, kept from layer to layer.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_TURNS_H
#define SAI_TURNS_H

#include "cache.h"

/* Makes ready the rows for positions first, first + step, ... (n <= max_append of them; modulo 2^64, so
 * step may be "-1"), row i at sai_turn(cache, i). Does nothing for a layer without rotation. */
void sai_turns_make(sa_cache *cache, const sai_layer *layer, uint64_t first, uint64_t step, int32_t n);

/* Row i of the whole table, for a caller who makes rows that are not evenly spaced: what was kept is forgotten. */
float *sai_turns_own(sa_cache *cache, int32_t i);

static inline const float *sai_turn(const sa_cache *cache, int64_t i) {
    return (const float *)sai_at(cache, cache->rope_at) + (cache->rope_row + i) * cache->rope_stride;
}

#endif
