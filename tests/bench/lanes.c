/* A layer half of whose kv heads keep all and half stream, beside its two halves as layers of their own.
 *
 * SPDX-License-Identifier: MIT
 *
 * Both ways take turns, layer by layer, and together read more than the last-level cache holds between two calls on a
 * layer. The limit of a row is what the two halves take one after the other: lanes should cost nothing.
 */
#include <stdlib.h>

#include "bench.h"

enum { LANES_HEADS = 32, LANES_KV = 8, LANES_DIM = 128, LANES_FULL = 16384, LANES_NARROW = 252, LANES_SINKS = 4 };
enum { LANES_ROUNDS = 9, LANES_CALLS = 4000, LANES_MOST_TOKENS = 64 };
enum { LANES_TOGETHER, LANES_FULL_HALF, LANES_STREAMING_HALF, LANES_WAYS };

typedef struct lanes {
    int layers, threads;
    sa_cache *caches[LANES_WAYS];
    float *q, *kv, *out;
    double calls[LANES_WAYS][LANES_CALLS];
    int n_calls;
} lanes;

/* Bytes of keys and values that a token reads. */
static double lanes_bytes(int way) {
    double full = LANES_FULL + LANES_SINKS, narrow = LANES_NARROW + LANES_SINKS;
    double keys = way == LANES_TOGETHER ? full + narrow : way == LANES_FULL_HALF ? full : narrow;
    return keys * LANES_KV / 2 * LANES_DIM * 2 * 2;
}

static void lanes_create(lanes *b, int way) {
    static const int32_t windows[LANES_KV] = {0, LANES_NARROW, 0, LANES_NARROW, 0, LANES_NARROW, 0, LANES_NARROW};
    int half = way == LANES_TOGETHER ? 1 : 2, window = way == LANES_STREAMING_HALF ? LANES_NARROW : LANES_FULL;
    sa_config config = bench_sequence_config(b->layers, LANES_HEADS / half, LANES_KV / half, LANES_DIM, window);
    config.head_windows = way == LANES_TOGETHER ? windows : NULL;
    config.max_append = LANES_MOST_TOKENS;
    config.n_threads = b->threads;
    config.parallel_for = b->threads > 1 ? bench_pool_run : NULL;
    bench_check(sa_cache_create(&config, NULL, &b->caches[way]));
    bench_append(b->caches[way], b->layers, b->kv, LANES_FULL + LANES_SINKS);
}

static void lanes_open(lanes *b) {
    size_t n = (size_t)LANES_MOST_TOKENS * LANES_HEADS * LANES_DIM;
    b->layers = (int)((double)bench_last_level_cache() / lanes_bytes(LANES_TOGETHER)) + 1;
    b->kv = bench_tokens(LANES_KV, LANES_DIM);
    b->q = (float *)bench_alloc(n * sizeof *b->q);
    b->out = (float *)bench_alloc(n * sizeof *b->out);
    bench_fill(b->q, n);
    for (int way = 0; way < LANES_WAYS; way++) lanes_create(b, way);
}

static void lanes_close(lanes *b) {
    for (int way = 0; way < LANES_WAYS; way++) sa_cache_destroy(b->caches[way]);
    free(b->q);
    free(b->kv);
    free(b->out);
}

static void lanes_time(lanes *b, int way, int layer, int n, int call) {
    double start = bench_now();
    bench_check(sa_append_attend(b->caches[way], layer, n, b->q, b->kv, b->kv, b->out));
    b->calls[way][call] = bench_now() - start;
}

/* Calls of n tokens: of each of some layers together, then of its halves. */
static void lanes_run(lanes *b, const char *what, int n, int layers, FILE *csv) {
    static const char *const names[LANES_WAYS] = {"full and streaming", "the full half alone",
                                                  "the streaming half alone"};
    char name[80];
    b->n_calls = 0;
    for (int r = 0; r <= LANES_ROUNDS && b->n_calls < LANES_CALLS - layers; r++) {
        if (r == 1) b->n_calls = 0; /* the first round is a warm-up */
        for (int layer = 0; layer < layers; layer++, b->n_calls++)
            for (int way = 0; way < LANES_WAYS; way++) lanes_time(b, way, layer, n, b->n_calls);
    }
    double seconds[LANES_WAYS];
    for (int way = 0; way < LANES_WAYS; way++) seconds[way] = bench_median(b->calls[way], b->n_calls);
    for (int way = 0; way < LANES_WAYS; way++) {
        double limit = way ? 0 : seconds[LANES_FULL_HALF] + seconds[LANES_STREAMING_HALF];
        snprintf(name, sizeof name, "lanes; %s; %d thr.: %s", what, b->threads, names[way]);
        bench_sequences_row(name, seconds[way], lanes_bytes(way), limit, limit / seconds[way], csv);
    }
}

void bench_lanes(FILE *csv) {
    static lanes b;
    for (b.threads = 1; b.threads <= 2; b.threads++) {
        if (b.threads > 1) bench_pool_start(b.threads);
        lanes_open(&b);
        lanes_run(&b, "a token", 1, b.layers, csv);
        lanes_run(&b, "64 tokens", LANES_MOST_TOKENS, 1, csv); /* the speed of multiply-adds, not of memory */
        lanes_close(&b);
        if (b.threads > 1) bench_pool_stop();
    }
}
