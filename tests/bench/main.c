/* Speed against the machine's limit: decode, prefill, append, and two plain baselines.
 *
 * SPDX-License-Identifier: MIT
 *
 * A case's limit is max(bytes / read rate, flops / peak), both measured just before the case. Times are
 * medians of single calls: of every layer of a cache too large for the last-level cache (cold), or of one
 * layer again and again (hot).
 */
#define _DEFAULT_SOURCE 1
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "bench.h"

enum { DECODE, PREFILL, APPEND, PLAIN_LOOP, REROTATE };
static const char *const mode_names[] = {"decode", "prefill", "append", "plain-loop", "re-rotate"};

typedef struct bench_case {
    int mode, dtype, heads, kv_heads, dim, window, n, threads, hot;
} bench_case;

/* ---------------------------------- tools --------------------------------- */

double bench_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int bench_order(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double bench_median(double *x, int n) {
    qsort(x, (size_t)n, sizeof *x, bench_order);
    return x[n / 2];
}

void bench_fill(float *x, size_t n) {
    uint32_t state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 8) * 0x1p-23f - 1.0f;
    }
}

void *bench_alloc(size_t size) {
    void *p = NULL;
    if (posix_memalign(&p, (size_t)1 << 21, size)) {
        fprintf(stderr, "bench: out of memory\n");
        exit(1);
    }
#ifdef MADV_HUGEPAGE
    madvise(p, size, MADV_HUGEPAGE);
#endif
    return p;
}

/* ---------------------------------- cases --------------------------------- */

static double case_bytes(const bench_case *c, int keys) {
    double element = c->dtype == SA_F16 ? 2 : 4;
    return 2.0 * (c->mode == APPEND ? c->n : keys) * c->kv_heads * c->dim * element;
}

/* Two multiply-adds per visible pair and dim. */
static double case_flops(const bench_case *c, int keys) {
    return c->mode == APPEND ? 0 : 4.0 * c->n * (double)keys * c->heads * c->dim;
}

static int case_layers(const bench_case *c, int keys) {
    if (c->hot || c->mode == PREFILL) return 1;
    double layers =
        2.0 * (double)bench_last_level_cache() / (2.0 * keys * c->kv_heads * c->dim * (c->dtype == SA_F16 ? 2 : 4));
    return layers < 2 ? 2 : layers > 4096 ? 4096 : (int)layers + 1;
}

typedef struct bench_tensors {
    float *q, *k, *v, *out;
} bench_tensors;

static bench_tensors make_tensors(const bench_case *c, int tokens) {
    size_t q = (size_t)tokens * (size_t)c->heads * (size_t)c->dim,
           kv = (size_t)tokens * (size_t)c->kv_heads * (size_t)c->dim;
    bench_tensors t = {bench_alloc(q * 4), bench_alloc(kv * 4), bench_alloc(kv * 4), bench_alloc(q * 4)};
    bench_fill(t.q, q);
    bench_fill(t.k, kv);
    bench_fill(t.v, kv);
    return t;
}

static void free_tensors(bench_tensors *t) {
    free(t->q);
    free(t->k);
    free(t->v);
    free(t->out);
}

static sa_cache *make_cache(const bench_case *c, int layers) {
    sa_config config;
    memset(&config, 0, sizeof config);
    config.struct_size = sizeof config;
    config.n_layers = layers;
    config.n_heads = c->heads;
    config.n_kv_heads = c->kv_heads;
    config.head_dim = c->dim;
    config.n_sink = 4;
    config.window = c->window;
    config.max_append = c->mode == PREFILL ? 256 : 16;
    config.k_dtype = config.v_dtype = c->dtype;
    config.position = SA_POSITION_ROPE;
    config.n_threads = c->threads;
    if (c->threads > 1) config.parallel_for = bench_pool_run;
    sa_cache *cache;
    sa_status status = sa_cache_create(&config, NULL, &cache);
    if (status) {
        fprintf(stderr, "bench: %s\n", sa_status_string(status));
        exit(1);
    }
    return cache;
}

static double run_once(const bench_case *c, sa_cache *cache, int layer, const bench_tensors *t) {
    double start = bench_now();
    if (c->mode == APPEND)
        sa_append_kv(cache, layer, c->n, t->k, t->v);
    else
        sa_append_attend(cache, layer, c->n, t->q, t->k, t->v, t->out);
    return bench_now() - start;
}

/* Median seconds of a call, over all layers and some rounds. */
static double time_cache(const bench_case *c, int keys) {
    int layers = case_layers(c, keys), rounds = c->mode == PREFILL ? 3 : c->hot ? 400 : layers > 200 ? 3 : 600 / layers;
    int most = 256, n = 0;
    bench_tensors t = make_tensors(c, c->n > most ? c->n : most);
    sa_cache *cache = make_cache(c, layers);
    double *times = (double *)bench_alloc((size_t)layers * (size_t)(rounds + 1) * sizeof *times);
    for (int l = 0; l < layers; l++)
        for (int u = 0; u < keys + 16; u += most) sa_append_kv(cache, l, most, t.k, t.v);
    for (int r = 0; r < rounds; r++)
        for (int l = 0; l < layers; l++) times[n++] = run_once(c, cache, l, &t);
    double median = bench_median(times, n);
    free(times);
    free_tensors(&t);
    sa_cache_destroy(cache);
    return median;
}

static double time_baseline(const bench_case *c, int keys) {
    int layers = case_layers(c, keys), n = 0;
    size_t size = (size_t)keys * (size_t)c->kv_heads * (size_t)c->dim;
    bench_tensors t = make_tensors(c, 1);
    float *caches = (float *)bench_alloc(size * 4 * (size_t)layers * 4), *turned = (float *)bench_alloc(size * 4);
    float *scores = (float *)bench_alloc((size_t)keys * 4),
          *table = (float *)bench_alloc((size_t)keys * (size_t)c->dim * 4);
    double *times = (double *)bench_alloc((size_t)layers * 3 * sizeof *times);
    bench_fill(caches, size * 4 * (size_t)layers);
    bench_rope_table(c->dim, keys, table);
    for (int r = 0; r < 3; r++)
        for (int l = 0; l < layers; l++) {
            float *at = caches + size * 4 * (size_t)l;
            bench_plain p = {c->heads, c->kv_heads, c->dim, keys, {at, at + size}, {at + 2 * size, at + 3 * size},
                             turned,   scores};
            double start = bench_now();
            if (c->mode == PLAIN_LOOP)
                bench_plain_loop(&p, t.q, t.out);
            else
                bench_rerotate_step(&p, 4, table, t.q, t.out);
            times[n++] = bench_now() - start;
        }
    double median = bench_median(times, n);
    free(times);
    free(table);
    free(scores);
    free(turned);
    free(caches);
    free_tensors(&t);
    return median;
}

static void run_case(const bench_case *c, FILE *csv) {
    int keys = c->window + 4, library = c->mode <= APPEND;
    double read = bench_read_rate(c->hot ? BENCH_L2 : BENCH_MEMORY, c->threads);
    double peak = bench_peak(sa_isa_best(), c->threads), bytes = case_bytes(c, keys), flops = case_flops(c, keys);
    double seconds = library ? time_cache(c, keys) : time_baseline(c, keys);
    double by_memory = c->mode == PREFILL ? 0 : bytes / read, by_peak = flops / peak;
    double limit = by_memory > by_peak ? by_memory : by_peak;
    const char *dtype = c->dtype == SA_F16 ? "f16" : "f32", *place = c->hot ? "hot" : "cold";
    const char *isa = library ? sa_isa_name(sa_isa_best()) : "compiler";
    printf("%-10s %s %3d/%-2d x %-3d %6d %5d  %d  %-4s %10.1f us %7.1f GB/s %7.1f GFLOP/s  limit %9.1f us  %5.2f\n",
           mode_names[c->mode], dtype, c->heads, c->kv_heads, c->dim, c->window, c->n, c->threads, place, seconds * 1e6,
           bytes / seconds / 1e9, flops / seconds / 1e9, limit * 1e6, limit / seconds);
    fflush(stdout);
    if (csv)
        fprintf(csv, "%s,%s,%s,%d,%d,%d,%d,%d,%d,%s,%s,%.3f,%.0f,%.0f,%.3f,%.4f\n", mode_names[c->mode], dtype, dtype,
                c->heads, c->kv_heads, c->dim, c->window, c->n, c->threads, place, isa, seconds * 1e6, bytes, flops,
                limit * 1e6, limit / seconds);
}

/* ---------------------------------- lists --------------------------------- */

/* What the first page of the answer needs; under a minute. */
static const bench_case quick_cases[] = {
    {DECODE, SA_F16, 32, 8, 128, 4096, 1, 1, 0},     {DECODE, SA_F16, 32, 8, 128, 4096, 1, 2, 0},
    {DECODE, SA_F16, 32, 32, 128, 1024, 1, 1, 0},    {DECODE, SA_F32, 32, 32, 128, 1024, 1, 1, 0},
    {DECODE, SA_F16, 32, 8, 128, 1024, 1, 1, 1},     {DECODE, SA_F16, 71, 1, 64, 4096, 1, 1, 1},
    {DECODE, SA_F32, 1, 1, 64, 64, 1, 1, 1},         {APPEND, SA_F16, 32, 8, 128, 4096, 1, 1, 0},
    {PREFILL, SA_F16, 32, 8, 128, 1024, 512, 1, 1},  {PREFILL, SA_F16, 32, 8, 128, 1024, 512, 2, 1},
    {PLAIN_LOOP, SA_F32, 32, 8, 128, 1024, 1, 1, 0}, {REROTATE, SA_F32, 32, 8, 128, 1024, 1, 1, 0},
};

static void run_grid(FILE *csv) {
    static const int windows[] = {256, 1024, 4096, 16384, 65536}, dims[] = {64, 128, 256};
    static const int heads[][2] = {{32, 32}, {32, 8}, {64, 8}, {71, 1}}, dtypes[] = {SA_F32, SA_F16};
    for (int threads = 1; threads <= BENCH_MAX_THREADS; threads++)
        for (int h = 0; h < 4; h++)
            for (int w = 0; w < 5; w++)
                for (int d = 0; d < 3; d++)
                    for (int t = 0; t < 2; t++) {
                        bench_case c = {DECODE,  dtypes[t], heads[h][0], heads[h][1], dims[d], windows[w], 1,
                                        threads, 0};
                        run_case(&c, csv);
                        if (windows[w] == 1024) c.hot = 1, run_case(&c, csv);
                        c.mode = PREFILL;
                        c.hot = 1;
                        c.n = 512;
                        if (windows[w] <= 4096 && dims[d] <= 128) run_case(&c, csv);
                    }
    for (int w = 0; w < 3; w++) {
        bench_case loop = {PLAIN_LOOP, SA_F32, 32, 8, 128, windows[w], 1, 1, 0}, append = loop;
        run_case(&loop, csv);
        loop.mode = REROTATE;
        run_case(&loop, csv);
        append.mode = APPEND;
        run_case(&append, csv);
    }
}

int main(int argc, char **argv) {
    int quick = 0;
    FILE *csv = NULL;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--quick"))
            quick = 1;
        else if (!strcmp(argv[i], "--csv") && i + 1 < argc && (csv = fopen(argv[++i], "w")))
            continue;
        else
            return fprintf(stderr, "usage: bench [--quick] [--csv FILE]\n"), 2;
    }
    if (csv)
        fprintf(csv,
                "mode,k_dtype,v_dtype,n_heads,n_kv_heads,head_dim,window,n_tokens,threads,placement,isa,time_us,bytes,"
                "flops,limit_us,fraction\n");
    bench_pool_start(BENCH_MAX_THREADS);
    printf("%s, sinkattn %s, %s\n", "fraction = limit / time, limit = max(bytes / read rate, flops / peak)",
           sa_version_string(), sa_isa_name(sa_isa_best()));
    for (int t = 1; t <= BENCH_MAX_THREADS; t++)
        printf("%d thread%s: memory %.1f GB/s, L2 %.1f GB/s, multiply-add %.1f GFLOP/s\n", t, t > 1 ? "s" : "",
               bench_read_rate(BENCH_MEMORY, t) / 1e9, bench_read_rate(BENCH_L2, t) / 1e9,
               bench_peak(sa_isa_best(), t) / 1e9);
    printf("mode     dtype heads/kv x dim window tokens threads         time    bandwidth      arithmetic\n");
    if (quick)
        for (size_t i = 0; i < sizeof quick_cases / sizeof *quick_cases; i++) run_case(&quick_cases[i], csv);
    else
        run_grid(csv);
    bench_pool_stop();
    if (csv) fclose(csv);
    return 0;
}
