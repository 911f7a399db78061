/* Writes keys and values into tiles, and finds them there.
 *
 * SPDX-License-Identifier: MIT
 */
#include "store.h"

#include <string.h>

void sai_store_key(const sa_cache *cache, const sai_layer *layer, const sai_region *region, int32_t kv_head,
                   uint64_t position, const void *key) {
    size_t slot = (size_t)(position % sai_region_tokens(region)), dk = (size_t)layer->dk;
    size_t first = (slot / 16 * dk) * 16 + slot % 16; /* element [tile][dim 0][lane] */
    char *head = (char *)sai_at(cache, region->k_at) + (size_t)kv_head * region->k_head;
    if (layer->k_dtype == SA_F32) {
        float *to = (float *)head + first;
        for (size_t d = 0; d < dk; d++) to[16 * d] = ((const float *)key)[d];
    } else {
        uint16_t *to = (uint16_t *)head + first;
        for (size_t d = 0; d < dk; d++) to[16 * d] = ((const uint16_t *)key)[d];
    }
}

void sai_store_value(const sa_cache *cache, const sai_layer *layer, const sai_region *region, int32_t kv_head,
                     uint64_t position, const void *value) {
    size_t slot = (size_t)(position % sai_region_tokens(region)), size = sai_dtype_size(layer->v_dtype);
    char *head = (char *)sai_at(cache, region->v_at) + (size_t)kv_head * region->v_head;
    memcpy(head + slot * (size_t)layer->dv_pad * size, value, (size_t)layer->dv * size);
}

sai_tiles sai_tiles_of(const sa_cache *cache, const sai_layer *layer, const sai_region *region, int32_t kv_head) {
    sai_tiles t;
    t.k = (const char *)sai_at(cache, region->k_at) + (size_t)kv_head * region->k_head;
    t.v = (const char *)sai_at(cache, region->v_at) + (size_t)kv_head * region->v_head;
    t.k_tile = 16 * (size_t)layer->dk * sai_dtype_size(layer->k_dtype);
    t.v_tile = 16 * (size_t)layer->dv_pad * sai_dtype_size(layer->v_dtype);
    t.n_tiles = region->n_tiles;
    return t;
}
