/* One row of the table: a case is set up, run beside what limits it, and written down.
 *
 * SPDX-License-Identifier: MIT
 *
 * Limits and calls take turns: read rate, peaks, all calls once, and again. A row gives medians of both: a processor's
 * clock falls under load, and rests while memory is read. Keys and values are held against the peak of their own
 * dtype. A row above its limit is measured anew, since other programs may have held up what measures the limit.
 *
 * Cold means that between two calls on a layer more than the last-level cache can hold is read. Filling that
 * much through the library would take longer than measuring, so some layers are filled and the block, which
 * may be copied byte by byte, is copied. A copy has enough layers that its scratch is as warm as a model's.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { CASE_REPEATS = 3, CASE_TRIES = 3, CASE_SINKS = 4, CASE_FILL = 256, CASE_MOST_CALLS = 100000 };

static const char *const mode_names[] = {"decode", "prefill", "append", "decode", "decode"};
static const char *const baseline_names[] = {"llama2c-loop", "re-rotate"};
/* Behind an unused 0: the name of each stored dtype, by its number. */
static const char *const dtype_names[] = {"", "f32", "f16", "bf16", "int8", "int4"};

const char *bench_dtype_name(int dtype) {
    return dtype >= 1 && dtype < (int)(sizeof dtype_names / sizeof *dtype_names) ? dtype_names[dtype] : NULL;
}

static int case_is_baseline(const bench_case *c) { return c->mode >= BENCH_PLAIN_LOOP; }

/* Integers that meet codes of 8 bits have a name of their own. */
static const char *case_dtype(const bench_case *c, int dtype) {
    return c->code_bits == 16 || dtype < SA_I8 ? dtype_names[dtype] : dtype == SA_I8 ? "int8-8" : "int4-8";
}

const char *bench_case_key(const bench_case *c) {
    static char key[200];
    snprintf(key, sizeof key, "%s,%s,%s,%d,%d,%d,%d,%d,%d,%s", mode_names[c->mode], case_dtype(c, c->k_dtype),
             case_dtype(c, c->v_dtype), c->heads, c->kv_heads, c->dim, c->window, c->n, c->threads,
             c->hot ? "hot" : "cold");
    return key;
}

/* --------------------------------- caches --------------------------------- */

static sa_config case_config(const bench_case *c, int layers) {
    sa_config config;
    memset(&config, 0, sizeof config);
    config.struct_size = sizeof config;
    config.n_layers = layers;
    config.n_heads = c->heads;
    config.n_kv_heads = c->kv_heads;
    config.head_dim = c->dim;
    config.n_sink = CASE_SINKS;
    config.window = c->window;
    config.max_append = c->mode == BENCH_PREFILL ? 256 : 16;
    config.k_dtype = c->k_dtype;
    config.v_dtype = c->v_dtype;
    if (c->k_dtype >= SA_I8) config.query_bits = c->code_bits;
    if (c->v_dtype >= SA_I8) config.weight_bits = c->code_bits;
    config.position = SA_POSITION_ROPE;
    config.n_threads = c->threads;
    if (c->threads > 1) config.parallel_for = bench_pool_run;
    return config;
}

int bench_case_possible(const bench_case *c) {
    sa_config config = case_config(c, 1);
    return case_is_baseline(c) || sa_config_check(&config, NULL, NULL) == SA_SUCCESS;
}

static size_t case_size(const sa_config *config) {
    size_t size = 0, alignment = 0;
    sa_status status = sa_cache_size(config, &size, &alignment);
    if (status) bench_fail(sa_status_string(status));
    return size;
}

/* Bytes that one token's keys and values take as they are stored, scales included: what 1024 more of them add. */
static double case_token_bytes(const bench_case *c) {
    bench_case one = *c;
    if (case_is_baseline(c)) return 2.0 * c->kv_heads * c->dim * sizeof(float);
    one.threads = 1;
    sa_config small = case_config(&one, 1), large = small;
    large.window += 1024;
    return (double)(case_size(&large) - case_size(&small)) / 1024;
}

/* Caches of some layers each, copies of the first. */
typedef struct case_caches {
    int n, layers;
    sa_cache **caches;
} case_caches;

/* One block of memory for all cases: pages that were touched once stay. */
static char *case_arena(size_t size) {
    static char *arena;
    static size_t held;
    if (size > held) {
        free(arena);
        arena = (char *)bench_alloc(size);
        held = size;
    }
    return arena;
}

typedef struct case_tensors {
    float *q, *k, *v, *out;
} case_tensors;

static case_tensors make_tensors(const bench_case *c, int tokens) {
    size_t q = (size_t)tokens * (size_t)c->heads * (size_t)c->dim,
           kv = (size_t)tokens * (size_t)c->kv_heads * (size_t)c->dim;
    case_tensors t = {bench_alloc(q * 4), bench_alloc(kv * 4), bench_alloc(kv * 4), bench_alloc(q * 4)};
    bench_fill(t.q, q);
    bench_fill(t.k, kv);
    bench_fill(t.v, kv);
    return t;
}

static void free_tensors(case_tensors *t) {
    free(t->q);
    free(t->k);
    free(t->v);
    free(t->out);
}

static case_caches make_caches(const bench_case *c, const case_tensors *t, double layer_bytes) {
    const double warm = 64 << 20, cold = 2.0 * (double)bench_last_level_cache();
    int single = c->hot || c->mode == BENCH_PREFILL;
    case_caches s = {1, 1, NULL};
    while (!single && s.layers < 64 && layer_bytes * s.layers < warm) s.layers++;
    while (!single && layer_bytes * s.layers * s.n < cold) s.n++;
    sa_config config = case_config(c, s.layers);
    size_t size = (case_size(&config) + 4095) / 4096 * 4096;
    char *arena = case_arena(size * (size_t)s.n);
    s.caches = (sa_cache **)bench_alloc((size_t)s.n * sizeof *s.caches);
    sa_status status = sa_cache_init(arena, size, &config, &s.caches[0]);
    for (int l = 0; l < s.layers && !status; l++)
        for (int u = 0; u < c->window + CASE_SINKS + 16 && !status; u += CASE_FILL)
            status = sa_append_kv(s.caches[0], l, CASE_FILL, t->k, t->v);
    if (status) bench_fail(sa_status_string(status));
    for (int i = 1; i < s.n; i++) {
        memcpy(arena + size * (size_t)i, arena, size);
        s.caches[i] = (sa_cache *)(void *)((char *)s.caches[0] + size * (size_t)i);
    }
    return s;
}

/* --------------------------------- calls ---------------------------------- */

/* The times of a case's calls, and the limits beside them. */
typedef struct case_times {
    double *calls, reads[CASE_REPEATS + 1], k_peaks[CASE_REPEATS + 1], v_peaks[CASE_REPEATS + 1];
    int n_calls, n_limits;
} case_times;

static void note_limits(const bench_case *c, case_times *times) {
    int i = times->n_limits++;
    times->reads[i] = bench_read_rate(c->hot ? BENCH_L2 : BENCH_MEMORY, c->threads);
    times->k_peaks[i] = bench_peak(sa_isa_best(), c->k_dtype, c->code_bits, c->threads);
    times->v_peaks[i] =
        c->v_dtype == c->k_dtype ? times->k_peaks[i] : bench_peak(sa_isa_best(), c->v_dtype, c->code_bits, c->threads);
}

static void run_once(const bench_case *c, sa_cache *cache, int layer, const case_tensors *t, case_times *times) {
    double start = bench_now();
    sa_status status = c->mode == BENCH_APPEND ? sa_append_kv(cache, layer, c->n, t->k, t->v)
                                               : sa_append_attend(cache, layer, c->n, t->q, t->k, t->v, t->out);
    if (times->n_calls < CASE_MOST_CALLS) times->calls[times->n_calls++] = bench_now() - start;
    if (status) bench_fail(sa_status_string(status));
}

/* A sweep over all layers; over a hot one again and again, for a tenth of a second. */
static void run_sweep(const bench_case *c, const case_caches *s, const case_tensors *t, case_times *times) {
    double start = bench_now();
    do
        for (int i = 0; i < s->n; i++)
            for (int l = 0; l < s->layers; l++) run_once(c, s->caches[i], l, t, times);
    while (c->hot && c->mode != BENCH_PREFILL && bench_now() - start < 0.1);
}

static void time_library(const bench_case *c, double token_bytes, case_times *times) {
    case_tensors t = make_tensors(c, c->n > CASE_FILL ? c->n : CASE_FILL);
    case_caches s = make_caches(c, &t, token_bytes * (c->window + CASE_SINKS));
    case_times warm_up = *times;
    run_once(c, s.caches[0], 0, &t, &warm_up);
    for (int r = 0; r < CASE_REPEATS; r++) {
        note_limits(c, times);
        run_sweep(c, &s, &t, times);
    }
    note_limits(c, times);
    free(s.caches);
    free_tensors(&t);
}

/* Baselines have one token-major cache per layer, with room for a copy. */
static void time_baseline(const bench_case *c, case_times *times) {
    int keys = c->window + CASE_SINKS;
    size_t size = (size_t)keys * (size_t)c->kv_heads * (size_t)c->dim;
    int layers = (int)(2 * bench_last_level_cache() / (size * 8)) + 1;
    case_tensors t = make_tensors(c, 1);
    float *caches = (float *)case_arena(size * 16 * (size_t)layers), *turned = (float *)bench_alloc(size * 4);
    float *scores = (float *)bench_alloc((size_t)keys * 4),
          *table = (float *)bench_alloc((size_t)keys * (size_t)c->dim * 4);
    bench_fill(caches, size * 4 * (size_t)layers);
    bench_rope_table(c->dim, keys, table);
    for (int r = 0; r < CASE_REPEATS; r++) {
        note_limits(c, times);
        for (int l = 0; l < layers; l++) {
            float *at = caches + size * 4 * (size_t)l;
            bench_plain p = {c->heads, c->kv_heads, c->dim, keys, {at, at + size}, {at + 2 * size, at + 3 * size},
                             turned,   scores};
            double start = bench_now();
            if (c->mode == BENCH_PLAIN_LOOP)
                bench_plain_loop(&p, t.q, t.out);
            else
                bench_rerotate_step(&p, CASE_SINKS, table, t.q, t.out);
            times->calls[times->n_calls++] = bench_now() - start;
        }
    }
    free(table);
    free(scores);
    free(turned);
    free_tensors(&t);
}

/* ---------------------------------- rows ---------------------------------- */

/* What a case took, and what it would at least. */
typedef struct case_row {
    double seconds, bytes, flops, limit;
} case_row;

static void print_row(const bench_case *c, const case_row *row, FILE *csv) {
    const char *who = case_is_baseline(c) ? baseline_names[c->mode - BENCH_PLAIN_LOOP] : sa_isa_name(sa_isa_best());
    char types[24];
    snprintf(types, sizeof types, "%s/%s", case_dtype(c, c->k_dtype), case_dtype(c, c->v_dtype));
    printf("%-7s %-13s %3d/%-2d x %-3d %6d %5d %d %-4s %-12s %11.2f us %6.1f GB/s %6.1f GFLOP/s %11.2f us %5.2f\n",
           mode_names[c->mode], types, c->heads, c->kv_heads, c->dim, c->window, c->n, c->threads,
           c->hot ? "hot" : "cold", who, row->seconds * 1e6, row->bytes / row->seconds / 1e9,
           row->flops / row->seconds / 1e9, row->limit * 1e6, row->limit / row->seconds);
    fflush(stdout);
    if (csv)
        fprintf(csv, "%s,%s,%.3f,%.0f,%.0f,%.3f,%.4f\n", bench_case_key(c), who, row->seconds * 1e6, row->bytes,
                row->flops, row->limit * 1e6, row->limit / row->seconds);
}

/* Two multiply-adds per visible pair and dim, one with keys, one with values: the cache is full, so every token sees
 * as many. */
static double case_limit(const bench_case *c, case_times *times, const case_row *row) {
    double by_memory = c->mode == BENCH_PREFILL ? 0 : row->bytes / bench_median(times->reads, times->n_limits);
    double by_peak = row->flops / 2 / bench_median(times->k_peaks, times->n_limits) +
                     row->flops / 2 / bench_median(times->v_peaks, times->n_limits);
    return by_memory > by_peak ? by_memory : by_peak;
}

static case_row case_measure(const bench_case *c) {
    static double calls[CASE_MOST_CALLS + 1];
    case_times times = {calls, {0}, {0}, {0}, 0, 0};
    double keys = c->window + CASE_SINKS, token_bytes = case_token_bytes(c);
    if (case_is_baseline(c))
        time_baseline(c, &times);
    else
        time_library(c, token_bytes, &times);
    case_row row = {bench_median(times.calls, times.n_calls), token_bytes * (c->mode == BENCH_APPEND ? c->n : keys),
                    c->mode == BENCH_APPEND ? 0 : 4.0 * c->n * keys * c->heads * c->dim, 0};
    row.limit = case_limit(c, &times, &row);
    return row;
}

void bench_case_run(const bench_case *c, FILE *csv) {
    case_row row;
    int tries = 0;
    if (c->threads > 1) bench_pool_start(c->threads);
    do row = case_measure(c);
    while (row.limit > row.seconds && ++tries < CASE_TRIES);
    if (c->threads > 1) bench_pool_stop();
    print_row(c, &row, csv);
    bench_above_limit(bench_case_key(c), row.limit / row.seconds);
}
