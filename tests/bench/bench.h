/* The parts of the benchmark: the machine's limits, a thread pool, the cases, the baselines, latency,
 * many sequences.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SA_BENCH_H
#define SA_BENCH_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "sinkattn.h"

enum { BENCH_MAX_THREADS = 2 };

/* ---- tools.c ---- */
/* Seconds on a clock that only goes forward. */
double bench_now(void);
double bench_median(double *x, int n); /* sorts */
/* n floats, uniform in -1 .. 1, from a fixed generator. */
void bench_fill(float *x, size_t n);
/* Memory in large pages where the system gives them, as the library asks for its own. */
void *bench_alloc(size_t size);
/* Ends the program. */
void bench_fail(const char *why);

/* ---- pool.c: workers that spin between calls; sa_parallel_for over them ---- */
void bench_pool_start(int threads);
void bench_pool_stop(void);
void bench_pool_run(void *context, int32_t n_tasks, sa_task task, void *task_context);

/* ---- limits.c: what this machine can read at most, measured now. With 2 threads the pool must run ---- */
enum { BENCH_MEMORY, BENCH_L2 };
size_t bench_last_level_cache(void);
/* Bytes per second that `threads` cores read, from memory or each from its own L2. */
double bench_read_rate(int where, int threads);
/* A fraction above 1 is a fault of the benchmark: says FAIL, is counted, and returns 1. */
int bench_above_limit(const char *what, double fraction);
/* How many were. */
int bench_above_limits(void);

/* ---- peaks.c: what it can multiply and add at most; the same holds ---- */
/* Operations per second of the exact arithmetic on rows of a stored dtype, those of integers meeting codes of so many
 * bits, 16 or 8; a multiply-add is two. */
double bench_peak(int32_t isa, int dtype, int code_bits, int threads);

/* ---- cases.c: one row of the table ---- */
enum { BENCH_DECODE, BENCH_PREFILL, BENCH_APPEND, BENCH_PLAIN_LOOP, BENCH_REROTATE };

/* The last two modes are decode steps by a baseline. */
typedef struct bench_case {
    int mode, k_dtype, v_dtype, heads, kv_heads, dim, window, n, threads, hot;
    int code_bits; /* of queries and weights that meet integers: 16 or 8 */
} bench_case;

/* Stored dtypes that this library knows, from number 1 on; NULL beyond the last. */
const char *bench_dtype_name(int dtype);
/* "mode,k_dtype,...,placement": the first ten columns of the row. The next call overwrites it. */
const char *bench_case_key(const bench_case *c);
/* 1 if the library takes such a config. */
int bench_case_possible(const bench_case *c);
void bench_case_run(const bench_case *c, FILE *csv);

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

/* ---- latency.c: single tokens, along the stream and one by one ---- */
void bench_latency(long tokens, FILE *csv);

/* ---- sequences.c: changing one of many sequences, their memory ---- */
void bench_sequences(FILE *csv);
void bench_sequences_row(const char *name, double seconds, double bytes, double limit, double fraction, FILE *csv);
/* Saving and loading; kv as of bench_tokens. */
void bench_snapshots(const float *kv, FILE *csv);
/* Sinks and a window in f16, with RoPE. */
sa_config bench_sequence_config(int layers, int heads, int kv_heads, int dim, int window);
sa_pool *bench_pool_of(const sa_config *config);
/* 256 tokens of keys or values, and n tokens of these appended to every layer. */
float *bench_tokens(int kv_heads, int dim);
void bench_append(sa_cache *cache, int layers, const float *kv, int n);
/* Ends the program if a call was refused. */
void bench_check(sa_status status);

/* ---- batches.c: many sequences in one call ---- */
void bench_batches(FILE *csv);

/* ---- mass.c: the weights of keys ---- */
void bench_masses(FILE *csv);

/* ---- lanes.c: kv heads with windows of their own ---- */
void bench_lanes(FILE *csv);
/* ---- drafts.c: a tree of drafted tokens beside a chain of appended ones ---- */
void bench_drafts(FILE *csv);

#endif
