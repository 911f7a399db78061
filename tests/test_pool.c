/*
 * Pools: forks are copies, whoever writes and whoever is closed first; tiles are shared and given back; memory is taken
 * once.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "compare.h"
#include "pools.h"
#include "support.h"

/* ----------------------------------- forks ---------------------------------- */

/* What either does after the fork; the same is done to a copy that shares nothing. */
static void fork_act(int act, sa_cache *cache, sa_cache *copy, int first) {
    if (act == 1) {
        DONE(sa_cache_rollback(cache, SA_ALL_LAYERS, 1));
        DONE(sa_cache_rollback(copy, SA_ALL_LAYERS, 1));
    } else if (act == 2) {
        DONE(sa_cache_reset(cache, SA_ALL_LAYERS));
        DONE(sa_cache_reset(copy, SA_ALL_LAYERS));
    }
    TAKE_BOTH(cache, copy, first, 1);
    TAKE_BOTH(cache, copy, first + 1, 13);
}

static void forks_are_copies(const sa_config *config) {
    static const int lengths[] = {1, 2, 3, 15, 16, 17, 31, 32, 33, 48, 70};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (int act = 0; act < 9; act++)
            for (int fork_first = 0; fork_first < 2; fork_first++) {
                sa_pool *pool = pool_of(config, 2);
                sa_cache *one = pool_open(pool), *copies[2] = {NULL, NULL};
                for (int c = 0; c < 2; c++) copies[c] = stream_open_at(config, lengths[i]);
                DONE(stream_feed(one, 0, lengths[i], NULL));
                uint64_t used = tiles_used(pool);
                sa_cache *other = fork_of(one), *pair[2] = {one, other};
                CHECK(tiles_used(pool) == used, "a fork takes %d tiles", (int)(tiles_used(pool) - used));
                SAME(one, other);
                for (int turn = 0; turn < 2; turn++) {
                    int who = turn ^ fork_first;
                    fork_act(who ? act / 3 : act % 3, pair[who], copies[who], 100 + 50 * who);
                    SAME(pair[!who], copies[!who]);
                }
                for (int c = 0; c < 2; c++) TAKE_BOTH(pair[c], copies[c], 200, 20);
                for (int c = 0; c < 2; c++) sa_cache_destroy(pair[c ^ fork_first]);
                close_pool(pool);
                for (int c = 0; c < 2; c++) sa_cache_destroy(copies[c]);
            }
}

/* A sequence, its fork, and the fork's fork, closed in every order; those that are left go on. */
static void any_order_of_closing(const sa_config *config) {
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (int o = 0; o < 6; o++) {
        sa_pool *pool = pool_of(config, 3);
        sa_cache *caches[3], *copies[3];
        caches[0] = pool_open(pool);
        for (int c = 0; c < 3; c++) copies[c] = stream_open_at(config, 20);
        DONE(stream_feed(caches[0], 0, 20, NULL));
        caches[1] = fork_of(caches[0]);
        for (int c = 1; c < 3; c++) DONE(stream_feed(copies[c], 30, 5, NULL));
        DONE(stream_feed(caches[1], 30, 5, NULL));
        caches[2] = fork_of(caches[1]);
        for (int gone = 0; gone < 3; gone++) {
            for (int c = gone; c < 3; c++) TAKE_BOTH(caches[orders[o][c]], copies[orders[o][c]], 60 + 30 * gone, 9);
            sa_cache_destroy(caches[orders[o][gone]]);
            sa_cache_destroy(copies[orders[o][gone]]);
        }
        close_pool(pool);
    }
}

/* 64 forks of a prompt hold it once, and each pays for what it adds: one tile that it writes into. */
static void forks_share_the_prompt(void) {
    enum { FORKS = 64 };
    sa_config g = stream_config();
    g.pool_tokens = 20 + 16 * FORKS;
    sa_pool *pool = pool_of(&g, FORKS + 1);
    sa_cache *prompt = pool_open(pool), *forks[FORKS], *copy = stream_open_at(&g, 20);
    DONE(stream_feed(prompt, 0, 20, NULL));
    CHECK(tiles_used(pool) == 2, "the prompt has %d tiles", (int)tiles_used(pool));
    for (int i = 0; i < FORKS; i++) forks[i] = fork_of(prompt);
    CHECK(tiles_used(pool) == 2, "with its forks %d", (int)tiles_used(pool));
    for (int i = 0; i < FORKS; i++) {
        DONE(stream_feed(forks[i], 100 + i, 1, NULL));
        CHECK(tiles_used(pool) == 2 + (uint64_t)i + 1, "%d have written: %d tiles", i + 1, (int)tiles_used(pool));
    }
    SAME(prompt, copy);
    for (int i = 0; i < FORKS; i++) {
        sa_cache *alone = stream_open_at(&g, 20);
        DONE(stream_feed(alone, 100 + i, 1, NULL));
        SAME(forks[i], alone);
        sa_cache_destroy(alone);
        sa_cache_destroy(forks[i]);
    }
    CHECK(tiles_used(pool) == 2, "the prompt has %d tiles again", (int)tiles_used(pool));
    sa_cache_destroy(prompt);
    sa_cache_destroy(copy);
    close_pool(pool);
}

/* ---------------------------------- removing -------------------------------- */

/* A removal with closed gap, and a stream that never had the range; with all keys alike and whole numbers as values,
 * every sum is exact, and so the bits are equal. */
static void removed_is_never_come(int position, int is_exact) {
    static stream_out a, b;
    sa_config g = stream_config();
    g.position = position;
    g.n_spans = 3;
    g.rollback = 16; /* so far back, older tokens come into the window again */
    for (int length = 1; length <= 10; length++) {
        sa_cache *with = stream_open_at(&g, 20 + length), *without = stream_open_at(&g, 10);
        DONE(stream_feed(without, 10 + length, 10, NULL));
        CHECK(sa_cache_remove(with, SA_ALL_LAYERS, 10, 10 + (uint64_t)length, SA_GAP_CLOSE) == SA_SUCCESS, "%s",
              sa_cache_error(with));
        DONE(stream_feed(with, 50, 40, &a));
        DONE(stream_feed(without, 50, 40, &b));
        for (int layer = 0; layer < STREAM_LAYERS; layer++) {
            comparison c = compare_floats(a.layer[layer], b.layer[layer], 40 * STREAM_Q);
            CHECK(compare_holds(&c, 40 * STREAM_Q, is_exact ? 0 : 1e-5), "position %d, %d removed: off by %g", position,
                  length, c.difference);
        }
        sa_cache_destroy(with);
        sa_cache_destroy(without);
    }
}

static void removals(void) {
    for (int position = SA_POSITION_NONE; position <= SA_POSITION_ALIBI; position++)
        if (position != SA_POSITION_ROPE_APPLIED) removed_is_never_come(position, 0);
    memset(stream_q, 0, sizeof stream_q);
    for (int i = 0; i < STREAM_IDS * STREAM_K; i++) stream_v[i] = (float)(i % 257);
    removed_is_never_come(SA_POSITION_NONE, 1);
    stream_begin();
}

/* ---------------------------------- lifetime -------------------------------- */

static void closed_sequences(void) {
    sa_config g = stream_config();
    sa_pool *pool = pool_of(&g, 2);
    sa_cache *cache = pool_open(pool), *fork = NULL;
    float *q = stream_q, *k = stream_k, out[STREAM_Q];
    int32_t phases = 0, n_spans = -1;
    sa_cache_facts info;
    sa_step_args a;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    DONE(stream_feed(cache, 0, 9, NULL));
    sa_cache_destroy(cache);
    IS(SA_ERR_STATE, sa_append_kv(cache, 0, 1, k, k));
    IS(SA_ERR_STATE, sa_attend(cache, 0, 1, q, out));
    IS(SA_ERR_STATE, sa_append_attend(cache, 0, 1, q, k, k, out));
    IS(SA_ERR_STATE, sa_step(cache, &a));
    IS(SA_ERR_STATE, sa_step_begin(cache, &a, &phases));
    IS(SA_ERR_STATE, sa_cache_reset(cache, 0));
    IS(SA_ERR_STATE, sa_cache_rollback(cache, 0, 0));
    IS(SA_ERR_STATE, sa_cache_seek(cache, 0, 90));
    IS(SA_ERR_STATE, sa_cache_restart(cache, 0, 90));
    IS(SA_ERR_STATE, sa_cache_remove(cache, 0, 0, 1, SA_GAP_CLOSE));
    IS(SA_ERR_STATE, sa_cache_pin(cache, 0, 0, 1));
    IS(SA_ERR_STATE, sa_cache_unpin(cache, 0, 0, 1));
    IS(SA_ERR_STATE, sa_cache_anchor(cache, 0, 0, 1));
    IS(SA_ERR_STATE, sa_set_sink_kv(cache, 0, k, k));
    IS(SA_ERR_STATE, sa_cache_info(cache, 0, &info));
    IS(SA_ERR_STATE, sa_cache_spans(cache, 0, 0, 0, NULL, &n_spans));
    CHECK(n_spans == -1 && info.cache_size == 0, "facts of a closed sequence");
    IS(SA_ERR_STATE, sa_cache_fork(cache, &fork));
    CHECK(fork == NULL && stream_facts(pool).n_open == 0, "it opened another");
    sa_cache_destroy(cache); /* harmless */
    CHECK(pool_open(pool) == cache, "the room is used again");
    sa_cache *fresh = stream_open(&g);
    TAKE_BOTH(cache, fresh, 0, 30);
    sa_cache_destroy(fresh);
    sa_pool_destroy(pool); /* with a sequence that is open */
    sa_pool_destroy(NULL);
}

/* In the host's block; a block that was copied is a pool of its own. */
static void blocks(void) {
    sa_config g = stream_config();
    size_t size = 0, alignment = 0;
    sa_pool *pool = NULL;
    sa_cache *none = (sa_cache *)(void *)&size;
    g.n_sequences = 2;
    DONE(sa_pool_size(&g, &size, &alignment));
    unsigned char *room = test_take(2 * (size + alignment));
    unsigned char *block = room + (alignment - (uintptr_t)room % alignment) % alignment;
    unsigned char *moved = block + (size + alignment - 1) / alignment * alignment;
    IS(SA_ERR_CONFIG, sa_cache_create(&g, NULL, &none));
    IS(SA_ERR_CONFIG, sa_cache_init(block, size, &g, &none));
    CHECK(none == NULL, "no cache of two sequences");
    IS(SA_ERR_ARGUMENT, sa_pool_size(NULL, &size, &alignment));
    IS(SA_ERR_ARGUMENT, sa_pool_init(NULL, size, &g, &pool));
    IS(SA_ERR_ARGUMENT, sa_pool_init(block, size, NULL, &pool));
    IS(SA_ERR_ARGUMENT, sa_pool_init(block, size, &g, NULL));
    IS(SA_ERR_BUFFER, sa_pool_init(block, size - 1, &g, &pool));
    IS(SA_ERR_ALIGNMENT, sa_pool_init(block + alignment / 2, size, &g, &pool));
    CHECK(pool == NULL && block[0] == 0 && block[size - 1] == 0, "the block was touched");
    DONE(sa_pool_init(block, size, &g, &pool));
    sa_cache *cache = pool_open(pool);
    DONE(stream_feed(cache, 0, 30, NULL));
    sa_cache *fork = fork_of(cache);
    DONE(stream_feed(fork, 60, 3, NULL));
    memcpy(moved, block, size);
    TAKE_BOTH((sa_cache *)(void *)(moved + ((unsigned char *)cache - block)), cache, 30, 40);
    TAKE_BOTH((sa_cache *)(void *)(moved + ((unsigned char *)fork - block)), fork, 70, 40);
    sa_pool_destroy(pool); /* frees nothing */
    free(room);
}

typedef struct book {
    int allocs, frees;
    size_t size, freed;
    void *memory;
} book;

static void *book_alloc(void *user, size_t size, size_t alignment) {
    book *b = user;
    b->allocs++;
    b->size = size;
    b->memory = test_take(size + alignment);
    return (char *)b->memory + (alignment - (uintptr_t)b->memory % alignment) % alignment;
}

static void book_free(void *user, void *memory, size_t size) {
    book *b = user;
    (void)memory;
    b->frees++;
    b->freed = size;
    free(b->memory);
}

static void allocators(void) {
    book b = {0, 0, 0, 0, NULL};
    sa_allocator allocator = {sizeof allocator, 0, book_alloc, book_free, &b};
    sa_config g = stream_config();
    sa_pool *pool = NULL;
    size_t size = 0, alignment = 0;
    g.n_sequences = 4;
    DONE(sa_pool_size(&g, &size, &alignment));
    DONE(sa_pool_create(&g, &allocator, &pool));
    sa_cache *cache = pool_open(pool);
    DONE(stream_feed(cache, 0, 30, NULL));
    (void)fork_of(cache);
    sa_cache_destroy(cache);
    CHECK(b.allocs == 1 && b.frees == 0 && b.size == size, "%d allocations, %d frees", b.allocs, b.frees);
    sa_pool_destroy(pool);
    CHECK(b.allocs == 1 && b.frees == 1 && b.freed == size, "%d allocations, %d frees", b.allocs, b.frees);
}

static void facts(void) {
    static unsigned char room[4200];
    sa_config g = stream_config();
    sa_pool *pool = pool_of(&g, 2);
    sa_pool_facts f = stream_facts(pool);
    size_t size = 0, alignment = 0;
    g.n_sequences = 2;
    DONE(sa_pool_size(&g, &size, &alignment));
    CHECK(f.pool_size == size && f.n_sequences == 2 && f.n_open == 0 &&
              f.tile_size == STREAM_KV_HEADS * 16 * (STREAM_DIM + 16) * 4,
          "facts");
    IS(SA_ERR_ARGUMENT, sa_pool_info(NULL, 0, 0, &f));
    IS(SA_ERR_ARGUMENT, sa_pool_info(pool, 0, 0, NULL));
    IS(SA_ERR_ARGUMENT, sa_pool_info(pool, -1, 0, &f));
    IS(SA_ERR_ARGUMENT, sa_pool_info(pool, STREAM_LAYERS, 0, &f));
    for (uint32_t n = 0; n <= 4100; n++) {
        int is_good = n >= sizeof f && n <= 4096 && n % 4 == 0;
        memset(room, 0x77, sizeof room);
        memcpy(room, &n, sizeof n);
        sa_status status = sa_pool_info(pool, 0, 0, (sa_pool_facts *)(void *)room);
        CHECK(status == (is_good ? SA_SUCCESS : SA_ERR_STRUCT_SIZE), "facts of %u bytes: %d", n, (int)status);
        CHECK(room[is_good ? n : 4] == 0x77 && (!is_good || n == sizeof f || room[n - 1] == 0), "facts of %u bytes", n);
    }
    sa_pool_destroy(pool);
}

int main(int argc, char **argv) {
    uint64_t seed = 2024;
    long count = 1;
    test_begin("test_pool", argc, argv, &seed, &count);
    stream_begin();
    sa_config plain = stream_config(), small = plain;
    small.k_dtype = SA_I8;
    small.v_dtype = SA_F16;
    small.n_recent = 5;
    forks_are_copies(&plain);
    forks_are_copies(&small);
    any_order_of_closing(&plain);
    any_order_of_closing(&small);
    forks_share_the_prompt();
    removals();
    closed_sequences();
    blocks();
    allocators();
    facts();
    return test_end();
}
