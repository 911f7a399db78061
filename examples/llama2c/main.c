/*
 * Writes token ids from a llama2.c checkpoint, by arrays or by a cache; both beside each other; or without end.
 *
 * SPDX-License-Identifier: MIT
 */
#if !defined(_XOPEN_SOURCE)
#define _XOPEN_SOURCE 700
#endif

#include "llama2c.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static const char usage[] =
    "usage: llama2c MODEL array|cache N         the ids of N tokens, each the most likely one\n"
    "       llama2c MODEL compare N             both beside each other: ids, logits, tokens a second\n"
    "       llama2c MODEL endless N             N tokens on 4 sinks and a window of 252, and what they took";

enum { BOS = 1, SINKS = 4, ENDLESS_WINDOW = 252 };

static int32_t best_of(const float *logits, int32_t n) {
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    return best;
}

/* Seconds of this process, which other programs on the machine hardly change. */
static double seconds(void) { return (double)clock() / CLOCKS_PER_SEC; }

static double peak_mib(void) {
    struct rusage usage_now;
    getrusage(RUSAGE_SELF, &usage_now);
    return (double)usage_now.ru_maxrss / 1024;
}

/* What is left to do for a token that the attention refused. */
static void expect(int status) {
    if (status != 0) {
        die("the attention takes no more tokens", "");
    }
}

/* A cache that sees as much as `tokens` rows in an array: one window of them, and no sink that is not in it. */
static attention open_attention(const checkpoint *c, const char *which, int32_t tokens) {
    return strcmp(which, "array") == 0 ? attention_array(c, tokens) : attention_cache(c, 0, tokens);
}

/* N tokens, each the most likely one, from the bos token on. */
static void write_ids(const checkpoint *c, const char *which, int32_t n) {
    pass p;
    pass_open(&p, c, open_attention(c, which, n));
    for (int32_t t = 0, id = BOS; t < n; t++) {
        expect(pass_token(&p, id, t));
        id = best_of(p.logits, c->n_vocab);
        printf("%d\n", id);
    }
    pass_close(&p);
}

/* Seconds that the ids take by one of the two. */
static double time_of(const checkpoint *c, const char *which, const int32_t *ids, int32_t n) {
    pass p;
    pass_open(&p, c, open_attention(c, which, n));
    double start = seconds();
    for (int32_t t = 0; t < n; t++) {
        expect(pass_token(&p, ids[t], t));
    }
    double taken = seconds() - start;
    pass_close(&p);
    return taken;
}

/* The ids that the array chooses, to both: where they choose alike, and how far logits differ. */
static void compare_logits(const checkpoint *c, int32_t *ids, int32_t n) {
    pass a, b;
    double largest = 0;
    int32_t equal = 0;
    pass_open(&a, c, attention_array(c, n));
    pass_open(&b, c, attention_cache(c, 0, n));
    for (int32_t t = 0, id = BOS; t < n; t++) {
        ids[t] = id;
        expect(pass_token(&a, id, t));
        expect(pass_token(&b, id, t));
        id = best_of(a.logits, c->n_vocab);
        equal += id == best_of(b.logits, c->n_vocab);
        for (int32_t i = 0; i < c->n_vocab; i++) {
            largest = fmax(largest, fabs((double)a.logits[i] - b.logits[i]));
        }
    }
    printf("the same token at %d of %d positions; logits differ by %.1e at most\n", equal, n, largest);
    printf("bytes: array %zu, cache %zu\n", a.a.bytes(a.a.state), b.a.bytes(b.a.state));
    pass_close(&a);
    pass_close(&b);
}

/* The best of some rounds of both in turn. */
static void compare(const checkpoint *c, int32_t n) {
    int32_t *ids = malloc((size_t)n * sizeof *ids);
    double array = INFINITY, cache = INFINITY;
    if (ids == NULL) {
        die("no memory", "");
    }
    compare_logits(c, ids, n);
    for (int round = 0; round < 7; round++) {
        array = fmin(array, time_of(c, "array", ids, n));
        cache = fmin(cache, time_of(c, "cache", ids, n));
    }
    printf("tokens a second over %d: array %.0f, cache %.0f, ratio %.2f\n", n, n / array, n / cache, array / cache);
    free(ids);
}

/* A token among the best three, by numbers that repeat from run to run. */
static int32_t choose(float *logits, int32_t n, uint32_t *random) {
    *random = *random * 1664525u + 1013904223u;
    int32_t id = best_of(logits, n);
    for (uint32_t skip = (*random >> 30) % 3; skip > 0; skip--) {
        logits[id] = -1e30f;
        id = best_of(logits, n);
    }
    return id;
}

static void endless(const checkpoint *c, int32_t n) {
    pass p;
    uint32_t random = 1;
    double start = seconds(), last = start;
    pass_open(&p, c, attention_cache(c, SINKS, ENDLESS_WINDOW));
    for (int32_t t = 0, id = BOS; t < n; t++) {
        expect(pass_token(&p, id, t));
        id = choose(p.logits, c->n_vocab, &random);
        if ((t + 1) % (n / 10 > 0 ? n / 10 : 1) == 0) {
            printf("%9d tokens: %6.0f a second, %.1f MiB resident at most, %zu bytes of cache\n", t + 1,
                   (n / 10 > 0 ? n / 10 : 1) / (seconds() - last), peak_mib(), p.a.bytes(p.a.state));
            fflush(stdout);
            last = seconds();
        }
    }
    pass_close(&p);
}

int main(int argc, char **argv) {
    const char *mode = argc >= 3 ? argv[2] : "";
    int32_t n = argc == 4 ? (int32_t)strtol(argv[3], NULL, 10) : 0;
    checkpoint c;
    int known = strcmp(mode, "array") == 0 || strcmp(mode, "cache") == 0 || strcmp(mode, "compare") == 0 ||
                strcmp(mode, "endless") == 0;
    if (!known || n < 1) {
        die(usage, "");
    }
    checkpoint_open(&c, argv[1]);
    if (strcmp(mode, "compare") == 0) {
        compare(&c, n);
    } else if (strcmp(mode, "endless") == 0) {
        endless(&c, n);
    } else {
        write_ids(&c, mode, n);
    }
    checkpoint_close(&c);
    return EXIT_SUCCESS;
}
