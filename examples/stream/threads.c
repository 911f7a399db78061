/*
 * A pool of threads: run_parallel for the matrix products and for sinkattn alike.
 *
 * SPDX-License-Identifier: MIT
 *
 * The threads sleep between two jobs. They do not spin, since on a busy machine that would
 * take processor time from the thread that has the work.
 */
#if !defined(_XOPEN_SOURCE)
#define _XOPEN_SOURCE 700
#endif

#include "support.h"

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#include <unistd.h>

enum { MAX_THREADS = 256 };

/* One job at a time; `lock` guards everything. A job's tasks are handed out one by one. */
static struct pool {
    pthread_mutex_t lock;
    pthread_cond_t job_came, job_ended;
    void (*task)(void *context, int32_t index);
    void *context;
    int32_t next, n_tasks, running;
    int32_t threads; /* the caller included; 0: set_threads has not been called */
} pool = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .job_came = PTHREAD_COND_INITIALIZER, .job_ended = PTHREAD_COND_INITIALIZER};

/* Takes tasks until none is left. The lock is held on entry and on return. */
static void work(void) {
    while (pool.next < pool.n_tasks) {
        int32_t index = pool.next++;
        pool.running++;
        pthread_mutex_unlock(&pool.lock);
        pool.task(pool.context, index);
        pthread_mutex_lock(&pool.lock);
        pool.running--;
    }
}

static void *worker(void *unused) {
    (void)unused;
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        while (pool.next >= pool.n_tasks) {
            pthread_cond_wait(&pool.job_came, &pool.lock);
        }
        work();
        if (pool.running == 0) {
            pthread_cond_signal(&pool.job_ended);
        }
    }
    return NULL; /* not reached: the threads end with the process */
}

void run_parallel(void *unused, int32_t n_tasks, void (*task)(void *context, int32_t index), void *context) {
    (void)unused;
    if (pool.threads <= 1 || n_tasks <= 1) {
        for (int32_t i = 0; i < n_tasks; i++) {
            task(context, i);
        }
        return;
    }
    pthread_mutex_lock(&pool.lock);
    pool.task = task;
    pool.context = context;
    pool.next = 0;
    pool.n_tasks = n_tasks;
    pthread_cond_broadcast(&pool.job_came);
    work();
    while (pool.running > 0) {
        pthread_cond_wait(&pool.job_ended, &pool.lock);
    }
    pthread_mutex_unlock(&pool.lock);
}

int32_t set_threads(int32_t wanted) {
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int32_t target = wanted > 0 ? wanted : (int32_t)(processors > 0 ? processors : 1);
    target = target < MAX_THREADS ? target : MAX_THREADS;
    pool.threads = pool.threads > 0 ? pool.threads : 1;
    while (pool.threads < target) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, worker, NULL) != 0) {
            break; /* fewer threads do the same work */
        }
        pthread_detach(thread);
        pool.threads++;
    }
    return pool.threads;
}

#else /* no POSIX threads: everything runs in the caller */

void run_parallel(void *unused, int32_t n_tasks, void (*task)(void *context, int32_t index), void *context) {
    (void)unused;
    for (int32_t i = 0; i < n_tasks; i++) {
        task(context, i);
    }
}

int32_t set_threads(int32_t wanted) {
    (void)wanted;
    return 1;
}

#endif
