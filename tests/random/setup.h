/*
 * What an episode of the random test is drawn from: decisions, memory, a config and the inputs of its layers.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SA_TESTS_RANDOM_SETUP_H
#define SA_TESTS_RANDOM_SETUP_H

#include <stddef.h>
#include <stdint.h>

#include "sinkattn.h"

#include "../oracle.h"
#include "../support.h"

#define RANDOM_LAYERS 3
#define RANDOM_SEQUENCES 6
#define RANDOM_WORLDS 4
#define RANDOM_DIMS 40
#define RANDOM_HEADS 9
#define RANDOM_KV 3
#define RANDOM_ROWS 36   /* of the host */
#define RANDOM_DRAFT 48  /* nodes */
#define RANDOM_SPANS 512 /* more than a list can have */

/* --------------------------------- decisions ------------------------------- */

/* Where decisions come from: a generator, or the bytes of a fuzzer. When bytes end, every decision is the least one. */
typedef struct source {
    test_rng rng;
    const uint8_t *bytes; /* NULL: the generator */
    size_t n, at;
} source;

int64_t source_in(source *s, int64_t least, int64_t most);
int source_chance(source *s, int percent);
uint64_t source_seed(source *s); /* of a generator of numbers whose values decide nothing */
int source_has_ended(const source *s);

/* ---------------------------------- memory --------------------------------- */

/* Blocks that live until the episode ends. */
typedef struct arena {
    struct arena_block *newest;
} arena;

void *arena_take(arena *a, size_t size); /* zeroed */
void arena_free(arena *a);

/* ---------------------------------- config --------------------------------- */

/* The arrays that a layer's config points to. */
typedef struct setup_tables {
    double inv_freq[RANDOM_DIMS / 2];
    float slopes[RANDOM_HEADS], sink_logits[RANDOM_HEADS];
    int32_t windows[RANDOM_KV], sinks[RANDOM_KV];
} setup_tables;

/* Kv heads of a layer that keep the same tokens, and the rules of these. */
typedef struct lane {
    int64_t window, n_sink, n_recent;
    int is_dense;
    int n_heads, heads[RANDOM_KV];
} lane;

/* One episode's config, and each layer's in the form of the oracle. Points into itself: never copy one. */
typedef struct setup {
    sa_config config;
    sa_config overrides[RANDOM_LAYERS];
    const sa_config *pointers[RANDOM_LAYERS];
    setup_tables tables[RANDOM_LAYERS + 1];
    lane lanes[RANDOM_LAYERS][RANDOM_KV];
    int n_lanes[RANDOM_LAYERS];
    oracle *layers[RANDOM_LAYERS]; /* for their rules, rotation and rounding alone: no token goes there */
    const float *sink_k[RANDOM_LAYERS], *sink_v[RANDOM_LAYERS]; /* learned rows */
    double v_most[RANDOM_LAYERS];                               /* largest value that has come */
    int64_t slack; /* tokens beyond the window - 1 that are held at least */
    int64_t max_append;
    int64_t farthest; /* a jump */
} setup;

void setup_draw(setup *s, source *from, arena *a);
void setup_free(setup *s);
const sa_config *setup_layer(const setup *s, int layer);
int setup_lane(const setup *s, int layer, int kv_head); /* the number of its lane */
const char *setup_text(const setup *s);

/* A key as the host hands it in, to be stored at a position, whose rounding is in no doubt. */
void setup_key(test_rng *rng, oracle *o, uint64_t position, float *out);

/* Raw inputs of n tokens of a layer, the first at stream position `first`. */
typedef struct inputs {
    int64_t n;
    const float *q, *k, *v; /* (n, heads, dim) */
} inputs;
inputs setup_inputs(setup *s, arena *a, uint64_t seed, int layer, uint64_t first, int64_t n);

#endif
