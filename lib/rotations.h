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

/* The row of the table where such rows begin. Those that are not there are made; -1 if they have no room beside all
 * that were made since the last sai_rotations_clear, which forgets all rows. */
int32_t sai_rotations_take(sa_pool *pool, const sai_layer *layer, const sai_rotations *rows);
void sai_rotations_clear(sa_pool *pool);

static inline const float *sai_rotation(const sa_pool *pool, int64_t row) {
    return (const float *)sai_at(pool, pool->work.rotations_at) + row * pool->work.rotation_stride;
}

#endif
