/* Threads for a system that has none (WASI): one that is created runs to its end at once.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TEST_NO_THREADS_PTHREAD_H
#define TEST_NO_THREADS_PTHREAD_H

typedef int pthread_t;
typedef int pthread_mutex_t;

static inline int pthread_create(pthread_t *thread, const void *attributes, void *(*work)(void *), void *context) {
    (void)attributes;
    *thread = 0;
    work(context);
    return 0;
}
static inline int pthread_join(pthread_t thread, void **result) {
    (void)thread;
    (void)result;
    return 0;
}
static inline int pthread_mutex_init(pthread_mutex_t *mutex, const void *attributes) {
    (void)attributes;
    return *mutex = 0;
}
static inline int pthread_mutex_lock(pthread_mutex_t *mutex) { return *mutex = 1, 0; }
static inline int pthread_mutex_unlock(pthread_mutex_t *mutex) { return *mutex = 0, 0; }
static inline int pthread_mutex_destroy(pthread_mutex_t *mutex) { return *mutex = 0, 0; }

#endif
