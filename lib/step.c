/* The public functions that append and attend: of one sequence, or of many in one call.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include <string.h>

#include "append.h"
#include "arguments.h"
#include "attend.h"
#include "draft.h"
#include "mass.h"

/* ---------------------------------- steps --------------------------------- */

/* Makes tokens [from, from + n) of a job's call, of which `first` is the position of token 0, its work. */
static void step_job(sa_pool *pool, int32_t index, int64_t from, int32_t n) {
    sai_job *job = &sai_jobs(pool)[index];
    job->call.first = job->call.appends ? job->state.spans->seen : job->call.first + (uint64_t)(from - job->call.from);
    job->call.node += (int32_t)(from - job->call.from);
    job->call.from = from;
    job->call.n = n;
    if (job->call.is_draft)
        sai_draft_step(&job->state, &job->call);
    else if (job->call.appends)
        sai_state_append(&job->state, (uint64_t)n);
    sai_plan_job(pool, index);
}

/* Makes jobs of tokens [from, from + n) of a checked call, from job `index` on: one for each lane of the layer. Returns
 * the index of the job behind them. `state`: the first lane's. */
static int32_t step_lanes(const sa_cache *cache, int32_t layer, const sai_call *call, const sai_state *state,
                          int32_t index, int64_t from, int32_t n) {
    sa_pool *pool = sai_pool_of(cache);
    int32_t first = sai_first_lane(pool, layer), end = sai_first_lane(pool, layer + 1);
    for (int32_t lane = first; lane < end; lane++, index++) {
        sai_job *job = &sai_jobs(pool)[index];
        job->call = *call;
        if (lane == first)
            job->state = *state;
        else
            sai_lane_look_up(cache, lane, &job->state);
        step_job(pool, index, from, n);
    }
    return index;
}

static sa_status step_checked(sa_cache *cache, const sa_step_args *a) {
    sa_pool *pool = sai_pool_of(cache);
    sai_call call;
    sai_state state;
    sai_claim claim = sai_arguments_claim(pool, 0);
    sai_error error = sai_arguments_check(cache, a, &call, &state, &claim);
    if (error) return sai_error_keep(cache, error);
    pool->work.begun_layer = -1;
    if (!call.n) return sai_error_keep(cache, SAI_ERROR_NONE);
    int32_t piece = call.n > 1 ? sai_arguments_piece(pool, state.layer) : 1;
    for (int64_t from = 0; from < call.n; from += piece) {
        int32_t n = call.n - from < piece ? (int32_t)(call.n - from) : piece;
        int32_t n_jobs = step_lanes(cache, a->layer, &call, &state, 0, from, n);
        sai_plan_cut(pool, n_jobs);
        sai_attend(pool, n_jobs);
    }
    return sai_error_keep(cache, SAI_ERROR_NONE);
}

sa_status sa_step(sa_cache *cache, const sa_step_args *args) {
    sa_step_args own;
    if (!cache) return SA_ERR_ARGUMENT;
    sai_error error = sai_arguments_read(args, &own);
    return error ? sai_error_keep(cache, error) : step_checked(cache, &own);
}

/* --------------------------------- batches -------------------------------- */

static sai_batch_call *step_calls(const sa_pool *pool) { return (sai_batch_call *)sai_at(pool, pool->work.calls_at); }

/* `each`: the array that comes with the caches. */
static sai_error step_check_batch(const sa_pool *pool, int32_t n, sa_cache *const *caches, const void *each) {
    uintptr_t block = (uintptr_t)sai_block_of(pool);
    if (n < 0 || n > pool->n_sequences) return SAI_ERROR_BATCH_LENGTH;
    if (n && (!caches || !each)) return SAI_ERROR_BATCH_NULL;
    for (int32_t i = 0; i < n; i++) {
        size_t at = (uintptr_t)caches[i] - block;
        if (at >= (size_t)pool->n_sequences * pool->sequence_size || at % pool->sequence_size)
            return SAI_ERROR_BATCH_CACHE;
    }
    return SAI_ERROR_NONE;
}

/* Checks a step, and leaves its call in `to`. */
static sai_error step_check_one(sa_cache *cache, const sa_step_args *args, int32_t *layer, const sai_claim *claim,
                                sai_batch_call *to) {
    sa_step_args own;
    if (cache->in_batch) return SAI_ERROR_BATCH_TWICE;
    sai_error error = sai_arguments_read(args, &own);
    if (error) return error;
    if (*layer < 0) *layer = own.layer;
    if (own.layer != *layer) return SAI_ERROR_BATCH_LAYER;
    to->cache = cache;
    to->done = 0;
    return sai_arguments_check(cache, &own, &to->call, &to->state, claim);
}

/* How many tokens of all steps are processed at once: the rotations of so many have room. */
static int32_t step_batch_room(const sa_pool *pool) {
    return pool->max_append > pool->n_sequences ? pool->max_append : pool->n_sequences;
}

/* How many tokens of each of n steps are processed at once: all of them, where they have room together (0), or as many
 * as have room if every step has so many. */
static int32_t step_piece(const sa_pool *pool, int32_t n, int64_t tokens) {
    return tokens <= step_batch_room(pool) ? 0 : step_batch_room(pool) / n;
}

/* The same for args that have not been checked yet. */
static int32_t step_batch_piece(const sa_pool *pool, int32_t n, const sa_step_args *const *args) {
    int64_t tokens = 0;
    for (int32_t i = 0; args && i < n; i++)
        if (args[i] && args[i]->struct_size >= offsetof(sa_step_args, q) && args[i]->n_tokens > 0)
            tokens += args[i]->n_tokens;
    return step_piece(pool, n, tokens);
}

/* Checks all steps; *failed is the one that is wrong, and *layer what they have in common. */
static sai_error step_check_all(sa_pool *pool, int32_t n, sa_cache *const *caches, const sa_step_args *const *args,
                                int32_t *layer, int32_t *failed) {
    int32_t i;
    *failed = *layer = -1;
    sai_error error = step_check_batch(pool, n, caches, args);
    if (error) return error;
    sai_claim claim = sai_arguments_claim(pool, step_batch_piece(pool, n, args));
    for (i = 0; i < n; i++) {
        error = step_check_one(caches[i], args[i], layer, &claim, &step_calls(pool)[i]);
        (void)sai_error_keep(caches[i], error);
        if (error) break;
        caches[i]->in_batch = 1;
    }
    if (error) *failed = i;
    while (i > 0) caches[--i]->in_batch = 0;
    return error;
}

/* Makes jobs of the next tokens of all calls that have some left; returns how many. */
static int32_t step_batch_jobs(sa_pool *pool, int32_t n, int32_t layer, int32_t piece) {
    int32_t n_jobs = 0, most = sai_arguments_piece(pool, sai_layer_of(pool, layer));
    if (piece && piece < most) most = piece;
    for (int32_t i = 0; i < n; i++) {
        sai_batch_call *c = &step_calls(pool)[i];
        int64_t left = c->call.n - c->done;
        if (!left) continue;
        int32_t own = left < most ? (int32_t)left : most;
        n_jobs = step_lanes(c->cache, layer, &c->call, &c->state, n_jobs, c->done, own);
        c->done += own;
    }
    sai_plan_cut(pool, n_jobs);
    return n_jobs;
}

sa_status sa_batch(sa_pool *pool, int32_t n, sa_cache *const *caches, const sa_step_args *const *args,
                   int32_t *failed_out) {
    int32_t layer, failed, n_jobs;
    if (failed_out) *failed_out = -1;
    if (!pool) return SA_ERR_ARGUMENT;
    pool->work.begun_layer = -1;
    sai_error error = step_check_all(pool, n, caches, args, &layer, &failed);
    if (failed_out) *failed_out = failed;
    if (error) return sai_error_keep_pool(pool, error);
    int32_t piece = step_batch_piece(pool, n, args);
    while (n && (n_jobs = step_batch_jobs(pool, n, layer, piece)) > 0) sai_attend(pool, n_jobs);
    return sai_error_keep_pool(pool, error);
}

/* Whether a layer takes the tokens of all sequences together; *failed is the first that it does not. */
static sai_error step_check_room(const sa_pool *pool, int32_t layer, int32_t n, sa_cache *const *caches,
                                 const int32_t *n_tokens, int32_t *failed) {
    int64_t tokens = 0;
    for (int32_t i = 0; i < n; i++) tokens += n_tokens[i] > 0 ? n_tokens[i] : 0;
    sai_claim claim = sai_arguments_claim(pool, step_piece(pool, n, tokens));
    for (int32_t i = 0; i < n; i++) {
        sai_error error = caches[i]->is_open ? SAI_ERROR_NONE : SAI_ERROR_CLOSED;
        if (!error) error = sai_arguments_check_room(caches[i], layer, n_tokens[i], &claim);
        (void)sai_error_keep(caches[i], error);
        *failed = error ? i : -1;
        if (error) return error;
    }
    return SAI_ERROR_NONE;
}

static sai_error step_check_once_each(int32_t n, sa_cache *const *caches) {
    sai_error error = SAI_ERROR_NONE;
    int32_t i;
    for (i = 0; i < n && !error; i++) {
        if (caches[i]->in_batch) error = SAI_ERROR_BATCH_TWICE;
        caches[i]->in_batch = 1;
    }
    while (i > 0) caches[--i]->in_batch = 0;
    return error;
}

sa_status sa_pool_can_append(sa_pool *pool, int32_t n, sa_cache *const *caches, const int32_t *n_tokens,
                             int32_t *failed_out) {
    int32_t failed = -1;
    if (failed_out) *failed_out = -1;
    if (!pool) return SA_ERR_ARGUMENT;
    sai_error error = step_check_batch(pool, n, caches, n_tokens);
    if (!error) error = step_check_once_each(n, caches);
    for (int32_t layer = 0; !error && layer < pool->n_layers; layer++)
        error = step_check_room(pool, layer, n, caches, n_tokens, &failed);
    if (failed_out) *failed_out = failed;
    return sai_error_keep_pool(pool, error);
}

/* --------------------------- the host's threads --------------------------- */

/* Stores the tokens of the jobs, and leaves attention for sai_attend_part; returns how many phases it has. */
static int32_t step_begin(sa_pool *pool, int32_t layer, int32_t n_jobs) {
    for (int32_t i = 0; i < n_jobs; i++) sai_jobs(pool)[i].stores_by_head = 0;
    sai_append_all(pool, n_jobs, 0);
    sai_mass_begin(pool, n_jobs);
    pool->work.begun_layer = layer;
    pool->work.begun_jobs = n_jobs;
    pool->work.begun_phases = sai_plan_phases(pool, n_jobs);
    return pool->work.begun_phases;
}

sa_status sa_step_begin(sa_cache *cache, const sa_step_args *args, int32_t *n_phases_out) {
    sa_step_args own;
    sai_call call;
    sai_state state;
    int32_t n_jobs = 0;
    if (n_phases_out) *n_phases_out = 0;
    if (!cache) return SA_ERR_ARGUMENT;
    sa_pool *pool = sai_pool_of(cache);
    sai_claim claim = sai_arguments_claim(pool, 0);
    pool->work.begun_layer = -1;
    sai_error error = sai_arguments_read(args, &own);
    if (!error && !n_phases_out) error = SAI_ERROR_N_PHASES_OUT;
    if (!error) error = sai_arguments_check(cache, &own, &call, &state, &claim);
    if (!error && call.n > sai_arguments_piece(pool, state.layer)) error = SAI_ERROR_BEGIN_TOKENS;
    if (error) return sai_error_keep(cache, error);
    if (call.n) n_jobs = step_lanes(cache, own.layer, &call, &state, 0, 0, call.n);
    sai_plan_cut(pool, n_jobs);
    *n_phases_out = step_begin(pool, own.layer, n_jobs);
    return sai_error_keep(cache, SAI_ERROR_NONE);
}

sa_status sa_batch_begin(sa_pool *pool, int32_t n, sa_cache *const *caches, const sa_step_args *const *args,
                         int32_t *n_phases_out, int32_t *failed_out) {
    int32_t layer, failed;
    int64_t tokens = 0;
    if (n_phases_out) *n_phases_out = 0;
    if (failed_out) *failed_out = -1;
    if (!pool) return SA_ERR_ARGUMENT;
    pool->work.begun_layer = -1;
    if (!n_phases_out) return sai_error_keep_pool(pool, SAI_ERROR_N_PHASES_OUT);
    sai_error error = step_check_all(pool, n, caches, args, &layer, &failed);
    if (failed_out) *failed_out = failed;
    for (int32_t i = 0; !error && i < n; i++) {
        int32_t own = step_calls(pool)[i].call.n;
        tokens += own;
        if (own > sai_arguments_piece(pool, step_calls(pool)[i].state.layer) || tokens > step_batch_room(pool))
            error = SAI_ERROR_BATCH_TOKENS;
    }
    if (!error && n) *n_phases_out = step_begin(pool, layer, step_batch_jobs(pool, n, layer, 0));
    return sai_error_keep_pool(pool, error);
}

sa_status sa_batch_part(sa_pool *pool, int32_t phase, int32_t index, int32_t count) {
    if (!pool || phase < 0 || phase > 2 || index < 0 || index >= count) return SA_ERR_ARGUMENT;
    const sai_workspace *work = &pool->work;
    if (work->begun_layer < 0) return SA_ERR_STATE;
    int32_t workers = count < pool->n_threads ? count : pool->n_threads;
    if (phase < work->begun_phases && index < workers) sai_attend_part(pool, work->begun_jobs, phase, index, workers);
    return SA_SUCCESS;
}

sa_status sa_step_part(sa_cache *cache, int32_t phase, int32_t index, int32_t count) {
    return cache ? sa_batch_part(sai_pool_of(cache), phase, index, count) : SA_ERR_ARGUMENT;
}

/* ----------------------------- the plain calls ---------------------------- */

/* A contiguous tensor. */
static void step_tensor(sa_tensor *tensor, const void *data) {
    memset(tensor, 0, sizeof *tensor);
    tensor->data = (void *)(uintptr_t)data;
}

/* Contiguous tensors, nothing beside. Without tokens the pointers do not count. Cleared piece by piece: more than about
 * 100 bytes at once become an instruction that takes 30 cycles to start (rep stos). */
static sa_step_args step_plain(int32_t layer, int32_t n_tokens, const void *q, const void *k, const void *v,
                               void *out) {
    sa_step_args a;
    a.struct_size = sizeof a;
    a.flags = 0;
    a.layer = layer;
    a.n_tokens = n_tokens;
    step_tensor(&a.q, n_tokens ? q : NULL);
    step_tensor(&a.k, n_tokens ? k : NULL);
    step_tensor(&a.v, n_tokens ? v : NULL);
    step_tensor(&a.out, n_tokens ? out : NULL);
    memset(&a.q_offset, 0, sizeof a - offsetof(sa_step_args, q_offset));
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
