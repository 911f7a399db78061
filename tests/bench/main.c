/* Speed against the machine's limit: decode, prefill, append, and two plain baselines; latency of single tokens.
 *
 * SPDX-License-Identifier: MIT
 *
 * A case's limit is max(bytes / read rate, flops / peak), both measured beside the case; a row above its limit says
 * FAIL, and the program ends with status 1. Times are medians of
 * single calls: of every layer of a cache too large for the last-level cache (cold), or of one layer again and
 * again (hot). docs/performance.md says how to read the table.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* What to run: the cases whose key has all the words, and of those every slices-th. */
typedef struct bench_choice {
    const char *only[8];
    int n_only, slice, slices, seen;
    int code_bits; /* 8: only rows of integers, whose queries and weights take codes of 8 bits; else 16 */
    FILE *csv;
} bench_choice;

static void choose(bench_choice *choice, bench_case c) {
    c.code_bits = choice->code_bits;
    if (c.code_bits == 8 && c.k_dtype < SA_I8 && c.v_dtype < SA_I8) return;
    if (!bench_case_possible(&c)) return;
    for (int i = 0; i < choice->n_only; i++)
        if (!strstr(bench_case_key(&c), choice->only[i])) return;
    if (choice->seen++ % choice->slices == choice->slice) bench_case_run(&c, choice->csv);
}

/* ---------------------------------- lists --------------------------------- */

static bench_case case_of(int mode, int dtype, const int heads[2], int dim, int window, int n, int threads, int hot) {
    bench_case c = {mode, dtype, dtype, heads[0], heads[1], dim, window, n, threads, hot, 16};
    return c;
}

static const int no_group[] = {32, 32}, group4[] = {32, 8}, group8[] = {64, 8}, group71[] = {71, 1},
                 one_head[] = {1, 1}, few_heads[] = {8, 2}, group2[] = {8, 4}, group3[] = {9, 3};

/* What the first page of the answer needs; under a minute. */
static void run_quick(bench_choice *choice) {
    choose(choice, case_of(BENCH_DECODE, SA_F16, group4, 128, 4096, 1, 1, 0));
    choose(choice, case_of(BENCH_DECODE, SA_F16, group4, 128, 4096, 1, 2, 0));
    for (int dtype = 1; bench_dtype_name(dtype); dtype++)
        choose(choice, case_of(BENCH_DECODE, dtype, no_group, 128, 1024, 1, 1, 0));
    choose(choice, case_of(BENCH_DECODE, SA_F16, group4, 128, 1024, 1, 1, 1));
    choose(choice, case_of(BENCH_DECODE, SA_F16, group71, 64, 4096, 1, 1, 1));
    choose(choice, case_of(BENCH_DECODE, SA_F32, one_head, 64, 64, 1, 1, 1));
    choose(choice, case_of(BENCH_APPEND, SA_F16, group4, 128, 4096, 1, 1, 0));
    choose(choice, case_of(BENCH_PREFILL, SA_F16, group4, 128, 1024, 512, 1, 1));
    choose(choice, case_of(BENCH_PREFILL, SA_F16, group4, 128, 1024, 512, 2, 1));
    choose(choice, case_of(BENCH_PLAIN_LOOP, SA_F32, group4, 128, 1024, 1, 1, 0));
    choose(choice, case_of(BENCH_REROTATE, SA_F32, group4, 128, 1024, 1, 1, 0));
}

static const int *const groups[] = {no_group, group4, group8, group71};
static const int windows[] = {256, 1024, 4096, 16384, 65536}, dims[] = {64, 128, 256};

/* All of one mode: dtypes, groups, head sizes, windows. */
static void run_grid(bench_choice *choice, int mode, int threads, int hot) {
    for (int dtype = 1; bench_dtype_name(dtype); dtype++)
        for (int g = 0; g < 4; g++)
            for (int d = 0; d < 3; d++)
                for (int w = 0; w < 5; w++) {
                    int n = mode != BENCH_PREFILL ? 1 : windows[w] <= 4096 ? 512 : 64;
                    choose(choice, case_of(mode, dtype, groups[g], dims[d], windows[w], n, threads, hot));
                }
}

/* What the grid leaves out: long prefills, baselines, appends, the smallest call, keys and values apart. */
static void run_others(bench_choice *choice) {
    for (int threads = 1; threads <= BENCH_MAX_THREADS; threads++)
        for (int w = 1; w < 3; w++)
            for (int d = 0; d < 2; d++)
                for (int dtype = SA_F32; dtype <= SA_F16; dtype++)
                    choose(choice, case_of(BENCH_PREFILL, dtype, group4, dims[d], windows[w], 4096, threads, 1));
    for (int w = 0; w < 3; w++) {
        choose(choice, case_of(BENCH_PLAIN_LOOP, SA_F32, group4, 128, windows[w], 1, 1, 0));
        choose(choice, case_of(BENCH_REROTATE, SA_F32, group4, 128, windows[w], 1, 1, 0));
    }
    for (int dtype = 1; bench_dtype_name(dtype); dtype++) {
        choose(choice, case_of(BENCH_APPEND, dtype, group4, 128, 4096, 1, 1, 0));
        choose(choice, case_of(BENCH_APPEND, dtype, group4, 128, 4096, 1, 1, 1));
        choose(choice, case_of(BENCH_APPEND, dtype, group4, 128, 4096, 16, 1, 0));
        choose(choice, case_of(BENCH_DECODE, dtype, one_head, 64, 64, 1, 1, 1));
        for (int threads = 1; threads <= BENCH_MAX_THREADS; threads++) /* a layer that a second-level cache holds */
            choose(choice, case_of(BENCH_DECODE, dtype, few_heads, 128, 1024, 1, threads, 1));
        choose(choice, case_of(BENCH_DECODE, dtype, group2, 128, 1024, 1, 1, 1));
        choose(choice, case_of(BENCH_DECODE, dtype, group3, 64, 1024, 1, 1, 1));
        bench_case apart = case_of(BENCH_DECODE, dtype, group4, 128, 4096, 1, 1, 0);
        apart.v_dtype = dtype == SA_F16 ? SA_F32 : SA_F16;
        choose(choice, apart);
    }
}

static void run_all(bench_choice *choice) {
    run_others(choice);
    for (int threads = 1; threads <= BENCH_MAX_THREADS; threads++) {
        run_grid(choice, BENCH_DECODE, threads, 0);
        run_grid(choice, BENCH_DECODE, threads, 1);
        run_grid(choice, BENCH_PREFILL, threads, 1);
    }
}

/* ---------------------------------- main ---------------------------------- */

/* In billions per second. */
static double median_of_3(double (*measure)(int, int), int what, int threads) {
    double x[3];
    for (int i = 0; i < 3; i++) x[i] = measure(what, threads);
    return bench_median(x, 3) / 1e9;
}

static double peak_of(int dtype, int threads) { return bench_peak(sa_isa_best(), dtype, 16, threads); }

static void print_head(void) {
    printf("sinkattn %s, %s; fraction = limit / time, limit = max(bytes / read rate, flops / peak)\n",
           sa_version_string(), sa_isa_name(sa_isa_best()));
    for (int t = 1; t <= BENCH_MAX_THREADS; t++) {
        if (t > 1) bench_pool_start(t);
        printf("%d thread%s: memory %.1f GB/s, L2 %.1f GB/s, multiply-add %.1f GFLOP/s, of integers %.1f Gop/s\n", t,
               t > 1 ? "s" : "", median_of_3(bench_read_rate, BENCH_MEMORY, t),
               median_of_3(bench_read_rate, BENCH_L2, t), median_of_3(peak_of, SA_F32, t),
               median_of_3(peak_of, SA_I8, t));
        if (t > 1) bench_pool_stop();
    }
    printf("mode    k/v           heads/kv x dim window tokens threads               time    bandwidth      arithmetic"
           "          limit  fraction\n");
}

/* For programs: "threads memory L2 float integer", in bytes and operations per second, once for each count. */
static void print_limits(void) {
    for (int t = 1; t <= BENCH_MAX_THREADS; t++) {
        if (t > 1) bench_pool_start(t);
        (void)bench_read_rate(BENCH_MEMORY, t); /* its pages are new */
        printf("%d %.0f %.0f %.0f %.0f\n", t, bench_read_rate(BENCH_MEMORY, t), bench_read_rate(BENCH_L2, t),
               bench_peak(sa_isa_best(), SA_F32, 16, t), bench_peak(sa_isa_best(), SA_I8, 16, t));
        if (t > 1) bench_pool_stop();
    }
}

int main(int argc, char **argv) {
    int quick = 0, latency = 0, sequences = 0;
    int mass = 0;
    long tokens = 1000000;
    bench_choice choice = {{NULL}, 0, 0, 1, 0, 16, NULL};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strcmp(argv[i], "--quick"))
            quick = 1;
        else if (!strcmp(argv[i], "latency"))
            latency = 1;
        else if (!strcmp(argv[i], "sequences"))
            sequences = 1;
        else if (!strcmp(argv[i], "mass"))
            mass = 1;
        else if (!strcmp(argv[i], "limits"))
            return print_limits(), 0;
        else if (!strcmp(argv[i], "--tokens") && value && (tokens = strtol(value, NULL, 10)) > 0 && tokens < 1 << 30)
            i++;
        else if (!strcmp(argv[i], "--only") && value && choice.n_only < 8)
            choice.only[choice.n_only++] = argv[++i];
        else if (!strcmp(argv[i], "--slice") && value && sscanf(value, "%d/%d", &choice.slice, &choice.slices) == 2 &&
                 choice.slice >= 0 && choice.slice < choice.slices)
            i++;
        else if (!strcmp(argv[i], "--code-bits") && value && (!strcmp(value, "8") || !strcmp(value, "16")))
            choice.code_bits = (int)strtol(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--csv") && value && (choice.csv = fopen(value, "w")))
            i++;
        else
            return fprintf(stderr,
                           "usage: bench [latency [--tokens N] | sequences | mass | limits] [--quick] [--only TEXT]... "
                           "[--slice I/N] [--code-bits 8] "
                           "[--csv FILE]\n"),
                   2;
    }
    if (latency) {
        bench_latency(tokens, choice.csv);
    } else if (mass) {
        bench_masses(choice.csv);
    } else if (sequences) {
        bench_sequences(choice.csv);
    } else {
        if (choice.csv)
            fprintf(choice.csv, "mode,k_dtype,v_dtype,n_heads,n_kv_heads,head_dim,window,n_tokens,threads,placement,"
                                "isa,time_us,bytes,flops,limit_us,fraction\n");
        print_head();
        (quick ? run_quick : run_all)(&choice);
    }
    if (choice.csv && fclose(choice.csv)) bench_fail("the CSV file could not be written");
    if (bench_above_limits()) printf("FAIL: %d rows above their limits\n", bench_above_limits());
    return bench_above_limits() > 0;
}
