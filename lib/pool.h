/* What a pool is made of: one block of memory, and where everything lies in it.
 *
 * SPDX-License-Identifier: MIT
 *
 *     sa_cache (a sequence) [n_sequences] | sa_pool | sai_layer[n_lanes] | tables | keys and values | workspace
 *
 * The first sequence stands at the start of the block, so that a cache of its own is its block.
 */
#ifndef SAI_POOL_H
#define SAI_POOL_H

#include "model.h"
#include "workspace.h"

struct sa_pool {
    uint64_t size;
    size_t at; /* bytes from the block's start */
    int32_t n_layers, n_threads, max_append, io_dtype, isa;
    int32_t n_sequences, n_open;
    int32_t has_budget; /* the tiles may not suffice for all sequences */
    int32_t error;      /* of the last call: a number of errors.h */
    size_t sequence_size;
    int32_t n_lanes;  /* of all layers */
    size_t layers_at; /* sai_layer[n_lanes]: the lanes of the first layer, of the second, ... */
    size_t lanes_at;  /* int32_t[n_layers + 1]: the first lane of each layer, and n_lanes */
    sai_workspace work;
    sa_parallel_for parallel_for;
    void *parallel_context;
    void (*release)(void *user, void *memory, size_t size); /* NULL: the host owns the block */
    void *release_user;
};

/* A sequence: this, and behind it the spans and tables of every lane. */
struct sa_cache {
    size_t at;      /* bytes from the block's start */
    size_t pool_at; /* of the pool */
    int32_t is_open;
    int32_t is_alone; /* made by sa_cache_create: the pool ends with it */
    int32_t error;    /* of the last call: a number of errors.h */
    int32_t in_batch; /* while a batch is checked: it stands in it already */
};

static inline void *sai_block_of(const sa_pool *pool) { return (char *)(uintptr_t)pool - pool->at; }
static inline sa_pool *sai_pool_of(const sa_cache *cache) {
    return (sa_pool *)(void *)((char *)(uintptr_t)cache - cache->at + cache->pool_at);
}
static inline void *sai_at(const sa_pool *pool, size_t at) { return (char *)sai_block_of(pool) + at; }
static inline sai_layer *sai_lane_of(const sa_pool *pool, int32_t lane) {
    return (sai_layer *)sai_at(pool, pool->layers_at) + lane;
}
/* The first lane of a layer, and with n_layers the end of all: the lanes of layer l are [first(l), first(l + 1)). */
static inline int32_t sai_first_lane(const sa_pool *pool, int32_t layer) {
    return ((const int32_t *)sai_at(pool, pool->lanes_at))[layer];
}
/* The first lane of a layer, for what is the same in all of them. */
static inline sai_layer *sai_layer_of(const sa_pool *pool, int32_t layer) {
    return sai_lane_of(pool, sai_first_lane(pool, layer));
}
/* The number that a lane's kv head has in the host's tensors. */
static inline int32_t sai_host_head(const sa_pool *pool, const sai_layer *lane, int32_t kv_head) {
    return lane->heads_at ? ((const int32_t *)sai_at(pool, lane->heads_at))[kv_head] : kv_head;
}
/* Some of the kv heads that a layer's host tensors have: [first, first + n). */
typedef struct sai_heads {
    int32_t first, n;
} sai_heads;
/* Which of these a lane's kv head is, or -1. */
static inline int32_t sai_head_among(const sa_pool *pool, const sai_layer *lane, int32_t kv_head, sai_heads heads) {
    int32_t at = sai_host_head(pool, lane, kv_head) - heads.first;
    return at < 0 || at >= heads.n ? -1 : at;
}
/* Whether the lane has any of them. */
static inline int sai_lane_has(const sa_pool *pool, const sai_layer *lane, sai_heads heads) {
    for (int32_t h = 0; h < lane->n_kv_heads; h++)
        if (sai_head_among(pool, lane, h, heads) >= 0) return 1;
    return 0;
}
static inline sa_cache *sai_sequence_at(const sa_pool *pool, int32_t index) {
    return (sa_cache *)sai_at(pool, (size_t)index * pool->sequence_size);
}

/* A host tensor with every stride and dtype filled in; strides in bytes. */
typedef struct sai_view {
    char *data;
    int64_t token_stride, head_stride;
    int32_t dtype, reserved;
} sai_view;

static inline char *sai_row_at(const sai_view *v, int64_t token, int64_t head) {
    return v->data + token * v->token_stride + head * v->head_stride;
}

/* The size of a pool, after checking all of its config. */
sa_status sai_layout_size(const sa_config *config, size_t *size_out, sai_verdict *verdict);

/* Builds a pool without open sequences in a zeroed block of that size; the config has been checked. */
sa_pool *sai_layout_build(void *memory, const sa_config *config);

#endif
