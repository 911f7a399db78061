/* Rows of cos and sin that calls need, kept from layer to layer.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_ROTATIONS_H
#define SAI_ROTATIONS_H

#include "pool.h"

/* Rows for positions first, first + step, ... (n of them; modulo 2^64): step 1 or -1, or 0, where one row does. */
typedef struct sai_rotations {
    int32_t rope_id, n, step;
    uint64_t first;
} sai_rotations;

/* The row of the table where such rows begin, which are there already, or -1. */
int32_t sai_rotations_find(const sa_pool *pool, const sai_rotations *rows);

/* Makes such rows, which have not been found; -1 if there is no room beside those that were made since the last
 * sai_rotations_clear. */
int32_t sai_rotations_make(sa_pool *pool, const sai_layer *layer, const sai_rotations *rows);

/* Whether n more rows have room; sai_rotations_clear makes room, and forgets all rows. */
int sai_rotations_fit(const sa_pool *pool, int64_t n);
void sai_rotations_clear(sa_pool *pool);

static inline const float *sai_rotation(const sa_pool *pool, int64_t row) {
    return (const float *)sai_at(pool, pool->work.rotations_at) + row * pool->work.rotation_stride;
}

#endif
