/* What this machine can do at most, measured in the run that uses it.
 *
 * SPDX-License-Identifier: MIT
 *
 * Read rate: plain wide loads over a buffer that the last-level cache cannot hold (or over one
 * that half of an L2 can). Peak: chains of independent multiply-adds in registers.
 */
#define _DEFAULT_SOURCE 1
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { PEAK_ROUNDS = 2000000 };

size_t bench_last_level_cache(void) {
    long size = -1;
#ifdef _SC_LEVEL3_CACHE_SIZE
    size = sysconf(_SC_LEVEL3_CACHE_SIZE);
#endif
    return size > 0 ? (size_t)size : (size_t)32 << 20;
}

/* Whether vectors have 512 bits. */
static int limits_is_wide(int isa) { return isa == SA_ISA_AVX512 || isa == SA_ISA_AVX512_VNNI; }

static size_t limits_level2_cache(void) {
    long size = -1;
#ifdef _SC_LEVEL2_CACHE_SIZE
    size = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
    return size > 0 ? (size_t)size : (size_t)512 << 10;
}

/* --------------------------------- reading -------------------------------- */

static volatile uint64_t limits_sink; /* keeps the loads from being dropped */

/* Eight independent sums over whole lines of the cache, 512 bytes a round. */
#define READ_BODY(vector, zero, xor_, load, round)                                                                     \
    vector sum[8];                                                                                                     \
    for (int i = 0; i < 8; i++) sum[i] = zero();                                                                       \
    for (size_t at = 0; at < size; at += (round))                                                                      \
        for (int i = 0; i < 8; i++) sum[i] = xor_(sum[i], load((const void *)(p + at + (size_t)i * sizeof(vector))));  \
    for (int i = 1; i < 8; i++) sum[0] = xor_(sum[0], sum[i]);                                                         \
    uint64_t parts[sizeof(vector) / 8];                                                                                \
    memcpy(parts, &sum[0], sizeof parts);                                                                              \
    return parts[0] ^ parts[sizeof(vector) / 8 - 1]

#if defined(__x86_64__)
__attribute__((target("avx512f"), noinline)) static uint64_t limits_read_wide(const char *p, size_t size) {
    READ_BODY(__m512i, _mm512_setzero_si512, _mm512_xor_si512, _mm512_load_si512, 512);
}
__attribute__((target("avx2"), noinline)) static uint64_t limits_read_half(const char *p, size_t size) {
    READ_BODY(__m256i, _mm256_setzero_si256, _mm256_xor_si256, _mm256_load_si256, 256);
}
#else
#define READ_ZERO() 0
#define READ_XOR(a, b) ((a) ^ (b))
#define READ_LOAD(p) (*(const uint64_t *)(p))
static uint64_t limits_read_half(const char *p, size_t size) {
    READ_BODY(uint64_t, READ_ZERO, READ_XOR, READ_LOAD, 64);
}
static uint64_t limits_read_wide(const char *p, size_t size) { return limits_read_half(p, size); }
#endif

typedef struct limits_job {
    const char *from;
    size_t size; /* of each task's part */
    int passes, wide;
} limits_job;

static void limits_read_part(void *context, int32_t i) {
    const limits_job *j = (const limits_job *)context;
    const char *from = j->from + (size_t)i * j->size;
    for (int pass = 0; pass < j->passes; pass++)
        limits_sink ^= j->wide ? limits_read_wide(from, j->size) : limits_read_half(from, j->size);
}

static double limits_timed_read(const limits_job *j, int threads) {
    double start = bench_now();
    if (threads == 1)
        limits_read_part((void *)(uintptr_t)j, 0);
    else
        bench_pool_run(NULL, threads, limits_read_part, (void *)(uintptr_t)j);
    return (double)threads * (double)j->size * j->passes / (bench_now() - start);
}

double bench_read_rate(int where, int threads) {
    static char *memory[2];
    static size_t size[2];
    if (!memory[where]) {
        size[where] =
            where == BENCH_MEMORY ? 2 * bench_last_level_cache() : BENCH_MAX_THREADS * (limits_level2_cache() / 4);
        size[where] = size[where] / 4096 * 4096;
        memory[where] = (char *)bench_alloc(size[where]);
        memset(memory[where], 1, size[where]);
    }
    limits_job j = {memory[where],
                    size[where] / (where == BENCH_MEMORY ? (size_t)threads : BENCH_MAX_THREADS) / 512 * 512,
                    where == BENCH_MEMORY ? 1 : 200, limits_is_wide(sa_isa_best())};
    return limits_timed_read(&j, threads);
}

/* ------------------------------ multiply-adds ----------------------------- */

/* `count` chains, enough to hide the latency of a multiply-add on every port. */
#define PEAK_BODY(vector, set, fma, first, count)                                                                      \
    vector sum[count], x = set(seed);                                                                                  \
    for (int i = 0; i < count; i++) sum[i] = set((float)i);                                                            \
    for (int r = 0; r < PEAK_ROUNDS; r++)                                                                              \
        for (int i = 0; i < count; i++) sum[i] = fma(sum[i], x, x);                                                    \
    float total = 0;                                                                                                   \
    for (int i = 0; i < count; i++) total += first(sum[i]);                                                            \
    return total

enum { PEAK_CHAINS = 12 };

#if defined(__x86_64__)
__attribute__((target("avx512f"), noinline)) static float limits_peak_wide(float seed) {
    PEAK_BODY(__m512, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_cvtss_f32, PEAK_CHAINS);
}
__attribute__((target("avx2,fma"), noinline)) static float limits_peak_half(float seed) {
    PEAK_BODY(__m256, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_cvtss_f32, PEAK_CHAINS);
}
#else
#define PEAK_SET(x) (x)
#define PEAK_FMA(a, b, c) ((a) * (b) + (c))
static float limits_peak_half(float seed) { PEAK_BODY(float, PEAK_SET, PEAK_FMA, PEAK_SET, PEAK_CHAINS); }
static float limits_peak_wide(float seed) { return limits_peak_half(seed); }
#endif

static volatile float limits_float = 0.5f;

static void limits_peak_part(void *context, int32_t i) {
    (void)i;
    limits_float = *(int *)context ? limits_peak_wide(0.5f) : limits_peak_half(0.5f);
    limits_float = 0.5f;
}

double bench_peak(int32_t isa, int threads) {
    int wide = limits_is_wide(isa);
    double rates[5], flops = 2.0 * (wide ? 16 : 8) * PEAK_CHAINS * PEAK_ROUNDS * threads;
    for (int i = 0; i < 5; i++) {
        double start = bench_now();
        if (threads == 1)
            limits_peak_part(&wide, 0);
        else
            bench_pool_run(NULL, threads, limits_peak_part, &wide);
        rates[i] = flops / (bench_now() - start);
    }
    return bench_median(rates, 5);
}
