/*
 * Which host tensors calls take: strides that stay in memory, results that do not overlap, inputs that are broadcast.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "support.h"
#include "test.h"

enum { HEADS = 2, KV_HEADS = 1, DIM = 2, MAX_APPEND = 8, ROOM = 4096 };

static float floats[ROOM];

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

/* --------------------------------- strides -------------------------------- */

#ifdef __SIZEOF_INT128__
/* Whether rows of 8 bytes, n by heads of them, stay within the address space, and are no larger than an object. */
static int is_reachable(const void *data, __int128 token, __int128 head, int64_t n, int64_t heads) {
    __int128 below = 0, above = DIM * 4, steps[2] = {token * (n - 1), head * (heads - 1)};
    for (int i = 0; i < 2; i++) *(steps[i] < 0 ? &below : &above) += steps[i] < 0 ? -steps[i] : steps[i];
    return below <= (__int128)(uintptr_t)data && above <= (__int128)(UINTPTR_MAX - (uintptr_t)data) &&
           below + above <= (__int128)(SIZE_MAX / 2);
}

/* Of a dense layer that is full, and of one without its learned rows, nothing is read, whatever the strides are. */
static void strides_stay_in_memory(test_rng *rng, long count) {
    static const int64_t tokens[] = {1, 2, 3, 5, 1000003, INT32_MAX};
    sa_cache *full = open_cache(SA_POLICY_DENSE, 1, 0), *bare = open_cache(SA_POLICY_WINDOW, 5, 3);
    CHECK(sa_append_kv(full, 0, 1, floats, floats) == SA_SUCCESS, "append");
    for (long i = 0; i < count; i++) {
        int appends = rng_chance(rng, 50), is_given = rng_chance(rng, 70);
        int64_t n = tokens[rng_in(rng, 0, appends ? 5 : 3)], heads = appends ? KV_HEADS : HEADS, strides[2];
        for (int s = 0; s < 2; s++) {
            uint64_t magnitude = ((uint64_t)1 << rng_in(rng, 3, 63)) - (uint64_t)(8 * rng_in(rng, 0, 2));
            strides[s] = rng_chance(rng, 20) ? 0 : (int64_t)(rng_chance(rng, 50) ? 0 - magnitude : magnitude);
        }
        sa_step_args a = args_of((int32_t)n, appends, !appends);
        sa_tensor *t = appends ? &a.k : &a.q;
        a.v.flags = SA_TENSOR_STRIDES_GIVEN;
        t->token_stride = strides[0];
        t->head_stride = strides[1];
        t->flags = is_given ? SA_TENSOR_STRIDES_GIVEN : 0;
        if (rng_chance(rng, 20)) t->data = (void *)(UINTPTR_MAX / 8 * 8 >> rng_in(rng, 0, 2) << rng_in(rng, 3, 8));
        if (!t->data) continue;
        __int128 head = strides[1] || is_given ? strides[1] : DIM * 4;
        __int128 token = strides[0] || is_given ? strides[0] : head * heads;
        sa_status expected = !is_reachable(t->data, token, head, n, heads) ? SA_ERR_OVERFLOW
                             : appends                                     ? SA_ERR_FULL
                                                                           : SA_ERR_STATE;
        sa_status status = sa_step(appends ? full : bare, &a);
        CHECK(status == expected, "case %ld: %d, not %d: n=%lld strides %lld %lld at %p", i, (int)status, (int)expected,
              (long long)n, (long long)strides[0], (long long)strides[1], t->data);
    }
    sa_cache_destroy(full);
    sa_cache_destroy(bare);
}
#endif

static int64_t length(int64_t x) { return x < 0 ? -x : x; }

/* Whether two of the rows of `size` bytes share a byte, pair by pair. */
static int overlaps(int n, int heads, int64_t token, int64_t head, int64_t size) {
    for (int a = 0; a < n * heads; a++)
        for (int b = 0; b < a; b++)
            if (length((a / heads - b / heads) * token + (a % heads - b % heads) * head) < size) return 1;
    return 0;
}

/* Every layout of a few rows in a small range of strides. */
static void results_do_not_overlap(int heads) {
    sa_config g = config_of(SA_POLICY_WINDOW, 5, 3);
    sa_cache *cache = NULL;
    g.n_heads = g.n_kv_heads = heads;
    CHECK(sa_cache_create(&g, NULL, &cache) == SA_SUCCESS, "create");
    for (int n = 1; n <= 5; n++)
        for (int64_t token = -72; token <= 72; token += 4)
            for (int64_t head = -72; head <= 72; head += 4) {
                sa_step_args a = args_of(n, 0, 1);
                a.out.token_stride = token;
                a.out.head_stride = head;
                a.out.flags = SA_TENSOR_STRIDES_GIVEN;
                sa_status expected = overlaps(n, heads, token, head, 8) ? SA_ERR_ARGUMENT : SA_ERR_STATE;
                sa_status status = sa_step(cache, &a);
                CHECK(status == expected, "%d tokens, %d heads, strides %d %d: %d", n, heads, (int)token, (int)head,
                      (int)status);
            }
    sa_cache_destroy(cache);
}

/* -------------------------------- broadcasts ------------------------------ */

enum { N = 6, MANY = 4 };

/* Bit t of `which`: tensor t (q, k, v) is one token for all tokens; bit 3 + t: one head for all heads. */
static void broadcast_equals_copies(int which, test_rng *rng) {
    static float values[3][N * MANY * DIM], copies[3][N * MANY * DIM], out[2][N * MANY * DIM];
    sa_config g = config_of(SA_POLICY_SINK_WINDOW, 3, 0);
    g.n_heads = g.n_kv_heads = MANY;
    g.n_sink = 1;
    for (int way = 0; way < 2; way++) {
        sa_cache *cache = NULL;
        sa_step_args a = args_of(N, 1, 1);
        sa_tensor *tensors[] = {&a.q, &a.k, &a.v};
        for (int t = 0; t < 3; t++) {
            int one_token = which >> t & 1, one_head = which >> (3 + t) & 1;
            for (int i = 0; i < N * MANY * DIM && way == 0; i++) values[t][i] = rng_normal(rng);
            for (int i = 0; i < N * MANY * DIM; i++) {
                int token = one_token ? 0 : i / (MANY * DIM), head = one_head ? 0 : i / DIM % MANY;
                copies[t][i] = values[t][token * MANY * DIM + head * DIM + i % DIM];
            }
            tensors[t]->data = way ? values[t] : copies[t];
            if (!way) continue;
            tensors[t]->flags = SA_TENSOR_STRIDES_GIVEN;
            tensors[t]->token_stride = one_token ? 0 : MANY * DIM * 4;
            tensors[t]->head_stride = one_head ? 0 : DIM * 4;
        }
        memset(out[way], 0xff, sizeof out[way]);
        a.out.data = out[way];
        CHECK(sa_cache_create(&g, NULL, &cache) == SA_SUCCESS, "create");
        CHECK(sa_step(cache, &a) == SA_SUCCESS, "broadcast %d: %s", which, sa_cache_error(cache));
        sa_cache_destroy(cache);
    }
    CHECK(memcmp(out[0], out[1], sizeof out[0]) == 0, "broadcast %d: other results", which);
    CHECK(isfinite(out[1][0]) && isfinite(out[1][N * MANY * DIM - 1]), "broadcast %d: no results", which);
}

int main(int argc, char **argv) {
    uint64_t seed = 12;
    long count = 200000;
    test_begin("test_tensors", argc, argv, &seed, &count);
    test_rng rng = {seed};
#ifdef __SIZEOF_INT128__
    strides_stay_in_memory(&rng, count);
#endif
    for (int heads = 1; heads <= 5; heads++) results_do_not_overlap(heads);
    for (int which = 0; which < 64; which++) broadcast_equals_copies(which, &rng);
    return test_end();
}
