/*
 * The rows of docs/porting.md for plain arrays and llama.cpp: their call on a plain list of tokens, ours on a
 * cache, and then both attend.
 *
 * SPDX-License-Identifier: MIT
 */
#include "porting_rows.h"

/* ------------------------------ a plain array ------------------------------ */

static void array_create(void) {
    sa_config g = config_of(SA_POLICY_DENSE, 0, ROOM);
    open_list(0, 0);
    open_single(&g);
    FEED(cache, &theirs, 0, 5);
}

static void array_store(void) {
    float k[KV_HEADS * DIM], v[KV_HEADS * DIM];
    array_create();
    for (int layer = 0; layer < LAYERS; layer++) {
        porting_fill(k, 5, 1, layer, PORTING_K, KV_HEADS);
        porting_fill(v, 5, 1, layer, PORTING_V, KV_HEADS);
        DO(sa_append_kv(cache, layer, 1, k, v));
    }
    list_append(&theirs, 5);
    FEED(cache, &theirs, 6, 1);
}

static void array_loop(void) {
    float q[HEADS * DIM], out[HEADS * DIM], expected[HEADS * DIM];
    array_store();
    porting_fill(q, 6, 1, 1, PORTING_Q, HEADS);
    compare_forget(out, sizeof out);
    DO(sa_attend(cache, 1, 1, q, out));
    list_attend(&theirs, 1, expected);
    comparison made = compare_floats(out, expected, HEADS * DIM);
    CHECK(compare_holds(&made, HEADS * DIM, PORTING_BOUND), "%g, not %g", made.got, made.expected);
}

static void array_rotation(void) {
    sa_config g = config_of(SA_POLICY_DENSE, 0, ROOM);
    g.rope_layout = SA_ROPE_INTERLEAVED;
    open_list(0, 0);
    theirs.pairs_apart = 1;
    open_single(&g);
    FEED(cache, &theirs, 0, 9);
}

static void array_full(void) {
    float k[KV_HEADS * DIM] = {0};
    array_create();
    FEED(cache, &theirs, 5, ROOM - 5);
    CHECK(sa_append_kv(cache, 0, 1, k, k) == SA_ERR_FULL, "the array ends here");
}

static void array_again(void) {
    array_create();
    DO(sa_cache_reset(cache, SA_ALL_LAYERS));
    theirs.n = theirs.next = 0;
    FEED(cache, &theirs, 20, 7);
}

static void array_back(void) {
    array_create();
    DO(sa_cache_rollback(cache, SA_ALL_LAYERS, 3));
    theirs.n = theirs.next = 2;
    FEED(cache, &theirs, 20, 7);
}

static void array_sinks(void) {
    sa_config g = config_of(SA_POLICY_SINK_WINDOW, 4, ROOM);
    open_list(4 + ROOM, 4);
    theirs.by_index = 1;
    open_single(&g);
    FEED(cache, &theirs, 0, 2 * ROOM);
}

/* -------------------------------- llama.cpp -------------------------------- */

static void llama_clear(void) {
    open_pool();
    FEED(cache, &theirs, 0, 40);
    DO(sa_cache_reset(cache, SA_ALL_LAYERS));
    CHECK(facts_of().tiles_free == facts_of().tiles, "tiles are held");
    open_list(0, 0);
    FEED(cache, &theirs, 0, 3);
}

static void llama_rm_all(void) {
    open_pool();
    FEED(cache, &theirs, 0, 40);
    sa_cache_destroy(cache);
    CHECK(facts_of().tiles_free == facts_of().tiles && facts_of().n_open == 0, "something is held");
}

static void llama_rm_tail(void) {
    open_pool();
    FEED(cache, &theirs, 0, 40);
    DO(sa_cache_rollback(cache, SA_ALL_LAYERS, 40 - 25));
    list_rm(&theirs, 25, -1);
    FEED(cache, &theirs, 60, 5);
}

static void llama_rm_range(void) {
    open_pool();
    FEED(cache, &theirs, 0, 40);
    DO(sa_cache_remove(cache, SA_ALL_LAYERS, 10, 25, SA_GAP_KEEP));
    list_rm(&theirs, 10, 25);
    FEED(cache, &theirs, 60, 5);
}

static void llama_cp(void) {
    sa_cache *copy;
    open_pool();
    FEED(cache, &theirs, 0, 40);
    uint64_t tiles = facts_of().tiles_free;
    DO(sa_cache_fork(cache, &copy));
    CHECK(facts_of().tiles_free == tiles, "a fork took tiles");
    list other = theirs;
    FEED(cache, &theirs, 60, 5);
    FEED(copy, &other, 80, 7);
    FEED(cache, &theirs, 65, 2);
}

static void llama_cp_range(void) {
    sa_cache *copy;
    open_pool();
    FEED(cache, &theirs, 0, 40);
    DO(sa_cache_fork(cache, &copy));
    DO(sa_cache_rollback(copy, SA_ALL_LAYERS, 40 - 25));
    list other = theirs;
    list_rm(&other, 25, -1);
    FEED(copy, &other, 80, 7);
    FEED(cache, &theirs, 60, 5);
}

static void llama_keep(void) {
    sa_cache *other;
    open_pool();
    FEED(cache, &theirs, 0, 40);
    DO(sa_pool_open(pool, &other));
    sa_cache_destroy(other);
    CHECK(facts_of().n_open == 1, "%d are open", (int)facts_of().n_open);
    FEED(cache, &theirs, 60, 5);
}

static void llama_add(void) {
    open_pool();
    FEED(cache, &theirs, 0, 40);
    DO(sa_cache_remove(cache, SA_ALL_LAYERS, 10, 25, SA_GAP_CLOSE));
    list_rm(&theirs, 10, 25);
    list_add(&theirs, 25, 10 - 25);
    FEED(cache, &theirs, 60, 5);
}

/* The oldest position held, in their counting. */
static int64_t oldest(void) {
    sa_span span;
    int32_t n;
    DO(sa_cache_spans(cache, 0, 0, 1, &span, &n));
    return n ? (int64_t)(span.from - span.shift) : -1;
}

static void llama_pos_min(void) {
    open_pool();
    CHECK(oldest() == -1, "empty");
    FEED(cache, &theirs, 0, 40);
    DO(sa_cache_remove(cache, SA_ALL_LAYERS, 0, 7, SA_GAP_CLOSE));
    list_rm(&theirs, 0, 7);
    list_add(&theirs, 7, -7);
    CHECK(oldest() == theirs.tokens[0].position, "%d", (int)oldest());
}

static void llama_pos_max(void) {
    open_pool();
    FEED(cache, &theirs, 0, 40);
    CHECK((int64_t)info_of(cache).tokens_seen - 1 == theirs.tokens[theirs.n - 1].position, "another newest one");
}

static void llama_can_shift(void) {
    sa_config g = config_of(SA_POLICY_SINK_WINDOW, 4, 60);
    const int dtypes[] = {SA_F32, SA_F16, SA_BF16, SA_I8, SA_I4};
    for (int i = 0; i < 5; i++) {
        float zeros[40 * KV_HEADS * DIM] = {0};
        g.k_dtype = g.v_dtype = dtypes[i];
        g.n_spans = 2;
        open_single(&g);
        for (int layer = 0; layer < LAYERS; layer++) DO(sa_append_kv(cache, layer, 40, zeros, zeros));
        DO(sa_cache_remove(cache, SA_ALL_LAYERS, 10, 25, SA_GAP_CLOSE));
        if (i < 4) close_all();
    }
}

/* One layer of a batch: what sequence i appends and sees. */
typedef struct member {
    sa_step_args args;
    float q[8 * HEADS * DIM], k[8 * KV_HEADS * DIM], v[8 * KV_HEADS * DIM], out[8 * HEADS * DIM];
} member;

static void member_fill(member *m, int layer, int id, int n) {
    memset(m, 0, sizeof *m);
    porting_fill(m->q, id, n, layer, PORTING_Q, HEADS);
    porting_fill(m->k, id, n, layer, PORTING_K, KV_HEADS);
    porting_fill(m->v, id, n, layer, PORTING_V, KV_HEADS);
    compare_forget(m->out, sizeof m->out);
    m->args.struct_size = sizeof m->args;
    m->args.layer = layer;
    m->args.n_tokens = n;
    m->args.q.data = m->q;
    m->args.k.data = m->k;
    m->args.v.data = m->v;
    m->args.out.data = m->out;
}

static void llama_decode(void) {
    static member members[2];
    sa_cache *caches[2];
    list lists[2];
    open_pool();
    FEED(cache, &theirs, 0, 40);
    lists[0] = lists[1] = theirs;
    caches[0] = cache;
    DO(sa_cache_fork(cache, &caches[1]));
    FEED(caches[1], &lists[1], 60, 3);
    for (int layer = 0; layer < LAYERS; layer++) {
        const sa_step_args *args[2] = {&members[0].args, &members[1].args};
        for (int i = 0; i < 2; i++) member_fill(&members[i], layer, 70 + 10 * i, 1 + 2 * i);
        CHECK(sa_batch(pool, 2, caches, args, NULL) == SA_SUCCESS, "%s", sa_pool_error(pool));
        for (int i = 0; i < 2; i++) {
            float expected[8 * HEADS * DIM];
            list_outputs(&lists[i], 70 + 10 * i, 1 + 2 * i, layer, expected);
            comparison made = compare_floats(members[i].out, expected, (1 + 2 * i) * HEADS * DIM);
            CHECK(compare_holds(&made, (1 + 2 * i) * HEADS * DIM, PORTING_BOUND), "%g, not %g", made.got,
                  made.expected);
        }
    }
}

/* ---------------------------------- rows ----------------------------------- */

static const row rows[] = {
    {"array-create", array_create},
    {"array-store", array_store},
    {"array-loop", array_loop},
    {"array-rotation", array_rotation},
    {"array-full", array_full},
    {"array-again", array_again},
    {"array-back", array_back},
    {"array-sinks", array_sinks},
    {"llama-clear", llama_clear},
    {"llama-rm-all", llama_rm_all},
    {"llama-rm-tail", llama_rm_tail},
    {"llama-rm-range", llama_rm_range},
    {"llama-cp", llama_cp},
    {"llama-cp-range", llama_cp_range},
    {"llama-keep", llama_keep},
    {"llama-add", llama_add},
    {"llama-pos-min", llama_pos_min},
    {"llama-pos-max", llama_pos_max},
    {"llama-can-shift", llama_can_shift},
    {"llama-decode", llama_decode},
};

int main(void) {
    run_rows(rows, sizeof rows / sizeof *rows);
    return test_end();
}
