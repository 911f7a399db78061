/* Rows of cos and sin that calls need, kept from layer to layer.
 *
 * SPDX-License-Identifier: MIT
 *
 * Rows are found by a key that stands at one place of a small table: a second set with the same place replaces the
 * first, which costs time and nothing else. The rows themselves are taken one after the other, until all are forgotten.
 */
#include "exact.h"

#include "rotations.h"

#include "kernels/kernel.h"

static sai_rotations_key *rotations_place(const sa_pool *pool, const sai_rotations *r) {
    uint64_t hash =
        (r->first ^ (uint64_t)(uint32_t)r->rope_id << 40 ^ (uint64_t)(r->step + 2) << 60) * 0x9e3779b97f4a7c15u;
    return (sai_rotations_key *)sai_at(pool, pool->work.keys_at) + (hash >> 32) % SAI_ROTATION_KEYS;
}

/* Where the next n rows go, or -1. */
static int32_t rotations_room(sai_workspace *work, int32_t n) {
    if (n > work->rotation_rows - work->rotation_used) return -1;
    work->rotation_used += n;
    return work->rotation_used - n;
}

void sai_rotations_clear(sa_pool *pool) {
    pool->work.rotation_used = 0;
    pool->work.rotation_filling++;
}

int32_t sai_rotations_take(sa_pool *pool, const sai_layer *layer, const sai_rotations *r) {
    sai_workspace *work = &pool->work;
    sai_rotations_key *k = rotations_place(pool, r);
    if (k->filled == work->rotation_filling && k->first == r->first && k->rope_id == r->rope_id && k->step == r->step &&
        k->n >= r->n)
        return k->row;
    sai_rotations_key key = {r->first, r->rope_id, r->n, r->step, rotations_room(work, r->n), work->rotation_filling};
    if (key.row < 0) return -1;
    const uint64_t *frequencies = (const uint64_t *)sai_at(pool, layer->frequencies_at);
    float *row = (float *)sai_at(pool, work->rotations_at) + (size_t)key.row * (size_t)work->rotation_stride;
    uint64_t position = r->first;
    for (int32_t i = 0; i < r->n; i++, row += work->rotation_stride, position += (uint64_t)(int64_t)r->step)
        sai_kernels_of(pool->isa)->rope_row(&layer->rope, frequencies, position, row);
    *k = key;
    return key.row;
}
