/*
 * Streams of numbered random tokens: see streams.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "streams.h"

#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "support.h"

float stream_q[STREAM_IDS * STREAM_Q], stream_k[STREAM_IDS * STREAM_K], stream_v[STREAM_IDS * STREAM_K];

static void fill(float *x, int n, test_rng *rng) {
    for (int i = 0; i < n; i++) x[i] = rng_normal(rng);
}

void stream_begin(void) {
    test_rng rng = {2024};
    fill(stream_q, STREAM_IDS * STREAM_Q, &rng);
    fill(stream_k, STREAM_IDS * STREAM_K, &rng);
    fill(stream_v, STREAM_IDS * STREAM_K, &rng);
}

sa_config stream_config(void) {
    sa_config g;
    memset(&g, 0, sizeof g);
    g.struct_size = sizeof g;
    g.n_layers = STREAM_LAYERS;
    g.max_append = 8;
    g.rollback = 4;
    g.n_heads = STREAM_HEADS;
    g.n_kv_heads = STREAM_KV_HEADS;
    g.head_dim = STREAM_DIM;
    g.n_sink = 2;
    g.window = 20;
    g.position = SA_POSITION_ROPE;
    return g;
}

/* No check of a test: a test that cannot have its cache has nothing to say. */
static void stream_must(sa_status status) {
    if (status) abort();
}

sa_cache *stream_open(const sa_config *config) {
    sa_config g = *config;
    sa_cache *cache = NULL;
    g.n_sequences = 1;
    g.pool_tokens = 0;
    stream_must(sa_cache_create(&g, NULL, &cache));
    return cache;
}

sa_cache *stream_open_at(const sa_config *config, int n) {
    sa_cache *cache = stream_open(config);
    stream_must(stream_feed(cache, 0, n, NULL));
    return cache;
}

sa_status stream_feed(sa_cache *cache, int first, int n, stream_out *out) {
    static stream_out unread;
    float *k = stream_k + first * STREAM_K, *v = stream_v + first * STREAM_K, *q = stream_q + first * STREAM_Q;
    if (!out) out = &unread;
    compare_forget(out, sizeof *out);
    for (int layer = 0; layer < STREAM_LAYERS; layer++) {
        sa_status status = sa_append_attend(cache, layer, n, q, k, v, out->layer[layer]);
        if (status) return status;
    }
    return SA_SUCCESS;
}

sa_status stream_probe(sa_cache *cache, stream_out *out) {
    compare_forget(out, sizeof *out);
    for (int layer = 0; layer < STREAM_LAYERS; layer++) {
        sa_step_args a;
        memset(&a, 0, sizeof a);
        a.struct_size = sizeof a;
        a.layer = layer;
        a.n_tokens = 1;
        a.q.data = stream_q;
        a.out.data = out->layer[layer];
        sa_status status = sa_step(cache, &a);
        if (status) return status;
    }
    return SA_SUCCESS;
}

int stream_differs(const stream_out *got, const stream_out *expected, int n) {
    int64_t floats = (int64_t)n * STREAM_Q;
    for (int layer = 0; layer < STREAM_LAYERS; layer++)
        if (compare_bits(got->layer[layer], floats, expected->layer[layer], floats) >= 0) return layer;
    return -1;
}

sa_pool_facts stream_facts(const sa_pool *pool) {
    sa_pool_facts facts;
    memset(&facts, 0, sizeof facts);
    facts.struct_size = sizeof facts;
    stream_must(sa_pool_info(pool, 0, 0, &facts));
    return facts;
}
