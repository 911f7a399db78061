/*
 * Budgets of pools: one that does not suffice changes nothing, one that does is enough for calls of any length, and
 * without one tiles suffice whatever comes.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "pools.h"
#include "support.h"

static void check_refused(sa_cache *cache, int n, sa_cache *copy) {
    sa_cache_facts before[2], after[2];
    for (int l = 0; l < 2; l++) {
        before[l].struct_size = after[l].struct_size = sizeof before[l];
        DONE(sa_cache_info(cache, l, &before[l]));
    }
    IS(SA_ERR_POOL, sa_append_kv(cache, 0, n, stream_k, stream_v));
    IS(SA_ERR_POOL, sa_append_attend(cache, 1, n, stream_q, stream_k, stream_v, stream_q));
    for (int l = 0; l < 2; l++) {
        DONE(sa_cache_info(cache, l, &after[l]));
        CHECK(memcmp(&before[l], &after[l], sizeof before[l]) == 0, "layer %d has changed", l);
    }
    SAME(cache, copy);
}

/* Seven tiles for three sequences. */
static void budgets(void) {
    sa_config g = stream_config();
    sa_cache *caches[3], *copies[3];
    static const int lengths[] = {48, 33, 16};
    g.window = 40;
    g.pool_tokens = 7 * 16;
    sa_pool *pool = pool_of(&g, 3);
    CHECK(stream_facts(pool).tiles == 7, "%d tiles", (int)stream_facts(pool).tiles);
    for (int i = 0; i < 3; i++) {
        caches[i] = pool_open(pool);
        copies[i] = stream_open_at(&g, lengths[i]);
    }
    DONE(stream_feed(caches[0], 0, 48, NULL));
    DONE(stream_feed(caches[1], 0, 33, NULL));
    IS(SA_ERR_POOL, sa_append_kv(caches[2], 0, 17, stream_k, stream_v));
    CHECK(tiles_used(pool) == 6, "%d tiles in use", (int)tiles_used(pool));
    DONE(stream_feed(caches[2], 0, 16, NULL));
    CHECK(stream_facts(pool).tiles_free == 0, "%d tiles free", (int)stream_facts(pool).tiles_free);
    check_refused(caches[0], 1, copies[0]);
    check_refused(caches[2], 1, copies[2]);
    check_refused(caches[1], 16, copies[1]);
    TAKE_BOTH(caches[1], copies[1], 33, 15); /* in the tile that it has */
    sa_cache_destroy(caches[1]);
    TAKE_BOTH(caches[0], copies[0], 48, 3);
    TAKE_BOTH(caches[2], copies[2], 16, 16);
    /* The window moves on, and takes what it leaves. */
    for (int first = 51; first < 150; first += 8) TAKE_BOTH(caches[0], copies[0], first, 8);
    for (int i = 0; i < 3; i += 2) sa_cache_destroy(caches[i]);
    for (int i = 0; i < 3; i++) sa_cache_destroy(copies[i]);
    close_pool(pool);
}

/* A batch asks for the tiles of all its steps together. */
static void budget_of_a_batch(void) {
    sa_config g = stream_config();
    sa_cache *caches[3];
    sa_step_args a;
    const sa_step_args *args[3] = {&a, &a, &a};
    int32_t failed = -2;
    g.pool_tokens = 5 * 16;
    sa_pool *pool = pool_of(&g, 3);
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.n_tokens = 1;
    a.k.data = stream_k;
    a.v.data = stream_v;
    for (int i = 0; i < 3; i++) {
        caches[i] = pool_open(pool);
        DONE(stream_feed(caches[i], 0, 16, NULL));
    }
    CHECK(stream_facts(pool).tiles_free == 2, "%d tiles free", (int)stream_facts(pool).tiles_free);
    IS(SA_ERR_POOL, sa_batch(pool, 3, caches, args, &failed));
    CHECK(failed == 2 && stream_facts(pool).tiles_free == 2, "step %d", (int)failed);
    DONE(sa_batch(pool, 2, caches, args, &failed));
    CHECK(failed == -1 && stream_facts(pool).tiles_free == 0, "step %d", (int)failed);
    for (int i = 0; i < 3; i++) sa_cache_destroy(caches[i]);
    close_pool(pool);
}

/* Without a budget, tiles suffice whatever all sequences do, and never more than documented are in use. */
static void worst_cases(void) {
    enum { N = 3 };
    sa_config g = stream_config();
    sa_cache *caches[N];
    g.n_spans = 6;
    g.n_pin = 40;
    sa_pool *pool = pool_of(&g, N);
    uint64_t most = N * ((20 - 1 + 8 + 40 + 15) / 16 + 1 + 2 * 6);
    CHECK(stream_facts(pool).tiles == most, "%d tiles, not %d", (int)stream_facts(pool).tiles, (int)most);
    for (int i = 0; i < N; i++) caches[i] = pool_open(pool);
    for (int t = 0; t < 600; t++)
        for (int i = 0; i < N; i++) {
            CHECK(stream_feed(caches[i], t % 200, 1 + (t + i) % 9, NULL) == SA_SUCCESS, "token %d: %s", t,
                  sa_cache_error(caches[i]));
            sa_cache_facts info;
            info.struct_size = sizeof info;
            DONE(sa_cache_info(caches[i], 0, &info));
            if (t % 5 == 0) (void)sa_cache_pin(caches[i], SA_ALL_LAYERS, info.tokens_seen - 1, info.tokens_seen);
            if (t % 7 == 0)
                (void)sa_cache_remove(caches[i], SA_ALL_LAYERS, info.tokens_seen - 2, info.tokens_seen - 1, t % 2);
            if (t % 100 == 99) DONE(sa_cache_unpin(caches[i], SA_ALL_LAYERS, 0, info.tokens_seen));
            CHECK(tiles_used(pool) <= most, "%d tiles", (int)tiles_used(pool));
        }
    for (int i = 0; i < N; i++) sa_cache_destroy(caches[i]);
    close_pool(pool);
}

/* A pool with a budget and some sequences of any length, of which some are forks; the last is to take more. */
enum { OTHERS = 3 };
static sa_pool *crowded_pool(const sa_config *config, test_rng *rng, sa_cache *caches[OTHERS], int *n_open) {
    sa_config g = *config;
    g.pool_tokens = 16 * rng_in(rng, 3, 14);
    sa_pool *pool = pool_of(&g, OTHERS);
    *n_open = (int)rng_in(rng, 1, OTHERS);
    for (int i = 0; i < *n_open; i++) {
        int is_fork = i && rng_chance(rng, 70), n = (int)rng_in(rng, 0, 60), removes = rng_chance(rng, 40);
        int pins = rng_chance(rng, 40), gap = (int)rng_in(rng, SA_GAP_CLOSE, SA_GAP_KEEP);
        uint64_t from = (uint64_t)rng_in(rng, 3, 20), end = from + (uint64_t)rng_in(rng, 1, 25);
        caches[i] = is_fork ? fork_of(caches[i - 1]) : pool_open(pool);
        while (n > 0 && !stream_feed(caches[i], n, 1, NULL)) n--;
        if (removes) (void)sa_cache_remove(caches[i], SA_ALL_LAYERS, from, end, gap);
        if (pins) (void)sa_cache_pin(caches[i], SA_ALL_LAYERS, 14, 17);
    }
    return pool;
}

/* One long call is refused if and only if the same tokens in pieces of max_append would be, whatever the sequence
 * shares with others. */
static void long_calls(const sa_config *config, test_rng *rng, long *refused) {
    sa_status status[2] = {SA_SUCCESS, SA_SUCCESS};
    int n = (int)rng_in(rng, 1, 150);
    uint64_t seed = rng_next(rng);
    for (int whole = 0; whole < 2; whole++) {
        sa_cache *caches[OTHERS];
        int n_open, piece = whole ? n : config->max_append;
        test_rng same = {seed};
        sa_pool *pool = crowded_pool(config, &same, caches, &n_open);
        for (int at = 0; at < n && !status[whole]; at += piece)
            status[whole] = sa_append_kv(caches[n_open - 1], 0, n - at < piece ? n - at : piece, stream_k, stream_v);
        for (int i = 0; i < n_open; i++) sa_cache_destroy(caches[i]);
        close_pool(pool);
    }
    CHECK(status[0] == status[1], "%d tokens: %d in pieces, %d at once", n, (int)status[0], (int)status[1]);
    *refused += status[1] == SA_ERR_POOL;
}

/* A call that is longer than many pieces of max_append is asked for all that its window will hold, which comes with its
 * last pieces. */
static void long_call_is_asked_for_its_end(void) {
    sa_config g = stream_config();
    g.max_append = 1;
    g.window = 200;
    g.pool_tokens = 5 * 16;
    sa_pool *pool = pool_of(&g, 1);
    sa_cache *cache = pool_open(pool);
    int32_t n = 80, failed = 7;
    IS(SA_SUCCESS, sa_pool_can_append(pool, 1, &cache, &n, &failed));
    n = 81;
    IS(SA_ERR_POOL, sa_pool_can_append(pool, 1, &cache, &n, &failed));
    sa_cache_destroy(cache);
    close_pool(pool);
}

int main(int argc, char **argv) {
    uint64_t seed = 2024;
    long count = 3000;
    test_begin("test_budgets", argc, argv, &seed, &count);
    long refused = 0;
    test_rng rng = {seed};
    stream_begin();
    budgets();
    budget_of_a_batch();
    worst_cases();
    long_call_is_asked_for_its_end();
    for (long i = 0; i < count; i++) {
        sa_config g = stream_config();
        g.n_spans = 6;
        g.n_pin = 10;
        g.max_append = (int32_t)rng_in(&rng, 1, 20);
        g.window = (int32_t)rng_in(&rng, 1, 60);
        long_calls(&g, &rng, &refused);
    }
    CHECK(refused > count / 10 && refused < count - count / 10, "%ld of %ld refused", refused, count);
    return test_end();
}
