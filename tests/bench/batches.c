/* Many sequences in one call, beside single calls and beside a host that runs the sequences side by side itself.
 *
 * SPDX-License-Identifier: MIT
 *
 * Each sequence appends a token and attends, in one layer after the other. There are as many layers as it takes to
 * read more than the last-level cache holds between two calls on a layer. The three ways take turns, layer by layer.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { BATCH_MOST = 32, BATCH_THREADS = 2, BATCH_ROUNDS = 5, BATCH_CALLS = 4000 };

enum { BY_BATCH, BY_SINGLE_CALLS, BY_HOST, WAYS };
static const char *const way_names[WAYS] = {"one call", "single calls", "the host's threads"};

/* What is run: sequences of a pool, and the same ones as caches of one thread each. */
typedef struct batch {
    const char *name;
    int heads, kv_heads, dim, n, layers;
    int keys[BATCH_MOST];
    sa_pool *pool;
    sa_cache *sequences[BATCH_MOST], *caches[BATCH_MOST];
    float *q, *kv, *out;
    sa_step_args args[BATCH_MOST];
    double calls[WAYS][BATCH_CALLS];
    int n_calls;
} batch;

static double batch_bytes(const batch *b) {
    double keys = 0;
    for (int i = 0; i < b->n; i++) keys += b->keys[i];
    return keys * b->kv_heads * b->dim * 2 * 2;
}

/* --------------------------------- setting up ------------------------------- */

static sa_config batch_config(const batch *b, int keys) {
    sa_config config = bench_sequence_config(b->layers, b->heads, b->kv_heads, b->dim, keys - 4);
    config.max_append = 16;
    return config;
}

static void batch_make_pool(batch *b) {
    int64_t tokens = 0;
    int most = 0;
    for (int i = 0; i < b->n; i++) {
        tokens += (b->keys[i] + 15) / 16 * 16 + 48; /* the room of max_append, and a tile that is not full */
        if (b->keys[i] > most) most = b->keys[i];
    }
    sa_config config = batch_config(b, most);
    config.n_sequences = b->n;
    config.pool_tokens = tokens;
    config.n_threads = BATCH_THREADS;
    config.parallel_for = bench_pool_run;
    b->pool = bench_pool_of(&config);
}

/* Sequences at different positions, with as many keys as they are to have. */
static void batch_fill_caches(batch *b) {
    for (int i = 0; i < b->n; i++) {
        sa_config config = batch_config(b, b->keys[i]);
        bench_check(sa_pool_open(b->pool, &b->sequences[i]));
        bench_check(sa_cache_create(&config, NULL, &b->caches[i]));
        bench_append(b->sequences[i], b->layers, b->kv, b->keys[i]);
        bench_append(b->caches[i], b->layers, b->kv, b->keys[i]);
    }
}

static void batch_make_args(batch *b) {
    memset(b->args, 0, sizeof b->args);
    for (int i = 0; i < b->n; i++) {
        sa_step_args *a = &b->args[i];
        a->struct_size = sizeof *a;
        a->n_tokens = 1;
        a->q.data = b->q + (size_t)i * (size_t)b->heads * (size_t)b->dim;
        a->k.data = a->v.data = b->kv + (size_t)i * (size_t)b->kv_heads * (size_t)b->dim;
        a->out.data = b->out + (size_t)i * (size_t)b->heads * (size_t)b->dim;
    }
}

static void batch_open(batch *b) {
    size_t n = (size_t)b->n * (size_t)b->heads * (size_t)b->dim;
    double cold = 2.0 * (double)bench_last_level_cache();
    b->layers = (int)(cold / batch_bytes(b)) + 1;
    b->n_calls = 0;
    b->kv = bench_tokens(b->kv_heads, b->dim);
    b->q = (float *)bench_alloc(n * sizeof *b->q);
    b->out = (float *)bench_alloc(n * sizeof *b->out);
    bench_fill(b->q, n);
    batch_make_pool(b);
    batch_fill_caches(b);
    batch_make_args(b);
}

static void batch_close(batch *b) {
    sa_pool_destroy(b->pool);
    for (int i = 0; i < b->n; i++) sa_cache_destroy(b->caches[i]);
    free(b->q);
    free(b->kv);
    free(b->out);
}

/* --------------------------------- three ways ------------------------------- */

static void batch_by_batch(batch *b) {
    const sa_step_args *args[BATCH_MOST];
    for (int i = 0; i < b->n; i++) args[i] = &b->args[i];
    bench_check(sa_batch(b->pool, b->n, b->sequences, args, NULL));
}

static void batch_by_single_calls(batch *b) {
    for (int i = 0; i < b->n; i++) bench_check(sa_step(b->sequences[i], &b->args[i]));
}

static void batch_host_task(void *context, int32_t i) {
    batch *b = (batch *)context;
    bench_check(sa_step(b->caches[i], &b->args[i]));
}

static void batch_by_host(batch *b) { bench_pool_run(NULL, b->n, batch_host_task, b); }

static void (*const ways[WAYS])(batch *) = {batch_by_batch, batch_by_single_calls, batch_by_host};

/* One way over all layers: what one reads, the next does not find in the cache. */
static void batch_time(batch *b, int way, int first_call) {
    for (int layer = 0; layer < b->layers; layer++) {
        for (int i = 0; i < b->n; i++) b->args[i].layer = layer;
        double start = bench_now();
        ways[way](b);
        b->calls[way][first_call + layer] = bench_now() - start;
    }
}

/* ------------------------------------ rows ---------------------------------- */

static void batch_run(batch *b, FILE *csv) {
    static double reads[BATCH_ROUNDS], peaks[BATCH_ROUNDS];
    char name[80];
    bench_pool_start(BATCH_THREADS);
    batch_open(b);
    double flops =
        batch_bytes(b) * b->heads / b->kv_heads; /* two multiply-adds for a key and a value of two bytes each */
    for (int way = 0; way < WAYS; way++) batch_time(b, way, 0); /* a warm-up */
    for (int r = 0; r < BATCH_ROUNDS && b->n_calls + b->layers <= BATCH_CALLS; r++) {
        reads[r] = bench_read_rate(BENCH_MEMORY, BATCH_THREADS);
        peaks[r] = bench_peak(sa_isa_best(), SA_F16, 16, BATCH_THREADS);
        for (int way = 0; way < WAYS; way++) batch_time(b, way, b->n_calls);
        b->n_calls += b->layers;
    }
    bench_pool_stop();
    double by_read = batch_bytes(b) / bench_median(reads, BATCH_ROUNDS),
           by_peak = flops / bench_median(peaks, BATCH_ROUNDS);
    double limit = by_read > by_peak ? by_read : by_peak;
    for (int way = 0; way < WAYS; way++) {
        double seconds = bench_median(b->calls[way], b->n_calls);
        snprintf(name, sizeof name, "%s: %s", b->name, way_names[way]);
        bench_sequences_row(name, seconds, batch_bytes(b), limit, limit / seconds, csv);
        bench_above_limit(name, limit / seconds);
    }
    batch_close(b);
}

static void batch_same(const char *name, int heads, int kv_heads, int dim, int keys, FILE *csv) {
    static batch b;
    memset(&b, 0, sizeof b);
    b.name = name;
    b.heads = heads;
    b.kv_heads = kv_heads;
    b.dim = dim;
    b.n = BATCH_MOST;
    for (int i = 0; i < b.n; i++) b.keys[i] = keys;
    batch_run(&b, csv);
}

/* One long sequence beside thirty short ones, which grow by a dozen tokens: the pool's window is the long one's. */
static void batch_mixed(FILE *csv) {
    static batch b;
    memset(&b, 0, sizeof b);
    b.name = "1 of 16384 and 30 of 50; 32/8x128";
    b.heads = 32;
    b.kv_heads = 8;
    b.dim = 128;
    b.n = 31;
    for (int i = 0; i < b.n; i++) b.keys[i] = i ? 50 : 16384;
    batch_run(&b, csv);
}

void bench_batches(FILE *csv) {
    batch_same("32 of 4+1020; 32/8x128", 32, 8, 128, 1024, csv);
    batch_same("32 of 4+252; 9/3x64", 9, 3, 64, 256, csv);
    batch_mixed(csv);
}
