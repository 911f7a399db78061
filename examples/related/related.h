/*
 * What the examples of docs/related.md share: random numbers, the worst difference, and how a program ends.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef RELATED_H
#define RELATED_H

#include <math.h>
#include <sinkattn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Uniform in -1 .. 1; the same numbers in every run and on every machine. */
static inline float random_number(void) {
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / 8388608.0f - 1.0f;
}

static inline void fill(float *x, int n) {
    for (int i = 0; i < n; i++) {
        x[i] = random_number();
    }
}

/* Ends the program if a call failed. */
static inline void must(sa_status status) {
    if (status != SA_SUCCESS) {
        fprintf(stderr, "%s\n", sa_status_string(status));
        exit(EXIT_FAILURE);
    }
}

/* A cache for the config, or the end of the program with the reason. */
static inline sa_cache *make_cache(const sa_config *config) {
    const char *why = "";
    sa_cache *cache = NULL;
    if (sa_config_check(config, &why, NULL) != SA_SUCCESS) {
        fprintf(stderr, "%s\n", why);
        exit(EXIT_FAILURE);
    }
    must(sa_cache_create(config, NULL, &cache));
    return cache;
}

static inline sa_tensor tensor(const float *data) { return (sa_tensor){.data = (void *)data}; }

/* Keeps the largest |a - b| of two arrays in *worst; a NaN counts as infinite. */
static inline void compare(const float *a, const double *b, int n, double *worst) {
    for (int i = 0; i < n; i++) {
        double d = fabs((double)a[i] - b[i]);
        if (!(d <= *worst)) {
            *worst = d >= 0 ? d : (double)INFINITY;
        }
    }
}

/* Prints a difference beside its bound; 1 if it is above. */
static inline int judge(const char *what, double worst, double bound) {
    printf("%-66s %.1e (bound %.0e)%s\n", what, worst, bound, worst <= bound ? "" : "  TOO LARGE");
    return !(worst <= bound);
}

#endif
