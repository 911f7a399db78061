/* Single tokens: what one costs wherever it stands in the stream, and the slowest of very many.
 *
 * SPDX-License-Identifier: MIT
 *
 * A machine that other programs use interrupts a loop now and then. Two things tell its stalls from ours: a
 * control, a loop of multiply-adds as long as a token, timed between the tokens; and doing the whole stream
 * three times, keeping the least time of each token. A stall of the library's own making, at a border of its
 * ring or its blocks, comes at the same token every time; an interruption does not.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { HEADS = 4, KV_HEADS = 1, DIM = 64, SINKS = 4, WINDOW = 508, FILL = 256, RUNS = 3, ROUNDS = 2001 };

typedef struct latency_inputs {
    float q[HEADS * DIM], k[FILL * KV_HEADS * DIM], v[FILL * KV_HEADS * DIM], out[HEADS * DIM];
} latency_inputs;

static latency_inputs latency_in;

static void must(sa_status status) {
    if (status) bench_fail(sa_status_string(status));
}

static sa_cache *latency_cache(int32_t policy, int32_t window) {
    sa_config config;
    sa_cache *cache;
    memset(&config, 0, sizeof config);
    config.struct_size = sizeof config;
    config.n_layers = 1;
    config.n_heads = HEADS;
    config.n_kv_heads = KV_HEADS;
    config.head_dim = DIM;
    config.policy = policy;
    config.n_sink = policy == SA_POLICY_DENSE ? 0 : SINKS;
    config.window = window;
    config.k_dtype = config.v_dtype = SA_F16;
    config.position = SA_POSITION_ROPE;
    must(sa_cache_create(&config, NULL, &cache));
    return cache;
}

static void latency_feed(sa_cache *cache, uint64_t tokens) {
    for (uint64_t n; tokens; tokens -= n) {
        n = tokens < FILL ? tokens : FILL;
        must(sa_append_kv(cache, 0, (int32_t)n, latency_in.k, latency_in.v));
    }
}

static double latency_token(sa_cache *cache) {
    double start = bench_now();
    must(sa_append_kv(cache, 0, 1, latency_in.k, latency_in.v));
    must(sa_attend(cache, 0, 1, latency_in.q, latency_in.out));
    return bench_now() - start;
}

/* ---------------------------------- rows ---------------------------------- */

/* A row about n times (which are sorted); returns the median. */
static double latency_row(const char *kind, double position, double *times, int n, FILE *csv) {
    double median = bench_median(times, n), p99 = times[(int)(n * 0.99)], p9999 = times[(int)(n * 0.9999)];
    double slowest = times[n - 1];
    int over = 0;
    for (int i = n - 1; i >= 0 && times[i] > 4 * median; i--) over++;
    printf("%-14s %10.0e %8d  %10.2f us %10.2f us %10.2f us %10.2f us %8.2f %6d\n", kind, position, n, median * 1e6,
           p99 * 1e6, p9999 * 1e6, slowest * 1e6, slowest / median, over);
    fflush(stdout);
    if (csv)
        fprintf(csv, "%s,%.0f,%d,%.3f,%.3f,%.3f,%.3f,%.3f,%d\n", kind, position, n, median * 1e6, p99 * 1e6,
                p9999 * 1e6, slowest * 1e6, slowest / median, over);
    return median;
}

/* ------------------------------ along the stream --------------------------- */

/* Caches at all positions take turns, a token each. Those beyond 10^6 were fed, jumped, and fed a window again. */
static void latency_positions(FILE *csv) {
    static const double positions[] = {1e3, 1e4, 1e5, 1e6, 1e9, 1e12, 1e15};
    enum { N = sizeof positions / sizeof *positions };
    static double times[N][ROUNDS];
    sa_cache *caches[N];
    for (int p = 0; p < N; p++) {
        uint64_t position = (uint64_t)positions[p];
        caches[p] = latency_cache(SA_POLICY_SINK_WINDOW, WINDOW);
        latency_feed(caches[p], position > 1000000 ? 1000 : position);
        if (position > 1000000) {
            must(sa_cache_seek(caches[p], SA_ALL_LAYERS, position - WINDOW));
            latency_feed(caches[p], WINDOW);
        }
    }
    for (int r = 0; r < ROUNDS; r++)
        for (int p = 0; p < N; p++) times[p][r] = latency_token(caches[p]);
    for (int p = 0; p < N; p++) {
        latency_row("sink-window", positions[p], times[p], ROUNDS, csv);
        sa_cache_destroy(caches[p]);
    }
}

/* What it is about: a cache that keeps all. */
static void latency_dense(FILE *csv) {
    static const double positions[] = {1e3, 1e4, 1e5};
    static double times[201];
    for (int p = 0; p < 3; p++) {
        sa_cache *cache = latency_cache(SA_POLICY_DENSE, (int32_t)positions[p] + 201);
        latency_feed(cache, (uint64_t)positions[p]);
        for (int r = 0; r < 201; r++) times[r] = latency_token(cache);
        latency_row("dense", positions[p], times, 201, csv);
        sa_cache_destroy(cache);
    }
}

/* -------------------------------- one by one ------------------------------- */

static volatile float latency_sink;

static double latency_control(long rounds) {
    double start = bench_now();
    float x = 0.5f;
    for (long i = 0; i < rounds; i++) x = x * 0.999f + 0.001f;
    latency_sink = x;
    return bench_now() - start;
}

/* Rounds of the control that take `seconds`. */
static long latency_calibrate(double seconds) {
    double times[101];
    for (int i = 0; i < 101; i++) times[i] = latency_control(10000);
    return (long)(10000 * seconds / bench_median(times, 101));
}

static double latency_typical(sa_cache *cache) {
    double times[1001];
    latency_feed(cache, 2 * WINDOW);
    for (int i = 0; i < 1001; i++) times[i] = latency_token(cache);
    return bench_median(times, 1001);
}

static void latency_keep(double *least, double time, int run) {
    if (run == 0 || time < *least) *least = time;
}

/* `tokens` of a stream, RUNS times over: each run, and the least of all runs for each token. */
static void latency_many(long tokens, FILE *csv) {
    size_t size = (size_t)tokens * sizeof(double);
    double *token = (double *)bench_alloc(size), *control = (double *)bench_alloc(size);
    double *least_token = (double *)bench_alloc(size), *least_control = (double *)bench_alloc(size);
    sa_cache *cache = latency_cache(SA_POLICY_SINK_WINDOW, WINDOW);
    long rounds = latency_calibrate(latency_typical(cache));
    for (int run = 0; run < RUNS; run++) {
        must(sa_cache_reset(cache, SA_ALL_LAYERS));
        for (long i = 0; i < tokens; i++) {
            token[i] = latency_token(cache);
            control[i] = latency_control(rounds);
            latency_keep(&least_token[i], token[i], run);
            latency_keep(&least_control[i], control[i], run);
        }
        latency_row("tokens-run", (double)tokens, token, (int)tokens, csv);
        latency_row("control-run", (double)tokens, control, (int)tokens, csv);
    }
    latency_row("tokens-least", (double)tokens, least_token, (int)tokens, csv);
    latency_row("control-least", (double)tokens, least_control, (int)tokens, csv);
    sa_cache_destroy(cache);
    free(token);
    free(control);
    free(least_token);
    free(least_control);
}

void bench_latency(long tokens, FILE *csv) {
    if (csv) fprintf(csv, "kind,position,tokens,median_us,p99_us,p9999_us,slowest_us,slowest_over_median,over_4x\n");
    bench_fill(latency_in.q, sizeof latency_in.q / sizeof(float));
    bench_fill(latency_in.k, sizeof latency_in.k / sizeof(float));
    bench_fill(latency_in.v, sizeof latency_in.v / sizeof(float));
    printf("append and attend of one token: %d/%d heads x %d, %d sinks, window %d, f16, %s\n", HEADS, KV_HEADS, DIM,
           SINKS, WINDOW, sa_isa_name(sa_isa_best()));
    printf("kind             position   tokens         median           99 %%        99.99 %%        slowest  "
           "/median  > 4 medians\n");
    latency_positions(csv);
    latency_dense(csv);
    latency_many(tokens, csv);
}
