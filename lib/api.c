/* The public functions for a cache's life, stream and facts: check all arguments, then call inside. (step.c has those
 * that append and attend.)
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include <string.h>

#include "cache.h"
#include "error.h"
#include "kernels/kernel.h"
#include "memory.h"

/* The sizes of the first version. New fields come behind; these stay. */
#define API_FIRST_INFO (offsetof(sa_info, max_append) + sizeof(int32_t))
#define API_FIRST_ALLOCATOR (offsetof(sa_allocator, user) + sizeof(void *))

/* ---------------------------------- facts --------------------------------- */

#define API_STRING2(x) #x
#define API_STRING(x) API_STRING2(x)

int32_t sa_version(void) { return SA_VERSION_NUMBER; }

const char *sa_version_string(void) {
    return API_STRING(SA_VERSION_MAJOR) "." API_STRING(SA_VERSION_MINOR) "." API_STRING(SA_VERSION_PATCH);
}

const char *sa_status_string(sa_status status) {
    switch (status) {
    case SA_SUCCESS:
        return "success";
    case SA_ERR_ARGUMENT:
        return "an argument is NULL, negative or out of range";
    case SA_ERR_CONFIG:
        return "the configuration is refused; sa_config_check says why";
    case SA_ERR_STRUCT_SIZE:
        return "struct_size is too small, or fields that this library does not know are set";
    case SA_ERR_MEMORY:
        return "the allocator returned no memory";
    case SA_ERR_BUFFER:
        return "the memory block is smaller than sa_cache_size says";
    case SA_ERR_ALIGNMENT:
        return "a pointer or stride is not aligned as required";
    case SA_ERR_ISA:
        return "the instruction set is not available here";
    case SA_ERR_FORMAT:
        return "stored data is not in a known format";
    case SA_ERR_STATE:
        return "the layer's learned sink rows have not been set, or no step has begun";
    case SA_ERR_OVERFLOW:
        return "a size does not fit memory, or a position is 2^62 or more";
    case SA_ERR_FULL:
        return "the dense layer is full";
    case SA_ERR_DEPTH:
        return "the cache does not hold the tokens that this needs";
    default:
        return "unknown status";
    }
}

int32_t sa_isa_best(void) { return sai_isa_best(); }

int32_t sa_isa_available(int32_t isa) { return sai_isa_available(isa); }

const char *sa_isa_name(int32_t isa) {
    static const char *const names[] = {"auto", "plain",       "plain-nofma",  "avx2",    "avx512",
                                        "neon", "wasm",        "wasm-relaxed", "rvv",     "vsx",
                                        "vxe",  "avx512-vnni", "avx2-vnni",    "neon-dot"};
    return isa >= 0 && isa < (int32_t)(sizeof names / sizeof *names) ? names[isa] : "unknown";
}

/* -------------------------------- lifetime -------------------------------- */

sa_status sa_config_check(const sa_config *config, const char **why_out, int32_t *layer_out) {
    sai_verdict verdict = {"config is NULL", -1};
    size_t size;
    sa_status status = config ? sai_layout_size(config, &size, &verdict) : SA_ERR_ARGUMENT;
    if (why_out) *why_out = verdict.why;
    if (layer_out) *layer_out = verdict.layer;
    return status;
}

sa_status sa_cache_size(const sa_config *config, size_t *size_out, size_t *alignment_out) {
    sai_verdict verdict;
    size_t size;
    if (!config || !size_out || !alignment_out) return SA_ERR_ARGUMENT;
    sa_status status = sai_layout_size(config, &size, &verdict);
    if (status) return status;
    *size_out = size;
    *alignment_out = SAI_ALIGNMENT;
    return SA_SUCCESS;
}

sa_status sa_cache_init(void *memory, size_t size, const sa_config *config, sa_cache **cache_out) {
    sai_verdict verdict;
    size_t needed;
    if (cache_out) *cache_out = NULL;
    if (!memory || !config || !cache_out) return SA_ERR_ARGUMENT;
    sa_status status = sai_layout_size(config, &needed, &verdict);
    if (status) return status;
    if (size < needed) return SA_ERR_BUFFER;
    if ((uintptr_t)memory % SAI_ALIGNMENT) return SA_ERR_ALIGNMENT;
    memset(memory, 0, needed);
    *cache_out = sai_layout_build(memory, config);
    return SA_SUCCESS;
}

/* The allocator to use: the host's, checked, or ours. */
static sa_status api_allocator(const sa_allocator *theirs, sa_allocator *out) {
    sa_allocator ours = {sizeof ours, 0, sai_memory_alloc, sai_memory_free, NULL};
    *out = ours;
    if (!theirs) return SA_SUCCESS;
    sa_status status = sai_read_struct(out, sizeof *out, API_FIRST_ALLOCATOR, theirs);
    if (status) return status;
    return out->alloc && out->free && !out->reserved ? SA_SUCCESS : SA_ERR_ARGUMENT;
}

sa_status sa_cache_create(const sa_config *config, const sa_allocator *allocator, sa_cache **cache_out) {
    sai_verdict verdict;
    sa_allocator from;
    size_t size;
    if (cache_out) *cache_out = NULL;
    if (!config || !cache_out) return SA_ERR_ARGUMENT;
    sa_status status = sai_layout_size(config, &size, &verdict);
    if (!status) status = api_allocator(allocator, &from);
    if (status) return status;
    void *memory = from.alloc(from.user, size, SAI_ALIGNMENT);
    if (!memory) return SA_ERR_MEMORY;
    if ((uintptr_t)memory % SAI_ALIGNMENT) {
        from.free(from.user, memory, size);
        return SA_ERR_ALIGNMENT;
    }
    if (allocator) memset(memory, 0, size); /* our own comes zeroed */
    sa_cache *cache = sai_layout_build(memory, config);
    cache->release = from.free;
    cache->release_user = from.user;
    *cache_out = cache;
    return SA_SUCCESS;
}

void sa_cache_destroy(sa_cache *cache) {
    if (cache && cache->release) cache->release(cache->release_user, cache, (size_t)cache->size);
}

/* --------------------------------- streams -------------------------------- */

static uint64_t api_tokens_seen(const sa_cache *cache) {
    uint64_t most = 0;
    for (int32_t l = 0; l < cache->n_layers; l++)
        if (sai_layer_of(cache, l)->stream.seen > most) most = sai_layer_of(cache, l)->stream.seen;
    return most;
}

sa_status sa_cache_reset(sa_cache *cache) {
    if (!cache) return SA_ERR_ARGUMENT;
    cache->begun.layer = -1;
    for (int32_t l = 0; l < cache->n_layers; l++) sai_stream_reset(&sai_layer_of(cache, l)->stream);
    return sai_error_keep(cache, SAI_ERROR_NONE);
}

static sai_error api_check_rollback(const sa_cache *cache, int64_t n_tokens, uint64_t seen) {
    if (n_tokens < 0) return SAI_ERROR_N_TOKENS;
    if ((uint64_t)n_tokens > seen) return SAI_ERROR_ROLLBACK_LENGTH;
    for (int32_t l = 0; l < cache->n_layers; l++)
        if (sai_stream_can_truncate(&sai_layer_of(cache, l)->stream, seen - (uint64_t)n_tokens))
            return SAI_ERROR_ROLLBACK_LOST;
    return SAI_ERROR_NONE;
}

sa_status sa_cache_rollback(sa_cache *cache, int64_t n_tokens) {
    if (!cache) return SA_ERR_ARGUMENT;
    uint64_t seen = api_tokens_seen(cache);
    sai_error error = api_check_rollback(cache, n_tokens, seen);
    if (error) return sai_error_keep(cache, error);
    cache->begun.layer = -1;
    for (int32_t l = 0; l < cache->n_layers; l++)
        sai_stream_truncate(&sai_layer_of(cache, l)->stream, seen - (uint64_t)n_tokens);
    return sai_error_keep(cache, SAI_ERROR_NONE);
}

sa_status sa_cache_seek(sa_cache *cache, uint64_t position) {
    if (!cache) return SA_ERR_ARGUMENT;
    if (position >= SAI_POSITION_LIMIT) return sai_error_keep(cache, SAI_ERROR_POSITION_LIMIT);
    if (position < api_tokens_seen(cache)) return sai_error_keep(cache, SAI_ERROR_POSITION_BEHIND);
    cache->begun.layer = -1;
    for (int32_t l = 0; l < cache->n_layers; l++) {
        sai_stream *stream = &sai_layer_of(cache, l)->stream;
        if (stream->seen != position) sai_stream_jump(stream, position);
    }
    return sai_error_keep(cache, SAI_ERROR_NONE);
}

sa_status sa_layer_restart(sa_cache *cache, int32_t layer, uint64_t position) {
    if (!cache) return SA_ERR_ARGUMENT;
    if (layer < 0 || layer >= cache->n_layers) return sai_error_keep(cache, SAI_ERROR_LAYER);
    sai_stream *stream = &sai_layer_of(cache, layer)->stream;
    if (position >= SAI_POSITION_LIMIT) return sai_error_keep(cache, SAI_ERROR_POSITION_LIMIT);
    if (position < stream->seen) return sai_error_keep(cache, SAI_ERROR_POSITION_BEHIND);
    cache->begun.layer = -1;
    sai_stream_jump(stream, position);
    return sai_error_keep(cache, SAI_ERROR_NONE);
}

static uint64_t api_kv_size(const sai_layer *l) {
    const sai_region *regions[] = {&l->ring, &l->recent, &l->sinks, &l->learned};
    uint64_t size = 0;
    for (int i = 0; i < 4; i++) size += (uint64_t)(regions[i]->k_head + regions[i]->v_head) * (uint64_t)l->n_kv_heads;
    return size;
}

sa_status sa_cache_info(const sa_cache *cache, int32_t layer, sa_info *info_out) {
    if (!cache || !info_out || layer < 0 || layer >= cache->n_layers) return SA_ERR_ARGUMENT;
    uint32_t size = info_out->struct_size;
    if (size < API_FIRST_INFO || size > 4096 || size % 4) return SA_ERR_STRUCT_SIZE;
    const sai_layer *l = sai_layer_of(cache, layer);
    sa_info info;
    memset(&info, 0, sizeof info);
    info.struct_size = size;
    info.isa = cache->isa;
    info.tokens_seen = l->stream.seen;
    info.tokens_held = sai_tokens_held(&l->stream);
    info.positions_held = sai_positions_held(&l->stream);
    info.rollback_now = sai_stream_rollback_now(&l->stream);
    info.cache_size = cache->size;
    info.kv_size = api_kv_size(l);
    info.n_threads = cache->n_threads;
    info.max_append = cache->max_append;
    memset(info_out, 0, size);
    memcpy(info_out, &info, size < sizeof info ? size : sizeof info);
    return SA_SUCCESS;
}
