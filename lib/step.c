/* The public functions that append and attend: check all arguments, then call inside.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include <string.h>

#include "append.h"
#include "attend.h"
#include "cache.h"
#include "error.h"

/* The size of the first version. New fields come behind; this stays. */
#define STEP_FIRST_SIZE (offsetof(sa_step_args, reserved) + 2 * sizeof(void *))

/* ---------------------------------- views --------------------------------- */

/* How far a tensor reaches from its address, in bytes. */
typedef struct step_extent {
    uint64_t below, above;
} step_extent;

/* Adds n steps of a stride; 0 if that is more than an object can be large. */
static int step_add(step_extent *e, int64_t stride, int64_t n) {
    const uint64_t most = SIZE_MAX / 2;
    uint64_t length = stride < 0 ? 0 - (uint64_t)stride : (uint64_t)stride;
    if (n < 1 || stride == 0) return 1;
    if (length > UINT32_MAX && length > most / (uint64_t)n) return 0; /* n < 2^32, so others do not wrap */
    length *= (uint64_t)n;
    if (length > most - e->below - e->above) return 0;
    *(stride < 0 ? &e->below : &e->above) += length;
    return 1;
}

/* Whether all of that is in the address space. */
static int step_is_reachable(const void *data, const step_extent *e) {
    return (uintptr_t)data >= e->below && UINTPTR_MAX - (uintptr_t)data >= e->above;
}

/* What a call says of a tensor, and of its size. `first_error` is the first of its SAI_TENSOR_ERRORS. */
typedef struct step_tensor {
    const sa_tensor *tensor;
    int32_t first_error, n, heads, dim;
} step_tensor;

static sai_error step_error(const step_tensor *t, sai_error which) {
    return (sai_error)(t->first_error + (int32_t)which - (int32_t)SAI_ERROR_Q_DTYPE);
}

/* Fills in the strides; 0 if they are more than 64 bits. */
static int step_strides(const step_tensor *t, int64_t size, sai_view *out) {
    int is_given = (t->tensor->flags & SA_TENSOR_STRIDES_GIVEN) != 0;
    out->head_stride = t->tensor->head_stride || is_given ? t->tensor->head_stride : t->dim * size;
    out->token_stride = t->tensor->token_stride;
    if (out->token_stride || is_given || t->n < 2) return 1;
    if (out->head_stride > INT64_MAX / t->heads || out->head_stride < -(INT64_MAX / t->heads)) return 0;
    out->token_stride = t->heads * out->head_stride;
    return 1;
}

/* Completes and checks a host tensor of (tokens, heads, dim). */
static sai_error step_view(const sa_cache *cache, const step_tensor *t, sai_view *out) {
    out->data = (char *)t->tensor->data;
    out->dtype = t->tensor->dtype ? t->tensor->dtype : cache->io_dtype;
    if (out->dtype < SA_F32 || out->dtype > SA_BF16) return step_error(t, SAI_ERROR_Q_DTYPE);
    if (t->tensor->flags & ~(uint32_t)SA_TENSOR_STRIDES_GIVEN) return step_error(t, SAI_ERROR_Q_FLAGS);
    if (!out->data) return SAI_ERROR_NONE;
    int64_t size = (int64_t)sai_dtype_size(out->dtype); /* a power of two */
    step_extent extent = {0, (uint64_t)(t->dim * size)};
    if ((uintptr_t)out->data & (uintptr_t)(size - 1)) return step_error(t, SAI_ERROR_Q_ADDRESS);
    if (!step_strides(t, size, out)) return step_error(t, SAI_ERROR_Q_EXTENT);
    if ((out->head_stride | out->token_stride) & (size - 1)) return step_error(t, SAI_ERROR_Q_STRIDE);
    if (!step_add(&extent, out->head_stride, t->heads - 1) ||
        !step_add(&extent, out->token_stride, (int64_t)t->n - 1) || !step_is_reachable(out->data, &extent))
        return step_error(t, SAI_ERROR_Q_EXTENT);
    return SAI_ERROR_NONE;
}

static int64_t step_length(int64_t stride) { return stride < 0 ? -stride : stride; }

/* Whether the row of another token, `heads` heads further, comes within `size` bytes of a row. token_stride != 0. */
static int step_meets(const sai_view *v, int64_t n, int64_t heads, int64_t size) {
    int64_t away = heads * v->head_stride, nearest = -away / v->token_stride;
    for (int64_t tokens = nearest - 1; tokens <= nearest + 1; tokens++)
        if (tokens > -n && tokens < n && step_length(away + tokens * v->token_stride) < size) return 1;
    return 0;
}

/* Whether any two of a checked tensor's n * heads rows of `size` bytes share a byte. */
static int step_overlaps(const sai_view *v, int64_t n, int64_t heads, int64_t size) {
    int64_t token = step_length(v->token_stride), head = step_length(v->head_stride);
    if ((n > 1 && token < size) || (heads > 1 && head < size)) return n > 0;
    if (n < 2 || heads < 2) return 0;
    /* The usual layouts: heads within a token, or tokens within a head. */
    if (token >= (heads - 1) * head + size || head >= (n - 1) * token + size) return 0;
    for (int64_t h = 1; h < heads; h++)
        if (step_meets(v, n, h, size)) return 1;
    return 0;
}

/* ---------------------------------- checks -------------------------------- */

/* A step with everything looked up and checked. */
typedef struct step_plan {
    sai_layer *layer;
    sai_view k, v;
    sai_queries queries;
    int32_t n;
    int appends, attends;
} step_plan;

static sai_error step_check_beside(const sa_step_args *a) {
    if (!a->q.data && a->lse) return SAI_ERROR_LSE_ALONE;
    if (!a->q.data && a->sink_mass) return SAI_ERROR_SINK_MASS_ALONE;
    if (!a->q.data && a->partial_max) return SAI_ERROR_PARTIAL_MAX_ALONE;
    if (!a->q.data && a->partial_sum) return SAI_ERROR_PARTIAL_SUM_ALONE;
    if (a->partial_max && !a->partial_sum) return SAI_ERROR_MAX_WITHOUT_SUM;
    if (a->partial_sum && !a->partial_max) return SAI_ERROR_SUM_WITHOUT_MAX;
    return SAI_ERROR_NONE;
}

static sai_error step_check_set(const sa_step_args *a) {
    if (a->k.data && !a->v.data) return SAI_ERROR_K_ALONE;
    if (a->v.data && !a->k.data) return SAI_ERROR_V_ALONE;
    if (a->q.data && !a->out.data) return SAI_ERROR_Q_ALONE;
    if (a->out.data && !a->q.data) return SAI_ERROR_OUT_ALONE;
    if (a->n_tokens && !a->k.data && !a->q.data) return SAI_ERROR_NOTHING;
    return step_check_beside(a);
}

static sai_error step_check_shape(const sa_cache *cache, const sa_step_args *a, step_plan *s) {
    const int64_t limit = (int64_t)SAI_POSITION_LIMIT;
    if (a->flags) return SAI_ERROR_ARGS_FLAGS;
    if (a->reserved[0] || a->reserved[1]) return SAI_ERROR_ARGS_RESERVED;
    if (a->layer < 0 || a->layer >= cache->n_layers) return SAI_ERROR_LAYER;
    if (a->n_tokens < 0) return SAI_ERROR_N_TOKENS;
    s->layer = sai_layer_of(cache, a->layer);
    s->appends = a->k.data != NULL;
    s->attends = a->q.data != NULL;
    s->n = a->n_tokens;
    sai_error error = step_check_set(a);
    if (error) return error;
    if (a->q_offset && (s->appends || !s->attends)) return SAI_ERROR_Q_OFFSET_UNUSED;
    if (s->attends && !s->appends && a->n_tokens > cache->max_append) return SAI_ERROR_MAX_APPEND;
    return a->q_offset < -limit || a->q_offset > limit ? SAI_ERROR_Q_OFFSET_RANGE : SAI_ERROR_NONE;
}

/* An array of floats (n_tokens, n_heads), or NULL. `address_error` is followed by the error of its extent. */
static sai_error step_check_array(const step_plan *s, const float *array, sai_error address_error) {
    step_extent extent = {0, (uint64_t)s->n * (uint64_t)s->layer->n_heads * sizeof *array};
    if ((uintptr_t)array % sizeof *array) return address_error;
    if (array && (extent.above > SIZE_MAX / 2 || !step_is_reachable(array, &extent)))
        return (sai_error)(address_error + 1);
    return SAI_ERROR_NONE;
}

static sai_error step_check_tensors(const sa_cache *cache, const sa_step_args *a, step_plan *s) {
    const sai_layer *l = s->layer;
    sai_queries *q = &s->queries;
    const step_tensor tensors[] = {{&a->k, SAI_ERROR_K_DTYPE, s->n, l->n_kv_heads, l->dk},
                                   {&a->v, SAI_ERROR_V_DTYPE, s->n, l->n_kv_heads, l->dv},
                                   {&a->q, SAI_ERROR_Q_DTYPE, s->n, l->n_heads, l->dk},
                                   {&a->out, SAI_ERROR_OUT_DTYPE, s->n, l->n_heads, l->dv}};
    sai_view *const views[] = {&s->k, &s->v, &q->q, &q->out};
    for (int i = 0; i < 4; i++) {
        sai_error error = step_view(cache, &tensors[i], views[i]);
        if (error) return error;
    }
    if (a->out.data && step_overlaps(&q->out, s->n, l->n_heads, l->dv * (int64_t)sai_dtype_size(q->out.dtype)))
        return SAI_ERROR_OUT_OVERLAPS;
    return a->partial_max && q->out.dtype != SA_F32 ? SAI_ERROR_PARTIAL_DTYPE : SAI_ERROR_NONE;
}

static sai_error step_check_arrays(const sa_step_args *a, step_plan *s) {
    sai_queries *q = &s->queries;
    q->lse = a->lse;
    q->sink_mass = a->sink_mass;
    q->partial_max = a->partial_max;
    q->partial_sum = a->partial_sum;
    sai_error error = step_check_array(s, a->lse, SAI_ERROR_LSE_ADDRESS);
    if (!error) error = step_check_array(s, a->sink_mass, SAI_ERROR_SINK_MASS_ADDRESS);
    if (!error) error = step_check_array(s, a->partial_max, SAI_ERROR_PARTIAL_MAX_ADDRESS);
    return error ? error : step_check_array(s, a->partial_sum, SAI_ERROR_PARTIAL_SUM_ADDRESS);
}

static sai_error step_check_append(const step_plan *s) {
    switch (sai_stream_can_append(&s->layer->stream, (uint64_t)s->n)) {
    case SA_SUCCESS:
        return SAI_ERROR_NONE;
    case SA_ERR_FULL:
        return SAI_ERROR_FULL;
    default:
        return SAI_ERROR_STREAM_END;
    }
}

static sai_error step_check_stream(const sa_step_args *a, step_plan *s) {
    const sai_stream *stream = &s->layer->stream;
    if (s->attends && s->layer->n_sink_kv && !s->layer->sink_kv_ready) return SAI_ERROR_SINK_KV_MISSING;
    if (s->appends) return step_check_append(s);
    if (!s->attends) return SAI_ERROR_NONE;
    int64_t first = (int64_t)stream->seen + a->q_offset;
    if (first < 0) return SAI_ERROR_QUERY_BEFORE;
    if (first >= (int64_t)SAI_POSITION_LIMIT - s->n) return SAI_ERROR_QUERY_END;
    s->queries.first = (uint64_t)first;
    return sai_stream_can_query(stream, (uint64_t)first, (uint64_t)s->n) ? SAI_ERROR_QUERY_LOST : SAI_ERROR_NONE;
}

static sai_error step_check(const sa_cache *cache, const sa_step_args *a, step_plan *s) {
    memset(s, 0, sizeof *s);
    sai_error error = step_check_shape(cache, a, s);
    if (!error) error = step_check_tensors(cache, a, s);
    if (!error) error = step_check_arrays(a, s);
    return !error && s->n ? step_check_stream(a, s) : error;
}

static sai_error step_read(const sa_step_args *args, sa_step_args *own) {
    if (!args) return SAI_ERROR_ARGS_NULL;
    return sai_read_struct(own, sizeof *own, STEP_FIRST_SIZE, args) ? SAI_ERROR_ARGS_SIZE : SAI_ERROR_NONE;
}

/* ---------------------------------- steps --------------------------------- */

/* Tokens that are processed at once: as many as the scratch allows, and few enough that rows are counted in 32 bits. */
static int32_t step_piece(const sa_cache *cache, const sai_layer *layer) {
    int32_t most = (1 << 24) / layer->n_heads;
    return cache->max_append < most ? cache->max_append : most;
}

static void step_run(sa_cache *cache, step_plan *s) {
    int32_t piece = step_piece(cache, s->layer);
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

static sa_status step_checked(sa_cache *cache, const sa_step_args *a) {
    step_plan s;
    sai_error error = step_check(cache, a, &s);
    if (error) return sai_error_keep(cache, error);
    cache->begun.layer = -1;
    step_run(cache, &s);
    return sai_error_keep(cache, SAI_ERROR_NONE);
}

sa_status sa_step(sa_cache *cache, const sa_step_args *args) {
    sa_step_args own;
    if (!cache) return SA_ERR_ARGUMENT;
    sai_error error = step_read(args, &own);
    return error ? sai_error_keep(cache, error) : step_checked(cache, &own);
}

/* All of a step but attention, which is left for sa_step_part. */
static int32_t step_begin(sa_cache *cache, int32_t layer, step_plan *s) {
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
    step_plan s;
    if (n_phases_out) *n_phases_out = 0;
    if (!cache) return SA_ERR_ARGUMENT;
    cache->begun.layer = -1;
    sai_error error = step_read(args, &own);
    if (!error && !n_phases_out) error = SAI_ERROR_N_PHASES_OUT;
    if (!error) error = step_check(cache, &own, &s);
    if (!error && s.n > step_piece(cache, s.layer)) error = SAI_ERROR_BEGIN_TOKENS;
    if (!error) *n_phases_out = step_begin(cache, own.layer, &s);
    return sai_error_keep(cache, error);
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

/* ----------------------------- the plain calls ---------------------------- */

/* Contiguous tensors, nothing beside. Without tokens the pointers do not count. */
static sa_step_args step_plain(int32_t layer, int32_t n_tokens, const void *q, const void *k, const void *v,
                               void *out) {
    sa_step_args a;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.layer = layer;
    a.n_tokens = n_tokens;
    if (!n_tokens) return a;
    a.q.data = (void *)(uintptr_t)q;
    a.k.data = (void *)(uintptr_t)k;
    a.v.data = (void *)(uintptr_t)v;
    a.out.data = out;
    return a;
}

sa_status sa_append_kv(sa_cache *cache, int32_t layer, int32_t n_tokens, const void *k, const void *v) {
    if (!cache) return SA_ERR_ARGUMENT;
    if (n_tokens && !k) return sai_error_keep(cache, SAI_ERROR_K_NULL);
    if (n_tokens && !v) return sai_error_keep(cache, SAI_ERROR_V_NULL);
    sa_step_args a = step_plain(layer, n_tokens, NULL, k, v, NULL);
    return step_checked(cache, &a);
}

sa_status sa_attend(sa_cache *cache, int32_t layer, int32_t n_tokens, const void *q, void *out) {
    if (!cache) return SA_ERR_ARGUMENT;
    if (n_tokens && !q) return sai_error_keep(cache, SAI_ERROR_Q_NULL);
    if (n_tokens && !out) return sai_error_keep(cache, SAI_ERROR_OUT_NULL);
    sa_step_args a = step_plain(layer, n_tokens, q, NULL, NULL, out);
    a.q_offset = -(int64_t)n_tokens;
    return step_checked(cache, &a);
}

sa_status sa_append_attend(sa_cache *cache, int32_t layer, int32_t n_tokens, const void *q, const void *k,
                           const void *v, void *out) {
    if (!cache) return SA_ERR_ARGUMENT;
    if (n_tokens && !q) return sai_error_keep(cache, SAI_ERROR_Q_NULL);
    if (n_tokens && !k) return sai_error_keep(cache, SAI_ERROR_K_NULL);
    if (n_tokens && !v) return sai_error_keep(cache, SAI_ERROR_V_NULL);
    if (n_tokens && !out) return sai_error_keep(cache, SAI_ERROR_OUT_NULL);
    sa_step_args a = step_plain(layer, n_tokens, q, k, v, out);
    return step_checked(cache, &a);
}

/* --------------------------- learned sink rows ---------------------------- */

static sai_error step_set_sink_kv(sa_cache *cache, int32_t layer, const void *k, const void *v) {
    sai_view keys, values;
    if (layer < 0 || layer >= cache->n_layers) return SAI_ERROR_LAYER;
    sai_layer *l = sai_layer_of(cache, layer);
    if (!l->n_sink_kv) return SAI_ERROR_NO_SINK_KV;
    if (!k) return SAI_ERROR_SINK_K_NULL;
    if (!v) return SAI_ERROR_SINK_V_NULL;
    const sa_tensor k_tensor = {(void *)(uintptr_t)k, 0, 0, 0, 0}, v_tensor = {(void *)(uintptr_t)v, 0, 0, 0, 0};
    const step_tensor k_rows = {&k_tensor, SAI_ERROR_K_DTYPE, l->n_sink_kv, l->n_kv_heads, l->dk},
                      v_rows = {&v_tensor, SAI_ERROR_V_DTYPE, l->n_sink_kv, l->n_kv_heads, l->dv};
    sai_error error = step_view(cache, &k_rows, &keys);
    if (!error) error = step_view(cache, &v_rows, &values);
    if (error) return error;
    cache->begun.layer = -1;
    sai_append_learned(cache, l, &keys, &values);
    return SAI_ERROR_NONE;
}

sa_status sa_set_sink_kv(sa_cache *cache, int32_t layer, const void *k, const void *v) {
    return cache ? sai_error_keep(cache, step_set_sink_kv(cache, layer, k, v)) : SA_ERR_ARGUMENT;
}
