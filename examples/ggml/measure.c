/*
 * Both attentions in the same model: whether they agree, and how fast they are.
 *
 * SPDX-License-Identifier: MIT
 */
#include "host.h"

#include <math.h>
#include <sinkattn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How near some attention's logits are to those of ggml_flash_attn_ext. */
typedef struct nearness {
    const char *name;
    attention *a;
    runner r;
    int32_t equal; /* positions with the same most likely token */
    double difference;
} nearness;

static void compare_logits(nearness *near, const model *m, const float *x, const float *y) {
    near->equal += best_of(m, x) == best_of(m, y);
    for (int32_t i = 0; i < m->n_vocab; i++) {
        near->difference = fmax(near->difference, fabs((double)x[i] - y[i]));
    }
}

void compare(const model *m, const char *weights, const int32_t *ids, int32_t n, int32_t n_threads) {
    attention *flash = attention_ggml(m, GGML_TYPE_F32, true, n);
    nearness others[] = {{.name = "sinkattn", .a = attention_sinkattn(m, SA_F32, 4, n, n_threads)},
                         {.name = "ggml by products", .a = attention_ggml(m, GGML_TYPE_F32, false, n)}};
    enum { OTHERS = sizeof others / sizeof others[0] };
    runner r;
    runner_open(&r, m, flash, n_threads);
    for (int i = 0; i < OTHERS; i++) {
        runner_open(&others[i].r, m, others[i].a, n_threads);
    }
    for (int32_t t = 0; t < n; t++) {
        const float *logits = runner_feed(&r, 1, &ids[t]);
        for (int i = 0; i < OTHERS; i++) {
            compare_logits(&others[i], m, logits, runner_feed(&others[i].r, 1, &ids[t]));
        }
    }
    for (int i = 0; i < OTHERS; i++) {
        printf("%s weights: %s: top-1 equal at %d of %d positions; logits differ by %.1e at most\n", weights,
               others[i].name, others[i].equal, n, others[i].difference);
        runner_close(&others[i].r);
        others[i].a->close(others[i].a);
    }
    runner_close(&r);
    flash->close(flash);
}

/* With one thread, seconds of this process, which others on the machine hardly change; else of the clock. */
static double seconds(int32_t n_threads) {
    struct timespec now;
    clock_gettime(n_threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

enum { ARMS = 4, BURST = 12 };

/* A way to attend, and its best time. */
typedef struct arm {
    const char *name;
    attention *a;
    runner r;
    double best; /* seconds a token */
} arm;

static void open_arms(arm *arms, const model *m, int64_t keys, int32_t n_threads) {
    int32_t window = (int32_t)keys - 4;
    arms[0] = (arm){"ggml f32", attention_ggml(m, GGML_TYPE_F32, true, keys), {0}, INFINITY};
    arms[1] = (arm){"sinkattn f32", attention_sinkattn(m, SA_F32, 4, window, n_threads), {0}, INFINITY};
    arms[2] = (arm){"ggml f16", attention_ggml(m, GGML_TYPE_F16, true, keys), {0}, INFINITY};
    arms[3] = (arm){"sinkattn f16", attention_sinkattn(m, SA_F16, 4, window, n_threads), {0}, INFINITY};
    for (int i = 0; i < ARMS; i++) {
        runner_open(&arms[i].r, m, arms[i].a, n_threads);
        arms[i].a->fill(arms[i].a, m, keys);
    }
}

static void close_arms(arm *arms) {
    for (int i = 0; i < ARMS; i++) {
        runner_close(&arms[i].r);
        arms[i].a->close(arms[i].a);
    }
}

/* A few tokens, always at the last place: a full cache, and the graph that stands. */
static void run_arm(arm *a, int64_t keys, int32_t n_threads) {
    int32_t id = 1;
    a->r.position = keys - 1;
    runner_feed(&a->r, 1, &id); /* what the other arms have pushed out of the processor's caches comes back */
    double start = seconds(n_threads);
    for (int i = 0; i < BURST; i++) {
        a->r.position = keys - 1;
        runner_feed(&a->r, 1, &id);
    }
    a->best = fmin(a->best, (seconds(n_threads) - start) / BURST);
}

static void print_row(const arm *arms, int64_t keys, const model *m) {
    printf("%6lld", (long long)keys);
    for (int i = 0; i < ARMS; i += 2) {
        printf("  %8.1f %8.1f %6.2f", 1 / arms[i].best, 1 / arms[i + 1].best, arms[i].best / arms[i + 1].best);
    }
    printf("  %6.1f %6.1f\n", (double)arms[2].a->bytes(arms[2].a, m) / 1048576,
           (double)arms[3].a->bytes(arms[3].a, m) / 1048576);
}

void speed_head(int32_t n_threads, int32_t rounds) {
    printf("tokens a second, best of %d rounds, %d thread%s\n", rounds, n_threads,
           n_threads == 1 ? " (processor time)" : "s");
    printf("  keys  ggml f32 sinkattn  ratio  ggml f16 sinkattn  ratio  MiB f16: theirs, ours\n");
}

void speed(const model *m, int64_t keys, int32_t n_threads, int32_t rounds) {
    arm arms[ARMS];
    open_arms(arms, m, keys, n_threads);
    for (int32_t round = 0; round < rounds; round++) {
        for (int i = 0; i < ARMS; i++) {
            run_arm(&arms[i], keys, n_threads);
        }
    }
    print_row(arms, keys, m);
    fflush(stdout);
    close_arms(arms);
}
