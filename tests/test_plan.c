/*
 * How a call is cut: every panel visits the blocks that its rows see and no others, however long the call is.
 *
 * What a call costs follows from that: its visible pairs count, not the length of the call times itself.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "../lib/plan.h"
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

/* Whether a row of [row, row + n) sees a position of the block. */
static int is_seen(const sai_job *job, int span, int32_t row, int32_t n, uint64_t block) {
    for (int32_t r = row; r < row + n; r++) {
        sai_range v = sai_job_visible(job, span, sai_job_position(job, r));
        if (v.from < v.end && v.from / job->layer->block <= block && block <= (v.end - 1) / job->layer->block) return 1;
    }
    return 0;
}

static void check_job(const sai_job *job) {
    int32_t index = 0;
    for (int span = 0; span < SAI_N_SPANS; span++)
        for (uint64_t b = job->blocks[span].from; b < job->blocks[span].end; b++, index++)
            CHECK(sai_job_block_index(job, span, b) == index, "span %d block %d", span, (int)b);
    CHECK(index == job->all_blocks, "%d blocks in all, %d listed", (int)job->all_blocks, (int)index);
    for (int32_t row = 0; row < job->rows; row += job->panel) {
        int32_t n = job->rows - row < job->panel ? job->rows - row : job->panel;
        for (int span = 0; span < SAI_N_SPANS; span++) {
            sai_range blocks = sai_job_blocks(job, span, row, n);
            for (uint64_t b = job->blocks[span].from; b < job->blocks[span].end; b++)
                CHECK((b >= blocks.from && b < blocks.end) == is_seen(job, span, row, n, b),
                      "rows %d..%d of span %d: block %d", (int)row, (int)(row + n), span, (int)b);
        }
    }
}

static void panels_see_their_blocks(int32_t n_threads, int32_t window, int32_t n_sink) {
    static float zeros[2 * 20000];
    sa_config g = config_of(20000, window, n_sink, n_threads);
    sa_cache *cache = NULL;
    CHECK(sa_cache_create(&g, NULL, &cache) == SA_SUCCESS, "create");
    for (int32_t n = 1; n <= 20000; n = n * 5 + 3) {
        CHECK(sa_cache_reset(cache) == SA_SUCCESS && sa_append_kv(cache, 0, n, zeros, zeros) == SA_SUCCESS, "append");
        sai_queries queries;
        memset(&queries, 0, sizeof queries);
        queries.n = n;
        sai_job job = sai_plan(cache, sai_layer_of(cache, 0), &queries);
        check_job(&job);
    }
    sa_cache_destroy(cache);
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

int main(int argc, char **argv) {
    uint64_t seed = 0;
    long count = 1;
    test_begin("test_plan", argc, argv, &seed, &count);
    for (int32_t threads = 1; threads <= 32; threads *= 32) long_calls_keep_bits(threads, 280, 0, 1);
    for (int32_t threads = 1; threads <= 1024; threads *= 32)
        for (int32_t window = 1; window <= 5000; window = window * 7 + 3)
            for (int32_t sinks = 0; sinks <= 1500; sinks = sinks * 30 + 40) {
                panels_see_their_blocks(threads, window, sinks);
                long_calls_keep_bits(threads, window, sinks, 0);
                long_calls_keep_bits(threads, window, sinks, 1);
            }
    return test_end();
}
