/* Checks the arguments of a step, and looks up what they mean.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include "arguments.h"

#include "draft.h"

#include <string.h>

#include "mass.h"

/* The size of the first version. New fields come behind; this stays. */
#define ARGUMENTS_FIRST_SIZE (offsetof(sa_step_args, key_stride) + sizeof(int64_t))

/* ---------------------------------- views --------------------------------- */

/* How far a tensor reaches from its address, in bytes. */
typedef struct arguments_extent {
    uint64_t below, above;
} arguments_extent;

/* Adds n steps of a stride; 0 if that is more than an object can be large. */
static int arguments_add(arguments_extent *e, int64_t stride, int64_t n) {
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
static int arguments_is_reachable(const void *data, const arguments_extent *e) {
    return (uintptr_t)data >= e->below && UINTPTR_MAX - (uintptr_t)data >= e->above;
}

static sai_error arguments_error(const sai_tensor_check *t, sai_error which) {
    return (sai_error)(t->first_error + (int32_t)which - (int32_t)SAI_ERROR_Q_DTYPE);
}

/* Fills in the strides; 0 if they are more than 64 bits. */
static int arguments_strides(const sai_tensor_check *t, int64_t size, sai_view *out) {
    int is_given = (t->tensor->flags & SA_TENSOR_STRIDES_GIVEN) != 0;
    out->head_stride = t->tensor->head_stride || is_given ? t->tensor->head_stride : t->dim * size;
    out->token_stride = t->tensor->token_stride;
    if (out->token_stride || is_given || t->n < 2) return 1;
    if (out->head_stride > INT64_MAX / t->heads || out->head_stride < -(INT64_MAX / t->heads)) return 0;
    out->token_stride = t->heads * out->head_stride;
    return 1;
}

static sai_error arguments_check_extent(const sai_tensor_check *t, int64_t size, sai_view *out) {
    arguments_extent extent = {0, (uint64_t)(t->dim * size)};
    if (!arguments_strides(t, size, out)) return SAI_ERROR_Q_EXTENT;
    if ((out->head_stride | out->token_stride) & (size - 1)) return SAI_ERROR_Q_STRIDE;
    if (!arguments_add(&extent, out->head_stride, t->heads - 1) ||
        !arguments_add(&extent, out->token_stride, (int64_t)t->n - 1) || !arguments_is_reachable(out->data, &extent))
        return SAI_ERROR_Q_EXTENT;
    return SAI_ERROR_NONE;
}

/* The same of a contiguous tensor, as most are: at most 2^31 * 2^16 * 2^10 * 4 bytes, which 64 bits hold. */
static sai_error arguments_check_length(const sai_tensor_check *t, int64_t size, sai_view *out) {
    out->head_stride = t->dim * size;
    out->token_stride = t->heads * out->head_stride;
    arguments_extent extent = {0, (uint64_t)(t->n > 1 ? t->n : 1) * (uint64_t)out->token_stride};
    int fits = extent.above <= SIZE_MAX / 2 && arguments_is_reachable(out->data, &extent);
    return fits ? SAI_ERROR_NONE : SAI_ERROR_Q_EXTENT;
}

/* Completes and checks a host tensor of (tokens, heads, dim). */
sai_error sai_arguments_view(const sa_pool *pool, const sai_tensor_check *t, sai_view *out) {
    const sa_tensor *from = t->tensor;
    out->data = (char *)from->data;
    out->token_stride = out->head_stride = 0;
    out->reserved = 0;
    out->dtype = from->dtype ? from->dtype : pool->io_dtype;
    if (out->dtype < SA_F32 || out->dtype > SA_BF16) return arguments_error(t, SAI_ERROR_Q_DTYPE);
    if (from->flags & ~(uint32_t)SA_TENSOR_STRIDES_GIVEN) return arguments_error(t, SAI_ERROR_Q_FLAGS);
    if (!out->data) return SAI_ERROR_NONE;
    int64_t size = (int64_t)sai_dtype_size(out->dtype); /* a power of two */
    int is_contiguous = !from->token_stride && !from->head_stride && !from->flags;
    if ((uintptr_t)out->data & (uintptr_t)(size - 1)) return arguments_error(t, SAI_ERROR_Q_ADDRESS);
    sai_error error = is_contiguous ? arguments_check_length(t, size, out) : arguments_check_extent(t, size, out);
    return error ? arguments_error(t, error) : SAI_ERROR_NONE;
}

static int64_t arguments_length(int64_t stride) {
    return stride == INT64_MIN ? INT64_MAX : stride < 0 ? -stride : stride;
}

/* Whether the row of another token, `heads` heads further, comes within `size` bytes of a row. token_stride != 0. */
static int arguments_meets(const sai_view *v, int64_t n, int64_t heads, int64_t size) {
    int64_t away = heads * v->head_stride, nearest = -away / v->token_stride;
    for (int64_t tokens = nearest - 1; tokens <= nearest + 1; tokens++)
        if (tokens > -n && tokens < n && arguments_length(away + tokens * v->token_stride) < size) return 1;
    return 0;
}

int sai_arguments_overlaps(const sai_tensor_check *t, const sai_view *v) {
    int64_t n = t->n, heads = t->heads, size = t->dim * (int64_t)sai_dtype_size(v->dtype);
    int64_t token = arguments_length(v->token_stride), head = arguments_length(v->head_stride);
    if ((n > 1 && token < size) || (heads > 1 && head < size)) return n > 0;
    if (n < 2 || heads < 2) return 0;
    /* The usual layouts: heads within a token, or tokens within a head. */
    if (token >= (heads - 1) * head + size || head >= (n - 1) * token + size) return 0;
    for (int64_t h = 1; h < heads; h++)
        if (arguments_meets(v, n, h, size)) return 1;
    return 0;
}

/* ---------------------------------- checks -------------------------------- */

static sai_error arguments_check_beside(const sa_step_args *a) {
    if (!a->q.data && a->lse) return SAI_ERROR_LSE_ALONE;
    if (!a->q.data && a->sink_mass) return SAI_ERROR_SINK_MASS_ALONE;
    if (!a->q.data && a->key_mass) return SAI_ERROR_KEY_MASS_ALONE;
    if (!a->q.data && a->value_norms) return SAI_ERROR_VALUE_NORMS_ALONE;
    if (!a->q.data && a->partial_max) return SAI_ERROR_PARTIAL_MAX_ALONE;
    if (!a->q.data && a->partial_sum) return SAI_ERROR_PARTIAL_SUM_ALONE;
    if (a->partial_max && !a->partial_sum) return SAI_ERROR_MAX_WITHOUT_SUM;
    if (a->partial_sum && !a->partial_max) return SAI_ERROR_SUM_WITHOUT_MAX;
    return SAI_ERROR_NONE;
}

static sai_error arguments_check_draft(const sa_step_args *a, sai_call *call) {
    int queries = (a->flags & SA_STEP_NODES) != 0;
    if (a->parents && !call->appends) return SAI_ERROR_PARENTS_ALONE;
    if (queries && (call->appends || !call->attends)) return SAI_ERROR_NODES_UNUSED;
    call->is_draft = queries || a->parents;
    return SAI_ERROR_NONE;
}

static sai_error arguments_check_set(const sa_step_args *a) {
    if (a->k.data && !a->v.data) return SAI_ERROR_K_ALONE;
    if (a->v.data && !a->k.data) return SAI_ERROR_V_ALONE;
    if (a->q.data && !a->out.data) return SAI_ERROR_Q_ALONE;
    if (a->out.data && !a->q.data) return SAI_ERROR_OUT_ALONE;
    if (a->n_tokens && !a->k.data && !a->q.data) return SAI_ERROR_NOTHING;
    return arguments_check_beside(a);
}

static sai_error arguments_check_view(const sa_step_args *a, const sai_layer *l, sai_call *call) {
    call->view_sinks = -1;
    if ((a->view_window || a->view_sinks) && !a->q.data) return SAI_ERROR_VIEW_ALONE;
    if (a->view_window < 0 || a->view_window > l->layer_window) return SAI_ERROR_VIEW_WINDOW;
    if (a->view_sinks < -1) return SAI_ERROR_VIEW_SINKS;
    call->window = (uint64_t)a->view_window;
    if (a->view_sinks) call->view_sinks = a->view_sinks < 0 ? 0 : a->view_sinks;
    return SAI_ERROR_NONE;
}

static sai_error arguments_check_shape(const sa_pool *pool, const sa_step_args *a, sai_call *call) {
    const int64_t limit = (int64_t)SAI_POSITION_LIMIT;
    if (a->flags & ~(uint32_t)(SA_STEP_NODES | SA_STEP_MASS_PER_HEAD)) return SAI_ERROR_ARGS_FLAGS;
    if (a->layer < 0 || a->layer >= pool->n_layers) return SAI_ERROR_LAYER;
    if (a->n_tokens < 0) return SAI_ERROR_N_TOKENS;
    call->appends = a->k.data != NULL;
    call->attends = a->q.data != NULL;
    call->n = a->n_tokens;
    sai_error error = arguments_check_set(a);
    if (!error && (a->parents || a->flags)) error = arguments_check_draft(a, call);
    if (!error) error = arguments_check_view(a, sai_layer_of(pool, a->layer), call);
    if (error) return error;
    if (a->q_offset && (call->appends || !call->attends)) return SAI_ERROR_Q_OFFSET_UNUSED;
    if (call->attends && !call->appends && a->n_tokens > pool->max_append) return SAI_ERROR_MAX_APPEND;
    return a->q_offset < -limit || a->q_offset > limit ? SAI_ERROR_Q_OFFSET_RANGE : SAI_ERROR_NONE;
}

sai_error sai_arguments_array(uint64_t n, size_t size, const void *array, sai_error address_error) {
    arguments_extent extent = {0, n * size};
    if ((uintptr_t)array & (size - 1)) return address_error;
    if (array && (extent.above > SIZE_MAX / 2 || !arguments_is_reachable(array, &extent)))
        return (sai_error)(address_error + 1);
    return SAI_ERROR_NONE;
}

sai_error sai_arguments_heads(const sa_pool *pool, int32_t layer, int32_t kv_head, int32_t n, sai_heads *heads) {
    int32_t all = sai_layer_of(pool, layer)->layer_kv_heads;
    if (kv_head < 0 || kv_head >= all || n < 0 || n > all - kv_head) return SAI_ERROR_KV_HEADS;
    heads->first = kv_head;
    heads->n = n ? n : all - kv_head;
    return SAI_ERROR_NONE;
}

static sai_error arguments_check_tensors(const sa_pool *pool, const sa_step_args *a, sai_call *call) {
    const sai_layer *l = sai_layer_of(pool, a->layer);
    const sai_tensor_check tensors[] = {{&a->k, SAI_ERROR_K_DTYPE, call->n, l->layer_kv_heads, l->dk},
                                        {&a->v, SAI_ERROR_V_DTYPE, call->n, l->layer_kv_heads, l->dv},
                                        {&a->q, SAI_ERROR_Q_DTYPE, call->n, l->layer_heads, l->dk},
                                        {&a->out, SAI_ERROR_OUT_DTYPE, call->n, l->layer_heads, l->dv}};
    sai_view *const views[] = {&call->k, &call->v, &call->q, &call->out};
    for (int i = 0; i < 4; i++) {
        sai_error error = sai_arguments_view(pool, &tensors[i], views[i]);
        if (error) return error;
    }
    if (a->out.data && sai_arguments_overlaps(&tensors[3], &call->out)) return SAI_ERROR_OUT_OVERLAPS;
    return a->partial_max && call->out.dtype != SA_F32 ? SAI_ERROR_PARTIAL_DTYPE : SAI_ERROR_NONE;
}

static sai_error arguments_check_arrays(const sa_pool *pool, const sa_step_args *a, sai_call *call) {
    uint64_t floats = (uint64_t)call->n * (uint64_t)sai_layer_of(pool, a->layer)->layer_heads;
    call->lse = a->lse;
    call->sink_mass = a->sink_mass;
    call->partial_max = a->partial_max;
    call->partial_sum = a->partial_sum;
    if (!a->lse && !a->sink_mass && !a->partial_max && !a->partial_sum) return SAI_ERROR_NONE;
    sai_error error = sai_arguments_array(floats, sizeof(float), a->lse, SAI_ERROR_LSE_ADDRESS);
    if (!error) error = sai_arguments_array(floats, sizeof(float), a->sink_mass, SAI_ERROR_SINK_MASS_ADDRESS);
    if (!error) error = sai_arguments_array(floats, sizeof(float), a->partial_max, SAI_ERROR_PARTIAL_MAX_ADDRESS);
    return error ? error : sai_arguments_array(floats, sizeof(float), a->partial_sum, SAI_ERROR_PARTIAL_SUM_ADDRESS);
}

/* The most keys that a lane of the layer will hold after the step. */
static uint64_t arguments_keys_after(const sa_cache *cache, const sa_step_args *a, int appends) {
    const sa_pool *pool = sai_pool_of(cache);
    uint64_t most = 0;
    for (int32_t lane = sai_first_lane(pool, a->layer); lane < sai_first_lane(pool, a->layer + 1); lane++) {
        sai_state state = sai_lane_state(cache, lane);
        uint64_t held = sai_state_held_after(&state, appends ? (uint64_t)a->n_tokens : 0);
        if (held > most) most = held;
    }
    return most;
}

/* The arrays that have an entry for each key. */
static sai_error arguments_check_keys(const sa_cache *cache, const sa_step_args *a, sai_call *call,
                                      const sai_claim *claim) {
    const sa_pool *pool = sai_pool_of(cache);
    const sai_layer *l = sai_layer_of(pool, a->layer);
    int32_t most = sai_arguments_piece(pool, l);
    call->mass_per_head = (a->flags & SA_STEP_MASS_PER_HEAD) != 0;
    call->key_mass = a->key_mass;
    call->value_norms = a->value_norms;
    call->key_stride = a->key_stride;
    call->wants_keys = a->key_mass || a->value_norms;
    if (!call->wants_keys || !call->n) return SAI_ERROR_NONE;
    if (a->parents || a->flags & SA_STEP_NODES) return SAI_ERROR_KEY_NODES;
    if (call->n > (claim->piece && claim->piece < most ? claim->piece : most)) return SAI_ERROR_KEY_TOKENS;
    uint64_t keys = sai_mass_front(l) + arguments_keys_after(cache, a, call->appends);
    if (a->key_stride < 0 || (uint64_t)a->key_stride < keys) return SAI_ERROR_KEY_STRIDE;
    if ((uint64_t)a->key_stride > SIZE_MAX / 8 / (uint64_t)l->layer_heads) return SAI_ERROR_KEY_MASS_EXTENT;
    uint64_t norms = (uint64_t)l->layer_kv_heads * (uint64_t)a->key_stride;
    uint64_t masses = call->mass_per_head ? (uint64_t)l->layer_heads * (uint64_t)a->key_stride : norms;
    sai_error error = sai_arguments_array(masses, sizeof(float), a->key_mass, SAI_ERROR_KEY_MASS_ADDRESS);
    return error ? error : sai_arguments_array(norms, sizeof(float), a->value_norms, SAI_ERROR_VALUE_NORMS_ADDRESS);
}

static sai_error arguments_check_append(const sai_state *state, int32_t n, const sai_claim *claim, int32_t lane) {
    if (sai_draft_is_open(state)) return SAI_ERROR_DRAFT_OPEN;
    int32_t most = sai_arguments_piece(state->pool, state->layer);
    int32_t piece = claim->piece && claim->piece < most ? claim->piece : most;
    switch (sai_state_can_append(state, (uint64_t)n, (uint64_t)piece, &claim->tiles[lane])) {
    case SA_SUCCESS:
        return SAI_ERROR_NONE;
    case SA_ERR_FULL:
        return SAI_ERROR_FULL;
    case SA_ERR_POOL:
        return SAI_ERROR_NO_TILE;
    default:
        return SAI_ERROR_STREAM_END;
    }
}

sai_error sai_arguments_check_room(const sa_cache *cache, int32_t layer, int32_t n, const sai_claim *claim) {
    const sa_pool *pool = sai_pool_of(cache);
    int32_t first = sai_first_lane(pool, layer), end = sai_first_lane(pool, layer + 1);
    sai_error error = n < 0 ? SAI_ERROR_N_TOKENS : SAI_ERROR_NONE;
    for (int32_t lane = first; !error && n && lane < end; lane++) {
        sai_state state = sai_lane_state(cache, lane);
        error = arguments_check_append(&state, n, claim, lane - first);
    }
    return error;
}

/* Whether lane `lane` of the layer can do it. */
static sai_error arguments_check_lane(const sai_state *state, const sa_step_args *a, sai_call *call,
                                      const sai_claim *claim, int32_t lane) {
    if (call->attends && state->layer->n_sink_kv && !state->layer->sink_kv_ready) return SAI_ERROR_SINK_KV_MISSING;
    if (call->is_draft && call->appends) return sai_draft_check(state, a->parents, call);
    if (call->is_draft) return sai_draft_check_queries(state, a->q_offset, call);
    if (call->appends) return arguments_check_append(state, call->n, claim, lane);
    if (!call->attends) return SAI_ERROR_NONE;
    int64_t first = (int64_t)state->spans->seen + a->q_offset;
    if (first < 0) return SAI_ERROR_QUERY_BEFORE;
    if (first >= (int64_t)SAI_POSITION_LIMIT - call->n) return SAI_ERROR_QUERY_END;
    call->first = (uint64_t)first;
    /* Tokens that a narrower window does not reach need not be held; sinks that a view takes for window tokens must
     * have their second copies. */
    sai_sight sight = sai_sight_of(&state->layer->rules, state->spans);
    sai_view_narrow(call, &state->layer->rules, &sight, (sai_span *)sai_at(state->pool, state->pool->work.views_at));
    return sai_sight_can_query(&sight, call->first, (uint64_t)call->n) ? SAI_ERROR_QUERY_LOST : SAI_ERROR_NONE;
}

int32_t sai_arguments_piece(const sa_pool *pool, const sai_layer *layer) {
    int32_t most = (1 << 24) / layer->layer_heads;
    return pool->max_append < most ? pool->max_append : most;
}

static sai_error arguments_check_stream(const sa_cache *cache, const sa_step_args *a, sai_call *call, sai_state *state,
                                        const sai_claim *claim) {
    const sa_pool *pool = sai_pool_of(cache);
    int32_t first = sai_first_lane(pool, a->layer), n = sai_first_lane(pool, a->layer + 1) - first;
    sai_lane_look_up(cache, first, state);
    if (!call->n) return SAI_ERROR_NONE;
    sai_error error = arguments_check_lane(state, a, call, claim, 0);
    for (int32_t i = 1; !error && i < n; i++) {
        sai_state other = sai_lane_state(cache, first + i);
        error = arguments_check_lane(&other, a, call, claim, i);
    }
    return error;
}

sai_claim sai_arguments_claim(const sa_pool *pool, int32_t piece) {
    sai_claim claim = {(int64_t *)sai_at(pool, pool->work.claims_at), piece};
    if (pool->has_budget) memset(claim.tiles, 0, (size_t)pool->work.most_lanes * sizeof *claim.tiles);
    return claim;
}

sai_error sai_arguments_check(const sa_cache *cache, const sa_step_args *a, sai_call *call, sai_state *state,
                              const sai_claim *claim) {
    const sa_pool *pool = sai_pool_of(cache);
    /* The views are filled in. To clear all would take long, see step_plain. */
    memset(&call->lse, 0, sizeof *call - offsetof(sai_call, lse));
    if (!cache->is_open) return SAI_ERROR_CLOSED;
    sai_error error = arguments_check_shape(pool, a, call);
    if (!error) error = arguments_check_tensors(pool, a, call);
    if (!error) error = arguments_check_arrays(pool, a, call);
    if (!error) error = arguments_check_stream(cache, a, call, state, claim);
    return error ? error : arguments_check_keys(cache, a, call, claim);
}

sai_error sai_arguments_read(const sa_step_args *args, sa_step_args *own) {
    if (!args) return SAI_ERROR_ARGS_NULL;
    return sai_read_struct(own, sizeof *own, ARGUMENTS_FIRST_SIZE, args) ? SAI_ERROR_ARGS_SIZE : SAI_ERROR_NONE;
}
