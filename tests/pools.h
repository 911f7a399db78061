/*
 * Pools of the streams of streams.h: opened, forked, compared with caches of their own, and closed without a tile lost.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SA_TESTS_POOLS_H
#define SA_TESTS_POOLS_H

#include "streams.h"
#include "test.h"

#define DONE(call) CHECK((call) == SA_SUCCESS, "%s", #call)
#define IS(status, call) CHECK((call) == (status), "%s", #call)

/* Both take the same tokens with the same bits. */
#define TAKE_BOTH(got, expected, first, n) take_both(got, expected, first, n, __LINE__)
static inline void take_both(sa_cache *got, sa_cache *expected, int first, int n, int line) {
    static stream_out a, b;
    CHECK(stream_feed(got, first, n, &a) == SA_SUCCESS, "line %d: %s", line, sa_cache_error(got));
    CHECK(stream_feed(expected, first, n, &b) == SA_SUCCESS, "line %d: %s", line, sa_cache_error(expected));
    CHECK(stream_differs(&a, &b, n) < 0, "line %d: tokens %d.. differ in layer %d", line, first,
          stream_differs(&a, &b, n));
}

#define SAME(got, expected) same(got, expected, __LINE__)
static inline void same(sa_cache *got, sa_cache *expected, int line) {
    static stream_out a, b;
    CHECK(stream_probe(got, &a) == SA_SUCCESS && stream_probe(expected, &b) == SA_SUCCESS, "line %d: probe", line);
    CHECK(stream_differs(&a, &b, 1) < 0, "line %d: layer %d differs", line, stream_differs(&a, &b, 1));
}

static inline sa_pool *pool_of(const sa_config *config, int n_sequences) {
    sa_config g = *config;
    sa_pool *pool = NULL;
    g.n_sequences = n_sequences;
    DONE(sa_pool_create(&g, NULL, &pool));
    return pool;
}

static inline sa_cache *pool_open(sa_pool *pool) {
    sa_cache *cache = NULL;
    DONE(sa_pool_open(pool, &cache));
    return cache;
}

static inline sa_cache *fork_of(sa_cache *cache) {
    sa_cache *fork = NULL;
    CHECK(sa_cache_fork(cache, &fork) == SA_SUCCESS, "fork: %s", sa_cache_error(cache));
    return fork;
}

static inline uint64_t tiles_used(const sa_pool *pool) {
    sa_pool_facts facts = stream_facts(pool);
    return facts.tiles - facts.tiles_free;
}

static inline void close_pool(sa_pool *pool) {
    sa_pool_facts facts = stream_facts(pool);
    CHECK(facts.n_open == 0 && facts.tiles_free == facts.tiles, "%d open, %d of %d tiles free", (int)facts.n_open,
          (int)facts.tiles_free, (int)facts.tiles);
    sa_pool_destroy(pool);
}

#endif
