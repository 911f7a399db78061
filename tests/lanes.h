/*
 * Worlds for test_lanes.c: a layer whose kv heads have sinks and windows of their own, and a pool for each set of equal
 * heads, whose only layer has these heads alone.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SA_TESTS_LANES_H
#define SA_TESTS_LANES_H

#include "support.h"

enum { LAYERS = 3, MOST_KV = 6, MOST_GROUP = 4, MOST_DIM = 40, MOST_TOKENS = 70, SEQUENCES = 3, ROOM = 64 };
enum { MOST_HEADS = MOST_KV * MOST_GROUP };

/* Arrays of a layer's heads that configs point to, of the layer and of each part. */
typedef struct lanes_arrays {
    int32_t windows[MOST_KV], sinks[MOST_KV];
    float slopes[MOST_HEADS], logits[MOST_HEADS];
    float shorts[MOST_DIM / 2], longs[MOST_DIM / 2];
} lanes_arrays;

/* Kv heads of the layer that one pool of its own has, and that pool. */
typedef struct lanes_part {
    int heads[MOST_KV], n;
    lanes_arrays arrays;
    sa_pool *pool;
    sa_cache *caches[SEQUENCES];
} lanes_part;

typedef struct lanes_world {
    sa_config config, other; /* of the layer, and of the layers beside it, where nothing happens */
    const sa_config *layers[LAYERS];
    int layer; /* which it is */
    lanes_arrays arrays;
    test_pool threads;
    lanes_part whole, parts[MOST_KV];
    int n_parts, has_budget;
} lanes_world;

/* Draws a layer, and makes its pools without open sequences. The layer has threads, an instruction set, a budget and
 * layers beside it that do not show. */
void lanes_open(lanes_world *w, test_rng *rng);
void lanes_close(lanes_world *w);

/* The window of a kv head. */
int32_t lanes_window(const lanes_world *w, int kv_head);

#endif
