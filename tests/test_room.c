/*
 * sa_pool_can_append says just what appending would say, layer by layer, and changes nothing; SA_END is each layer's
 * own end.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "pools.h"
#include "support.h"

enum { MOST = 3 };

typedef struct crowd {
    sa_pool *pool;
    sa_cache *caches[MOST];
    int n;
} crowd;

/* Sequences of any length, some of them forks, some with spans of their own, in a pool that is nearly full. */
static crowd crowd_of(test_rng *rng) {
    sa_config g = stream_config();
    g.n_spans = 4;
    g.n_pin = 10;
    g.max_append = (int32_t)rng_in(rng, 1, 20);
    g.window = (int32_t)rng_in(rng, 1, 60);
    if (rng_chance(rng, 20)) {
        g.policy = SA_POLICY_DENSE;
        g.n_sink = 0;
        g.window = 70;
    }
    g.pool_tokens = 16 * rng_in(rng, 3, 14);
    crowd c = {pool_of(&g, MOST), {NULL}, (int)rng_in(rng, 1, MOST)};
    for (int i = 0; i < c.n; i++) {
        int n = (int)rng_in(rng, 0, 60);
        uint64_t from = (uint64_t)rng_in(rng, 3, 20);
        c.caches[i] = i && rng_chance(rng, 50) ? fork_of(c.caches[i - 1]) : pool_open(c.pool);
        while (n > 0 && stream_feed(c.caches[i], n, 1, NULL) == SA_SUCCESS) n--;
        if (rng_chance(rng, 40)) (void)sa_cache_remove(c.caches[i], SA_ALL_LAYERS, from, from + 5, SA_GAP_CLOSE);
        if (rng_chance(rng, 40)) (void)sa_cache_pin(c.caches[i], SA_ALL_LAYERS, 14, 17);
    }
    return c;
}

static void leave(crowd *c) {
    for (int i = 0; i < c->n; i++) sa_cache_destroy(c->caches[i]);
    close_pool(c->pool);
}

/* Asks about tokens for all sequences; what it says is what a batch that appends them to any layer says. */
static void says_as_a_batch(test_rng *rng, long *said) {
    crowd c = crowd_of(rng);
    sa_step_args steps[MOST];
    const sa_step_args *args[MOST];
    int32_t lengths[MOST], asked = 7, failed = 7;
    int layer = (int)rng_in(rng, 0, STREAM_LAYERS - 1);
    memset(steps, 0, sizeof steps);
    for (int i = 0; i < c.n; i++) {
        lengths[i] = (int32_t)rng_in(rng, 0, rng_chance(rng, 50) ? 3 : 70);
        args[i] = &steps[i];
        steps[i].struct_size = sizeof steps[i];
        steps[i].layer = layer;
        steps[i].n_tokens = lengths[i];
        steps[i].k.data = stream_k;
        steps[i].v.data = stream_v;
    }
    uint64_t free_before = stream_facts(c.pool).tiles_free;
    sa_status can = sa_pool_can_append(c.pool, c.n, c.caches, lengths, &asked);
    CHECK((can == SA_SUCCESS) == (sa_pool_error(c.pool)[0] == 0), "%d: %s", (int)can, sa_pool_error(c.pool));
    CHECK(stream_facts(c.pool).tiles_free == free_before, "asking took tiles");
    sa_status did = sa_batch(c.pool, c.n, c.caches, args, &failed);
    CHECK(can == did && asked == failed, "asked: %d at %d; done: %d at %d", (int)can, (int)asked, (int)did,
          (int)failed);
    said[can == SA_SUCCESS ? 0 : can == SA_ERR_POOL ? 1 : 2]++;
    leave(&c);
}

/* A layer that is ahead has less room than the others: it is asked too. */
static void every_layer_counts(void) {
    sa_config g = stream_config();
    g.policy = SA_POLICY_DENSE;
    g.n_sink = 0;
    g.window = 40;
    sa_pool *pool = pool_of(&g, 1);
    sa_cache *cache = pool_open(pool);
    int32_t n = 30, failed;
    DONE(sa_pool_can_append(pool, 1, &cache, &n, NULL));
    DONE(sa_append_kv(cache, STREAM_LAYERS - 1, 11, stream_k, stream_v));
    IS(SA_ERR_FULL, sa_pool_can_append(pool, 1, &cache, &n, &failed));
    CHECK(failed == 0 && sa_cache_error(cache)[0], "sequence %d", (int)failed);
    n = 29;
    DONE(sa_pool_can_append(pool, 1, &cache, &n, NULL));
    CHECK(!sa_cache_error(cache)[0], "stale");
    sa_cache_destroy(cache);
    close_pool(pool);
}

static void refusals(void) {
    sa_config g = stream_config();
    sa_pool *pool = pool_of(&g, 2);
    sa_cache *caches[2] = {pool_open(pool), pool_open(pool)}, *twice[2] = {caches[0], caches[0]},
             *none[2] = {NULL, NULL};
    int32_t n[2] = {1, -1}, one[2] = {1, 1}, failed = 7;
    DONE(sa_pool_can_append(pool, 0, NULL, NULL, NULL));
    IS(SA_ERR_ARGUMENT, sa_pool_can_append(NULL, 0, NULL, NULL, &failed));
    IS(SA_ERR_ARGUMENT, sa_pool_can_append(pool, 3, caches, one, &failed));
    IS(SA_ERR_ARGUMENT, sa_pool_can_append(pool, -1, caches, one, &failed));
    IS(SA_ERR_ARGUMENT, sa_pool_can_append(pool, 1, NULL, one, &failed));
    IS(SA_ERR_ARGUMENT, sa_pool_can_append(pool, 1, caches, NULL, &failed));
    IS(SA_ERR_ARGUMENT, sa_pool_can_append(pool, 2, none, one, &failed));
    IS(SA_ERR_ARGUMENT, sa_pool_can_append(pool, 2, twice, one, &failed));
    CHECK(failed == -1, "sequence %d", (int)failed);
    DONE(sa_pool_can_append(pool, 2, caches, one, &failed));
    IS(SA_ERR_ARGUMENT, sa_pool_can_append(pool, 2, caches, n, &failed));
    CHECK(failed == 1 && !sa_cache_error(caches[0])[0] && sa_cache_error(caches[1])[0], "sequence %d", (int)failed);
    DONE(sa_cache_seek(caches[0], 1, ((uint64_t)1 << 62) - 2));
    DONE(sa_pool_can_append(pool, 1, caches, one, &failed));
    n[0] = 2;
    IS(SA_ERR_OVERFLOW, sa_pool_can_append(pool, 1, caches, n, &failed));
    sa_cache_destroy(caches[1]);
    IS(SA_ERR_STATE, sa_pool_can_append(pool, 2, caches, one, &failed));
    CHECK(failed == 1, "sequence %d", (int)failed);
    sa_cache_destroy(caches[0]);
    close_pool(pool);
}

static uint64_t held(sa_cache *cache, int layer) {
    sa_cache_facts facts = {0};
    facts.struct_size = sizeof facts;
    DONE(sa_cache_info(cache, layer, &facts));
    return facts.tokens_held;
}

/* Layers that have seen different numbers of tokens each lose, or pin, all from position 5 on. */
static void ends(void) {
    sa_config g = stream_config();
    g.n_spans = 4;
    g.n_pin = 20;
    sa_cache *cache = NULL;
    DONE(sa_cache_create(&g, NULL, &cache));
    DONE(sa_append_kv(cache, 0, 8, stream_k, stream_v));
    DONE(sa_append_kv(cache, 1, 6, stream_k, stream_v));
    IS(SA_ERR_ARGUMENT, sa_cache_remove(cache, SA_ALL_LAYERS, 6, SA_END, SA_GAP_CLOSE));
    CHECK(held(cache, 0) == 8, "%d tokens in layer 0", (int)held(cache, 0));
    DONE(sa_cache_pin(cache, SA_ALL_LAYERS, 5, SA_END));
    DONE(sa_cache_unpin(cache, SA_ALL_LAYERS, 0, SA_END));
    DONE(sa_cache_anchor(cache, 0, 8, SA_END));
    DONE(sa_cache_remove(cache, SA_ALL_LAYERS, 5, SA_END, SA_GAP_CLOSE));
    CHECK(held(cache, 0) == 5 && held(cache, 1) == 5, "%d and %d tokens", (int)held(cache, 0), (int)held(cache, 1));
    sa_cache_destroy(cache);
}

int main(int argc, char **argv) {
    uint64_t seed = 77;
    long count = 2000, said[3] = {0, 0, 0};
    test_begin("test_room", argc, argv, &seed, &count);
    test_rng rng = {seed};
    stream_begin();
    for (long i = 0; i < count; i++) says_as_a_batch(&rng, said);
    CHECK(count < 100 || (said[0] > 0 && said[1] > 0 && said[2] > 0), "%ld taken, %ld without tiles, %ld full", said[0],
          said[1], said[2]);
    every_layer_counts();
    refusals();
    ends();
    return test_end();
}
