/*
 * What the tests share: see support.h.
 *
 * SPDX-License-Identifier: MIT
 */
#define _POSIX_C_SOURCE 200112L
#include "support.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compare.h"
#include "oracle.h"

#define CANARY COMPARE_CANARY /* NaN: a gap that is read shows, and so does an element that is not written */

uint64_t rng_next(test_rng *rng) {
    uint64_t z = (rng->state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

int64_t rng_in(test_rng *rng, int64_t least, int64_t most) {
    return least + (int64_t)(rng_next(rng) % (uint64_t)(most - least + 1));
}

int rng_chance(test_rng *rng, int percent) { return rng_in(rng, 0, 99) < percent; }

double rng_unit(test_rng *rng) { return (double)(rng_next(rng) >> 11) / 9007199254740992.0; }

/* The sum of four uniform numbers, with variance 1: near enough to normal, cheap, and the same everywhere. */
float rng_normal(test_rng *rng) {
    uint64_t a = rng_next(rng), b = rng_next(rng);
    double sum = (double)(a >> 32) + (double)(uint32_t)a + (double)(b >> 32) + (double)(uint32_t)b;
    return (float)((sum / 4294967296.0 - 2.0) * 1.7320508075688772);
}

int rng_pick(test_rng *rng, const int *choices, int count) { return choices[rng_in(rng, 0, count - 1)]; }

void *test_take(size_t size) {
    void *memory = calloc(1, size ? size : 1);
    if (!memory) {
        abort();
    }
    return memory;
}

double test_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

size_t dtype_size(int dtype) { return dtype == SA_F32 ? 4 : 2; }

static uint64_t up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

uint64_t test_key_tile(int dtype, int head_dim) {
    uint64_t d = (uint64_t)head_dim, scales = up(up(d, 32), 64);
    if (dtype <= SA_BF16) {
        return 16 * d * dtype_size(dtype);
    }
    return scales + (dtype == SA_I8 ? 16 : 8) * up(d, 8);
}

uint64_t test_value_tile(int dtype, int v_head_dim) {
    uint64_t e = up((uint64_t)v_head_dim, 16), scales = up(up(e, 32), 64);
    if (dtype <= SA_BF16) {
        return 16 * e * dtype_size(dtype);
    }
    return scales + (dtype == SA_I8 ? 16 : 8) * up(e, 32);
}

double dtype_round(int dtype, double x) {
    return dtype == SA_F16 ? oracle_round_f16(x) : dtype == SA_BF16 ? oracle_round_bf16(x) : (double)(float)x;
}

/* The bits of a number that is exactly an f16. */
static uint16_t f16_bits(double x) {
    uint16_t sign = signbit(x) ? 0x8000u : 0;
    double size = fabs(x);
    int exponent;
    if (isnan(x)) {
        return 0x7E00u;
    }
    if (isinf(x)) {
        return (uint16_t)(sign | 0x7C00u);
    }
    if (size < ldexp(1.0, -14)) {
        return (uint16_t)(sign | (uint16_t)ldexp(size, 24));
    }
    frexp(size, &exponent);
    return (uint16_t)(sign | (uint16_t)((exponent + 14) << 10) | ((uint16_t)ldexp(size, 11 - exponent) & 0x3FFu));
}

void dtype_store(int dtype, void *to, float x) {
    float rounded = (float)dtype_round(dtype, x);
    uint16_t half;
    uint32_t whole;
    memcpy(&whole, &rounded, sizeof whole);
    if (dtype == SA_F32) {
        memcpy(to, &whole, sizeof whole);
        return;
    }
    half = dtype == SA_F16 ? f16_bits(rounded) : (uint16_t)(whole >> 16);
    memcpy(to, &half, sizeof half);
}

static float f16_value(uint16_t bits) {
    int exponent = (bits >> 10) & 31, fraction = bits & 0x3FF;
    double size = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    if (exponent == 31) {
        size = fraction ? NAN : INFINITY;
    }
    return (float)(bits & 0x8000u ? -size : size);
}

float dtype_load(int dtype, const void *from) {
    uint16_t half;
    uint32_t whole;
    float x;
    if (dtype == SA_F16) {
        memcpy(&half, from, sizeof half);
        return f16_value(half);
    }
    if (dtype == SA_BF16) {
        memcpy(&half, from, sizeof half);
        whole = (uint32_t)half << 16;
    } else {
        memcpy(&whole, from, sizeof whole);
    }
    memcpy(&x, &whole, sizeof x);
    return x;
}

void tensor_make(test_tensor *t, test_rng *rng, int shape, int dtype, int said, int64_t n, int64_t heads, int64_t dim) {
    int64_t size = (int64_t)dtype_size(dtype), gap = shape == SHAPE_PADDED ? rng_in(rng, 1, 5) : 0;
    int64_t lead = shape == SHAPE_CONTIGUOUS ? 0 : rng_in(rng, 0, 3), start;
    memset(t, 0, sizeof *t);
    t->dtype = dtype;
    t->n = n;
    t->heads = heads;
    t->dim = dim;
    t->head_stride = (dim + gap) * size;
    t->token_stride = heads * t->head_stride + (gap ? rng_in(rng, 0, 9) * size : 0);
    if (shape == SHAPE_REVERSED) {
        t->token_stride = -t->token_stride;
    }
    if (shape == SHAPE_HEADS_FIRST) {
        t->token_stride = dim * size;
        t->head_stride = (n > 0 ? n : 1) * dim * size;
    }
    t->size = (size_t)((heads * (dim + gap) + 9) * (n + 1) * size + 2 * lead * size);
    t->block = test_take(t->size);
    memset(t->block, CANARY, t->size);
    start = lead * size + (t->token_stride < 0 ? -t->token_stride * (n > 0 ? n - 1 : 0) : 0);
    t->tensor.data = t->block + start;
    t->tensor.dtype = said;
    t->tensor.token_stride = shape == SHAPE_CONTIGUOUS ? 0 : t->token_stride;
    t->tensor.head_stride = shape == SHAPE_CONTIGUOUS ? 0 : t->head_stride;
}

static unsigned char *tensor_at(const test_tensor *t, int64_t i, int64_t h, int64_t d) {
    return (unsigned char *)t->tensor.data + i * t->token_stride + h * t->head_stride +
           d * (int64_t)dtype_size(t->dtype);
}

void tensor_write(test_tensor *t, const float *values) {
    int64_t i, h, d;
    for (i = 0; i < t->n; i++) {
        for (h = 0; h < t->heads; h++) {
            for (d = 0; d < t->dim; d++) {
                dtype_store(t->dtype, tensor_at(t, i, h, d), *values++);
            }
        }
    }
}

void tensor_read(const test_tensor *t, float *values) {
    int64_t i, h, d;
    for (i = 0; i < t->n; i++) {
        for (h = 0; h < t->heads; h++) {
            for (d = 0; d < t->dim; d++) {
                *values++ = dtype_load(t->dtype, tensor_at(t, i, h, d));
            }
        }
    }
}

int tensor_gaps_intact(const test_tensor *t) {
    unsigned char *is_element = test_take(t->size);
    int64_t i, h;
    size_t b;
    int intact = 1;
    for (i = 0; i < t->n; i++) {
        for (h = 0; h < t->heads; h++) {
            memset(is_element + (tensor_at(t, i, h, 0) - t->block), 1, (size_t)t->dim * dtype_size(t->dtype));
        }
    }
    for (b = 0; b < t->size; b++) {
        intact = intact && (is_element[b] || t->block[b] == CANARY);
    }
    free(is_element);
    return intact;
}

void tensor_free(test_tensor *t) {
    free(t->block);
    t->block = NULL;
}

/* One call of test_parallel_for, which its threads share. */
typedef struct pool_call {
    pthread_mutex_t lock;
    int32_t next, n_tasks;
    int backwards;
    sa_task task;
    void *context;
} pool_call;

/* Takes the next task until none is left. */
static void *run_tasks(void *argument) {
    pool_call *call = argument;
    for (;;) {
        int32_t mine;
        pthread_mutex_lock(&call->lock);
        mine = call->next++;
        pthread_mutex_unlock(&call->lock);
        if (mine >= call->n_tasks) {
            return NULL;
        }
        call->task(call->context, call->backwards ? call->n_tasks - 1 - mine : mine);
    }
}

#ifdef TEST_NO_THREADS_PTHREAD_H
/* All in the caller's thread. */
static void run_together(pool_call *call, int helpers) {
    (void)helpers;
    run_tasks(call);
}
#else
enum { MOST_HELPERS = 63 };

/* Threads that wait for calls to help with, and are kept from one call to the next: emulators take long to make
 * threads, and never free what they take for them. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    pthread_t threads[MOST_HELPERS];
    int n;               /* threads */
    pool_call *call;     /* that is being helped with */
    int wanted, helping; /* threads that are still to begin, and to end */
    int is_over;
} crew = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};

static void *help(void *unused) {
    pthread_mutex_lock(&crew.lock);
    for (;;) {
        while (!crew.wanted && !crew.is_over) pthread_cond_wait(&crew.wake, &crew.lock);
        if (crew.is_over) break;
        pool_call *call = crew.call;
        crew.wanted--;
        pthread_mutex_unlock(&crew.lock);
        run_tasks(call);
        pthread_mutex_lock(&crew.lock);
        if (--crew.helping == 0) pthread_cond_signal(&crew.done);
    }
    pthread_mutex_unlock(&crew.lock);
    return unused;
}

static void dismiss(void) {
    pthread_mutex_lock(&crew.lock);
    crew.is_over = 1;
    pthread_cond_broadcast(&crew.wake);
    pthread_mutex_unlock(&crew.lock);
    while (crew.n > 0) pthread_join(crew.threads[--crew.n], NULL);
}

/* With so many other threads; alone, where they are helping another caller. */
static void run_together(pool_call *call, int helpers) {
    pthread_mutex_lock(&crew.lock);
    int is_free = !crew.call;
    if (is_free) {
        if (helpers > 0 && !crew.n) atexit(dismiss);
        while (crew.n < helpers && pthread_create(&crew.threads[crew.n], NULL, help, NULL) == 0) crew.n++;
        crew.call = call;
        crew.wanted = crew.helping = helpers < crew.n ? helpers : crew.n;
        pthread_cond_broadcast(&crew.wake);
    }
    pthread_mutex_unlock(&crew.lock);
    run_tasks(call);
    if (!is_free) return;
    pthread_mutex_lock(&crew.lock);
    while (crew.helping > 0) pthread_cond_wait(&crew.done, &crew.lock);
    crew.call = NULL;
    pthread_mutex_unlock(&crew.lock);
}
#endif

void test_parallel_for(void *context, int32_t n_tasks, sa_task task, void *task_context) {
    const test_pool *pool = context;
    int n = pool->n_threads > 64 ? 64 : pool->n_threads;
    pool_call call;
    pthread_mutex_init(&call.lock, NULL);
    call.next = 0;
    call.n_tasks = n_tasks;
    call.backwards = pool->backwards;
    call.task = task;
    call.context = task_context;
    n = n < n_tasks ? n : n_tasks;
    run_together(&call, n > 1 ? n - 1 : 0);
    pthread_mutex_destroy(&call.lock);
}
