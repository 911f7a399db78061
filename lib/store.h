/* Writes keys and values into tiles, and finds them there.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_STORE_H
#define SAI_STORE_H

#include "cache.h"

/* Bytes of a tile of 16 keys or values of a stored dtype. */
size_t sai_key_tile(int32_t dtype, int32_t dk);
size_t sai_value_tile(int32_t dtype, int32_t dv_pad);

/* Writes one token's key (dk) and value (dv) of a kv head, of the region's dtypes, at a position. A key
 * may be changed; a recent region is never of integers, so it leaves it as it is. */
void sai_store_key(const sa_cache *cache, const sai_layer *layer, const sai_region *region, int32_t kv_head,
                   uint64_t position, float *key);
void sai_store_value(const sa_cache *cache, const sai_layer *layer, const sai_region *region, int32_t kv_head,
                     uint64_t position, const float *value);

/* A kv head's tiles of a region. Position p lies in tile p / 16 modulo n_tiles. */
typedef struct sai_tiles {
    const char *k, *v;
    size_t k_tile, v_tile; /* bytes from a tile to the next */
    uint64_t n_tiles;
    int32_t k_dtype, v_dtype;
} sai_tiles;

/* Where the key and the value of a position are stored: of keys the tile, of integer values too. */
const char *sai_key_at(const sai_tiles *tiles, uint64_t position);
const char *sai_value_at(const sai_tiles *tiles, uint64_t position);

sai_tiles sai_tiles_of(const sa_cache *cache, const sai_layer *layer, const sai_region *region, int32_t kv_head);

#endif
