/*
 * Lanes: which sinks and windows of kv heads a config may have, and that each set of equal heads has the pool's budget
 * to itself.
 *
 * SPDX-License-Identifier: MIT
 */
#include <limits.h>
#include <string.h>

#include "support.h"
#include "test.h"

enum { HEADS = 4 };

static int32_t windows[HEADS], sinks[HEADS], many[1024];

static sa_config base(void) {
    sa_config c;
    memset(&c, 0, sizeof c);
    c.struct_size = sizeof c;
    c.n_layers = 1;
    c.n_heads = HEADS;
    c.head_dim = 16;
    c.n_sink = 4;
    c.window = 64;
    c.position = SA_POSITION_ROPE;
    c.head_windows = windows;
    c.head_sinks = sinks;
    return c;
}

static sa_config dense(void) {
    sa_config c = base();
    c.policy = SA_POLICY_DENSE;
    c.n_sink = 0;
    return c;
}

static void verdict(sa_config c, sa_status expected, int line) {
    const char *why = "";
    sa_status status = sa_config_check(&c, &why, NULL);
    CHECK(status == expected, "line %d: %s", line, why);
    CHECK((why[0] == 0) == (status == SA_SUCCESS), "line %d: \"%s\"", line, why);
}

#define GOOD(config) verdict(config, SA_SUCCESS, __LINE__)
#define BAD(config) verdict(config, SA_ERR_CONFIG, __LINE__)

/* With a last head of its own. */
static sa_config last(sa_config c, int32_t window, int32_t n_sink) {
    windows[HEADS - 1] = window;
    sinks[HEADS - 1] = n_sink;
    return c;
}

static void ranges(void) {
    GOOD(last(base(), 0, 0));
    GOOD(last(base(), 1, -1));
    GOOD(last(base(), 64, 4));
    BAD(last(base(), -1, 0));
    BAD(last(base(), 65, 0));
    BAD(last(base(), INT32_MIN, 0));
    BAD(last(base(), INT32_MAX, 0));
    BAD(last(base(), 0, -2));
    BAD(last(base(), 0, 5));
    BAD(last(base(), 0, INT32_MIN));
    BAD(last(base(), 0, INT32_MAX));
}

/* A head of a dense layer streams if it has a window, and then has sinks too. */
static void dense_ranges(void) {
    GOOD(last(dense(), 0, 0));
    GOOD(last(dense(), 0, -1));
    BAD(last(dense(), 0, 1));
    GOOD(last(dense(), 60, 4));
    BAD(last(dense(), 60, 5));
    GOOD(last(dense(), 64, 0));
    BAD(last(dense(), 64, 1));
    BAD(last(dense(), 60, INT32_MAX));
    sa_config c = last(dense(), 60, 1);
    c.k_dtype = SA_I8;
    c.sink_k_dtype = SA_F32;
    GOOD(c);
    c.head_sinks = NULL;
    BAD(c); /* no sinks to store */
}

static void others(void) {
    sa_config c = last(base(), 0, 9);
    c.n_kv_heads = 2; /* heads beyond are not read */
    GOOD(c);
    c = last(base(), 3, -1);
    c.policy = SA_POLICY_WINDOW;
    c.n_sink = 0;
    GOOD(c);
    BAD(last(c, 3, 1));
    c = base();
    c.n_heads = 1024;
    c.window = 1000;
    c.head_windows = many;
    c.head_sinks = NULL;
    for (int i = 0; i < 1024; i++) many[i] = i % 256 + 1;
    GOOD(c);
    many[700] = 300;
    BAD(c);
}

static sa_cache_facts info_of(const sa_cache *cache, int layer) {
    sa_cache_facts info;
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    CHECK(sa_cache_info(cache, layer, &info) == SA_SUCCESS, "info");
    return info;
}

static uint64_t tiles_used(const sa_pool *pool, int layer, int kv_head) {
    sa_pool_facts facts;
    memset(&facts, 0, sizeof facts);
    facts.struct_size = sizeof facts;
    CHECK(sa_pool_info(pool, layer, kv_head, &facts) == SA_SUCCESS, "pool info");
    return facts.tiles - facts.tiles_free;
}

/* ---------------------------------- budgets --------------------------------- */

/* Two kv heads: 5 tiles and a partial one at most in one lane, 2 and one in the other; there are 6 of each. */
static sa_pool *budget_pool(int narrow) {
    static int32_t windows[2];
    sa_config c;
    sa_pool *pool = NULL;
    memset(&c, 0, sizeof c);
    windows[narrow] = 16;
    windows[!narrow] = 0;
    c.struct_size = sizeof c;
    c.n_layers = 1;
    c.max_append = 16;
    c.n_heads = 2;
    c.head_dim = 4;
    c.window = 64;
    c.position = SA_POSITION_NONE;
    c.head_windows = windows;
    c.n_sequences = 2;
    c.pool_tokens = 96;
    CHECK(sa_pool_create(&c, NULL, &pool) == SA_SUCCESS, "a pool with a budget");
    return pool;
}

/* Each lane has the budget to itself: what one takes, another does not lack; and of all steps of a batch, each lane's
 * are added up. A refusal for want of one lane's tiles changes no lane. */
static void budgets(int narrow) {
    static const float kv[64 * 2 * 4];
    sa_pool *pool = budget_pool(narrow);
    sa_cache *caches[2];
    sa_step_args args[2];
    const sa_step_args *steps[2] = {&args[0], &args[1]};
    int32_t failed = -1;
    for (int s = 0; s < 2; s++) {
        CHECK(sa_pool_open(pool, &caches[s]) == SA_SUCCESS, "open");
        memset(&args[s], 0, sizeof args[s]);
        args[s].struct_size = sizeof args[s];
        args[s].k.data = args[s].v.data = (void *)(uintptr_t)kv;
    }
    args[0].n_tokens = args[1].n_tokens = 64;
    CHECK(sa_batch(pool, 2, caches, steps, &failed) == SA_ERR_POOL && failed == 1, "8 tiles of 6");
    for (int h = 0; h < 2; h++) CHECK(tiles_used(pool, 0, h) == 0, "kv head %d has taken tiles", h);
    args[0].n_tokens = args[1].n_tokens = 48;
    CHECK(sa_batch(pool, 2, caches, steps, &failed) == SA_SUCCESS, "6 tiles of 6");
    CHECK(tiles_used(pool, 0, !narrow) == 6, "%d tiles of the wide head", (int)tiles_used(pool, 0, !narrow));
    uint64_t used = tiles_used(pool, 0, narrow);
    CHECK(sa_append_kv(caches[0], 0, 16, kv, kv) == SA_ERR_POOL, "no tile is free for the wide head");
    CHECK(tiles_used(pool, 0, narrow) == used && info_of(caches[0], 0).tokens_seen == 48, "refused, and yet changed");
    sa_cache_destroy(caches[1]);
    CHECK(sa_cache_reset(caches[0], 0) == SA_SUCCESS, "reset");
    CHECK(sa_append_kv(caches[0], 0, 64, kv, kv) == SA_SUCCESS, "4 tiles of 6 in both lanes");
    sa_pool_destroy(pool);
}

/* Arguments that name a kv head. */
static void arguments(void) {
    sa_pool *pool = budget_pool(0);
    sa_pool_facts facts;
    sa_cache *cache;
    sa_span span;
    int32_t n;
    facts.struct_size = sizeof facts;
    CHECK(sa_pool_open(pool, &cache) == SA_SUCCESS, "open");
    for (int32_t h = -1; h <= 2; h++) {
        sa_status expected = h < 0 || h > 1 ? SA_ERR_ARGUMENT : SA_SUCCESS;
        CHECK(sa_pool_info(pool, 0, h, &facts) == expected, "facts of kv head %d", (int)h);
        CHECK(sa_cache_spans(cache, 0, h, 1, &span, &n) == expected, "spans of kv head %d", (int)h);
    }
    CHECK(sa_cache_spans(cache, 0, INT32_MAX, 1, &span, &n) == SA_ERR_ARGUMENT, "the largest kv head");
    sa_pool_destroy(pool);
}

int main(int argc, char **argv) {
    uint64_t seed = 0;
    long count = 1;
    test_begin("test_lanes_rules", argc, argv, &seed, &count);
    ranges();
    dense_ranges();
    others();
    arguments();
    budgets(0);
    budgets(1);
    return test_end();
}
