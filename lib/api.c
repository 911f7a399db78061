/* The public functions for versions, instruction sets, configs, and a cache's life and facts. (pool.c has pools,
 * stream.c what is held, step.c what appends and attends.)
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include <string.h>

#include "error.h"
#include "kernels/kernel.h"
#include "mass.h"
#include "sequence.h"

/* The size of the first version. New fields come behind; this stays. */
#define API_FIRST_INFO (offsetof(sa_cache_facts, keys_most) + sizeof(uint64_t))

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
        return "the memory block is smaller than is needed";
    case SA_ERR_ALIGNMENT:
        return "a pointer or stride is not aligned as required";
    case SA_ERR_ISA:
        return "the instruction set is not available here";
    case SA_ERR_FORMAT:
        return "the data is not a snapshot, damaged, or of an unknown version";
    case SA_ERR_STATE:
        return "the layer's learned sink rows have not been set, no step has begun, or the sequence is closed";
    case SA_ERR_OVERFLOW:
        return "a size does not fit memory, or a position is 2^62 or more";
    case SA_ERR_FULL:
        return "the dense layer is full, or a layer has no room for more spans or pinned tokens";
    case SA_ERR_DEPTH:
        return "the cache does not hold the tokens that this needs";
    case SA_ERR_POOL:
        return "the pool has no free tile or no free sequence";
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
    return sa_pool_size(config, size_out, alignment_out);
}

/* A cache of its own is the one sequence of a pool. */
static sa_status api_open(sa_pool *pool, sa_cache **cache_out) {
    sa_status status = sa_pool_open(pool, cache_out);
    if (!status) (*cache_out)->is_alone = 1;
    return status;
}

/* Whether the config is one of a single sequence: more are a pool's. */
static sa_status api_is_single(const sa_config *config) {
    sa_config whole;
    sai_verdict verdict;
    sa_status status = sa_config_check(config, NULL, NULL);
    if (!status) status = sai_config_cache(config, &whole, &verdict);
    return status || whole.n_sequences == 1 ? status : SA_ERR_CONFIG;
}

sa_status sa_cache_init(void *memory, size_t size, const sa_config *config, sa_cache **cache_out) {
    sa_pool *pool;
    if (cache_out) *cache_out = NULL;
    if (!memory || !config || !cache_out) return SA_ERR_ARGUMENT;
    sa_status status = api_is_single(config);
    if (!status) status = sa_pool_init(memory, size, config, &pool);
    return status ? status : api_open(pool, cache_out);
}

sa_status sa_cache_create(const sa_config *config, const sa_allocator *allocator, sa_cache **cache_out) {
    sa_pool *pool;
    if (cache_out) *cache_out = NULL;
    if (!config || !cache_out) return SA_ERR_ARGUMENT;
    sa_status status = api_is_single(config);
    if (!status) status = sa_pool_create(config, allocator, &pool);
    return status ? status : api_open(pool, cache_out);
}

void sa_cache_destroy(sa_cache *cache) {
    if (!cache) return;
    if (cache->is_alone)
        sa_pool_destroy(sai_pool_of(cache));
    else if (cache->is_open)
        sai_sequence_close(cache);
}

/* ---------------------------------- facts --------------------------------- */

static uint64_t api_kv_size(const sai_layer *l) {
    uint64_t size = (uint64_t)(l->learned.k_head + l->learned.v_head);
    size += (uint64_t)(l->rows.k_head + l->rows.v_head + l->rows.beside_head);
    for (int i = 0; i < SAI_STORES; i++) size += (uint64_t)(l->arenas[i].k_head + l->arenas[i].v_head);
    for (int i = 0; i < SAI_NODE_STORES; i++) size += (uint64_t)(l->drafts[i].k_head + l->drafts[i].v_head);
    return size * (uint64_t)l->n_kv_heads;
}

static uint64_t api_max(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* Adds what a lane holds to the facts of its layer. */
static void api_add_lane(const sa_cache *cache, int32_t lane, sa_cache_facts *info) {
    sai_state state = sai_lane_state(cache, lane);
    sai_sight sight = sai_sight_of(&state.layer->rules, state.spans);
    uint64_t back = state.spans->seen - sai_spans_lowest_target(&state.layer->rules, state.spans);
    info->tokens_seen = state.spans->seen;
    info->tokens_held = api_max(info->tokens_held, sai_tokens_held(state.spans));
    info->positions_held = api_max(info->positions_held, sai_tokens_visible(&sight));
    if (back < info->rollback_now) info->rollback_now = back;
    info->kv_size += api_kv_size(state.layer);
    info->keys_in_front = sai_mass_front(state.layer);
    info->keys_most = api_max(info->keys_most, sai_mass_most(state.layer));
    if (state.layer->n_rows) info->rows_used = api_max(info->rows_used, sai_rows_end(state.rows));
    info->n_lanes++;
    info->n_draft = state.nodes ? state.nodes->n : 0;
}

sa_status sa_cache_info(const sa_cache *cache, int32_t layer, sa_cache_facts *info_out) {
    if (!cache || !info_out || layer < 0 || layer >= sai_pool_of(cache)->n_layers) return SA_ERR_ARGUMENT;
    if (!cache->is_open) return SA_ERR_STATE;
    uint32_t size = info_out->struct_size;
    if (size < API_FIRST_INFO || size > 4096 || size % 4) return SA_ERR_STRUCT_SIZE;
    const sa_pool *pool = sai_pool_of(cache);
    sa_cache_facts info;
    memset(&info, 0, sizeof info);
    info.struct_size = size;
    info.isa = pool->isa;
    info.cache_size = pool->size;
    info.n_threads = pool->n_threads;
    info.max_append = pool->max_append;
    info.rollback_now = UINT64_MAX;
    for (int32_t l = sai_first_lane(pool, layer); l < sai_first_lane(pool, layer + 1); l++)
        api_add_lane(cache, l, &info);
    memset(info_out, 0, size);
    memcpy(info_out, &info, size < sizeof info ? size : sizeof info);
    return SA_SUCCESS;
}
