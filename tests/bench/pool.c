/* A host's thread pool as an inference program has one: workers that spin while a pass runs.
 *
 * SPDX-License-Identifier: MIT
 *
 * Each worker stays on a processor of its own: two that spin on one would wait for the scheduler's tick.
 */
#ifdef __linux__
#define _GNU_SOURCE 1 /* for affinity */
#endif
#include <pthread.h>
#include <sched.h>

#include "bench.h"

static struct {
    int threads, stop;
    unsigned generation; /* counts calls; a worker that sees it change takes its tasks */
    int working;
    int32_t n_tasks, next;
    sa_task task;
    void *context;
    pthread_t ids[BENCH_MAX_THREADS];
} pool;

static void pool_stay(int processor) {
#ifdef __linux__
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    (void)pthread_setaffinity_np(pthread_self(), sizeof set, &set); /* refused: then it may move */
#else
    (void)processor;
#endif
}

static void pool_take(void) {
    for (int32_t i; (i = __atomic_fetch_add(&pool.next, 1, __ATOMIC_RELAXED)) < pool.n_tasks;)
        pool.task(pool.context, i);
}

static void *pool_worker(void *index) {
    unsigned seen = 0;
    pool_stay((int)(intptr_t)index);
    for (;;) {
        for (int spins = 0; __atomic_load_n(&pool.generation, __ATOMIC_ACQUIRE) == seen; spins++)
            if (spins > 20000) sched_yield();
        seen++;
        if (pool.stop) return NULL;
        pool_take();
        __atomic_fetch_sub(&pool.working, 1, __ATOMIC_RELEASE);
    }
}

void bench_pool_start(int threads) {
    pool.threads = threads;
    pool.stop = 0;
    pool.generation = 0;
    pool_stay(0);
    for (int i = 1; i < threads; i++) pthread_create(&pool.ids[i], NULL, pool_worker, (void *)(intptr_t)i);
}

static void pool_call(int32_t n_tasks, sa_task task, void *context) {
    pool.n_tasks = n_tasks;
    pool.next = 0;
    pool.task = task;
    pool.context = context;
    pool.working = pool.threads - 1;
    __atomic_fetch_add(&pool.generation, 1, __ATOMIC_RELEASE);
}

void bench_pool_run(void *context, int32_t n_tasks, sa_task task, void *task_context) {
    (void)context;
    pool_call(n_tasks, task, task_context);
    pool_take();
    for (int spins = 0; __atomic_load_n(&pool.working, __ATOMIC_ACQUIRE); spins++)
        if (spins > 20000) sched_yield();
}

void bench_pool_stop(void) {
    pool.stop = 1;
    __atomic_fetch_add(&pool.generation, 1, __ATOMIC_RELEASE);
    for (int i = 1; i < pool.threads; i++) pthread_join(pool.ids[i], NULL);
}
