/*
 * Streams of numbered random tokens for the tests of pools and batches: what a sequence gives for a token does not
 * depend on who else is in the pool, so a cache of its own says what is right.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SA_TESTS_STREAMS_H
#define SA_TESTS_STREAMS_H

#include "sinkattn.h"

enum { STREAM_IDS = 256, STREAM_LAYERS = 2, STREAM_HEADS = 4, STREAM_KV_HEADS = 2, STREAM_DIM = 8 };
enum { STREAM_Q = STREAM_HEADS * STREAM_DIM, STREAM_K = STREAM_KV_HEADS * STREAM_DIM }; /* floats of a token */

/* The tokens: token i of a stream that is said to be i. Filled by stream_begin. */
extern float stream_q[STREAM_IDS * STREAM_Q], stream_k[STREAM_IDS * STREAM_K], stream_v[STREAM_IDS * STREAM_K];

typedef struct stream_out {
    float layer[STREAM_LAYERS][STREAM_IDS * STREAM_Q];
} stream_out;

void stream_begin(void);

/* 2 sinks, a window of 20, calls of up to 8 tokens, rollback of 4, RoPE; one sequence. */
sa_config stream_config(void);

/* Of a cache of its own with such a config; and of one that has seen tokens 0 .. n-1. */
sa_cache *stream_open(const sa_config *config);
sa_cache *stream_open_at(const sa_config *config, int n);

/* Appends tokens first .. first + n - 1 to all layers and attends; out (n tokens) may be NULL. */
sa_status stream_feed(sa_cache *cache, int first, int n, stream_out *out);

/* A query at the place of the next token, of all layers, out (1 token). Changes nothing. */
sa_status stream_probe(sa_cache *cache, stream_out *out);

/* The first layer where n tokens of both have not the same bits, or no numbers; -1 if all is well. */
int stream_differs(const stream_out *got, const stream_out *expected, int n);

/* Facts of layer 0 of a pool, whose number of tiles in use is tiles - tiles_free. */
sa_pool_facts stream_facts(const sa_pool *pool);

#endif
