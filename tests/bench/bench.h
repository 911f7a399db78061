/* The parts of the benchmark: the machine's limits, a thread pool, the cases, the baselines.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SA_BENCH_H
#define SA_BENCH_H

#include <stddef.h>
#include <stdint.h>

#include "sinkattn.h"

enum { BENCH_MAX_THREADS = 2 };

/* Seconds on a clock that only goes forward. */
double bench_now(void);
double bench_median(double *x, int n);
/* n floats, uniform in -1 .. 1, from a fixed generator. */
void bench_fill(float *x, size_t n);
/* Memory in large pages where the system gives them, as the library asks for its own. */
void *bench_alloc(size_t size);

/* ---- pool.c: workers that spin between calls; sa_parallel_for over them ---- */
void bench_pool_start(int threads);
void bench_pool_stop(void);
void bench_pool_run(void *context, int32_t n_tasks, sa_task task, void *task_context);

/* ---- limits.c: what this machine can do at most, measured now ---- */
enum { BENCH_MEMORY, BENCH_L2 };
size_t bench_last_level_cache(void);
/* Bytes per second that `threads` cores read, from memory or each from its own L2. */
double bench_read_rate(int where, int threads);
/* Multiply-add peak of an instruction set, floating-point operations per second. */
double bench_peak(int32_t isa, int threads);

/* ---- baselines.c: what people write without a library ---- */

/* A token-major f32 cache (keys, kv_heads, dim), with room for a copy of it. */
typedef struct bench_plain {
    int heads, kv_heads, dim, keys;
    float *k[2], *v[2], *turned, *scores;
} bench_plain;

/* llama2.c's way: a dot product per key, softmax, a sum per value. One query token. */
void bench_plain_loop(const bench_plain *p, const float *q, float *out);
/* cos and sin for `keys` positions, as models keep them. */
void bench_rope_table(int dim, int keys, float *table);
/* The reference implementation's step: copy the cache but for the token that goes, turn every key
 * anew to its index, then the loop above. */
void bench_rerotate_step(const bench_plain *p, int sinks, const float *table, const float *q, float *out);

#endif
