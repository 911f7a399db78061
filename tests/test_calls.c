/*
 * What calls say when they refuse: every reason is met by a call, and has a sentence of its own.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "../lib/error.h"
#include "support.h"
#include "test.h"

enum { HEADS = 2, KV_HEADS = 1, DIM = 2, MAX_APPEND = 8, ROOM = 4096 };

static float floats[ROOM];
static int reached[SAI_N_ERRORS];

static sa_config config_of(int policy, int window, int n_sink_kv) {
    sa_config g;
    memset(&g, 0, sizeof g);
    g.struct_size = sizeof g;
    g.n_layers = 2;
    g.max_append = MAX_APPEND;
    g.n_heads = HEADS;
    g.n_kv_heads = KV_HEADS;
    g.head_dim = DIM;
    g.policy = policy;
    g.window = window;
    g.n_sink_kv = n_sink_kv;
    g.position = SA_POSITION_NONE;
    return g;
}

static sa_cache *open_cache(int policy, int window, int n_sink_kv) {
    sa_config g = config_of(policy, window, n_sink_kv);
    sa_cache *cache = NULL;
    CHECK(sa_cache_create(&g, NULL, &cache) == SA_SUCCESS, "create");
    return cache;
}

static sa_step_args args_of(int n, int appends, int attends) {
    sa_step_args a;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.n_tokens = n;
    a.k.data = appends ? floats : NULL;
    a.v.data = appends ? floats : NULL;
    a.q.data = attends ? floats : NULL;
    a.out.data = attends ? floats + ROOM / 2 : NULL;
    return a;
}

/* ------------------------------ what calls say ----------------------------- */

/* The sentence names the argument, differs from all others, and is gone after the next success. */
static void names(int32_t error, const char *sentence, sa_status got, sa_status expected, const char *word, int line) {
    CHECK(got == expected, "line %d: %d, not %d (%s)", line, (int)got, (int)expected, sentence);
    CHECK(strstr(sentence, word) != NULL, "line %d: no \"%s\" in: %s", line, word, sentence);
    CHECK(error > 0 && error < SAI_N_ERRORS, "line %d: number %d", line, (int)error);
    reached[error > 0 && error < SAI_N_ERRORS ? error : 0] = 1;
}

static void says(sa_cache *cache, sa_status got, sa_status expected, const char *word, int line) {
    names(cache->error, sa_cache_error(cache), got, expected, word, line);
    CHECK(sa_append_kv(cache, 0, 0, NULL, NULL) == SA_SUCCESS && sa_cache_error(cache)[0] == 0, "line %d: stale", line);
}

static void pool_says(sa_pool *pool, sa_status got, sa_status expected, const char *word, int line) {
    names(pool->error, sa_pool_error(pool), got, expected, word, line);
    CHECK(sa_batch(pool, 0, NULL, NULL, NULL) == SA_SUCCESS && sa_pool_error(pool)[0] == 0, "line %d: stale", line);
}

#define POOL_SAYS(expected, word, call) pool_says(pool, call, expected, word, __LINE__)
#define SAYS(expected, word, call) says(cache, call, expected, word, __LINE__)

/* A step that is right but for one change. */
#define STEP(expected, word, appends, attends, change)                                                                 \
    do {                                                                                                               \
        sa_step_args a = args_of(2, appends, attends);                                                                 \
        change;                                                                                                        \
        says(cache, sa_step(cache, &a), expected, word, __LINE__);                                                     \
    } while (0)

static void *high(size_t size) { return (void *)(UINTPTR_MAX / size * size); }
static void *odd(void *p) { return (char *)p + 1; }

#define TENSOR(name, appends, attends)                                                                                 \
    do {                                                                                                               \
        STEP(SA_ERR_ARGUMENT, #name ".dtype", appends, attends, a.name.dtype = SA_I8);                                 \
        STEP(SA_ERR_ARGUMENT, #name ".flags", appends, attends, a.name.flags = 2);                                     \
        STEP(SA_ERR_ALIGNMENT, #name " is misaligned", appends, attends, a.name.data = odd(a.name.data));              \
        STEP(SA_ERR_ALIGNMENT, #name ".token_stride", appends, attends, a.name.token_stride = 1001);                   \
        STEP(SA_ERR_ALIGNMENT, #name ".head_stride", appends, attends, a.name.head_stride = -1001);                    \
        STEP(SA_ERR_OVERFLOW, #name " reaches", appends, attends, a.name.token_stride = INT64_MIN + 8);                \
        STEP(SA_ERR_OVERFLOW, #name " reaches", appends, attends, a.name.token_stride = INT64_MIN);                    \
        STEP(SA_ERR_OVERFLOW, #name " reaches", appends, attends, a.name.token_stride = INT64_MAX / 8 * 8);            \
        STEP(SA_ERR_OVERFLOW, #name " reaches", appends, attends, a.name.data = high(16));                             \
    } while (0)

#define ARRAY(name)                                                                                                    \
    do {                                                                                                               \
        STEP(SA_ERR_ARGUMENT, #name " is set", 1, 0, a.name = floats);                                                 \
        STEP(SA_ERR_ALIGNMENT, #name " is misaligned", 0, 1,                                                           \
             (a.partial_max = a.partial_sum = floats, a.name = (float *)odd(floats)));                                 \
        STEP(SA_ERR_OVERFLOW, #name " reaches", 0, 1,                                                                  \
             (a.partial_max = a.partial_sum = floats, a.name = (float *)high(4)));                                     \
    } while (0)

static void steps_say(void) {
    sa_cache *cache = open_cache(SA_POLICY_WINDOW, 5, 0);
    CHECK(sa_append_kv(cache, 0, 40, floats, floats) == SA_SUCCESS, "append");
    TENSOR(q, 0, 1);
    TENSOR(out, 0, 1);
    TENSOR(k, 1, 1);
    TENSOR(v, 1, 0);
    ARRAY(lse);
    ARRAY(sink_mass);
    ARRAY(partial_max);
    ARRAY(partial_sum);
    STEP(SA_ERR_STRUCT_SIZE, "args.struct_size", 1, 1, a.struct_size = sizeof a - 4);
    STEP(SA_ERR_ARGUMENT, "args.flags", 1, 1, a.flags = 1u << 31);
    STEP(SA_ERR_ARGUMENT, "max_draft", 1, 1, a.parents = (const int32_t *)(const void *)floats);
    STEP(SA_ERR_ARGUMENT, "max_draft", 0, 1, a.flags = SA_STEP_NODES);
    STEP(SA_ERR_ARGUMENT, "key_mass is set", 1, 0, (a.key_mass = floats, a.key_stride = 60));
    STEP(SA_ERR_ARGUMENT, "value_norms is set", 1, 0, (a.value_norms = floats, a.key_stride = 60));
    STEP(SA_ERR_ALIGNMENT, "key_mass is misaligned", 0, 1, (a.key_mass = (float *)odd(floats), a.key_stride = 60));
    STEP(SA_ERR_ALIGNMENT, "value_norms is misaligned", 0, 1,
         (a.value_norms = (float *)odd(floats), a.key_stride = 60));
    STEP(SA_ERR_OVERFLOW, "key_mass reaches", 0, 1, (a.key_mass = (float *)high(4), a.key_stride = 60));
    STEP(SA_ERR_OVERFLOW, "key_mass reaches", 0, 1, (a.key_mass = floats, a.key_stride = INT64_MAX));
    STEP(SA_ERR_OVERFLOW, "value_norms reaches", 0, 1, (a.value_norms = (float *)high(4), a.key_stride = 60));
    STEP(SA_ERR_ARGUMENT, "key_stride is smaller", 0, 1, a.key_mass = floats);
    STEP(SA_ERR_ARGUMENT, "key_stride is smaller", 0, 1, (a.value_norms = floats, a.key_stride = -1));
    STEP(SA_ERR_ARGUMENT, "too large for key_mass", 1, 1, (a.key_mass = floats, a.key_stride = 60, a.n_tokens = 500));
    STEP(SA_ERR_ARGUMENT, "layer", 1, 1, a.layer = 2);
    STEP(SA_ERR_ARGUMENT, "n_tokens", 1, 1, a.n_tokens = -1);
    STEP(SA_ERR_ARGUMENT, "q.data is set", 1, 1, a.out.data = NULL);
    STEP(SA_ERR_ARGUMENT, "out.data is set", 1, 1, a.q.data = NULL);
    STEP(SA_ERR_ARGUMENT, "k.data is set", 1, 1, a.v.data = NULL);
    STEP(SA_ERR_ARGUMENT, "v.data is set", 1, 1, a.k.data = NULL);
    STEP(SA_ERR_ARGUMENT, "neither k.data nor q.data", 0, 0, (void)0);
    STEP(SA_ERR_ARGUMENT, "partial_sum is NULL", 0, 1, a.partial_max = floats);
    STEP(SA_ERR_ARGUMENT, "partial_max is NULL", 0, 1, a.partial_sum = floats);
    STEP(SA_ERR_ARGUMENT, "out.dtype", 0, 1, (a.partial_max = a.partial_sum = floats, a.out.dtype = SA_F16));
    STEP(SA_ERR_ARGUMENT, "q_offset", 1, 1, a.q_offset = -2);
    STEP(SA_ERR_ARGUMENT, "q_offset", 0, 1, a.q_offset = INT64_MIN);
    STEP(SA_ERR_ARGUMENT, "max_append", 0, 1, a.n_tokens = MAX_APPEND + 1);
    STEP(SA_ERR_ARGUMENT, "out has rows that overlap", 0, 1, a.out.token_stride = 4);
    STEP(SA_ERR_DEPTH, "tokens_seen", 0, 1, a.q_offset = -41);
    STEP(SA_ERR_DEPTH, "no longer held", 0, 1, a.q_offset = -40);
    STEP(SA_ERR_OVERFLOW, "q_offset", 0, 1, a.q_offset = (int64_t)1 << 62);
    sa_cache_destroy(cache);
}

static void plain_calls_say(void) {
    sa_cache *cache = open_cache(SA_POLICY_WINDOW, 5, 0);
    sa_step_args a = args_of(MAX_APPEND + 1, 1, 1);
    int32_t phases = 5;
    float *f = floats, *out = floats + ROOM / 2;
    SAYS(SA_ERR_ARGUMENT, "args is NULL", sa_step(cache, NULL));
    SAYS(SA_ERR_ARGUMENT, "args is NULL", sa_step_begin(cache, NULL, &phases));
    SAYS(SA_ERR_ARGUMENT, "n_phases_out", sa_step_begin(cache, &a, NULL));
    SAYS(SA_ERR_ARGUMENT, "sa_step_begin", sa_step_begin(cache, &a, &phases));
    SAYS(SA_ERR_ARGUMENT, "k is NULL", sa_append_kv(cache, 0, 1, NULL, f));
    SAYS(SA_ERR_ARGUMENT, "v is NULL", sa_append_kv(cache, 0, 1, f, NULL));
    SAYS(SA_ERR_ARGUMENT, "layer", sa_append_kv(cache, -1, 1, f, f));
    SAYS(SA_ERR_ARGUMENT, "n_tokens", sa_append_kv(cache, 0, INT32_MIN, f, f));
    SAYS(SA_ERR_ALIGNMENT, "k is misaligned", sa_append_kv(cache, 0, 1, odd(f), f));
    SAYS(SA_ERR_ARGUMENT, "q is NULL", sa_attend(cache, 0, 1, NULL, out));
    SAYS(SA_ERR_ARGUMENT, "out is NULL", sa_attend(cache, 0, 1, f, NULL));
    SAYS(SA_ERR_DEPTH, "tokens_seen", sa_attend(cache, 0, 1, f, out));
    SAYS(SA_ERR_ARGUMENT, "max_append", sa_attend(cache, 0, MAX_APPEND + 1, f, out));
    SAYS(SA_ERR_ARGUMENT, "q is NULL", sa_append_attend(cache, 0, 1, NULL, f, f, out));
    SAYS(SA_ERR_ARGUMENT, "k is NULL", sa_append_attend(cache, 0, 1, f, NULL, f, out));
    SAYS(SA_ERR_ARGUMENT, "v is NULL", sa_append_attend(cache, 0, 1, f, f, NULL, out));
    SAYS(SA_ERR_ARGUMENT, "out is NULL", sa_append_attend(cache, 0, 1, f, f, f, NULL));
    SAYS(SA_ERR_ARGUMENT, "n_sink_kv", sa_set_sink_kv(cache, 0, f, f));
    SAYS(SA_ERR_ARGUMENT, "layer", sa_set_sink_kv(cache, 2, f, f));
    SAYS(SA_ERR_OVERFLOW, "position", sa_cache_seek(cache, SA_ALL_LAYERS, (uint64_t)1 << 62));
    SAYS(SA_ERR_OVERFLOW, "position", sa_cache_restart(cache, 0, (uint64_t)1 << 62));
    SAYS(SA_ERR_ARGUMENT, "layer", sa_cache_restart(cache, 2, 0));
    CHECK(sa_append_kv(cache, 0, 40, f, f) == SA_SUCCESS, "append");
    SAYS(SA_ERR_ARGUMENT, "position", sa_cache_seek(cache, SA_ALL_LAYERS, 39));
    SAYS(SA_ERR_ARGUMENT, "position", sa_cache_restart(cache, 0, 39));
    SAYS(SA_ERR_ARGUMENT, "n_tokens", sa_cache_rollback(cache, SA_ALL_LAYERS, -1));
    SAYS(SA_ERR_ARGUMENT, "n_tokens", sa_cache_rollback(cache, SA_ALL_LAYERS, 41));
    SAYS(SA_ERR_DEPTH, "rollback_now", sa_cache_rollback(cache, SA_ALL_LAYERS, 30));
    CHECK(sa_cache_seek(cache, SA_ALL_LAYERS, ((uint64_t)1 << 62) - 1) == SA_SUCCESS, "seek");
    SAYS(SA_ERR_OVERFLOW, "n_tokens", sa_append_kv(cache, 0, 1, f, f));
    sa_cache_destroy(cache);
}

static void other_states_say(void) {
    sa_cache *cache = open_cache(SA_POLICY_DENSE, 5, 3);
    float *f = floats;
    SAYS(SA_ERR_FULL, "n_tokens", sa_append_kv(cache, 0, 6, f, f));
    SAYS(SA_ERR_STATE, "sa_set_sink_kv", sa_append_attend(cache, 0, 1, f, f, f, floats + ROOM / 2));
    SAYS(SA_ERR_ARGUMENT, "k is NULL", sa_set_sink_kv(cache, 0, NULL, f));
    SAYS(SA_ERR_ARGUMENT, "v is NULL", sa_set_sink_kv(cache, 0, f, NULL));
    SAYS(SA_ERR_ALIGNMENT, "v is misaligned", sa_set_sink_kv(cache, 0, f, odd(f)));
    sa_cache_destroy(cache);
}

static void views_say(void) {
    sa_cache *cache = open_cache(SA_POLICY_WINDOW, 5, 0);
    STEP(SA_ERR_ARGUMENT, "args.view_window", 1, 1, a.view_window = 6);
    STEP(SA_ERR_ARGUMENT, "args.view_window", 1, 1, a.view_window = -1);
    STEP(SA_ERR_ARGUMENT, "args.view_sinks", 1, 1, a.view_sinks = -2);
    STEP(SA_ERR_ARGUMENT, "q.data is NULL", 1, 0, a.view_window = 2);
    STEP(SA_ERR_ARGUMENT, "q.data is NULL", 1, 0, a.view_sinks = -1);
    sa_cache_destroy(cache);
}

/* Two rows of the host that are right but for one change. */
#define ROWS(expected, word, change)                                                                                   \
    do {                                                                                                               \
        sa_rows r;                                                                                                     \
        memset(&r, 0, sizeof r);                                                                                       \
        r.struct_size = sizeof r;                                                                                      \
        r.first = 1;                                                                                                   \
        r.n_rows = 2;                                                                                                  \
        r.k.data = r.v.data = floats;                                                                                  \
        r.places = places;                                                                                             \
        r.biases = biases;                                                                                             \
        change;                                                                                                        \
        says(cache, sa_set_rows(cache, &r), expected, word, __LINE__);                                                 \
    } while (0)

static void rows_say(void) {
    static int64_t places[] = {0, -5};
    static float biases[] = {0, -1};
    sa_config g = config_of(SA_POLICY_WINDOW, 5, 0);
    sa_cache *cache = NULL;
    g.n_rows = 3;
    CHECK(sa_cache_create(&g, NULL, &cache) == SA_SUCCESS, "create");
    CHECK(sa_set_rows(NULL, NULL) == SA_ERR_ARGUMENT, "no cache");
    SAYS(SA_ERR_ARGUMENT, "rows is NULL", sa_set_rows(cache, NULL));
    ROWS(SA_ERR_STRUCT_SIZE, "rows.struct_size", r.struct_size -= 4);
    ROWS(SA_ERR_ARGUMENT, "rows.flags", r.flags = 2);
    ROWS(SA_ERR_ARGUMENT, "rows.reserved", r.reserved = 1);
    ROWS(SA_ERR_ARGUMENT, "layer", r.layer = 2);
    ROWS(SA_ERR_ARGUMENT, "layer", r.layer = -1);
    ROWS(SA_ERR_ARGUMENT, "rows.first", r.first = 2);
    ROWS(SA_ERR_ARGUMENT, "rows.first", r.first = -1);
    ROWS(SA_ERR_ARGUMENT, "rows.first", r.first = INT32_MAX);
    ROWS(SA_ERR_ARGUMENT, "rows.first", r.n_rows = -1);
    ROWS(SA_ERR_ARGUMENT, "rows.first", r.n_rows = INT32_MAX);
    ROWS(SA_ERR_ARGUMENT, "kv_head", r.kv_head = -1);
    ROWS(SA_ERR_ARGUMENT, "kv_head", r.kv_head = 1);
    ROWS(SA_ERR_ARGUMENT, "kv_head", r.n_kv_heads = -1);
    ROWS(SA_ERR_ARGUMENT, "kv_head", r.n_kv_heads = 2);
    ROWS(SA_ERR_ARGUMENT, "v.data is NULL", r.v.data = NULL);
    ROWS(SA_ERR_ARGUMENT, "k.data is NULL", r.k.data = NULL);
    ROWS(SA_ERR_ARGUMENT, "taken away", (r.k.data = r.v.data = NULL, r.places = NULL));
    ROWS(SA_ERR_ARGUMENT, "taken away", (r.k.data = r.v.data = NULL, r.biases = NULL));
    ROWS(SA_ERR_ARGUMENT, "taken away",
         (r.k.data = r.v.data = NULL, r.biases = NULL, r.places = NULL, r.flags = SA_ROWS_AT_DISTANCE));
    ROWS(SA_ERR_ARGUMENT, "k.dtype", r.k.dtype = SA_I8);
    ROWS(SA_ERR_ALIGNMENT, "v is misaligned", r.v.data = odd(floats));
    ROWS(SA_ERR_ALIGNMENT, "rows.places", r.places = (int64_t *)odd(places));
    ROWS(SA_ERR_ALIGNMENT, "rows.biases", r.biases = (float *)odd(biases));
    ROWS(SA_ERR_OVERFLOW, "rows.places reaches", r.places = (int64_t *)high(8));
    ROWS(SA_ERR_OVERFLOW, "rows.biases reaches", r.biases = (float *)high(4));
    ROWS(SA_ERR_OVERFLOW, "2^62", places[1] = (int64_t)1 << 62);
    ROWS(SA_ERR_OVERFLOW, "2^62", places[1] = INT64_MIN);
    places[1] = 1 - ((int64_t)1 << 62);
    ROWS(SA_ERR_ARGUMENT, "NaN", biases[1] = NAN);
    ROWS(SA_ERR_ARGUMENT, "1e30", biases[1] = 2e30f);
    sa_cache_destroy(cache);
}

static void spans_say(void) {
    sa_config g = config_of(SA_POLICY_WINDOW, 5, 0);
    sa_cache *cache = NULL;
    g.n_spans = 2;
    g.n_pin = 3;
    CHECK(sa_cache_create(&g, NULL, &cache) == SA_SUCCESS, "create");
    for (int layer = 0; layer < 2; layer++)
        CHECK(sa_append_kv(cache, layer, 40, floats, floats) == SA_SUCCESS, "append");
    SAYS(SA_ERR_ARGUMENT, "gap", sa_cache_remove(cache, 0, 38, 39, 2));
    SAYS(SA_ERR_ARGUMENT, "gap", sa_cache_remove(cache, 0, 38, 39, -1));
    SAYS(SA_ERR_ARGUMENT, "from < end", sa_cache_remove(cache, 0, 38, 38, SA_GAP_CLOSE));
    SAYS(SA_ERR_ARGUMENT, "from < end", sa_cache_remove(cache, 0, 39, 38, SA_GAP_KEEP));
    SAYS(SA_ERR_ARGUMENT, "tokens_seen", sa_cache_remove(cache, 0, 38, 41, SA_GAP_KEEP));
    SAYS(SA_ERR_ARGUMENT, "from < end", sa_cache_pin(cache, SA_ALL_LAYERS, UINT64_MAX, 3));
    SAYS(SA_ERR_ARGUMENT, "tokens_seen", sa_cache_unpin(cache, SA_ALL_LAYERS, 3, UINT64_MAX - 1));
    SAYS(SA_ERR_ARGUMENT, "tokens_seen", sa_cache_anchor(cache, 1, 39, 41));
    SAYS(SA_ERR_ARGUMENT, "SA_ALL_LAYERS", sa_cache_remove(cache, 2, 38, 39, SA_GAP_KEEP));
    SAYS(SA_ERR_ARGUMENT, "SA_ALL_LAYERS", sa_cache_pin(cache, -2, 38, 39));
    SAYS(SA_ERR_ARGUMENT, "SA_ALL_LAYERS", sa_cache_reset(cache, 2));
    SAYS(SA_ERR_DEPTH, "no longer holds", sa_cache_pin(cache, 0, 3, 5));
    SAYS(SA_ERR_DEPTH, "no longer holds", sa_cache_anchor(cache, SA_ALL_LAYERS, 3, 5));
    SAYS(SA_ERR_FULL, "n_pin", sa_cache_pin(cache, 0, 36, 40));
    CHECK(sa_cache_pin(cache, 0, 35, 36) == SA_SUCCESS, "one of two spans");
    SAYS(SA_ERR_FULL, "n_spans", sa_cache_pin(cache, 0, 37, 38));
    SAYS(SA_ERR_FULL, "n_spans", sa_cache_pin(cache, SA_ALL_LAYERS, 37, 38));
    CHECK(sa_cache_pin(cache, 1, 37, 38) == SA_SUCCESS, "it was for the other layer");
    sa_cache_destroy(cache);
}

static void drafts_say(void) {
    static const int32_t chain[] = {-1, 0, 1, 2, 3, 4, 5, 6, 7}, later[] = {-1, 1}, before[] = {-1, -2};
    static const int32_t path[] = {0, 1}, aside[] = {1}, again[] = {0, 0}, beyond[] = {2}, below[] = {-1};
    sa_config g = config_of(SA_POLICY_SINK_WINDOW, 6, 0);
    sa_cache *cache = NULL;
    g.max_draft = MAX_APPEND + 2;
    g.n_sink = 4;
    CHECK(sa_cache_create(&g, NULL, &cache) == SA_SUCCESS, "create");
    STEP(SA_ERR_STATE, "sinks", 1, 1, a.parents = chain);
    CHECK(sa_append_kv(cache, 0, 40, floats, floats) == SA_SUCCESS, "append");
    STEP(SA_ERR_ARGUMENT, "args.parents is set", 0, 1, a.parents = chain);
    STEP(SA_ERR_ARGUMENT, "SA_STEP_NODES", 1, 1, a.flags = SA_STEP_NODES);
    STEP(SA_ERR_ARGUMENT, "q_offset", 0, 1, a.flags = SA_STEP_NODES);
    STEP(SA_ERR_ARGUMENT, "nodes of a draft", 1, 1, (a.parents = chain, a.key_mass = floats, a.key_stride = 60));
    STEP(SA_ERR_ARGUMENT, "args.parents must", 1, 1, a.parents = later);
    STEP(SA_ERR_ARGUMENT, "args.parents must", 1, 1, a.parents = before);
    STEP(SA_ERR_ARGUMENT, "max_append", 1, 1, (a.parents = chain, a.n_tokens = MAX_APPEND + 1));
    STEP(SA_ERR_FULL, "max_draft", 1, 1, (a.parents = chain, a.n_tokens = MAX_APPEND + 3));
    sa_step_args good = args_of(2, 1, 1);
    good.parents = chain;
    CHECK(sa_step(cache, &good) == SA_SUCCESS, "draft: %s", sa_cache_error(cache));
    SAYS(SA_ERR_STATE, "draft is open", sa_append_kv(cache, 0, 1, floats, floats));
    SAYS(SA_ERR_STATE, "draft is open", sa_cache_rollback(cache, SA_ALL_LAYERS, 0));
    SAYS(SA_ERR_STATE, "draft is open", sa_cache_seek(cache, 0, 50));
    SAYS(SA_ERR_STATE, "draft is open", sa_cache_restart(cache, 0, 50));
    STEP(SA_ERR_ARGUMENT, "q_offset", 0, 1, (a.flags = SA_STEP_NODES, a.q_offset = 1));
    STEP(SA_ERR_ARGUMENT, "q_offset", 0, 1, (a.flags = SA_STEP_NODES, a.q_offset = -1));
    SAYS(SA_ERR_ARGUMENT, "n must be", sa_draft_accept(cache, 0, -1, path));
    SAYS(SA_ERR_ARGUMENT, "n must be", sa_draft_accept(cache, 0, MAX_APPEND + 1, chain));
    SAYS(SA_ERR_ARGUMENT, "n must be", sa_draft_accept(cache, 0, 1, NULL));
    SAYS(SA_ERR_ARGUMENT, "path must be",
         sa_draft_accept(cache, SA_ALL_LAYERS, 2, path)); /* of layer 1 there is none */
    SAYS(SA_ERR_ARGUMENT, "path must be", sa_draft_accept(cache, 0, 1, aside));
    SAYS(SA_ERR_ARGUMENT, "path must be", sa_draft_accept(cache, 0, 2, again));
    SAYS(SA_ERR_ARGUMENT, "path must be", sa_draft_accept(cache, 0, 1, beyond));
    SAYS(SA_ERR_ARGUMENT, "path must be", sa_draft_accept(cache, 0, 1, below));
    SAYS(SA_ERR_ARGUMENT, "layer", sa_draft_accept(cache, 2, 0, NULL));
    CHECK(sa_draft_accept(cache, 0, 2, path) == SA_SUCCESS, "accept");
    SAYS(SA_ERR_ARGUMENT, "path must be", sa_draft_accept(cache, 0, 2, path));
    CHECK(sa_draft_accept(cache, SA_ALL_LAYERS, 0, NULL) == SA_SUCCESS, "nothing to drop");
    CHECK(sa_draft_accept(NULL, 0, 0, NULL) == SA_ERR_ARGUMENT, "no cache");
    sa_cache_destroy(cache);
}

/* Three sequences, and tiles for a few tokens. */
static sa_pool *open_pool(sa_cache *caches[3]) {
    sa_config g = config_of(SA_POLICY_WINDOW, 40, 0);
    sa_pool *pool = NULL;
    g.n_sequences = 3;
    g.pool_tokens = 5 * 16;
    CHECK(sa_pool_create(&g, NULL, &pool) == SA_SUCCESS && sa_pool_error(pool)[0] == 0, "create");
    for (int i = 0; i < 3; i++) CHECK(sa_pool_open(pool, &caches[i]) == SA_SUCCESS, "open");
    return pool;
}

static void pools_say(void) {
    sa_cache *caches[3], *cache, *more = NULL;
    sa_pool *pool = open_pool(caches);
    cache = caches[0];
    POOL_SAYS(SA_ERR_POOL, "n_sequences", sa_pool_open(pool, &more));
    POOL_SAYS(SA_ERR_ARGUMENT, "cache_out", sa_pool_open(pool, NULL));
    SAYS(SA_ERR_POOL, "n_sequences", sa_cache_fork(cache, &more));
    SAYS(SA_ERR_ARGUMENT, "fork_out", sa_cache_fork(cache, NULL));
    CHECK(sa_append_kv(cache, 0, 40, floats, floats) == SA_SUCCESS, "three of five tiles");
    cache = caches[1];
    SAYS(SA_ERR_POOL, "pool_tokens", sa_append_kv(cache, 0, 33, floats, floats));
    sa_cache_destroy(cache);
    CHECK(sa_append_kv(cache, 0, 1, floats, floats) == SA_ERR_STATE, "closed");
    names(cache->error, sa_cache_error(cache), SA_ERR_STATE, SA_ERR_STATE, "closed", __LINE__);
    CHECK(sa_pool_error(NULL)[0] != 0, "of no pool");
    sa_pool_destroy(pool);
}

static void batches_say(void) {
    sa_cache *caches[3], *others[3], *twice[2], *none[2];
    sa_pool *pool = open_pool(caches), *other = open_pool(others);
    sa_step_args a = args_of(1, 1, 1), b = a, large = args_of(MAX_APPEND, 1, 1);
    const sa_step_args *args[3] = {&a, &a, &a}, *mixed[2] = {&a, &b}, *missing[2] = {&a, NULL}, *much[2] = {&large, &a};
    int32_t failed = 5, phases = 5;
    b.layer = 1;
    twice[0] = twice[1] = none[0] = caches[0];
    none[1] = NULL;
    POOL_SAYS(SA_ERR_ARGUMENT, "n must be", sa_batch(pool, 4, caches, args, &failed));
    POOL_SAYS(SA_ERR_ARGUMENT, "n must be", sa_batch(pool, -1, caches, args, &failed));
    POOL_SAYS(SA_ERR_ARGUMENT, "caches, or args", sa_batch(pool, 1, NULL, args, &failed));
    POOL_SAYS(SA_ERR_ARGUMENT, "caches, or args", sa_batch(pool, 1, caches, NULL, &failed));
    POOL_SAYS(SA_ERR_ARGUMENT, "not of this pool", sa_batch(pool, 2, none, args, &failed));
    POOL_SAYS(SA_ERR_ARGUMENT, "not of this pool", sa_batch(pool, 2, others, args, &failed));
    CHECK(failed == -1, "no step of it, not %d", (int)failed);
    POOL_SAYS(SA_ERR_ARGUMENT, "twice", sa_batch(pool, 2, twice, args, &failed));
    CHECK(failed == 1 && strstr(sa_cache_error(caches[0]), "twice"), "step %d: %s", (int)failed,
          sa_cache_error(caches[0]));
    POOL_SAYS(SA_ERR_ARGUMENT, "same layer", sa_batch(pool, 2, caches, mixed, &failed));
    POOL_SAYS(SA_ERR_ARGUMENT, "args is NULL", sa_batch(pool, 2, caches, missing, &failed));
    CHECK(failed == 1 && strstr(sa_cache_error(caches[1]), "args"), "step %d: %s", (int)failed,
          sa_cache_error(caches[1]));
    POOL_SAYS(SA_ERR_ARGUMENT, "n_phases_out", sa_batch_begin(pool, 2, caches, args, NULL, &failed));
    POOL_SAYS(SA_ERR_ARGUMENT, "sa_batch_begin", sa_batch_begin(pool, 2, caches, much, &phases, &failed));
    CHECK(phases == 0 && failed == -1, "%d phases, step %d", (int)phases, (int)failed);
    CHECK(sa_batch(NULL, 0, NULL, NULL, &failed) == SA_ERR_ARGUMENT, "no pool");
    CHECK(sa_batch_begin(NULL, 0, NULL, NULL, &phases, &failed) == SA_ERR_ARGUMENT, "no pool");
    sa_pool_destroy(pool);
    sa_pool_destroy(other);
}

/* Those of snapshots, which test_snapshot.c meets: their data must be made to order. */
static int is_of_snapshots(int error) { return error >= SAI_ERROR_SAVE_FROM && error <= SAI_ERROR_LOAD_BASE; }

/* All reasons were met, all differ, and each is a sentence of its own in a copy of the cache too. */
static void sentences_differ(void) {
    sa_cache *cache = open_cache(SA_POLICY_WINDOW, 5, 0);
    const char *sentences[SAI_N_ERRORS];
    for (int e = 0; e < SAI_N_ERRORS; e++) {
        cache->error = e;
        sentences[e] = sa_cache_error(cache);
        CHECK(e == 0 || reached[e] || is_of_snapshots(e), "no call says: %s", sentences[e]);
        CHECK((e == 0) == (sentences[e][0] == 0), "error %d: \"%s\"", e, sentences[e]);
        for (int other = 0; other < e; other++)
            CHECK(strcmp(sentences[e], sentences[other]) != 0, "twice: %s", sentences[e]);
    }
    for (int32_t number = -1; number <= SAI_N_ERRORS; number += SAI_N_ERRORS + 1) {
        cache->error = number;
        CHECK(sa_cache_error(cache)[0] != 0, "number %d", (int)number);
    }
    CHECK(strstr(sa_cache_error(NULL), "NULL") != NULL, "of no cache");
    sa_cache_destroy(cache);
}

static void reasons_are_kept(void) {
    sa_config g = config_of(SA_POLICY_WINDOW, 5, 0);
    sa_cache_facts info;
    size_t size = 0, alignment = 0;
    CHECK(sa_cache_size(&g, &size, &alignment) == SA_SUCCESS, "size");
    unsigned char *room = test_take(2 * size + 2 * alignment), *block = room + alignment - (uintptr_t)room % alignment;
    unsigned char *moved = block + (size + alignment - 1) / alignment * alignment;
    sa_cache *cache = NULL;
    CHECK(sa_cache_init(block, size, &g, &cache) == SA_SUCCESS && sa_cache_error(cache)[0] == 0, "a new cache");
    CHECK(sa_attend(cache, 0, 1, floats, floats + ROOM / 2) == SA_ERR_DEPTH, "attend");
    memset(&info, 0, sizeof info);
    CHECK(sa_cache_info(cache, 9, &info) == SA_ERR_ARGUMENT && sa_step_part(cache, 7, 0, 1) == SA_ERR_ARGUMENT,
          "these");
    CHECK(strstr(sa_cache_error(cache), "tokens_seen") != NULL, "they leave the reason as it was");
    memcpy(moved, block, size);
    CHECK(sa_cache_error((sa_cache *)(void *)moved) == sa_cache_error(cache), "a copy has the same reason");
    CHECK(sa_cache_reset(cache, SA_ALL_LAYERS) == SA_SUCCESS && sa_cache_error(cache)[0] == 0, "reset clears it");
    free(room);
}

#define READ(expected, word, change)                                                                                   \
    do {                                                                                                               \
        sa_read_args a = {.struct_size = sizeof a, .n_tokens = 1, .positions = &position, .k = {floats, 0, 0, 0, 0}};  \
        change;                                                                                                        \
        says(cache, sa_cache_read(cache, &a), expected, word, __LINE__);                                               \
    } while (0)

static void reads_say(void) {
    sa_cache *cache = open_cache(SA_POLICY_WINDOW, 5, 0);
    uint64_t position = 1;
    int64_t place = 0;
    CHECK(sa_append_kv(cache, 0, 2, floats, floats) == SA_SUCCESS, "append");
    SAYS(SA_ERR_ARGUMENT, "args is NULL", sa_cache_read(cache, NULL));
    READ(SA_ERR_STRUCT_SIZE, "args.struct_size", a.struct_size = 12);
    READ(SA_ERR_ARGUMENT, "args.flags", a.flags = 2);
    READ(SA_ERR_ARGUMENT, "args.reserved", a.reserved = 1);
    READ(SA_ERR_ARGUMENT, "layer", a.layer = 100);
    READ(SA_ERR_ARGUMENT, "n_tokens", a.n_tokens = -1);
    READ(SA_ERR_ARGUMENT, "neither k.data nor v.data", a.k.data = NULL);
    READ(SA_ERR_ARGUMENT, "kv_head", a.kv_head = 1000);
    READ(SA_ERR_ARGUMENT, "overlap", (a.n_tokens = 2, a.k.flags = SA_TENSOR_STRIDES_GIVEN));
    READ(SA_ERR_ARGUMENT, "key_form", a.key_form = 3);
    READ(SA_ERR_ARGUMENT, "positions is NULL", a.positions = NULL);
    READ(SA_ERR_ARGUMENT, "places", a.places = &place);
    READ(SA_ERR_DEPTH, "does not hold", position = 2);
    READ(SA_ERR_DEPTH, "number of a row", a.flags = SA_READ_ROWS);
    sa_cache_destroy(cache);
}

int main(int argc, char **argv) {
    uint64_t seed = 0;
    long count = 1;
    test_begin("test_calls", argc, argv, &seed, &count);
    steps_say();
    drafts_say();
    plain_calls_say();
    other_states_say();
    views_say();
    rows_say();
    spans_say();
    pools_say();
    batches_say();
    reads_say();
    sentences_differ();
    reasons_are_kept();
    return test_end();
}
