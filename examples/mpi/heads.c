/*
 * Heads split over ranks: each rank keeps the keys and values of some kv heads, and attends for their query heads.
 *
 * SPDX-License-Identifier: MIT
 *
 * This is what tensor parallelism does to attention. Heads know nothing of each other, so the bits are those of one
 * cache, and one MPI_Allgatherv a layer brings the results together; a host that goes on with the output matrix's
 * columns of these heads does not even need that.
 */
#include "mpi_example.h"

#include <stdio.h>
#include <stdlib.h>

enum { PROMPT = 512, CHUNK = 64, TOKENS = PROMPT + 48, SINKS = 4, WINDOW = 124, GROUP = HEADS / KV_HEADS, STREAM = 2 };

static int first_kv_head(int rank, int ranks) { return rank * KV_HEADS / ranks; }

static sa_cache *open_heads(int kv_heads) {
    sa_config config = {.struct_size = sizeof config,
                        .n_layers = 1,
                        .max_append = CHUNK,
                        .n_heads = kv_heads * GROUP,
                        .n_kv_heads = kv_heads,
                        .head_dim = HEAD_DIM,
                        .n_sink = SINKS,
                        .window = WINDOW,
                        .k_dtype = SA_F16,
                        .v_dtype = SA_F16,
                        .position = SA_POSITION_ROPE};
    sa_cache *cache = NULL;
    const char *why = "";
    sa_config_check(&config, &why, NULL);
    expect(sa_cache_create(&config, NULL, &cache), why);
    return cache;
}

/* n tokens of the stream, (n, heads, head_dim) each: a real host has only its own heads of them. */
typedef struct chunk {
    token tokens[CHUNK];
    float own[CHUNK * Q_SIZE], out[CHUNK * Q_SIZE];
} chunk;

/* The kv heads from `first` on, of tokens that lie so far apart as the struct does. */
static void attend(sa_cache *cache, chunk *c, int n, int first) {
    sa_step_args args = {.struct_size = sizeof args,
                         .n_tokens = n,
                         .q = {.data = c->tokens[0].q + first * GROUP * HEAD_DIM, .token_stride = sizeof(token)},
                         .k = {.data = c->tokens[0].k + first * HEAD_DIM, .token_stride = sizeof(token)},
                         .v = {.data = c->tokens[0].v + first * HEAD_DIM, .token_stride = sizeof(token)},
                         .out = {.data = c->own}};
    expect(sa_step(cache, &args), sa_cache_error(cache));
}

/* Brings the heads of n tokens together: rank by rank, so (ranks, tokens, heads of the rank, head_dim). */
static void bring_together(chunk *c, int n, ranks r) {
    int counts[KV_HEADS], places[KV_HEADS];
    for (int i = 0; i < r.count; i++) {
        places[i] = n * first_kv_head(i, r.count) * GROUP * HEAD_DIM;
        counts[i] = n * first_kv_head(i + 1, r.count) * GROUP * HEAD_DIM - places[i];
    }
    MPI_Allgatherv(c->own, counts[r.rank], MPI_FLOAT, c->out, counts, places, MPI_FLOAT, MPI_COMM_WORLD);
}

/* In the order (tokens, heads, head_dim), whatever the number of ranks. */
static uint64_t digest_tokens(uint64_t digest, const chunk *c, int n, ranks r) {
    for (int t = 0; t < n; t++) {
        for (int i = 0; i < r.count; i++) {
            int first = first_kv_head(i, r.count), heads = (first_kv_head(i + 1, r.count) - first) * GROUP;
            digest = digest_add(digest, c->out + (n * first * GROUP + t * heads) * HEAD_DIM, heads * HEAD_DIM);
        }
    }
    return digest;
}

void run_heads(ranks r) {
    int first = first_kv_head(r.rank, r.count), count = first_kv_head(r.rank + 1, r.count) - first;
    sa_cache *cache = open_heads(count);
    chunk *c = need(1, sizeof *c);
    uint64_t digest = digest_begin();
    for (int position = 0, n; position < TOKENS; position += n) {
        n = position < PROMPT ? CHUNK : 1; /* a prompt in pieces, then token by token */
        for (int t = 0; t < n; t++) {
            make_token(&c->tokens[t], STREAM, (uint64_t)(position + t));
        }
        attend(cache, c, n, first);
        bring_together(c, n, r);
        digest = digest_tokens(digest, c, n, r);
    }
    sa_cache_destroy(cache);
    free(c);
    if (r.rank == 0) {
        printf("heads digest %016llx\n", (unsigned long long)digest);
    }
}
