/*
 * The count of free tiles: what a pool with a budget promises is there, of tiles that sequences share too. A pool that
 * promised too much would look for a free tile without end, so its promises are asked for first, and nothing is
 * appended.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "streams.h"
#include "support.h"
#include "test.h"

#define DONE(call) CHECK((call) == SA_SUCCESS, "%s", #call)

static sa_cache *pool_open(sa_pool *pool) {
    sa_cache *cache = NULL;
    DONE(sa_pool_open(pool, &cache));
    return cache;
}

static sa_cache *fork_of(sa_cache *cache) {
    sa_cache *fork = NULL;
    CHECK(sa_cache_fork(cache, &fork) == SA_SUCCESS, "fork: %s", sa_cache_error(cache));
    return fork;
}

static uint64_t tiles_used(const sa_pool *pool) {
    sa_pool_facts facts = stream_facts(pool);
    return facts.tiles - facts.tiles_free;
}

static void close_pool(sa_pool *pool) {
    CHECK(tiles_used(pool) == 0, "%d tiles are used when all sequences are closed", (int)tiles_used(pool));
    sa_pool_destroy(pool);
}

/* Whether there are tiles for n more tokens of each of some sequences. The last one is named twice, which is refused
 * after all have been asked: so nothing is appended where a pool counts wrongly. */
static int has_tiles(sa_pool *pool, int n_caches, sa_cache *const *caches, int n) {
    sa_cache *asked[4];
    sa_step_args a;
    const sa_step_args *args[4] = {&a, &a, &a, &a};
    int32_t failed = -2;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.n_tokens = n;
    a.k.data = stream_k;
    a.v.data = stream_v;
    for (int i = 0; i <= n_caches; i++) asked[i] = caches[i < n_caches ? i : n_caches - 1];
    sa_status status = sa_batch(pool, n_caches + 1, asked, args, &failed);
    CHECK(failed == n_caches || status == SA_ERR_POOL, "call %d: %d", (int)failed, (int)status);
    return failed == n_caches;
}

/* Four tiles for three sequences. At least 27 tokens of a sequence are held. */
static sa_pool *small_pool(void) {
    sa_config g = stream_config();
    sa_pool *pool = NULL;
    g.n_sequences = 3;
    g.pool_tokens = 4 * 16;
    DONE(sa_pool_create(&g, NULL, &pool));
    CHECK(stream_facts(pool).tiles == 4, "%d tiles", (int)stream_facts(pool).tiles);
    return pool;
}

/* Two sequences share a tile that is not full, and no other is free: neither can write until the other is closed. */
static void shared_and_full(void) {
    sa_pool *pool = small_pool();
    sa_cache *one = pool_open(pool), *third = pool_open(pool);
    DONE(stream_feed(one, 0, 20, NULL));
    DONE(stream_feed(third, 0, 32, NULL));
    CHECK(stream_facts(pool).tiles_free == 0, "%d tiles free", (int)stream_facts(pool).tiles_free);
    CHECK(has_tiles(pool, 1, &one, 1), "no tile for a token in a tile of its own");
    sa_cache *fork = fork_of(one);
    CHECK(!has_tiles(pool, 1, &one, 1) && !has_tiles(pool, 1, &fork, 1), "a copy is promised, and no tile is free");
    sa_cache_destroy(one);
    CHECK(has_tiles(pool, 1, &fork, 1), "no tile for a token in a tile that is its own again");
    sa_cache_destroy(third);
    sa_cache_destroy(fork);
    close_pool(pool);
}

/* Who writes into a shared tile gives his share back; a tile that two have left behind is free when both have. */
static void copied_and_left(void) {
    sa_pool *pool = small_pool();
    sa_cache *pair[2] = {pool_open(pool), NULL};
    DONE(stream_feed(pair[0], 0, 20, NULL));
    pair[1] = fork_of(pair[0]);
    for (int i = 0; i < 2; i++) {
        DONE(stream_feed(pair[i], 20, 1, NULL));
        CHECK(tiles_used(pool) == 3, "%d have written: %d tiles", i + 1, (int)tiles_used(pool));
    }
    for (int i = 0; i < 2; i++) DONE(stream_feed(pair[i], 21, 11, NULL));
    CHECK(has_tiles(pool, 1, pair, 1) && !has_tiles(pool, 1, pair, 17), "of one free tile");
    CHECK(!has_tiles(pool, 2, pair, 1), "two calls are promised the same tile");
    DONE(stream_feed(pair[0], 32, 10, NULL));
    CHECK(!has_tiles(pool, 1, pair, 7), "a tile that the other sequence holds counts as free");
    sa_cache_destroy(pair[1]);
    CHECK(tiles_used(pool) == 3, "%d tiles when one is closed", (int)tiles_used(pool));
    for (int t = 42; t < 120; t += 7) {
        DONE(stream_feed(pair[0], t, 7, NULL));
        CHECK(tiles_used(pool) <= 3, "%d tiles at token %d", (int)tiles_used(pool), t);
    }
    sa_cache_destroy(pair[0]);
    close_pool(pool);
}

/* No tile is free but the one that the window leaves behind. */
static void window_moves_on(void) {
    sa_pool *pool = small_pool();
    sa_cache *one = pool_open(pool), *other = pool_open(pool);
    DONE(stream_feed(one, 0, 42, NULL));
    DONE(stream_feed(other, 0, 16, NULL));
    CHECK(stream_facts(pool).tiles_free == 0, "%d tiles free", (int)stream_facts(pool).tiles_free);
    CHECK(has_tiles(pool, 1, &one, 7), "the tile that 7 tokens leave behind is not theirs");
    CHECK(!has_tiles(pool, 1, &other, 7), "a sequence that leaves nothing behind is promised a tile");
    DONE(stream_feed(one, 42, 7, NULL));
    CHECK(stream_facts(pool).tiles_free == 0, "%d tiles free", (int)stream_facts(pool).tiles_free);
    DONE(sa_cache_reset(one, SA_ALL_LAYERS));
    CHECK(tiles_used(pool) == 1, "%d tiles after a reset", (int)tiles_used(pool));
    sa_cache_destroy(one);
    sa_cache_destroy(other);
    close_pool(pool);
}

int main(int argc, char **argv) {
    uint64_t seed = 0;
    long count = 1;
    test_begin("test_tiles", argc, argv, &seed, &count);
    stream_begin();
    shared_and_full();
    copied_and_left();
    window_moves_on();
    return test_end();
}
