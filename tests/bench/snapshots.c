/* Snapshots: what saving and loading a long session cost, beside a copy of as many bytes.
 *
 * SPDX-License-Identifier: MIT
 *
 * Times are medians of interleaved repeats, everything in memory before. A load reads its bytes twice: all of it is
 * checked before anything changes.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { LAYERS = 32, HEADS = 32, KV_HEADS = 8, DIM = 128, WINDOW = 4096, REPEATS = 7 };

void bench_snapshots(const float *kv, FILE *csv) {
    double times[3][REPEATS];
    sa_config config = bench_sequence_config(LAYERS, HEADS, KV_HEADS, DIM, WINDOW);
    sa_cache *cache;
    size_t size, written;
    bench_check(sa_cache_create(&config, NULL, &cache));
    bench_append(cache, LAYERS, kv, WINDOW + 100);
    bench_check(sa_cache_save_size(cache, 0, &size));
    char *data = (char *)bench_alloc(size), *copy = (char *)bench_alloc(size);
    memset(data, 1, size);
    memset(copy, 1, size);
    for (int r = 0; r < REPEATS; r++) {
        double start = bench_now();
        bench_check(sa_cache_save(cache, 0, data, size, &written));
        times[0][r] = bench_now() - start;
        start = bench_now();
        memcpy(copy, data, size);
        times[1][r] = bench_now() - start;
        start = bench_now();
        bench_check(sa_cache_load(cache, copy, size));
        times[2][r] = bench_now() - start;
    }
    double copied = bench_median(times[1], REPEATS), saved = bench_median(times[0], REPEATS),
           loaded = bench_median(times[2], REPEATS);
    bench_sequences_row("memcpy of a snapshot", copied, (double)size, copied, 1, csv);
    bench_sequences_row("save a snapshot; limit: memcpy", saved, (double)size, copied, copied / saved, csv);
    bench_sequences_row("load a snapshot; limit: memcpy", loaded, (double)size, copied, copied / loaded, csv);
    free(data);
    free(copy);
    sa_cache_destroy(cache);
}
