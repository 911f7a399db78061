/*
 * What calls say when they refuse, which host tensors they take, and a layer that begins anew.
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
static void says(sa_cache *cache, sa_status got, sa_status expected, const char *word, int line) {
    const char *sentence = sa_cache_error(cache);
    CHECK(got == expected, "line %d: %d, not %d (%s)", line, (int)got, (int)expected, sentence);
    CHECK(strstr(sentence, word) != NULL, "line %d: no \"%s\" in: %s", line, word, sentence);
    CHECK(cache->error > 0 && cache->error < SAI_N_ERRORS, "line %d: number %d", line, (int)cache->error);
    reached[cache->error > 0 && cache->error < SAI_N_ERRORS ? cache->error : 0] = 1;
    CHECK(sa_append_kv(cache, 0, 0, NULL, NULL) == SA_SUCCESS && sa_cache_error(cache)[0] == 0, "line %d: stale", line);
}

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
    STEP(SA_ERR_STRUCT_SIZE, "args.struct_size", 1, 1, a.struct_size -= 8);
    STEP(SA_ERR_ARGUMENT, "args.flags", 1, 1, a.flags = 1);
    STEP(SA_ERR_ARGUMENT, "args.reserved", 1, 1, a.reserved[1] = &a);
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
    SAYS(SA_ERR_OVERFLOW, "position", sa_cache_seek(cache, (uint64_t)1 << 62));
    SAYS(SA_ERR_OVERFLOW, "position", sa_layer_restart(cache, 0, (uint64_t)1 << 62));
    SAYS(SA_ERR_ARGUMENT, "layer", sa_layer_restart(cache, 2, 0));
    CHECK(sa_append_kv(cache, 0, 40, f, f) == SA_SUCCESS, "append");
    SAYS(SA_ERR_ARGUMENT, "position", sa_cache_seek(cache, 39));
    SAYS(SA_ERR_ARGUMENT, "position", sa_layer_restart(cache, 0, 39));
    SAYS(SA_ERR_ARGUMENT, "n_tokens", sa_cache_rollback(cache, -1));
    SAYS(SA_ERR_ARGUMENT, "n_tokens", sa_cache_rollback(cache, 41));
    SAYS(SA_ERR_DEPTH, "rollback_now", sa_cache_rollback(cache, 30));
    CHECK(sa_cache_seek(cache, ((uint64_t)1 << 62) - 1) == SA_SUCCESS, "seek");
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

/* All reasons were met, all differ, and each is a sentence of its own in a copy of the cache too. */
static void sentences_differ(void) {
    sa_cache *cache = open_cache(SA_POLICY_WINDOW, 5, 0);
    const char *sentences[SAI_N_ERRORS];
    for (int e = 0; e < SAI_N_ERRORS; e++) {
        cache->error = e;
        sentences[e] = sa_cache_error(cache);
        CHECK(e == 0 || reached[e], "no call says: %s", sentences[e]);
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
    sa_info info;
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
    CHECK(sa_cache_reset(cache) == SA_SUCCESS && sa_cache_error(cache)[0] == 0, "reset clears it");
    free(room);
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

/* ------------------------------ a layer anew ------------------------------ */

/* Layer 1 sees its own chunk of 4 tokens (as Llama 4's local layers do), layer 0 all. */
static void chunks(void) {
    sa_cache *cache = open_cache(SA_POLICY_DENSE, 16, 0);
    for (int t = 0; t < 16; t++) {
        float zero[HEADS * DIM] = {0}, v[DIM] = {(float)t, 1}, out[2][HEADS * DIM];
        if (t % 4 == 0) CHECK(sa_layer_restart(cache, 1, (uint64_t)t) == SA_SUCCESS, "restart at %d", t);
        for (int layer = 0; layer < 2; layer++)
            CHECK(sa_append_attend(cache, layer, 1, zero, zero, v, out[layer]) == SA_SUCCESS, "token %d: %s", t,
                  sa_cache_error(cache));
        CHECK(fabsf(out[0][0] - (float)t / 2) < 1e-5f, "token %d: %g in all", t, (double)out[0][0]);
        CHECK(fabsf(out[1][0] - (float)(t / 4 * 4 + t) / 2) < 1e-5f, "token %d: %g in the chunk", t, (double)out[1][0]);
    }
    CHECK(sa_cache_rollback(cache, 3) == SA_SUCCESS, "within the chunk");
    CHECK(sa_cache_rollback(cache, 2) == SA_ERR_DEPTH, "not across its beginning");
    sa_info info[2];
    for (int layer = 0; layer < 2; layer++) {
        info[layer].struct_size = sizeof info[layer];
        CHECK(sa_cache_info(cache, layer, &info[layer]) == SA_SUCCESS, "info");
    }
    CHECK(info[0].rollback_now == 13 && info[1].rollback_now == 1, "%d %d", (int)info[0].rollback_now,
          (int)info[1].rollback_now);
    sa_cache_destroy(cache);
}

/* With sinks: those that have come stay, and the window begins anew. */
static void restart_keeps_sinks(void) {
    sa_config g = config_of(SA_POLICY_SINK_WINDOW, 4, 0);
    sa_cache *cache = NULL;
    float zero[HEADS * DIM] = {0}, v[DIM], out[HEADS * DIM];
    g.n_sink = 2;
    CHECK(sa_cache_create(&g, NULL, &cache) == SA_SUCCESS, "create");
    for (int t = 0; t < 9; t++) {
        v[0] = v[1] = (float)(t + 1);
        CHECK(sa_append_kv(cache, 0, 1, zero, v) == SA_SUCCESS, "append");
    }
    CHECK(sa_layer_restart(cache, 0, 9) == SA_SUCCESS, "restart");
    v[0] = v[1] = 30;
    CHECK(sa_append_attend(cache, 0, 1, zero, zero, v, out) == SA_SUCCESS, "append_attend");
    CHECK(fabsf(out[0] - 11) < 1e-5f, "the mean of 1, 2 and 30 is 11, not %g", (double)out[0]);
    sa_cache_destroy(cache);
}

int main(int argc, char **argv) {
    uint64_t seed = 12;
    long count = 200000;
    test_begin("test_calls", argc, argv, &seed, &count);
    test_rng rng = {seed};
    steps_say();
    plain_calls_say();
    other_states_say();
    sentences_differ();
    reasons_are_kept();
#ifdef __SIZEOF_INT128__
    strides_stay_in_memory(&rng, count);
#endif
    for (int heads = 1; heads <= 5; heads++) results_do_not_overlap(heads);
    for (int which = 0; which < 64; which++) broadcast_equals_copies(which, &rng);
    chunks();
    restart_keeps_sinks();
    return test_end();
}
