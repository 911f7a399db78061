/*
 * A language model on ggml with sinkattn as its attention.
 *
 * SPDX-License-Identifier: MIT
 */
#include "host.h"
#include "../stream/support.h"
#include "words.h"

#include <sinkattn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] = "usage: ggml_host generate MODEL PROMPT N [WINDOW]   writes N tokens, then what they took\n"
                            "       ggml_host compare MODEL TEXTFILE N           ggml's attention beside sinkattn's\n"
                            "       ggml_host speed MODEL ROUNDS KEYS...         tokens a second of both\n"
                            "THREADS in the environment is how many threads, 1 if it is not set";

enum { PROMPT_CHUNK = 32, SINKS = 4 };

static int32_t number(const char *words, int32_t least, int32_t most) {
    char *end;
    long n = strtol(words, &end, 10);
    if (*end != '\0' || end == words || n < least || n > most) {
        die("%s is no number from %d to %d", words, least, most);
    }
    return (int32_t)n;
}

/* The prompt in pieces, then one token after the other, each the most likely but for a coin that is thrown among the
 * best two: always the best one soon repeats itself. */
static void write_on(runner *r, const words *w, const int32_t *prompt, int32_t n, int32_t n_tokens) {
    const float *logits = NULL;
    uint32_t coin = 1;
    for (int32_t i = 0; i < n; i += PROMPT_CHUNK) {
        logits = runner_feed(r, n - i < PROMPT_CHUNK ? n - i : PROMPT_CHUNK, prompt + i);
    }
    float *left = malloc((size_t)r->m->n_vocab * sizeof *left);
    for (int32_t i = 0; left != NULL && logits != NULL && i < n_tokens; i++) {
        memcpy(left, logits, (size_t)r->m->n_vocab * sizeof *left);
        int32_t best = best_of(r->m, left);
        float highest = left[best];
        left[best] = -1e30f;
        int32_t second = best_of(r->m, left);
        coin = coin * 1664525u + 1013904223u;
        if (i == n_tokens / 4) {
            printf("\n[resident: %.0f MiB]\n", (double)resident_bytes() / 1048576);
        }
        int32_t id = coin >> 31 && left[second] > highest - 1.0f ? second : best;
        words_print(w, id);
        logits = runner_feed(r, 1, &id);
    }
    free(left);
}

static int generate(const model *m, const char *path, const char *prompt, int32_t n_tokens, int32_t window,
                    int32_t n_threads) {
    words *w = words_open(path);
    int32_t n = 0, *ids = words_encode(w, prompt, &n);
    if (n == 0) {
        die("the prompt is empty");
    }
    attention *a = attention_sinkattn(m, SA_F16, SINKS, window, n_threads);
    runner r;
    runner_open(&r, m, a, n_threads);
    double start = now_seconds();
    write_on(&r, w, ids, n, n_tokens);
    printf("\n[resident: %.0f MiB]\n", (double)resident_bytes() / 1048576);
    printf("%lld tokens, %.1f a second, %.1f MiB of keys and values from the first to the last\n",
           (long long)r.position, (double)r.position / (now_seconds() - start), (double)a->bytes(a, m) / 1048576);
    runner_close(&r);
    a->close(a);
    free(ids);
    words_close(w);
    return EXIT_SUCCESS;
}

static int compare_file(model *m, const char *path, const char *text_path, int32_t n, int32_t n_threads) {
    int32_t there = 0;
    words *w = words_open(path);
    int32_t *ids = words_of_file(w, text_path, &there);
    if (there < n) {
        die("%s has %d tokens alone", text_path, there);
    }
    compare(m, "quantised", ids, n, n_threads);
    model_to_f32(m);
    compare(m, "f32", ids, n, n_threads);
    free(ids);
    words_close(w);
    return EXIT_SUCCESS;
}

static int speeds(const model *m, int n_keys, char **keys, int32_t rounds, int32_t n_threads) {
    speed_head(n_threads, rounds);
    for (int i = 0; i < n_keys; i++) {
        speed(m, number(keys[i], 16, 1 << 20), n_threads, rounds);
    }
    return EXIT_SUCCESS;
}

static int run(model *m, int argc, char **argv, int32_t n_threads) {
    const char *mode = argc > 4 ? argv[1] : "";
    if (strcmp(mode, "generate") == 0 && argc <= 6) {
        int32_t window = argc == 6 ? number(argv[5], 1, 1 << 20) : 1020;
        return generate(m, argv[2], argv[3], number(argv[4], 1, INT32_MAX), window, n_threads);
    }
    if (strcmp(mode, "compare") == 0 && argc == 5) {
        return compare_file(m, argv[2], argv[3], number(argv[4], 1, 1 << 20), n_threads);
    }
    if (strcmp(mode, "speed") == 0) {
        return speeds(m, argc - 4, argv + 4, number(argv[3], 1, 1000), n_threads);
    }
    die("%s", usage);
}

int main(int argc, char **argv) {
    const char *threads = getenv("THREADS");
    int32_t n_threads = threads == NULL ? 1 : number(threads, 1, 1024);
    model m;
    if (argc < 5) {
        die("%s", usage);
    }
    model_open(&m, argv[2]);
    int status = run(&m, argc, argv, n_threads);
    model_close(&m);
    return status;
}
