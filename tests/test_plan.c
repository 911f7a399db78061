/*
 * How a call is cut: one call of all tokens gives the bits of many small ones, whatever the window and the threads; and
 * the keys of a few rows are shared out over the threads.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "support.h"
#include "test.h"

static void serial(void *context, int32_t n, sa_task task, void *task_context) {
    (void)context;
    for (int32_t i = 0; i < n; i++) task(task_context, i);
}

static sa_config config_of(int32_t max_append, int32_t window, int32_t n_sink, int32_t n_threads) {
    sa_config g;
    memset(&g, 0, sizeof g);
    g.struct_size = sizeof g;
    g.n_layers = 1;
    g.max_append = max_append;
    g.n_heads = 2;
    g.n_kv_heads = 1;
    g.head_dim = 2;
    g.n_sink = n_sink;
    g.window = window;
    g.position = SA_POSITION_NONE;
    g.n_threads = n_threads;
    g.parallel_for = n_threads > 1 ? serial : NULL;
    return g;
}

/* One call of all tokens, and the same tokens in small calls: the same bits. With values so tiny, too, that
 * their sums are zeros of either sign. */
static void long_calls_keep_bits(int32_t n_threads, int32_t window, int32_t n_sink, int is_tiny) {
    enum { N = 4100, SMALL = 37 };
    static float q[N * 4], kv[N * 2], v[N * 2], whole[N * 4], parts[N * 4];
    sa_config g = config_of(N, window, n_sink, n_threads);
    test_rng rng = {7};
    for (int cache_index = 0; cache_index < 2; cache_index++) {
        float *out = cache_index ? parts : whole;
        int32_t step = cache_index ? SMALL : N;
        sa_cache *cache = NULL;
        for (int i = 0; i < N * 4 && !cache_index; i++) q[i] = rng_normal(&rng);
        for (int i = 0; i < N * 2 && !cache_index; i++) kv[i] = rng_normal(&rng);
        for (int i = 0; i < N * 2; i++) v[i] = !is_tiny ? kv[i] : i < 2 * 1280 ? -1e-45f : -0.0f;
        for (int i = 0; i < N * 4 && is_tiny; i++) q[i] = 1;
        for (int i = 0; i < N * 2 && is_tiny; i++) kv[i] = i < 2 * 1280 ? -3.0f : 3.0f;
        if (cache_index) g.max_append = SMALL;
        CHECK(sa_cache_create(&g, NULL, &cache) == SA_SUCCESS, "create");
        memset(out, 0xff, sizeof whole);
        for (int32_t at = 0; at < N; at += step) {
            int32_t n = N - at < step ? N - at : step;
            CHECK(sa_append_attend(cache, 0, n, q + at * 4, kv + at * 2, v + at * 2, out + at * 4) == SA_SUCCESS,
                  "append_attend");
        }
        sa_cache_destroy(cache);
    }
    CHECK(memcmp(whole, parts, sizeof whole) == 0, "threads %d window %d tiny %d: other bits in one long call",
          (int)n_threads, (int)window, is_tiny);
}

/* The keys of a single token are shared out wherever its window lies: there is room for the states of all blocks. */
static void long_windows_are_shared_out(void) {
    static float kv[2 * 2600], q[4], out[4];
    sa_config g = config_of(1, 2500, 2, 4);
    sa_step_args a;
    sa_cache *cache = NULL;
    CHECK(sa_cache_create(&g, NULL, &cache) == SA_SUCCESS, "create");
    CHECK(sa_append_kv(cache, 0, 2600, kv, kv) == SA_SUCCESS, "append");
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.n_tokens = 1;
    a.k.data = a.v.data = kv;
    a.q.data = q;
    a.out.data = out;
    for (int t = 2600; t < 2600 + 2100; t++) {
        int32_t phases = 0;
        CHECK(sa_step_begin(cache, &a, &phases) == SA_SUCCESS && phases == 2, "token %d: %d phases", t, (int)phases);
        for (int32_t p = 0; p < phases; p++) CHECK(sa_step_part(cache, p, 0, 1) == SA_SUCCESS, "phase %d", (int)p);
    }
    sa_cache_destroy(cache);
}

int main(int argc, char **argv) {
    uint64_t seed = 0;
    long count = 1;
    test_begin("test_plan", argc, argv, &seed, &count);
    long_windows_are_shared_out();
    for (int32_t threads = 1; threads <= 32 && !test_is_quick; threads *= 32) long_calls_keep_bits(threads, 280, 0, 1);
    for (int32_t threads = test_is_quick ? 32 : 1; threads <= (test_is_quick ? 32 : 1024); threads *= 32)
        for (int32_t window = 1; window <= (test_is_quick ? 100 : 5000); window = window * 7 + 3)
            for (int32_t sinks = 0; sinks <= (test_is_quick ? 40 : 1500); sinks = sinks * 30 + 40) {
                long_calls_keep_bits(threads, window, sinks, 0);
                long_calls_keep_bits(threads, window, sinks, 1);
            }
    return test_end();
}
