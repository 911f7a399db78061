/* What all parts of the benchmark use: a clock, medians, numbers, memory.
 *
 * SPDX-License-Identifier: MIT
 */
#define _DEFAULT_SOURCE 1
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "bench.h"

double bench_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int tools_order(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *x, int n) {
    qsort(x, (size_t)n, sizeof *x, tools_order);
    return x[n / 2];
}

void bench_fill(float *x, size_t n) {
    uint32_t state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 8) * 0x1p-23f - 1.0f;
    }
}

void bench_fail(const char *why) {
    fprintf(stderr, "bench: %s\n", why);
    exit(1);
}

void *bench_alloc(size_t size) {
    void *p = NULL;
    if (posix_memalign(&p, (size_t)1 << 21, size)) bench_fail("out of memory");
#ifdef MADV_HUGEPAGE
    madvise(p, size, MADV_HUGEPAGE);
#endif
    return p;
}
