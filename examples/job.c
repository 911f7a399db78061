/*
 * The job that every language's example does too: 5,000 tokens of a stream through one layer with grouped heads and
 * keys in f16, far beyond its window, with a rollback, a fork, a snapshot, and a refusal. It prints a digest of every
 * output: the same number on every processor and in every language.
 *
 * SPDX-License-Identifier: MIT
 *
 * Numbers come from a generator of 32-bit integers: x ^= x << 13; x ^= x >> 17; x ^= x << 5, from 1 on. A float is
 * (x >> 8) * 2^-23 - 1. A step draws q, then k, then v, and the digest takes its `out`: FNV-1a of 64 bits over the
 * bytes of each float, lowest first.
 */
#include <sinkattn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADS = 8, KV_HEADS = 2, HEAD_DIM = 64, SINKS = 4, WINDOW = 252 };

typedef struct job {
    uint32_t random;
    uint64_t digest;
    sa_status status; /* of the first call that failed */
    float q[HEADS * HEAD_DIM], k[KV_HEADS * HEAD_DIM], v[KV_HEADS * HEAD_DIM], out[HEADS * HEAD_DIM];
} job;

static void draw(job *j, float *x, int n) {
    for (int i = 0; i < n; i++) {
        j->random ^= j->random << 13;
        j->random ^= j->random >> 17;
        j->random ^= j->random << 5;
        x[i] = (float)(j->random >> 8) * 0x1p-23f - 1.0f;
    }
}

static void expect(job *j, sa_status status) {
    if (j->status == SA_SUCCESS) j->status = status;
}

/* One token more, and its attention. */
static void step(job *j, sa_cache *cache) {
    expect(j, sa_append_attend(cache, 0, 1, j->q, j->k, j->v, j->out));
    for (int i = 0; i < HEADS * HEAD_DIM; i++) {
        uint32_t bits;
        memcpy(&bits, &j->out[i], sizeof bits);
        for (int b = 0; b < 32; b += 8) j->digest = (j->digest ^ (bits >> b & 255)) * 0x100000001b3u;
    }
}

static void feed(job *j, sa_cache *cache, int n) {
    for (int t = 0; t < n; t++) {
        draw(j, j->q, HEADS * HEAD_DIM);
        draw(j, j->k, KV_HEADS * HEAD_DIM);
        draw(j, j->v, KV_HEADS * HEAD_DIM);
        step(j, cache);
    }
}

/* Saves one sequence, and makes another what it is. */
static void hand_over(job *j, sa_cache *from, sa_cache *to) {
    size_t size = 0, written = 0;
    expect(j, sa_cache_save_size(from, 0, &size));
    void *snapshot = malloc(size);
    expect(j, snapshot ? sa_cache_save(from, 0, snapshot, size, &written) : SA_ERR_MEMORY);
    if (j->status == SA_SUCCESS) expect(j, sa_cache_load(to, snapshot, written));
    free(snapshot);
}

static void run(job *j, sa_pool *pool) {
    sa_cache *a = NULL, *fork = NULL, *b = NULL;
    expect(j, sa_pool_open(pool, &a));
    feed(j, a, 3000);
    expect(j, sa_cache_rollback(a, 0, 20)); /* the last 20 tokens are taken back */
    feed(j, a, 20);
    expect(j, sa_cache_fork(a, &fork));
    feed(j, fork, 500); /* a does not see these */
    sa_cache_destroy(fork);
    feed(j, a, 1000);
    expect(j, sa_pool_open(pool, &b));
    hand_over(j, a, b);
    sa_cache_destroy(a);
    feed(j, b, 480);
    printf("refused: %s\n", sa_append_kv(b, 7, 1, j->k, j->v) ? sa_cache_error(b) : "nothing");
    sa_cache_destroy(b);
}

int main(void) {
    static job j;
    sa_config config = {.struct_size = sizeof config,
                        .n_layers = 1,
                        .max_append = 1,
                        .rollback = 32,
                        .n_heads = HEADS,
                        .n_kv_heads = KV_HEADS,
                        .head_dim = HEAD_DIM,
                        .n_sink = SINKS,
                        .window = WINDOW,
                        .k_dtype = SA_F16,
                        .v_dtype = SA_F16,
                        .position = SA_POSITION_ROPE,
                        .n_sequences = 2};
    sa_pool *pool = NULL;
    j.random = 1;
    j.digest = 0xcbf29ce484222325u;
    expect(&j, sa_pool_create(&config, NULL, &pool));
    if (j.status == SA_SUCCESS) run(&j, pool);
    sa_pool_destroy(pool);
    if (j.status != SA_SUCCESS) {
        fprintf(stderr, "job: %s\n", sa_status_string(j.status));
        return EXIT_FAILURE;
    }
    printf("digest %016llx\n", (unsigned long long)j.digest);
    return EXIT_SUCCESS;
}
