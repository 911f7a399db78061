/*
 * Drafts in pools: batches of trees, the host's threads, forks of an open draft, too few tiles, and numbers that are
 * none. What single calls give for a draft is held to forks in test_draft.c.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "compare.h"
#include "streams.h"
#include "support.h"
#include "test.h"

enum { N = 3, NODES = 24, SEQUENCES = 9 };

#define DONE(call) CHECK((call) == SA_SUCCESS, "%s", #call)
#define IS(status, call) CHECK((call) == (status), "%s", #call)

/* Two branches from the root, one of which forks again; and behind them chains of those. */
static const int32_t parents[NODES] = {-1, -1, 0,  1,  1,  3, 3, 4, -1, 8,  9,  10,
                                       11, 12, 13, 14, 15, 2, 2, 7, 19, 19, 20, 20};
static const int lengths[N] = {30, 43, 256 - 64 - 2};

typedef struct results {
    float out[NODES * STREAM_Q];
} results;

static sa_config config_of(int threads) {
    sa_config g = stream_config();
    g.n_sequences = SEQUENCES;
    g.max_append = NODES;
    g.max_draft = 2 * NODES;
    g.n_threads = threads;
    g.flags = threads > 1 ? SA_CONFIG_COOPERATIVE : 0;
    return g;
}

static sa_pool *open_pool(const sa_config *g) {
    sa_pool *pool = NULL;
    DONE(sa_pool_create(g, NULL, &pool));
    return pool;
}

static sa_cache *open_at(sa_pool *pool, int n) {
    sa_cache *cache = NULL;
    DONE(sa_pool_open(pool, &cache));
    DONE(stream_feed(cache, 0, n, NULL));
    return cache;
}

static sa_cache *fork_of(sa_cache *cache) {
    sa_cache *fork = NULL;
    DONE(sa_cache_fork(cache, &fork));
    return fork;
}

/* Node i is token `first` + i of the streams. */
static sa_step_args draft_of(int layer, int first, int n, results *to) {
    sa_step_args a;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.layer = layer;
    a.n_tokens = n;
    a.parents = parents;
    a.q.data = stream_q + first * STREAM_Q;
    a.k.data = stream_k + first * STREAM_K;
    a.v.data = stream_v + first * STREAM_K;
    a.out.data = to->out;
    compare_forget(to, sizeof *to);
    return a;
}

static sa_step_args queries_of(int layer, int first, int node, int n, results *to) {
    sa_step_args a = draft_of(layer, first, n, to);
    a.parents = NULL;
    a.k.data = a.v.data = NULL;
    a.flags = SA_STEP_NODES;
    a.q_offset = node;
    a.q.data = stream_q + (first + node) * STREAM_Q;
    return a;
}

static int same(const results *a, const results *b, int n) {
    return compare_bits(a->out, n * STREAM_Q, b->out, n * STREAM_Q) < 0;
}

/* --------------------------------- batches -------------------------------- */

/* How a batch is run. */
enum { AT_ONCE, BY_THREADS };

static void run_batch(sa_pool *pool, int how, int n, sa_cache **caches, const sa_step_args *const *args) {
    int32_t failed, phases = 0;
    if (how == AT_ONCE) {
        DONE(sa_batch(pool, n, caches, args, &failed));
        return;
    }
    DONE(sa_batch_begin(pool, n, caches, args, &phases, &failed));
    for (int32_t phase = 0; phase < phases; phase++)
        for (int32_t i = 2; i >= 0; i--) DONE(sa_batch_part(pool, phase, i, 3));
}

/* Trees of all sequences and an ordinary step in one call, beside single calls on forks. Of the trees, n nodes. */
static void batched(int how, int n) {
    static results got[N + 1], expected;
    sa_config g = config_of(how == AT_ONCE ? 1 : 3);
    sa_pool *pool = open_pool(&g);
    sa_cache *caches[N + 1], *forks[N + 1];
    for (int i = 0; i <= N; i++) caches[i] = open_at(pool, i < N ? lengths[i] : 9);
    for (int i = 0; i <= N; i++) forks[i] = fork_of(caches[i]);
    for (int layer = 0; layer < STREAM_LAYERS; layer++)
        for (int asks = 0; asks < 2; asks++) {
            sa_step_args args[N + 1];
            const sa_step_args *pointers[N + 1];
            for (int i = 0; i <= N; i++) {
                args[i] = asks ? queries_of(layer, lengths[i % N], n / 2, n - n / 2, &got[i])
                               : draft_of(layer, lengths[i % N], i < N ? n : 2, &got[i]);
                if (i == N) args[i].parents = NULL;
                pointers[i] = &args[i];
            }
            run_batch(pool, how, asks ? N : N + 1, caches, pointers);
            for (int i = 0; i < (asks ? N : N + 1); i++) {
                sa_step_args alone = args[i];
                alone.out.data = expected.out;
                compare_forget(&expected, sizeof expected);
                DONE(sa_step(forks[i], &alone));
                CHECK(same(&got[i], &expected, alone.n_tokens), "sequence %d, layer %d, asks %d, way %d", i, layer,
                      asks, how);
            }
        }
    sa_pool_destroy(pool);
}

/* A batch of nodes that lie so far apart that their rotations have no room together, and of tokens. */
static void far_apart(void) {
    static const int32_t chain[NODES - 1] = {-1, 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10,
                                             11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21},
                                       two[] = {NODES - 2, -1}, rest[] = {14, -1};
    static results got[5], expected;
    sa_config g = config_of(1);
    g.n_sequences = 10;
    sa_pool *pool = open_pool(&g);
    sa_cache *caches[5], *forks[5];
    sa_step_args args[5];
    const sa_step_args *pointers[5] = {&args[0], &args[1], &args[2], &args[3], &args[4]};
    for (int i = 0; i < 5; i++) {
        caches[i] = open_at(pool, 30 + 17 * i);
        args[i] = draft_of(0, 30 + 17 * i, NODES - 1, &got[i]);
        args[i].parents = chain;
        DONE(sa_step(caches[i], &args[i]));
        forks[i] = fork_of(caches[i]);
        args[i] = draft_of(0, 60 + 17 * i, 2, &got[i]);
        args[i].parents = i == 2 ? rest : two; /* 24, 24 and 16 rows: the pool has room for 64 */
    }
    DONE(sa_draft_accept(caches[4], SA_ALL_LAYERS, 0, NULL));
    DONE(sa_draft_accept(forks[4], SA_ALL_LAYERS, 0, NULL));
    args[4].parents = NULL;
    DONE(sa_batch(pool, 5, caches, pointers, NULL));
    for (int i = 0; i < 5; i++) {
        sa_step_args alone = args[i];
        alone.out.data = expected.out;
        DONE(sa_step(forks[i], &alone));
        CHECK(same(&got[i], &expected, 2), "sequence %d", i);
    }
    sa_pool_destroy(pool);
}

/* A tree in one call by the host's threads, whose keys are shared out too. */
static void cooperative(void) {
    static results got, expected;
    sa_config g = config_of(3);
    int32_t phases = 0, most = 0;
    sa_pool *pool = open_pool(&g);
    for (int i = 0; i < N; i++) {
        sa_cache *cache = open_at(pool, lengths[i]), *fork = fork_of(cache);
        for (int n = 1; n < 6; n += 4) {
            sa_step_args a = draft_of(0, lengths[i], n, &got), b = draft_of(0, lengths[i], n, &expected);
            DONE(sa_step_begin(cache, &a, &phases));
            for (int32_t phase = 0; phase < phases; phase++)
                for (int32_t part = 0; part < 3; part++) DONE(sa_step_part(cache, phase, part, 3));
            DONE(sa_step(fork, &b));
            CHECK(same(&got, &expected, n), "stream %d, %d nodes", i, n);
            if (phases > most) most = phases;
        }
    }
    CHECK(most > 0, "no phases");
    sa_pool_destroy(pool);
}

/* ---------------------------------- forks --------------------------------- */

/* Appends a path of a tree at `first` to a cache of its own, and holds both to the same probe. */
static void check_accepted(sa_cache *cache, const sa_config *g, int length, int n, const int32_t *path) {
    static stream_out got, expected;
    sa_cache *alone = stream_open_at(g, length);
    DONE(sa_draft_accept(cache, SA_ALL_LAYERS, n, path));
    for (int i = 0; i < n; i++) DONE(stream_feed(alone, length + path[i], 1, NULL));
    for (int go_on = 0; go_on < 3; go_on++) {
        DONE(stream_probe(cache, &got));
        DONE(stream_probe(alone, &expected));
        CHECK(stream_differs(&got, &expected, 1) < 0, "%d tokens, %d of a path, then %d", length, n, go_on);
        DONE(stream_feed(cache, 7, 5, NULL));
        DONE(stream_feed(alone, 7, 5, NULL));
    }
    sa_cache_destroy(alone);
}

static void draft_all_layers(sa_cache *cache, int first, int n) {
    static results unread;
    for (int layer = 0; layer < STREAM_LAYERS; layer++) {
        sa_step_args a = draft_of(layer, first, n, &unread);
        DONE(sa_step(cache, &a));
    }
}

/* A fork of an open draft drafts on, and both accept what they like. */
static void forked(int length) {
    static const int32_t left[] = {0, 2, 17}, right[] = {1, 3, 5}, late[] = {NODES + 1, NODES + 4};
    sa_config g = config_of(1);
    sa_pool *pool = open_pool(&g);
    sa_cache *cache = open_at(pool, length), *forks[2];
    draft_all_layers(cache, length, NODES);
    for (int i = 0; i < 2; i++) forks[i] = fork_of(cache);
    for (int i = 0; i < 2; i++) {
        static results unread;
        static const int32_t more[] = {-1, -1, 17, NODES, NODES + 1};
        for (int layer = 0; layer < STREAM_LAYERS; layer++) {
            sa_step_args a = draft_of(layer, length + NODES - 3 * i, 5, &unread);
            a.parents = more;
            DONE(sa_step(forks[i], &a));
        }
    }
    check_accepted(forks[0], &g, length, 2, late);
    check_accepted(forks[1], &g, length, 3, right);
    check_accepted(cache, &g, length, 3, left);
    sa_cache_destroy(cache);
    for (int i = 0; i < 2; i++) sa_cache_destroy(forks[i]);
    CHECK(stream_facts(pool).tiles == stream_facts(pool).tiles_free, "tiles leaked");
    sa_pool_destroy(pool);
}

/* A snapshot has the stream without its draft, and to load one ends a draft. */
static void saved(void) {
    static const int32_t path[] = {1, 4};
    static unsigned char plain[65536], drafted[65536];
    size_t n = 0, size = 0;
    sa_config g = config_of(1);
    sa_pool *pool = open_pool(&g);
    sa_cache *cache = open_at(pool, 37), *other = open_at(pool, 5);
    DONE(sa_cache_save(cache, 0, plain, sizeof plain, &n));
    draft_all_layers(cache, 37, NODES);
    DONE(sa_cache_save(cache, 0, drafted, sizeof drafted, &size));
    CHECK(n > 0 && n == size && memcmp(plain, drafted, n) == 0, "%d bytes, %d with a draft", (int)n, (int)size);
    draft_all_layers(other, 5, 3);
    DONE(sa_cache_load(other, drafted, size));
    IS(SA_ERR_ARGUMENT, sa_draft_accept(other, SA_ALL_LAYERS, 1, path));
    draft_all_layers(other, 37, NODES);
    check_accepted(other, &g, 37, 2, path);
    check_accepted(cache, &g, 37, 2, path);
    sa_pool_destroy(pool);
}

/* Reset and close drop a draft; its tiles can be had again, as often as one likes. */
static void dropped(void) {
    sa_config g = config_of(1);
    sa_pool *pool = open_pool(&g);
    for (int round = 0; round < 20; round++) {
        sa_cache *cache = open_at(pool, 20);
        draft_all_layers(cache, 20, NODES);
        draft_all_layers(cache, 20, NODES);
        if (round % 2) DONE(sa_cache_reset(cache, SA_ALL_LAYERS));
        if (round % 2) DONE(stream_feed(cache, 0, 20, NULL));
        if (round % 2) check_accepted(cache, &g, 20, 0, NULL);
        sa_cache_destroy(cache);
    }
    sa_pool_destroy(pool);
}

/* ---------------------------------- limits -------------------------------- */

/* A pool with too few tiles for the path: nothing has changed, and with a free tile it can be accepted. */
static void too_few_tiles(void) {
    static const int32_t path[] = {8, 9, 10, 11, 12};
    sa_config g = config_of(1);
    g.pool_tokens = 80;
    g.n_sequences = 2;
    sa_pool *pool = open_pool(&g);
    sa_cache *cache = open_at(pool, 31), *other = open_at(pool, 34);
    uint64_t used = stream_facts(pool).tiles - stream_facts(pool).tiles_free;
    draft_all_layers(cache, 31, NODES);
    CHECK(stream_facts(pool).tiles - stream_facts(pool).tiles_free == used, "a draft takes tiles of the stream");
    CHECK(stream_facts(pool).tiles_free == 0, "%d tiles free", (int)stream_facts(pool).tiles_free);
    IS(SA_ERR_POOL, sa_draft_accept(cache, SA_ALL_LAYERS, 5, path));
    DONE(sa_draft_accept(other, SA_ALL_LAYERS, 0, NULL));
    sa_cache_destroy(other);
    check_accepted(cache, &g, 31, 5, path);
    sa_pool_destroy(pool);
}

/* A node whose key and value are no numbers spoils those that descend from it, and no other. */
static void poisoned(void) {
    static results got, expected;
    static float saved_k[STREAM_K], saved_v[STREAM_K];
    sa_config g = config_of(1);
    sa_pool *pool = open_pool(&g);
    for (int length = 30; length < 40; length++) {
        sa_cache *cache = open_at(pool, length);
        float *k = stream_k + (length + 3) * STREAM_K, *v = stream_v + (length + 3) * STREAM_K;
        sa_step_args a = draft_of(0, length, NODES, &expected);
        DONE(sa_step(cache, &a));
        DONE(sa_draft_accept(cache, 0, 0, NULL));
        memcpy(saved_k, k, sizeof saved_k);
        memcpy(saved_v, v, sizeof saved_v);
        for (int i = 0; i < STREAM_K; i++) k[i] = v[i] = (float)NAN;
        a = draft_of(0, length, NODES, &got);
        DONE(sa_step(cache, &a));
        for (int node = 0; node < NODES; node++) {
            int spoilt = 0;
            for (int32_t at = node; at >= 0; at = parents[at]) spoilt |= at == 3;
            int differs =
                compare_bits(got.out + node * STREAM_Q, STREAM_Q, expected.out + node * STREAM_Q, STREAM_Q) >= 0;
            CHECK(differs == spoilt, "%d tokens, node %d", length, node);
        }
        memcpy(k, saved_k, sizeof saved_k);
        memcpy(v, saved_v, sizeof saved_v);
        sa_cache_destroy(cache);
    }
    sa_pool_destroy(pool);
}

int main(int argc, char **argv) {
    uint64_t seed = 0;
    long count = 1;
    test_begin("draft_pools", argc, argv, &seed, &count);
    stream_begin();
    batched(AT_ONCE, NODES);
    batched(AT_ONCE, 3);
    batched(BY_THREADS, 5);
    far_apart();
    cooperative();
    for (int length = 20; length < 40; length++) forked(length);
    saved();
    dropped();
    too_few_tiles();
    poisoned();
    return test_end();
}
