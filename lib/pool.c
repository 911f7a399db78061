/* The public functions of pools: made, ended, opened, forked.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include <string.h>

#include "error.h"
#include "memory.h"
#include "sequence.h"

/* The sizes of the first version. New fields come behind; these stay. */
#define POOL_FIRST_FACTS (offsetof(sa_pool_facts, tile_size) + sizeof(uint64_t))
#define POOL_FIRST_ALLOCATOR (offsetof(sa_allocator, user) + sizeof(void *))

sa_status sa_pool_size(const sa_config *config, size_t *size_out, size_t *alignment_out) {
    sai_verdict verdict;
    size_t size;
    if (!config || !size_out || !alignment_out) return SA_ERR_ARGUMENT;
    sa_status status = sai_layout_size(config, &size, &verdict);
    if (status) return status;
    *size_out = size;
    *alignment_out = SAI_ALIGNMENT;
    return SA_SUCCESS;
}

sa_status sa_pool_init(void *memory, size_t size, const sa_config *config, sa_pool **pool_out) {
    sai_verdict verdict;
    size_t needed;
    if (pool_out) *pool_out = NULL;
    if (!memory || !config || !pool_out) return SA_ERR_ARGUMENT;
    sa_status status = sai_layout_size(config, &needed, &verdict);
    if (status) return status;
    if (size < needed) return SA_ERR_BUFFER;
    if ((uintptr_t)memory % SAI_ALIGNMENT) return SA_ERR_ALIGNMENT;
    memset(memory, 0, needed);
    *pool_out = sai_layout_build(memory, config);
    return SA_SUCCESS;
}

/* The allocator to use: the host's, checked, or ours. */
static sa_status pool_allocator(const sa_allocator *theirs, sa_allocator *out) {
    sa_allocator ours = {sizeof ours, 0, sai_memory_alloc, sai_memory_free, NULL};
    *out = ours;
    if (!theirs) return SA_SUCCESS;
    sa_status status = sai_read_struct(out, sizeof *out, POOL_FIRST_ALLOCATOR, theirs);
    if (status) return status;
    return out->alloc && out->free && !out->reserved ? SA_SUCCESS : SA_ERR_ARGUMENT;
}

sa_status sa_pool_create(const sa_config *config, const sa_allocator *allocator, sa_pool **pool_out) {
    sai_verdict verdict;
    sa_allocator from;
    size_t size;
    if (pool_out) *pool_out = NULL;
    if (!config || !pool_out) return SA_ERR_ARGUMENT;
    sa_status status = sai_layout_size(config, &size, &verdict);
    if (!status) status = pool_allocator(allocator, &from);
    if (status) return status;
    void *memory = from.alloc(from.user, size, SAI_ALIGNMENT);
    if (!memory) return SA_ERR_MEMORY;
    if ((uintptr_t)memory % SAI_ALIGNMENT) {
        from.free(from.user, memory, size);
        return SA_ERR_ALIGNMENT;
    }
    if (allocator) memset(memory, 0, size); /* our own comes zeroed */
    sa_pool *pool = sai_layout_build(memory, config);
    pool->release = from.free;
    pool->release_user = from.user;
    *pool_out = pool;
    return SA_SUCCESS;
}

void sa_pool_destroy(sa_pool *pool) {
    if (pool && pool->release) pool->release(pool->release_user, sai_block_of(pool), (size_t)pool->size);
}

/* -------------------------------- sequences ------------------------------- */

/* A sequence that is not open, or NULL. */
static sa_cache *pool_free_sequence(const sa_pool *pool, int32_t *index) {
    for (*index = 0; *index < pool->n_sequences; ++*index) {
        sa_cache *cache = sai_sequence_at(pool, *index);
        if (!cache->is_open) return cache;
    }
    return NULL;
}

static sai_error pool_open(sa_pool *pool, sa_cache **cache_out) {
    int32_t index;
    if (!cache_out) return SAI_ERROR_CACHE_OUT;
    sa_cache *cache = pool_free_sequence(pool, &index);
    if (!cache) return SAI_ERROR_NO_SEQUENCE;
    pool->work.begun_layer = -1;
    sai_sequence_open(cache, index);
    cache->error = SAI_ERROR_NONE;
    *cache_out = cache;
    return SAI_ERROR_NONE;
}

sa_status sa_pool_open(sa_pool *pool, sa_cache **cache_out) {
    if (cache_out) *cache_out = NULL;
    return pool ? sai_error_keep_pool(pool, pool_open(pool, cache_out)) : SA_ERR_ARGUMENT;
}

sa_status sa_cache_fork(sa_cache *cache, sa_cache **fork_out) {
    if (fork_out) *fork_out = NULL;
    if (!cache) return SA_ERR_ARGUMENT;
    sai_error error = cache->is_open ? pool_open(sai_pool_of(cache), fork_out) : SAI_ERROR_CLOSED;
    if (!error) sai_sequence_fork(cache, *fork_out);
    return sai_error_keep(cache, error);
}

/* ---------------------------------- facts --------------------------------- */

sa_status sa_pool_info(const sa_pool *pool, int32_t layer, int32_t kv_head, sa_pool_facts *info_out) {
    if (!pool || !info_out || layer < 0 || layer >= pool->n_layers) return SA_ERR_ARGUMENT;
    if (kv_head < 0 || kv_head >= sai_layer_of(pool, layer)->layer_kv_heads) return SA_ERR_ARGUMENT;
    uint32_t size = info_out->struct_size;
    if (size < POOL_FIRST_FACTS || size > 4096 || size % 4) return SA_ERR_STRUCT_SIZE;
    const sai_layer *l = sai_lane_of(pool, sai_lane_with(pool, layer, kv_head));
    const sai_arena *arena = &l->arenas[SAI_STORE_MAIN];
    sa_pool_facts info;
    memset(&info, 0, sizeof info);
    info.struct_size = size;
    info.n_sequences = pool->n_sequences;
    info.n_open = pool->n_open;
    info.pool_size = pool->size;
    info.tiles = arena->n_tiles;
    info.tiles_free = arena->n_free;
    info.tile_size = (uint64_t)(arena->k_tile + arena->v_tile) * (uint64_t)l->n_kv_heads;
    memset(info_out, 0, size);
    memcpy(info_out, &info, size < sizeof info ? size : sizeof info);
    return SA_SUCCESS;
}
