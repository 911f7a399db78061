/* Writes keys and values into tiles, and finds them there.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_STORE_H
#define SAI_STORE_H

#include "cache.h"

/* Writes one token's key (dk) and value (dv) of a kv head, in the layer's stored dtypes, at a position. */
void sai_store_key(const sa_cache *cache, const sai_layer *layer, const sai_region *region, int32_t kv_head,
                   uint64_t position, const void *key);
void sai_store_value(const sa_cache *cache, const sai_layer *layer, const sai_region *region, int32_t kv_head,
                     uint64_t position, const void *value);

/* A kv head's tiles of a region. Position p lies in tile p / 16 modulo n_tiles. */
typedef struct sai_tiles {
    const char *k, *v;
    size_t k_tile, v_tile; /* bytes from a tile to the next */
    uint64_t n_tiles;
} sai_tiles;

sai_tiles sai_tiles_of(const sa_cache *cache, const sai_layer *layer, const sai_region *region, int32_t kv_head);

#endif
