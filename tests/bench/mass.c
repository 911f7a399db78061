/* What the weights of keys cost: a call with them, beside the same call without.
 *
 * SPDX-License-Identifier: MIT
 *
 * The ways take turns, layer by layer; a decoded token's layers are more than the last-level cache holds. A row's limit
 * is the time of the call without, so its fraction is one divided by the factor.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { MASS_PLAIN, MASS_PER_KV_HEAD, MASS_PER_HEAD, MASS_NORMS, MASS_WAYS };
static const char *const mass_names[MASS_WAYS] = {"without", "key_mass", "key_mass per head", "key_mass, value_norms"};

enum { MASS_HEADS = 32, MASS_KV_HEADS = 8, MASS_DIM = 128, MASS_KEYS = 4096, MASS_STRIDE = 8192, MASS_CALLS = 256 };

typedef struct mass_bench {
    const char *name;
    int tokens, layers, rounds, threads;
    sa_cache *cache;
    float *q, *kv, *out, *mass, *norms;
    double calls[MASS_WAYS][MASS_CALLS];
    int n_calls;
} mass_bench;

static sa_step_args mass_args(const mass_bench *b, int way, int layer) {
    sa_step_args a;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.layer = layer;
    a.n_tokens = b->tokens;
    a.q.data = b->q;
    a.k.data = a.v.data = b->kv;
    a.out.data = b->out;
    if (way == MASS_PLAIN) return a;
    a.key_mass = b->mass;
    a.key_stride = MASS_STRIDE;
    if (way == MASS_PER_HEAD) a.flags = SA_STEP_MASS_PER_HEAD;
    if (way == MASS_NORMS) a.value_norms = b->norms;
    return a;
}

static void mass_open(mass_bench *b) {
    const size_t row = MASS_HEADS * MASS_DIM, piece = 512 * row;
    sa_config config = bench_sequence_config(b->layers, MASS_HEADS, MASS_KV_HEADS, MASS_DIM, MASS_KEYS - 4);
    config.max_append = b->tokens > 256 ? b->tokens : 256;
    config.n_threads = b->threads;
    if (b->threads > 1) config.parallel_for = bench_pool_run;
    bench_check(sa_cache_create(&config, NULL, &b->cache));
    b->q = (float *)bench_alloc(piece * sizeof(float));
    b->kv = (float *)bench_alloc(piece * sizeof(float));
    b->out = (float *)bench_alloc(piece * sizeof(float));
    b->mass = (float *)bench_alloc((size_t)MASS_HEADS * MASS_STRIDE * sizeof(float));
    b->norms = (float *)bench_alloc((size_t)MASS_HEADS * MASS_STRIDE * sizeof(float));
    bench_fill(b->q, piece);
    bench_fill(b->kv, piece);
    bench_append(b->cache, b->layers, b->kv, MASS_KEYS);
}

static void mass_close(mass_bench *b) {
    sa_cache_destroy(b->cache);
    free(b->q);
    free(b->kv);
    free(b->out);
    free(b->mass);
    free(b->norms);
}

static void mass_run(mass_bench *b, FILE *csv) {
    char name[96];
    double plain = 0;
    if (b->threads > 1) bench_pool_start(b->threads);
    mass_open(b);
    for (int round = 0; round < b->rounds; round++)
        for (int way = 0; way < MASS_WAYS; way++)
            for (int layer = 0; layer < b->layers; layer++) {
                sa_step_args a = mass_args(b, way, layer);
                double start = bench_now();
                bench_check(sa_step(b->cache, &a));
                b->calls[way][round * b->layers + layer] = bench_now() - start;
            }
    for (int way = 0; way < MASS_WAYS; way++) {
        double seconds = bench_median(b->calls[way], b->rounds * b->layers);
        if (way == MASS_PLAIN) plain = seconds;
        snprintf(name, sizeof name, "%s: %s", b->name, mass_names[way]);
        bench_sequences_row(name, seconds, 2.0 * 2 * MASS_KV_HEADS * MASS_DIM * MASS_KEYS, plain, plain / seconds, csv);
    }
    mass_close(b);
    if (b->threads > 1) bench_pool_stop();
}

static void mass_case(const char *name, int tokens, int layers, int rounds, int threads, FILE *csv) {
    static mass_bench b;
    memset(&b, 0, sizeof b);
    b.name = name;
    b.tokens = tokens;
    b.layers = layers;
    b.rounds = rounds;
    b.threads = threads;
    mass_run(&b, csv);
}

void bench_masses(FILE *csv) {
    mass_case("1 token on 4+4092", 1, 16, 16, 1, csv);
    mass_case("1 token on 4+4092, 2 threads", 1, 16, 16, 2, csv);
    mass_case("512 tokens on 4+4092", 512, 1, 15, 1, csv);
    mass_case("512 tokens on 4+4092, 2 threads", 512, 1, 15, 2, csv);
}
