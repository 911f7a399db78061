/* The rotations that a call needs, as rows of cos and sin, kept from layer to layer.
 *
 * SPDX-License-Identifier: MIT
 *
 * Calls of few tokens leave room for two sets of rows: some models rotate every other layer by another theta.
 */
#include "exact.h"

#include "rotations.h"

#include "kernels/kernel.h"

static int rotations_kept(const sai_rope_memo *m, int32_t rope_id, uint64_t first, uint64_t step, int32_t n) {
    return m->rope_id == rope_id && m->first == first && m->step == step && m->n >= n;
}

static int32_t rotations_row(const sa_cache *cache, int memo) {
    return memo ? cache->max_append - cache->max_append / 2 : 0;
}

/* The set that n new rows replace: not the one in use, if both halves are large enough. Overlapping rows of the other
 * set are dropped too. */
static int rotations_choose(sa_cache *cache, int32_t n) {
    int32_t half = rotations_row(cache, 1);
    if (n > cache->max_append / 2 || cache->rope_row != 0) {
        if (n > half) cache->memo[1].rope_id = -1;
        return 0;
    }
    if (cache->memo[0].n > half) cache->memo[0].n = half;
    return 1;
}

void sai_rotations_make(sa_cache *cache, const sai_layer *layer, uint64_t first, uint64_t step, int32_t n) {
    if (layer->rope.pairs == 0) return;
    for (int m = 0; m < 2; m++)
        if (rotations_kept(&cache->memo[m], layer->rope_id, first, step, n)) {
            cache->rope_row = rotations_row(cache, m);
            return;
        }
    int chosen = rotations_choose(cache, n);
    cache->rope_row = rotations_row(cache, chosen);
    const sai_kernels *kernels = sai_kernels_of(cache->isa);
    const uint64_t *frequencies = (const uint64_t *)sai_at(cache, layer->frequencies_at);
    float *row = (float *)sai_at(cache, cache->rope_at) + (size_t)cache->rope_row * (size_t)cache->rope_stride;
    for (int32_t i = 0; i < n; i++, row += cache->rope_stride)
        kernels->rope_row(&layer->rope, frequencies, first + (uint64_t)i * step, row);
    sai_rope_memo memo = {layer->rope_id, n, first, step};
    cache->memo[chosen] = memo;
}

float *sai_rotations_own(sa_cache *cache, int32_t i) {
    cache->rope_row = 0;
    cache->memo[0].rope_id = cache->memo[1].rope_id = -1;
    return (float *)sai_at(cache, cache->rope_at) + (size_t)i * (size_t)cache->rope_stride;
}
