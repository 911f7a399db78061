/*
 * What the tests share: random numbers, element types, tensors with odd strides, a thread pool.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SA_TESTS_SUPPORT_H
#define SA_TESTS_SUPPORT_H

#include <stddef.h>
#include <stdint.h>

#include "sinkattn.h"

/* Random numbers (splitmix64): the same everywhere for the same seed. */
typedef struct test_rng {
    uint64_t state;
} test_rng;

uint64_t rng_next(test_rng *rng);
int64_t rng_in(test_rng *rng, int64_t least, int64_t most); /* least .. most */
int rng_chance(test_rng *rng, int percent);
double rng_unit(test_rng *rng); /* [0, 1) */
float rng_normal(test_rng *rng);
int rng_pick(test_rng *rng, const int *choices, int count);

void *test_take(size_t size); /* zeroed; aborts rather than return NULL */
double test_seconds(void);

/* Element types. `dtype` is SA_F32, SA_F16 or SA_BF16. */
size_t dtype_size(int dtype);
double dtype_round(int dtype, double x);
void dtype_store(int dtype, void *to, float x); /* rounds to nearest even */
float dtype_load(int dtype, const void *from);

/* Bytes of a tile of 16 keys or values, as docs/memory.md has them. */
uint64_t test_key_tile(int dtype, int head_dim);
uint64_t test_value_tile(int dtype, int v_head_dim);

/* What a tensor looks like in memory. */
enum {
    SHAPE_CONTIGUOUS = 0, /* strides 0 */
    SHAPE_SAID = 1,       /* contiguous with its strides said */
    SHAPE_PADDED = 2,     /* odd gaps between heads and tokens */
    SHAPE_REVERSED = 3,   /* negative token stride */
    SHAPE_HEADS_FIRST = 4 /* (heads, tokens, dim) */
};
#define SHAPE_COUNT 5

typedef struct test_tensor {
    sa_tensor tensor; /* what the library is given */
    int dtype;
    int64_t n, heads, dim;
    int64_t token_stride, head_stride; /* bytes, resolved */
    unsigned char *block;
    size_t size;
} test_tensor;

/* A tensor of canary bytes; `said` is what tensor.dtype will be (0 or dtype). */
void tensor_make(test_tensor *t, test_rng *rng, int shape, int dtype, int said, int64_t n, int64_t heads, int64_t dim);
void tensor_write(test_tensor *t, const float *values); /* (n, heads, dim) */
void tensor_read(const test_tensor *t, float *values);
/* 1 if no byte outside the elements has changed since tensor_make. */
int tensor_gaps_intact(const test_tensor *t);
void tensor_free(test_tensor *t);

/* A sa_parallel_for of pthreads; `n_threads` of them, tasks taken forwards or backwards. */
typedef struct test_pool {
    int n_threads;
    int backwards;
} test_pool;
void test_parallel_for(void *pool, int32_t n_tasks, sa_task task, void *task_context);

#endif
