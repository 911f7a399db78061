/* The rows of cos and sin that a call needs, kept from layer to layer.
 *
 * SPDX-License-Identifier: MIT
 */
#include "turns.h"

void sai_turns_make(sa_cache *cache, const sai_layer *layer, uint64_t first, uint64_t step, int32_t n) {
    sai_rope_memo *memo = &cache->memo;
    if (layer->rope.pairs == 0) return;
    if (memo->rope_id == layer->rope_id && memo->first == first && memo->step == step && memo->n >= n) return;
    const uint64_t *frequencies = (const uint64_t *)sai_at(cache, layer->frequencies_at);
    float *row = (float *)sai_at(cache, cache->rope_at);
    for (int32_t i = 0; i < n; i++, row += cache->rope_stride)
        sai_rope_row(&layer->rope, frequencies, first + (uint64_t)i * step, row);
    memo->rope_id = layer->rope_id;
    memo->first = first;
    memo->step = step;
    memo->n = n;
}
