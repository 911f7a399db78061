/* Pools, forks, removals, pins: what changing a sequence costs, and what many of them take.
 *
 * SPDX-License-Identifier: MIT
 *
 * Times are medians of interleaved repeats. Each change is made on a fork that is then closed, so that every repeat
 * finds the same sequence. A row's limit is bytes / read rate where bytes must be moved; 0 where there is no such
 * limit, since only integers change.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

enum { LAYERS = 32, HEADS = 32, KV_HEADS = 8, DIM = 128, WINDOW = 4096, PINNED = 1024, REPEATS = 31, PIECE = 256 };

/* -------------------------------- the model -------------------------------- */

sa_config bench_sequence_config(int layers, int heads, int kv_heads, int dim, int window) {
    sa_config config;
    memset(&config, 0, sizeof config);
    config.struct_size = sizeof config;
    config.n_layers = layers;
    config.n_heads = heads;
    config.n_kv_heads = kv_heads;
    config.head_dim = dim;
    config.n_sink = 4;
    config.window = window;
    config.k_dtype = config.v_dtype = SA_F16;
    config.position = SA_POSITION_ROPE;
    return config;
}

void bench_check(sa_status status) {
    if (status) bench_fail(sa_status_string(status));
}

sa_pool *bench_pool_of(const sa_config *config) {
    sa_pool *pool;
    bench_check(sa_pool_create(config, NULL, &pool));
    return pool;
}

void bench_append(sa_cache *cache, int layers, const float *kv, int n) {
    for (int layer = 0; layer < layers; layer++)
        for (int at = 0; at < n; at += PIECE)
            bench_check(sa_append_kv(cache, layer, n - at < PIECE ? n - at : PIECE, kv, kv));
}

float *bench_tokens(int kv_heads, int dim) {
    size_t n = (size_t)PIECE * (size_t)kv_heads * (size_t)dim;
    float *kv = (float *)bench_alloc(n * sizeof *kv);
    bench_fill(kv, n);
    return kv;
}

static sa_pool_facts facts_of(const sa_pool *pool) {
    sa_pool_facts facts;
    memset(&facts, 0, sizeof facts);
    facts.struct_size = sizeof facts;
    bench_check(sa_pool_info(pool, 0, 0, &facts));
    return facts;
}

/* Bytes of keys and values in use: every layer's tiles. */
static double bytes_in_use(const sa_pool *pool, int layers) {
    sa_pool_facts facts = facts_of(pool);
    return (double)(facts.tiles - facts.tiles_free) * (double)facts.tile_size * layers;
}

/* ---------------------------------- rows ----------------------------------- */

void bench_sequences_row(const char *name, double seconds, double bytes, double limit, double fraction, FILE *csv) {
    printf("%-44s %12.2f us %15.0f bytes %12.2f us %7.3f\n", name, seconds * 1e6, bytes, limit * 1e6, fraction);
    fflush(stdout);
    if (csv) fprintf(csv, "%s,%.3f,%.0f,%.3f,%.4f\n", name, seconds * 1e6, bytes, limit * 1e6, fraction);
}

/* A time, and where bytes must be moved, what moving them takes at least. */
static void row_of_time(const char *name, double *times, int n, double bytes, FILE *csv) {
    double seconds = bench_median(times, n), limit = bytes / bench_read_rate(BENCH_MEMORY, 1);
    bench_sequences_row(name, seconds, bytes, limit, limit / seconds, csv);
}

/* Bytes that are not a time's: the fraction is what they should be, of what they are. */
static void row_of_bytes(const char *name, double bytes, double expected, FILE *csv) {
    bench_sequences_row(name, 0, bytes, 0, expected / bytes, csv);
}

/* ------------------------------ one sequence ------------------------------- */

/* The times of one change each, in seconds. */
enum { FORK, REMOVE, REMOVE_KEEP, PIN, ROLLBACK, FIRST_LAYER, NEXT_LAYER, FIRST_ALL, NEXT_ALL, CLOSE, CHANGES };
typedef struct changes {
    double times[CHANGES][REPEATS], extra[2][REPEATS];
} changes;

static double since(double *start) {
    double now = bench_now(), took = now - *start;
    *start = now;
    return took;
}

/* A token appended to the first layer, then to the others; a model's weights have been read since the last one. */
static void time_append(sa_cache *cache, const float *kv, int r, double *first_layer, double *all) {
    (void)bench_read_rate(BENCH_MEMORY, 1);
    double start = bench_now();
    bench_check(sa_append_kv(cache, 0, 1, kv, kv));
    first_layer[r] = bench_now() - start;
    for (int layer = 1; layer < LAYERS; layer++) bench_check(sa_append_kv(cache, layer, 1, kv, kv));
    all[r] = bench_now() - start;
}

static void time_changes(sa_cache *cache, const float *kv, int r, changes *c) {
    const uint64_t at = PINNED + WINDOW / 2;
    sa_cache *fork;
    double start = bench_now();
    bench_check(sa_cache_fork(cache, &fork));
    c->times[FORK][r] = since(&start);
    bench_check(sa_cache_remove(fork, SA_ALL_LAYERS, at, at + 100, SA_GAP_CLOSE));
    c->times[REMOVE][r] = since(&start);
    bench_check(sa_cache_remove(fork, SA_ALL_LAYERS, at + 500, at + 600, SA_GAP_KEEP));
    c->times[REMOVE_KEEP][r] = since(&start);
    bench_check(sa_cache_pin(fork, SA_ALL_LAYERS, at + 1000, at + 1100));
    c->times[PIN][r] = since(&start);
    bench_check(sa_cache_rollback(fork, SA_ALL_LAYERS, 20));
    c->times[ROLLBACK][r] = since(&start);
    sa_cache_destroy(fork);
    c->times[CLOSE][r] = since(&start);
    bench_check(sa_cache_fork(cache, &fork));
    time_append(fork, kv, r, c->times[FIRST_LAYER], c->times[FIRST_ALL]);
    time_append(fork, kv, r, c->times[NEXT_LAYER], c->times[NEXT_ALL]);
    c->extra[0][r] = c->times[FIRST_LAYER][r] - c->times[NEXT_LAYER][r];
    c->extra[1][r] = c->times[FIRST_ALL][r] - c->times[NEXT_ALL][r];
    sa_cache_destroy(fork);
}

static void print_changes(changes *c, const sa_pool *pool, FILE *csv) {
    double tile = (double)facts_of(pool).tile_size, token = tile / 16;
    row_of_time("fork", c->times[FORK], REPEATS, 0, csv);
    row_of_time("remove 100 tokens; close the gap", c->times[REMOVE], REPEATS, 0, csv);
    row_of_time("remove 100 tokens; keep the gap", c->times[REMOVE_KEEP], REPEATS, 0, csv);
    row_of_time("pin 100 tokens", c->times[PIN], REPEATS, 0, csv);
    row_of_time("roll back 20 tokens", c->times[ROLLBACK], REPEATS, 0, csv);
    row_of_time("close a fork", c->times[CLOSE], REPEATS, 0, csv);
    row_of_time("append; one layer", c->times[NEXT_LAYER], REPEATS, token, csv);
    row_of_time("append; 32 layers", c->times[NEXT_ALL], REPEATS, token * LAYERS, csv);
    row_of_time("a fork's first append; one layer", c->times[FIRST_LAYER], REPEATS, token + 2 * tile, csv);
    row_of_time("a fork's first append; 32 layers", c->times[FIRST_ALL], REPEATS, (token + 2 * tile) * LAYERS, csv);
    row_of_time("a fork's first append less an append; one", c->extra[0], REPEATS, 2 * tile, csv);
    row_of_time("a fork's first append less an append; 32", c->extra[1], REPEATS, 2 * tile * LAYERS, csv);
}

/* A sequence of the size: 1,024 pinned tokens, and a full window behind. */
static void run_changes(const float *kv, FILE *csv) {
    static changes c;
    sa_config config = bench_sequence_config(LAYERS, HEADS, KV_HEADS, DIM, WINDOW);
    sa_cache *cache;
    config.max_append = PIECE;
    config.rollback = 32;
    config.n_sequences = 2;
    config.n_spans = 8;
    config.n_pin = PINNED + 100;
    config.pool_tokens = WINDOW + PINNED + 2048; /* a fork shares nearly all of them */
    sa_pool *pool = bench_pool_of(&config);
    bench_check(sa_pool_open(pool, &cache));
    bench_append(cache, LAYERS, kv, PINNED + config.n_sink);
    bench_check(sa_cache_pin(cache, SA_ALL_LAYERS, (uint64_t)config.n_sink, (uint64_t)(config.n_sink + PINNED)));
    bench_append(cache, LAYERS, kv, WINDOW + PIECE); /* and the last tile is not full, so forks write into it */
    for (int r = 0; r < REPEATS; r++) time_changes(cache, kv, r, &c);
    print_changes(&c, pool, csv);
    sa_pool_destroy(pool);
}

/* ---------------------------------- memory --------------------------------- */

/* Bytes of this process that are in memory; 0 where the system does not say. */
static double resident(void) {
    long pages[2] = {0, 0};
    FILE *statm = fopen("/proc/self/statm", "r");
    int n = statm ? fscanf(statm, "%ld %ld", &pages[0], &pages[1]) : 0;
    if (statm) fclose(statm);
    return n == 2 ? (double)pages[1] * (double)sysconf(_SC_PAGESIZE) : 0;
}

/* 64 samples of one prompt: it is held once. */
static void run_forks(const float *kv, FILE *csv) {
    enum { FORKS = 64, PROMPT = 2000, OWN = 256, FORK_LAYERS = 8 };
    sa_config config = bench_sequence_config(FORK_LAYERS, HEADS, KV_HEADS, DIM, WINDOW);
    sa_cache *prompt, *forks[FORKS];
    config.n_sequences = FORKS + 1;
    config.pool_tokens = PROMPT + FORKS * OWN;
    double before = resident(), start = bench_now();
    sa_pool *pool = bench_pool_of(&config);
    bench_check(sa_pool_open(pool, &prompt));
    bench_append(prompt, FORK_LAYERS, kv, PROMPT);
    for (int i = 0; i < FORKS; i++) bench_check(sa_cache_fork(prompt, &forks[i]));
    for (int i = 0; i < FORKS; i++) bench_append(forks[i], FORK_LAYERS, kv, OWN);
    double seconds = bench_now() - start, tokens = PROMPT + FORKS * OWN;
    double expected = tokens / 16 * (double)facts_of(pool).tile_size * FORK_LAYERS,
           size = (double)facts_of(pool).pool_size;
    bench_sequences_row("64 forks: made and filled", seconds, expected, 0, 0, csv);
    row_of_bytes("64 forks: tiles in use", bytes_in_use(pool, FORK_LAYERS), expected, csv);
    row_of_bytes("64 forks: size of the pool", size, expected, csv);
    if (before > 0) {
        double taken = resident() - before;
        row_of_bytes("64 forks: resident; their tokens", taken, expected, csv);
        row_of_bytes("64 forks: resident; the pool", taken, size, csv);
    }
    sa_pool_destroy(pool);
}

/* Bytes of a pool that are not keys and values, which stand in the header's formula. */
static double beside_tokens(const sa_config *config) {
    size_t size = 0, alignment = 0;
    double held = config->window - 1 + 256, tiles = (double)(((int)held + 15) / 16 + 1 + (config->n_sink + 15) / 16);
    bench_check(sa_pool_size(config, &size, &alignment));
    return (double)size - tiles * 16 * config->n_kv_heads * config->head_dim * 2 * 2 * config->n_layers *
                              (config->n_sequences ? config->n_sequences : 1);
}

/* One workspace for 64 sequences, beside 64 of them; and each sequence's tables, by what one sequence more takes. */
static void run_scratch(FILE *csv) {
    sa_config config = bench_sequence_config(LAYERS, HEADS, KV_HEADS, DIM, WINDOW);
    config.n_threads = 16;
    config.parallel_for = bench_pool_run;
    double one = beside_tokens(&config);
    config.n_sequences = 63;
    double less = beside_tokens(&config);
    config.n_sequences = 64;
    double pool = beside_tokens(&config), tables = pool - less;
    row_of_bytes("tables of a sequence", tables, tables, csv);
    row_of_bytes("workspace of a cache", one - tables, one - tables, csv);
    row_of_bytes("workspace of a pool of 64", pool - 64 * tables, one - tables, csv);
    row_of_bytes("workspaces of 64 caches", 64 * (one - tables), one - tables, csv);
}

void bench_sequences(FILE *csv) {
    float *kv = bench_tokens(KV_HEADS, DIM);
    if (csv) fprintf(csv, "case,time_us,bytes,limit_us,fraction\n");
    printf("%-44s %15s %21s %15s %7s\n", "case", "time", "bytes", "limit", "of it");
    run_scratch(csv);
    run_forks(kv, csv); /* before others have left memory behind that it could take again */
    run_changes(kv, csv);
    bench_snapshots(kv, csv);
    bench_drafts(csv);
    bench_batches(csv);
    bench_lanes(csv);
    free(kv);
}
