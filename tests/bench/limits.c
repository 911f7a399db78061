/* How fast this machine reads, measured in the run that uses it; and what a figure above its limit means.
 *
 * SPDX-License-Identifier: MIT
 *
 * Plain wide loads over a buffer that the last-level cache cannot hold; or over parts of a second-level cache, the
 * fastest of several sizes: a small one spends its time on beginning anew, a large one loses lines to other data.
 */
#define _DEFAULT_SOURCE 1
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

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
typedef uint64_t limits_words __attribute__((vector_size(16)));
#define READ_ZERO() ((limits_words){0, 0})
#define READ_XOR(a, b) ((a) ^ (b))
#define READ_LOAD(p) (*(const limits_words *)(p))
static uint64_t limits_read_half(const char *p, size_t size) {
    READ_BODY(limits_words, READ_ZERO, READ_XOR, READ_LOAD, 128);
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

/* Buffers of a quarter to three quarters of each core's cache. */
static double limits_best_read(limits_job *j, size_t level2, int threads) {
    double best = 0;
    for (size_t eighths = 2; eighths <= 6; eighths++) {
        j->size = level2 / 8 * eighths / 4096 * 4096;
        j->passes = (int)(50 * level2 / j->size); /* as many bytes for each */
        double rate = limits_timed_read(j, threads);
        if (rate > best) best = rate;
    }
    return best;
}

static const char *limits_buffer(int where, size_t size) {
    static char *memory[2];
    if (!memory[where]) {
        memory[where] = (char *)bench_alloc(size);
        memset(memory[where], 1, size);
    }
    return memory[where];
}

double bench_read_rate(int where, int threads) {
    size_t level2 = limits_level2_cache(), far = 2 * bench_last_level_cache() / 4096 * 4096;
    limits_job j = {limits_buffer(where, where == BENCH_MEMORY ? far : BENCH_MAX_THREADS * level2),
                    far / (size_t)threads / 512 * 512, 1, limits_is_wide(sa_isa_best())};
    return where == BENCH_MEMORY ? limits_timed_read(&j, threads) : limits_best_read(&j, level2, threads);
}

/* --------------------------------- figures -------------------------------- */

static int limits_broken;

int bench_above_limit(const char *what, double fraction) {
    if (fraction <= 1) return 0;
    printf("FAIL %s: %.3f of the limit; nothing exceeds a limit that was measured rightly\n", what, fraction);
    limits_broken++;
    return 1;
}

int bench_above_limits(void) { return limits_broken; }
