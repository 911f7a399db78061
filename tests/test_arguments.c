/*
 * Every public call with wrong arguments: the documented status, cache and outputs unchanged.
 *
 * The configs that must be refused are in test_config.c.
 *
 * SPDX-License-Identifier: MIT
 */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "../lib/pool.h"
#include "support.h"
#include "test.h"

enum { HEADS = 4, KV_HEADS = 2, DIM = 8, V_DIM = 6, MOST = 64, MAX_APPEND = 16 };

/* A cache in a block of ours, and a copy of every byte that a refused call must leave alone. */
typedef struct world {
    sa_config config;
    unsigned char *block, *block_copy;
    size_t size;
    sa_cache *cache;
    float q[MOST * HEADS * DIM + 4], k[MOST * KV_HEADS * DIM + 4], v[MOST * KV_HEADS * V_DIM + 4];
    float out[MOST * HEADS * V_DIM + 4], lse[MOST * HEADS + 4], mass[MOST * HEADS + 4];
    float max[MOST * HEADS + 4], sum[MOST * HEADS + 4];
} world;

static world w, copy;

static sa_config config_of(int policy, int n_sink_kv) {
    sa_config g;
    memset(&g, 0, sizeof g);
    g.struct_size = sizeof g;
    g.n_layers = 2;
    g.max_append = MAX_APPEND;
    g.rollback = 3;
    g.n_heads = HEADS;
    g.n_kv_heads = KV_HEADS;
    g.head_dim = DIM;
    g.v_head_dim = V_DIM;
    g.policy = policy;
    g.n_sink = policy == SA_POLICY_SINK_WINDOW ? 2 : 0;
    g.window = 20;
    g.n_sink_kv = n_sink_kv;
    g.position = SA_POSITION_ROPE;
    return g;
}

static void open_world(int policy, int n_sink_kv) {
    size_t alignment = 1, i;
    memset(&w, 0, sizeof w);
    w.config = config_of(policy, n_sink_kv);
    CHECK(sa_cache_size(&w.config, &w.size, &alignment) == SA_SUCCESS, "size");
    w.block = test_take(w.size + alignment);
    w.block_copy = test_take(w.size);
    CHECK(sa_cache_init(w.block + (alignment - (uintptr_t)w.block % alignment) % alignment, w.size, &w.config,
                        &w.cache) == SA_SUCCESS,
          "init");
    for (i = 0; i < sizeof w.q / sizeof w.q[0]; i++) {
        w.q[i] = 0.25f * (float)(i % 7);
    }
    for (i = 0; i < sizeof w.k / sizeof w.k[0]; i++) {
        w.k[i] = 0.5f * (float)(i % 5);
    }
    for (i = 0; i < sizeof w.v / sizeof w.v[0]; i++) {
        w.v[i] = (float)(i % 11);
    }
}

static void close_world(void) {
    free(w.block);
    free(w.block_copy);
}

static void *block_of(void) {
    size_t alignment = 1, size;
    sa_cache_size(&w.config, &size, &alignment);
    return w.block + (alignment - (uintptr_t)w.block % alignment) % alignment;
}

static void remember(void) {
    memcpy(w.block_copy, block_of(), w.size);
    memcpy(&copy, &w, sizeof w);
}

static void refused(sa_status got, sa_status expected, int line, const char *call) {
    /* All that may change is what sa_cache_error says. */
    ((sa_cache *)(void *)w.block_copy)->error = w.cache->error;
    CHECK(got == expected, "line %d: %s: %d (%s), not %d", line, call, (int)got, sa_status_string(got), (int)expected);
    CHECK(memcmp(w.block_copy, block_of(), w.size) == 0, "line %d: %s: the cache has changed", line, call);
    CHECK(memcmp(&copy, &w, sizeof w) == 0, "line %d: %s: an output has changed", line, call);
}

#define REFUSED(expected, call) (remember(), refused(call, expected, __LINE__, #call))
#define TAKEN(call) test_taken(call, __LINE__, #call)

static void test_taken(sa_status got, int line, const char *call) {
    CHECK(got == SA_SUCCESS, "line %d: %s: %d (%s)", line, call, (int)got, sa_status_string(got));
}

static float *off_by(float *p, int bytes) { return (float *)(void *)((char *)p + bytes); }

/* ------------------------------ the plain calls ----------------------------- */

static void plain_calls(void) {
    sa_cache *c;
    open_world(SA_POLICY_SINK_WINDOW, 0);
    c = w.cache;
    REFUSED(SA_ERR_DEPTH, sa_attend(c, 0, 1, w.q, w.out));
    TAKEN(sa_append_kv(c, 0, 10, w.k, w.v));
    REFUSED(SA_ERR_ARGUMENT, sa_append_kv(NULL, 0, 1, w.k, w.v));
    REFUSED(SA_ERR_ARGUMENT, sa_append_kv(c, -1, 1, w.k, w.v));
    REFUSED(SA_ERR_ARGUMENT, sa_append_kv(c, 2, 1, w.k, w.v));
    REFUSED(SA_ERR_ARGUMENT, sa_append_kv(c, INT32_MAX, 1, w.k, w.v));
    REFUSED(SA_ERR_ARGUMENT, sa_append_kv(c, INT32_MIN, 1, w.k, w.v));
    REFUSED(SA_ERR_ARGUMENT, sa_append_kv(c, 0, -1, w.k, w.v));
    REFUSED(SA_ERR_ARGUMENT, sa_append_kv(c, 0, INT32_MIN, w.k, w.v));
    REFUSED(SA_ERR_ARGUMENT, sa_append_kv(c, 0, 1, NULL, w.v));
    REFUSED(SA_ERR_ARGUMENT, sa_append_kv(c, 0, 1, w.k, NULL));
    REFUSED(SA_ERR_ALIGNMENT, sa_append_kv(c, 0, 1, off_by(w.k, 1), w.v));
    REFUSED(SA_ERR_ALIGNMENT, sa_append_kv(c, 0, 1, w.k, off_by(w.v, 2)));
    /* 63 bytes are left above: too few for ten tokens. */
    float *last = (float *)(UINTPTR_MAX - 63);
    REFUSED(SA_ERR_OVERFLOW, sa_append_kv(c, 0, 10, last, w.v));
    REFUSED(SA_ERR_OVERFLOW, sa_append_kv(c, 0, 10, w.k, last));
    REFUSED(SA_SUCCESS, sa_append_kv(c, 0, 0, NULL, NULL));
    REFUSED(SA_ERR_ARGUMENT, sa_attend(NULL, 0, 1, w.q, w.out));
    REFUSED(SA_ERR_ARGUMENT, sa_attend(c, -1, 1, w.q, w.out));
    REFUSED(SA_ERR_ARGUMENT, sa_attend(c, 2, 1, w.q, w.out));
    REFUSED(SA_ERR_ARGUMENT, sa_attend(c, 0, -1, w.q, w.out));
    REFUSED(SA_ERR_ARGUMENT, sa_attend(c, 0, MAX_APPEND + 1, w.q, w.out));
    REFUSED(SA_ERR_ARGUMENT, sa_attend(c, 0, INT32_MAX, w.q, w.out));
    REFUSED(SA_ERR_DEPTH, sa_attend(c, 0, 11, w.q, w.out));
    REFUSED(SA_ERR_DEPTH, sa_attend(c, 1, 1, w.q, w.out));
    REFUSED(SA_ERR_ARGUMENT, sa_attend(c, 0, 1, NULL, w.out));
    REFUSED(SA_ERR_ARGUMENT, sa_attend(c, 0, 1, w.q, NULL));
    REFUSED(SA_ERR_ALIGNMENT, sa_attend(c, 0, 1, off_by(w.q, 3), w.out));
    REFUSED(SA_ERR_ALIGNMENT, sa_attend(c, 0, 1, w.q, off_by(w.out, 1)));
    REFUSED(SA_ERR_ARGUMENT, sa_append_attend(NULL, 0, 1, w.q, w.k, w.v, w.out));
    REFUSED(SA_ERR_ARGUMENT, sa_append_attend(c, 2, 1, w.q, w.k, w.v, w.out));
    REFUSED(SA_ERR_ARGUMENT, sa_append_attend(c, 0, -1, w.q, w.k, w.v, w.out));
    REFUSED(SA_ERR_ARGUMENT, sa_append_attend(c, 0, 1, NULL, w.k, w.v, w.out));
    REFUSED(SA_ERR_ARGUMENT, sa_append_attend(c, 0, 1, w.q, NULL, w.v, w.out));
    REFUSED(SA_ERR_ARGUMENT, sa_append_attend(c, 0, 1, w.q, w.k, NULL, w.out));
    REFUSED(SA_ERR_ARGUMENT, sa_append_attend(c, 0, 1, w.q, w.k, w.v, NULL));
    REFUSED(SA_ERR_ALIGNMENT, sa_append_attend(c, 0, 1, off_by(w.q, 1), w.k, w.v, w.out));
    REFUSED(SA_ERR_ALIGNMENT, sa_append_attend(c, 0, 1, w.q, off_by(w.k, 1), w.v, w.out));
    REFUSED(SA_ERR_ALIGNMENT, sa_append_attend(c, 0, 1, w.q, w.k, off_by(w.v, 1), w.out));
    REFUSED(SA_ERR_ALIGNMENT, sa_append_attend(c, 0, 1, w.q, w.k, w.v, off_by(w.out, 1)));
    TAKEN(sa_attend(c, 0, 10, w.q, w.out));
    TAKEN(sa_attend(c, 0, 0, w.q, w.out));
    TAKEN(sa_append_attend(c, 1, MOST, w.q, w.k, w.v, w.out));
    close_world();
}

/* ----------------------------------- sa_step -------------------------------- */

/* Args that would be taken: append 4 tokens and read them. */
static sa_step_args good_args(void) {
    sa_step_args a;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.n_tokens = 4;
    a.q.data = w.q;
    a.k.data = w.k;
    a.v.data = w.v;
    a.out.data = w.out;
    a.lse = w.lse;
    a.sink_mass = w.mass;
    return a;
}

/* The same without appending. */
static sa_step_args probe_args(void) {
    sa_step_args a = good_args();
    a.k.data = a.v.data = NULL;
    return a;
}

#define STEP(expected, start, change)                                                                                  \
    do {                                                                                                               \
        sa_step_args a = start();                                                                                      \
        change;                                                                                                        \
        remember();                                                                                                    \
        refused(sa_step(w.cache, &a), expected, __LINE__, #change);                                                    \
    } while (0)

static void step_tensors(void) {
    STEP(SA_ERR_ARGUMENT, good_args, a.v.data = NULL);
    STEP(SA_ERR_ARGUMENT, good_args, a.k.data = NULL);
    STEP(SA_ERR_ARGUMENT, good_args, a.q.data = NULL);
    STEP(SA_ERR_ARGUMENT, good_args, a.out.data = NULL);
    STEP(SA_ERR_ARGUMENT, good_args, a.q.dtype = 4);
    STEP(SA_ERR_ARGUMENT, good_args, a.k.dtype = -1);
    STEP(SA_ERR_ARGUMENT, good_args, a.v.dtype = INT32_MAX);
    STEP(SA_ERR_ARGUMENT, good_args, a.out.dtype = INT32_MIN);
    STEP(SA_ERR_ARGUMENT, good_args, a.q.flags = 2);
    STEP(SA_ERR_ARGUMENT, good_args, a.k.flags = 2);
    STEP(SA_ERR_ARGUMENT, good_args, a.v.flags = 2);
    STEP(SA_ERR_ARGUMENT, good_args, a.out.flags = 0x80000001u);
    STEP(SA_ERR_ALIGNMENT, good_args, a.q.token_stride = HEADS * DIM * 4 + 1);
    STEP(SA_ERR_ALIGNMENT, good_args, a.k.head_stride = DIM * 4 + 2);
    STEP(SA_ERR_ALIGNMENT, good_args, a.v.token_stride = -(HEADS * DIM * 4 + 3));
    STEP(SA_ERR_ALIGNMENT, good_args, a.out.head_stride = V_DIM * 4 + 2);
    STEP(SA_ERR_ALIGNMENT, good_args, a.q.data = off_by(w.q, 2));
    STEP(SA_ERR_ALIGNMENT, good_args, (a.q.data = off_by(w.q, 1), a.q.dtype = SA_F16));
    STEP(SA_ERR_ALIGNMENT, good_args, (a.k.dtype = SA_BF16, a.k.token_stride = HEADS * DIM * 2 + 1));
}

static void step_numbers(void) {
    STEP(SA_ERR_STRUCT_SIZE, good_args, a.struct_size = 0);
    STEP(SA_ERR_STRUCT_SIZE, good_args, a.struct_size = sizeof a - 4);
    STEP(SA_ERR_ARGUMENT, good_args, a.flags = SA_STEP_NODES);
    STEP(SA_ERR_ARGUMENT, good_args, a.flags = 1u << 30);
    STEP(SA_ERR_ARGUMENT, good_args, a.flags = 0x80000000u);
    STEP(SA_ERR_ARGUMENT, good_args, a.layer = 2);
    STEP(SA_ERR_ARGUMENT, good_args, a.layer = -1);
    STEP(SA_ERR_ARGUMENT, good_args, a.n_tokens = -1);
    STEP(SA_ERR_ARGUMENT, good_args, a.n_tokens = INT32_MIN);
    STEP(SA_ERR_ARGUMENT, good_args, a.q_offset = 1);
    STEP(SA_ERR_ARGUMENT, good_args, a.q_offset = -4);
    STEP(SA_ERR_ARGUMENT, good_args, (a.q.data = a.out.data = NULL, a.lse = NULL, a.sink_mass = NULL, a.q_offset = 5));
    STEP(SA_ERR_ARGUMENT, good_args, (a.lse = NULL, a.partial_max = w.max));
    STEP(SA_ERR_ARGUMENT, good_args, (a.lse = NULL, a.partial_sum = w.sum));
    STEP(SA_ERR_ARGUMENT, good_args, (a.partial_max = w.max, a.partial_sum = w.sum, a.out.dtype = SA_F16));
    STEP(SA_ERR_ALIGNMENT, good_args, a.lse = off_by(w.lse, 1));
    STEP(SA_ERR_ALIGNMENT, good_args, a.sink_mass = off_by(w.mass, 2));
    STEP(SA_ERR_ALIGNMENT, good_args, (a.partial_max = off_by(w.max, 2), a.partial_sum = w.sum));
    STEP(SA_ERR_ALIGNMENT, good_args, (a.partial_max = w.max, a.partial_sum = off_by(w.sum, 2)));
    STEP(SA_ERR_ARGUMENT, probe_args, a.n_tokens = MAX_APPEND + 1);
    STEP(SA_ERR_ARGUMENT, probe_args, a.q_offset = INT64_MAX);
    STEP(SA_ERR_ARGUMENT, probe_args, a.q_offset = INT64_MIN);
    STEP(SA_ERR_ARGUMENT, probe_args, a.q_offset = ((int64_t)1 << 62) + 1);
    STEP(SA_ERR_DEPTH, probe_args, a.q_offset = -1000);
}

/* Strides so large that offsets would not fit: an error of some kind, and no access. */
static void step_overflow(void) {
    static const int64_t huge[] = {INT64_MAX / 4 * 4, INT64_MIN / 4 * 4, INT64_MAX / 8 * 4, (int64_t)1 << 62};
    int i;
    open_world(SA_POLICY_SINK_WINDOW, 0);
    for (i = 0; i < 4; i++) {
        sa_step_args a = good_args();
        sa_status status;
        a.out.token_stride = huge[i];
        remember();
        status = sa_step(w.cache, &a);
        refused(status, status == SA_ERR_OVERFLOW ? SA_ERR_OVERFLOW : SA_ERR_ARGUMENT, __LINE__, "huge out stride");
        a = good_args();
        a.q.head_stride = huge[i];
        remember();
        status = sa_step(w.cache, &a);
        refused(status, status == SA_ERR_OVERFLOW ? SA_ERR_OVERFLOW : SA_ERR_ARGUMENT, __LINE__, "huge q stride");
    }
    close_world();
}

static void step_calls(void) {
    sa_step_args a;
    open_world(SA_POLICY_SINK_WINDOW, 0);
    TAKEN(sa_append_kv(w.cache, 0, 40, w.k, w.v));
    a = good_args();
    REFUSED(SA_ERR_ARGUMENT, sa_step(NULL, &a));
    REFUSED(SA_ERR_ARGUMENT, sa_step(w.cache, NULL));
    step_tensors();
    step_numbers();
    a = good_args();
    TAKEN(sa_step(w.cache, &a));
    a = probe_args();
    TAKEN(sa_step(w.cache, &a));
    a = good_args();
    a.n_tokens = 0;
    REFUSED(SA_SUCCESS, sa_step(w.cache, &a));
    close_world();
}

/* --------------------- sinks, going back, jumping, full --------------------- */

static void learned_rows(void) {
    sa_step_args a;
    open_world(SA_POLICY_SINK_WINDOW, 3);
    TAKEN(sa_append_kv(w.cache, 0, 5, w.k, w.v));
    a = good_args();
    REFUSED(SA_ERR_STATE, sa_attend(w.cache, 0, 1, w.q, w.out));
    REFUSED(SA_ERR_STATE, sa_append_attend(w.cache, 0, 1, w.q, w.k, w.v, w.out));
    REFUSED(SA_ERR_STATE, sa_step(w.cache, &a));
    REFUSED(SA_ERR_ARGUMENT, sa_set_sink_kv(NULL, 0, w.k, w.v));
    REFUSED(SA_ERR_ARGUMENT, sa_set_sink_kv(w.cache, 2, w.k, w.v));
    REFUSED(SA_ERR_ARGUMENT, sa_set_sink_kv(w.cache, -1, w.k, w.v));
    REFUSED(SA_ERR_ARGUMENT, sa_set_sink_kv(w.cache, 0, NULL, w.v));
    REFUSED(SA_ERR_ARGUMENT, sa_set_sink_kv(w.cache, 0, w.k, NULL));
    REFUSED(SA_ERR_ALIGNMENT, sa_set_sink_kv(w.cache, 0, off_by(w.k, 2), w.v));
    REFUSED(SA_ERR_ALIGNMENT, sa_set_sink_kv(w.cache, 0, w.k, off_by(w.v, 2)));
    TAKEN(sa_set_sink_kv(w.cache, 0, w.k, w.v));
    TAKEN(sa_attend(w.cache, 0, 1, w.q, w.out));
    TAKEN(sa_cache_reset(w.cache, SA_ALL_LAYERS));
    TAKEN(sa_append_attend(w.cache, 0, 1, w.q, w.k, w.v, w.out));
    REFUSED(SA_ERR_STATE, sa_append_attend(w.cache, 1, 1, w.q, w.k, w.v, w.out));
    close_world();
    open_world(SA_POLICY_SINK_WINDOW, 0);
    REFUSED(SA_ERR_ARGUMENT, sa_set_sink_kv(w.cache, 0, w.k, w.v));
    close_world();
}

static void going_back(void) {
    const uint64_t limit = (uint64_t)1 << 62;
    open_world(SA_POLICY_SINK_WINDOW, 0);
    REFUSED(SA_ERR_ARGUMENT, sa_cache_reset(NULL, SA_ALL_LAYERS));
    REFUSED(SA_ERR_ARGUMENT, sa_cache_rollback(NULL, SA_ALL_LAYERS, 0));
    REFUSED(SA_ERR_ARGUMENT, sa_cache_rollback(w.cache, SA_ALL_LAYERS, -1));
    REFUSED(SA_ERR_ARGUMENT, sa_cache_rollback(w.cache, SA_ALL_LAYERS, 1));
    REFUSED(SA_ERR_ARGUMENT, sa_cache_rollback(w.cache, SA_ALL_LAYERS, INT64_MAX));
    REFUSED(SA_ERR_ARGUMENT, sa_cache_rollback(w.cache, SA_ALL_LAYERS, INT64_MIN));
    TAKEN(sa_cache_rollback(w.cache, SA_ALL_LAYERS, 0));
    TAKEN(sa_append_kv(w.cache, 0, 60, w.k, w.v));
    TAKEN(sa_append_kv(w.cache, 0, 60, w.k, w.v));
    TAKEN(sa_append_kv(w.cache, 1, 60, w.k, w.v));
    REFUSED(SA_ERR_ARGUMENT, sa_cache_rollback(w.cache, SA_ALL_LAYERS, 121));
    REFUSED(SA_ERR_DEPTH, sa_cache_rollback(w.cache, SA_ALL_LAYERS, 50));
    REFUSED(SA_ERR_DEPTH, sa_cache_rollback(w.cache, SA_ALL_LAYERS, 100));
    REFUSED(SA_ERR_ARGUMENT, sa_cache_seek(NULL, SA_ALL_LAYERS, 500));
    REFUSED(SA_ERR_ARGUMENT, sa_cache_seek(w.cache, SA_ALL_LAYERS, 0));
    REFUSED(SA_ERR_ARGUMENT, sa_cache_seek(w.cache, SA_ALL_LAYERS, 119));
    REFUSED(SA_ERR_OVERFLOW, sa_cache_seek(w.cache, SA_ALL_LAYERS, limit));
    REFUSED(SA_ERR_OVERFLOW, sa_cache_seek(w.cache, SA_ALL_LAYERS, UINT64_MAX));
    TAKEN(sa_cache_seek(w.cache, SA_ALL_LAYERS, limit - 4));
    REFUSED(SA_ERR_DEPTH, sa_cache_rollback(w.cache, SA_ALL_LAYERS, 1));
    REFUSED(SA_ERR_OVERFLOW, sa_append_kv(w.cache, 0, 20, w.k, w.v));
    REFUSED(SA_ERR_OVERFLOW, sa_append_attend(w.cache, 0, 20, w.q, w.k, w.v, w.out));
    TAKEN(sa_append_attend(w.cache, 0, 2, w.q, w.k, w.v, w.out));
    close_world();
}

static void dense_full(void) {
    sa_step_args a;
    open_world(SA_POLICY_DENSE, 0);
    REFUSED(SA_ERR_FULL, sa_append_kv(w.cache, 0, 21, w.k, w.v));
    TAKEN(sa_append_kv(w.cache, 0, 18, w.k, w.v));
    REFUSED(SA_ERR_FULL, sa_append_kv(w.cache, 0, 3, w.k, w.v));
    REFUSED(SA_ERR_FULL, sa_append_attend(w.cache, 0, 3, w.q, w.k, w.v, w.out));
    /* Where addresses have 32 bits, so many keys cannot lie in memory: that is found first. */
    REFUSED(sizeof(size_t) < 8 ? SA_ERR_OVERFLOW : SA_ERR_FULL, sa_append_kv(w.cache, 0, INT32_MAX, w.k, w.v));
    a = good_args();
    REFUSED(SA_ERR_FULL, sa_step(w.cache, &a));
    TAKEN(sa_append_attend(w.cache, 0, 2, w.q, w.k, w.v, w.out));
    REFUSED(SA_ERR_FULL, sa_append_kv(w.cache, 0, 1, w.k, w.v));
    TAKEN(sa_cache_rollback(w.cache, SA_ALL_LAYERS, 20));
    TAKEN(sa_append_kv(w.cache, 0, 20, w.k, w.v));
    TAKEN(sa_cache_seek(w.cache, SA_ALL_LAYERS, 1000));
    TAKEN(sa_append_kv(w.cache, 0, 20, w.k, w.v));
    REFUSED(SA_ERR_FULL, sa_append_kv(w.cache, 0, 1, w.k, w.v));
    close_world();
}

/* ------------------------------ partials and facts -------------------------- */

static void partials(void) {
    open_world(SA_POLICY_SINK_WINDOW, 0);
    REFUSED(SA_ERR_ARGUMENT, sa_merge_partial(-1, 4, w.max, w.sum, w.out, w.lse, w.mass, w.q));
    REFUSED(SA_ERR_ARGUMENT, sa_merge_partial(INT64_MIN, 4, w.max, w.sum, w.out, w.lse, w.mass, w.q));
    REFUSED(SA_ERR_ARGUMENT, sa_merge_partial(1, 0, w.max, w.sum, w.out, w.lse, w.mass, w.q));
    REFUSED(SA_ERR_ARGUMENT, sa_merge_partial(1, -4, w.max, w.sum, w.out, w.lse, w.mass, w.q));
    REFUSED(SA_ERR_ARGUMENT, sa_merge_partial(1, 4, NULL, w.sum, w.out, w.lse, w.mass, w.q));
    REFUSED(SA_ERR_ARGUMENT, sa_merge_partial(1, 4, w.max, NULL, w.out, w.lse, w.mass, w.q));
    REFUSED(SA_ERR_ARGUMENT, sa_merge_partial(1, 4, w.max, w.sum, NULL, w.lse, w.mass, w.q));
    REFUSED(SA_ERR_ARGUMENT, sa_merge_partial(1, 4, w.max, w.sum, w.out, NULL, w.mass, w.q));
    REFUSED(SA_ERR_ARGUMENT, sa_merge_partial(1, 4, w.max, w.sum, w.out, w.lse, NULL, w.q));
    REFUSED(SA_ERR_ARGUMENT, sa_merge_partial(1, 4, w.max, w.sum, w.out, w.lse, w.mass, NULL));
    REFUSED(SA_ERR_ARGUMENT, sa_finish_partial(-1, 4, w.max, w.sum, w.out, w.lse));
    REFUSED(SA_ERR_ARGUMENT, sa_finish_partial(1, 0, w.max, w.sum, w.out, w.lse));
    REFUSED(SA_ERR_ARGUMENT, sa_finish_partial(1, 4, NULL, w.sum, w.out, w.lse));
    REFUSED(SA_ERR_ARGUMENT, sa_finish_partial(1, 4, w.max, NULL, w.out, w.lse));
    REFUSED(SA_ERR_ARGUMENT, sa_finish_partial(1, 4, w.max, w.sum, NULL, w.lse));
    close_world();
}

static void facts(void) {
    static unsigned char room[4200];
    sa_cache_facts info, before;
    uint32_t size, i;
    int32_t number;
    open_world(SA_POLICY_SINK_WINDOW, 0);
    memset(&info, 0x55, sizeof info);
    info.struct_size = sizeof info;
    before = info;
    REFUSED(SA_ERR_ARGUMENT, sa_cache_info(NULL, 0, &info));
    REFUSED(SA_ERR_ARGUMENT, sa_cache_info(w.cache, 0, NULL));
    REFUSED(SA_ERR_ARGUMENT, sa_cache_info(w.cache, -1, &info));
    REFUSED(SA_ERR_ARGUMENT, sa_cache_info(w.cache, 2, &info));
    CHECK(memcmp(&info, &before, sizeof info) == 0, "refused, and yet written");
    for (size = 0; size <= 4100; size += 1) {
        int is_good = size >= sizeof info && size <= 4096 && size % 4 == 0;
        size_t written = size < sizeof info ? size : sizeof info;
        sa_status status;
        memset(room, 0x77, sizeof room);
        memcpy(room, &size, sizeof size);
        status = sa_cache_info(w.cache, 0, (sa_cache_facts *)(void *)room);
        CHECK(status == (is_good ? SA_SUCCESS : SA_ERR_STRUCT_SIZE), "info of %u bytes: %d", size, (int)status);
        for (i = is_good ? (uint32_t)written : 4; i < sizeof room; i++) {
            unsigned char expected = is_good && i < size ? 0 : 0x77;
            if (room[i] != expected) {
                CHECK(0, "info of %u bytes: byte %u is %d", size, i, room[i]);
                break;
            }
        }
    }
    for (number = -100; number < 100; number++) {
        CHECK(sa_status_string(number) && sa_status_string(number)[0], "status %d has no words", (int)number);
        CHECK(sa_isa_name(number) && sa_isa_name(number)[0], "instruction set %d has no name", (int)number);
        CHECK(sa_isa_available(number) == (sa_isa_available(number) != 0), "isa %d", (int)number);
    }
    CHECK(!sa_isa_available(99) && strcmp(sa_isa_name(99), "unknown") == 0, "instruction set 99");
    CHECK(sa_isa_available(SA_ISA_PLAIN) == 1 && sa_isa_available(sa_isa_best()) == 1, "plain C and the best");
    CHECK(sa_version() == SA_VERSION_NUMBER && sa_version_string()[0] != 0, "version");
    sa_cache_destroy(NULL);
    close_world();
}

int main(int argc, char **argv) {
    uint64_t seed = 0;
    long count = 1;
    test_begin("test_arguments", argc, argv, &seed, &count);
    plain_calls();
    step_calls();
    learned_rows();
    going_back();
    dense_full();
    partials();
    facts();
    step_overflow();
    return test_end();
}
