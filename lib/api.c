/* Every public function that takes a cache: checks all arguments, then calls inside.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include <string.h>

#include "append.h"
#include "attend.h"
#include "cache.h"
#include "kernels/kernel.h"
#include "memory.h"

/* The sizes of the first version. New fields come behind; these stay. */
#define API_FIRST_STEP (offsetof(sa_step_args, reserved) + 2 * sizeof(void *))
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

/* ---------------------------------- views --------------------------------- */

/* Whether n steps of a stride stay within what pointers can reach; adds their length to *extent. */
static int api_reaches(int64_t stride, int64_t n, int64_t *extent) {
    const int64_t most = (int64_t)(SIZE_MAX / 2);
    if (n < 1 || stride == 0) return 1;
    if (stride == INT64_MIN) return 0;
    int64_t step = stride < 0 ? -stride : stride;
    if (step > (most - *extent) / n) return 0;
    *extent += step * n;
    return 1;
}

/* Completes and checks a host tensor of (tokens, heads, dim). */
static sa_status api_view(const sa_cache *cache, const sa_tensor *t, int32_t n, int32_t heads, int32_t dim,
                          sai_view *out) {
    out->data = (char *)t->data;
    out->dtype = t->dtype ? t->dtype : cache->io_dtype;
    if (out->dtype < SA_F32 || out->dtype > SA_BF16 || t->reserved) return SA_ERR_ARGUMENT;
    if (!out->data) return SA_SUCCESS;
    int64_t size = (int64_t)sai_dtype_size(out->dtype);
    out->head_stride = t->head_stride ? t->head_stride : dim * size;
    out->token_stride = t->token_stride ? t->token_stride : (int64_t)((uint64_t)heads * (uint64_t)out->head_stride);
    if ((uintptr_t)t->data % (uintptr_t)size || out->head_stride % size || out->token_stride % size)
        return SA_ERR_ALIGNMENT;
    int64_t extent = dim * size;
    if (!api_reaches(out->head_stride, heads - 1, &extent) || !api_reaches(out->token_stride, (int64_t)n - 1, &extent))
        return SA_ERR_OVERFLOW;
    return SA_SUCCESS;
}

static sa_status api_floats(const float *p) { return (uintptr_t)p % sizeof *p ? SA_ERR_ALIGNMENT : SA_SUCCESS; }

/* A step with everything looked up and checked. */
typedef struct api_step {
    sai_layer *layer;
    sai_view k, v;
    sai_queries queries;
    int32_t n;
    int appends, attends;
} api_step;

static sa_status api_check_shape(const sa_cache *cache, const sa_step_args *a, api_step *s) {
    s->appends = a->k.data != NULL;
    s->attends = a->q.data != NULL;
    s->n = a->n_tokens;
    if (a->flags || a->reserved[0] || a->reserved[1] || a->layer < 0 || a->layer >= cache->n_layers || a->n_tokens < 0)
        return SA_ERR_ARGUMENT;
    s->layer = sai_layer_of(cache, a->layer);
    if ((a->v.data != NULL) != s->appends || (a->out.data != NULL) != s->attends) return SA_ERR_ARGUMENT;
    if (a->n_tokens && !s->appends && !s->attends) return SA_ERR_ARGUMENT;
    if (!s->attends && (a->lse || a->sink_mass || a->partial_max || a->partial_sum)) return SA_ERR_ARGUMENT;
    if ((a->partial_max != NULL) != (a->partial_sum != NULL)) return SA_ERR_ARGUMENT;
    if (a->q_offset && (s->appends || !s->attends)) return SA_ERR_ARGUMENT;
    if (s->attends && !s->appends && a->n_tokens > cache->max_append) return SA_ERR_ARGUMENT;
    int64_t limit = (int64_t)SAI_POSITION_LIMIT;
    if (a->q_offset < -limit || a->q_offset > limit) return SA_ERR_ARGUMENT;
    return SA_SUCCESS;
}

static sa_status api_check_tensors(const sa_cache *cache, const sa_step_args *a, api_step *s) {
    const sai_layer *l = s->layer;
    sai_queries *q = &s->queries;
    sa_status status = api_view(cache, &a->k, s->n, l->n_kv_heads, l->dk, &s->k);
    if (!status) status = api_view(cache, &a->v, s->n, l->n_kv_heads, l->dv, &s->v);
    if (!status) status = api_view(cache, &a->q, s->n, l->n_heads, l->dk, &q->q);
    if (!status) status = api_view(cache, &a->out, s->n, l->n_heads, l->dv, &q->out);
    if (!status && a->partial_max && q->out.dtype != SA_F32) status = SA_ERR_ARGUMENT;
    if (!status) status = api_floats(q->lse = a->lse);
    if (!status) status = api_floats(q->sink_mass = a->sink_mass);
    if (!status) status = api_floats(q->partial_max = a->partial_max);
    if (!status) status = api_floats(q->partial_sum = a->partial_sum);
    return status;
}

static sa_status api_check_stream(const sa_step_args *a, api_step *s) {
    const sai_stream *stream = &s->layer->stream;
    if (s->attends && s->layer->n_sink_kv && !s->layer->sink_kv_ready) return SA_ERR_STATE;
    if (s->appends) return sai_stream_can_append(stream, (uint64_t)s->n);
    if (!s->attends) return SA_SUCCESS;
    int64_t limit = (int64_t)SAI_POSITION_LIMIT;
    int64_t first = (int64_t)stream->seen + a->q_offset;
    if (first < 0) return SA_ERR_DEPTH;
    if (first >= limit - s->n) return SA_ERR_OVERFLOW;
    s->queries.first = (uint64_t)first;
    return sai_stream_can_query(stream, (uint64_t)first, (uint64_t)s->n);
}

/* ---------------------------------- steps --------------------------------- */

/* Tokens that are worked at once: as many as the scratch allows, and few enough that rows are counted in 32 bits. */
static int32_t api_piece(const sa_cache *cache, const sai_layer *layer) {
    int32_t most = (1 << 24) / layer->n_heads;
    return cache->max_append < most ? cache->max_append : most;
}

static void api_run(sa_cache *cache, api_step *s) {
    int32_t piece = api_piece(cache, s->layer);
    for (int64_t from = 0; from < s->n; from += piece) {
        int32_t n = s->n - from < piece ? (int32_t)(s->n - from) : piece;
        sai_tokens tokens;
        if (s->appends) {
            s->queries.first = s->layer->stream.seen;
            tokens = sai_append_begin(cache, s->layer, from, n, &s->k, &s->v);
        }
        s->queries.from = from;
        s->queries.n = n;
        if (s->attends)
            sai_attend(cache, s->layer, &s->queries, s->appends ? &tokens : NULL);
        else
            sai_store_tokens(&tokens);
        s->queries.first += (uint64_t)n;
    }
}

static sa_status api_check_step(const sa_cache *cache, const sa_step_args *a, api_step *s) {
    memset(s, 0, sizeof *s);
    sa_status status = api_check_shape(cache, a, s);
    if (!status) status = api_check_tensors(cache, a, s);
    return !status && s->n ? api_check_stream(a, s) : status;
}

static sa_status api_step_checked(sa_cache *cache, const sa_step_args *a) {
    api_step s;
    sa_status status = api_check_step(cache, a, &s);
    if (status) return status;
    cache->begun.layer = -1;
    api_run(cache, &s);
    return SA_SUCCESS;
}

sa_status sa_step(sa_cache *cache, const sa_step_args *args) {
    sa_step_args own;
    if (!cache || !args) return SA_ERR_ARGUMENT;
    sa_status status = sai_read_struct(&own, sizeof own, API_FIRST_STEP, args);
    return status ? status : api_step_checked(cache, &own);
}

/* All of a step but attention, which is left for sa_step_part. */
static int32_t api_begin(sa_cache *cache, int32_t layer, api_step *s) {
    sai_begun *begun = &cache->begun;
    s->queries.n = s->n;
    if (s->appends) s->queries.first = s->layer->stream.seen;
    if (s->appends && s->n) {
        sai_tokens tokens = sai_append_begin(cache, s->layer, 0, s->n, &s->k, &s->v);
        sai_store_tokens_here(&tokens);
    }
    begun->layer = layer;
    begun->queries = s->queries;
    begun->n_phases = s->attends && s->n ? sai_attend_begin(cache, s->layer, &begun->queries) : 0;
    return begun->n_phases;
}

sa_status sa_step_begin(sa_cache *cache, const sa_step_args *args, int32_t *n_phases_out) {
    sa_step_args own;
    api_step s;
    if (n_phases_out) *n_phases_out = 0;
    if (cache) cache->begun.layer = -1;
    if (!cache || !args || !n_phases_out) return SA_ERR_ARGUMENT;
    sa_status status = sai_read_struct(&own, sizeof own, API_FIRST_STEP, args);
    if (!status) status = api_check_step(cache, &own, &s);
    if (!status && s.n > api_piece(cache, s.layer)) status = SA_ERR_ARGUMENT;
    if (!status) *n_phases_out = api_begin(cache, own.layer, &s);
    return status;
}

sa_status sa_step_part(sa_cache *cache, int32_t phase, int32_t index, int32_t count) {
    if (!cache || phase < 0 || phase > 1 || index < 0 || index >= count) return SA_ERR_ARGUMENT;
    const sai_begun *begun = &cache->begun;
    if (begun->layer < 0) return SA_ERR_STATE;
    int32_t workers = count < cache->n_threads ? count : cache->n_threads;
    if (phase < begun->n_phases && index < workers)
        sai_attend_part(cache, sai_layer_of(cache, begun->layer), &begun->queries, phase, index, workers);
    return SA_SUCCESS;
}

/* The plain calls: contiguous tensors, nothing on the side. */
static sa_step_args api_plain(int32_t layer, int32_t n_tokens, const void *q, const void *k, const void *v, void *out) {
    sa_step_args a;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.layer = layer;
    a.n_tokens = n_tokens;
    a.q.data = (void *)(uintptr_t)q;
    a.k.data = (void *)(uintptr_t)k;
    a.v.data = (void *)(uintptr_t)v;
    a.out.data = out;
    return a;
}

sa_status sa_append_kv(sa_cache *cache, int32_t layer, int32_t n_tokens, const void *k, const void *v) {
    if (!cache || (n_tokens && (!k || !v))) return SA_ERR_ARGUMENT;
    sa_step_args a = api_plain(layer, n_tokens, NULL, n_tokens ? k : NULL, n_tokens ? v : NULL, NULL);
    return api_step_checked(cache, &a);
}

sa_status sa_attend(sa_cache *cache, int32_t layer, int32_t n_tokens, const void *q, void *out) {
    if (!cache || (n_tokens && (!q || !out))) return SA_ERR_ARGUMENT;
    sa_step_args a = api_plain(layer, n_tokens, n_tokens ? q : NULL, NULL, NULL, n_tokens ? out : NULL);
    if (n_tokens) a.q_offset = -(int64_t)n_tokens;
    return api_step_checked(cache, &a);
}

sa_status sa_append_attend(sa_cache *cache, int32_t layer, int32_t n_tokens, const void *q, const void *k,
                           const void *v, void *out) {
    if (!cache || (n_tokens && (!q || !k || !v || !out))) return SA_ERR_ARGUMENT;
    sa_step_args a = n_tokens ? api_plain(layer, n_tokens, q, k, v, out) : api_plain(layer, 0, NULL, NULL, NULL, NULL);
    return api_step_checked(cache, &a);
}

sa_status sa_set_sink_kv(sa_cache *cache, int32_t layer, const void *k, const void *v) {
    sai_view views[2];
    if (!cache || !k || !v || layer < 0 || layer >= cache->n_layers) return SA_ERR_ARGUMENT;
    sai_layer *l = sai_layer_of(cache, layer);
    if (!l->n_sink_kv) return SA_ERR_ARGUMENT;
    sa_step_args a = api_plain(layer, l->n_sink_kv, NULL, k, v, NULL);
    sa_status status = api_view(cache, &a.k, l->n_sink_kv, l->n_kv_heads, l->dk, &views[0]);
    if (!status) status = api_view(cache, &a.v, l->n_sink_kv, l->n_kv_heads, l->dv, &views[1]);
    if (status) return status;
    cache->begun.layer = -1;
    sai_append_learned(cache, l, &views[0], &views[1]);
    return SA_SUCCESS;
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
    return SA_SUCCESS;
}

sa_status sa_cache_rollback(sa_cache *cache, int64_t n_tokens) {
    if (!cache || n_tokens < 0) return SA_ERR_ARGUMENT;
    uint64_t seen = api_tokens_seen(cache);
    if ((uint64_t)n_tokens > seen) return SA_ERR_ARGUMENT;
    uint64_t target = seen - (uint64_t)n_tokens;
    for (int32_t l = 0; l < cache->n_layers; l++) {
        sa_status status = sai_stream_can_truncate(&sai_layer_of(cache, l)->stream, target);
        if (status) return status;
    }
    cache->begun.layer = -1;
    for (int32_t l = 0; l < cache->n_layers; l++) sai_stream_truncate(&sai_layer_of(cache, l)->stream, target);
    return SA_SUCCESS;
}

sa_status sa_cache_seek(sa_cache *cache, uint64_t position) {
    if (!cache) return SA_ERR_ARGUMENT;
    if (position >= SAI_POSITION_LIMIT) return SA_ERR_OVERFLOW;
    if (position < api_tokens_seen(cache)) return SA_ERR_ARGUMENT;
    cache->begun.layer = -1;
    for (int32_t l = 0; l < cache->n_layers; l++) sai_stream_seek(&sai_layer_of(cache, l)->stream, position);
    return SA_SUCCESS;
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
