/*
 * The rows of docs/porting.md for Hugging Face's Cache, DuoAttention and mlx's rotating cache: their call on a plain
 * list of tokens, ours on a cache, and then both attend.
 *
 * SPDX-License-Identifier: MIT
 */
#include "porting_rows.h"

/* ---------------------------- Hugging Face's Cache ------------------------- */

static void hf_update(void) {
    open_pool();
    FEED(cache, &theirs, 0, 20);
    FEED(cache, &theirs, 20, 1);
}

static void hf_seq_length(void) {
    sa_config g = config_of(SA_POLICY_SINK_WINDOW, 4, 16);
    open_list(4 + 16, 4);
    theirs.by_index = 1;
    open_single(&g);
    FEED(cache, &theirs, 0, 100);
    CHECK(info_of(cache).tokens_seen == 100, "tokens that have come, as of a DynamicCache");
    CHECK(info_of(cache).positions_held == (uint64_t)theirs.n, "tokens that are visible, as of a SinkCache");
}

static void hf_max_shape(void) {
    sa_config g = config_of(SA_POLICY_SINK_WINDOW, 4, 16);
    open_list(4 + 16, 4);
    theirs.by_index = 1;
    open_single(&g);
    FEED(cache, &theirs, 0, 50);
    CHECK(info_of(cache).positions_held == (uint64_t)(g.n_sink + g.window), "n_sink + window");
}

static void hf_crop(void) {
    open_pool();
    FEED(cache, &theirs, 0, 40);
    DO(sa_cache_rollback(cache, SA_ALL_LAYERS, 40 - 30)); /* crop(30) */
    DO(sa_cache_rollback(cache, SA_ALL_LAYERS, 5));       /* crop(-5) */
    list_rm(&theirs, 25, -1);
    FEED(cache, &theirs, 60, 5);
}

static void hf_reset(void) {
    open_pool();
    FEED(cache, &theirs, 0, 40);
    DO(sa_cache_reset(cache, SA_ALL_LAYERS));
    open_list(0, 0);
    FEED(cache, &theirs, 60, 5);
}

/* Beams 0 and 1 become two of beam 1. */
static void hf_reorder(void) {
    sa_cache *beams[2], *next[2];
    const int beam_idx[2] = {1, 1};
    list lists[2];
    open_pool();
    FEED(cache, &theirs, 0, 20);
    lists[0] = lists[1] = theirs;
    beams[0] = cache;
    DO(sa_cache_fork(cache, &beams[1]));
    for (int i = 0; i < 2; i++) FEED(beams[i], &lists[i], 30 + 10 * i, 3);
    for (int i = 0; i < 2; i++) CHECK(sa_cache_fork(beams[beam_idx[i]], &next[i]) == SA_SUCCESS, "fork %d", i);
    for (int i = 0; i < 2; i++) sa_cache_destroy(beams[i]);
    list reordered[2] = {lists[beam_idx[0]], lists[beam_idx[1]]};
    for (int i = 0; i < 2; i++) FEED(next[i], &reordered[i], 60 + 10 * i, 4);
}

static void hf_repeat(void) {
    sa_cache *copies[3];
    open_pool();
    FEED(cache, &theirs, 0, 20);
    copies[0] = cache;
    for (int i = 1; i < 3; i++) DO(sa_cache_fork(cache, &copies[i]));
    for (int i = 0; i < 3; i++) {
        list own = theirs;
        FEED(copies[i], &own, 30 + 10 * i, 3);
    }
}

static void hf_select(void) {
    sa_cache *other;
    open_pool();
    FEED(cache, &theirs, 0, 20);
    DO(sa_cache_fork(cache, &other));
    list own = theirs;
    FEED(other, &own, 40, 20);
    sa_cache_destroy(cache);
    cache = other;
    FEED(other, &own, 70, 5);
    CHECK(facts_of().n_open == 1, "%d are open", (int)facts_of().n_open);
}

static void hf_sinks(void) {
    const int window_length = 20, num_sink_tokens = 4;
    sa_config g = config_of(SA_POLICY_SINK_WINDOW, num_sink_tokens, window_length - num_sink_tokens);
    open_list(window_length, num_sink_tokens);
    theirs.by_index = 1;
    open_single(&g);
    FEED(cache, &theirs, 0, 100);
}

/* --------------------------- mlx's rotating cache -------------------------- */

static void mlx_create(void) {
    const int max_size = 20, keep = 4;
    sa_config g = config_of(SA_POLICY_SINK_WINDOW, keep, max_size - keep);
    g.position_mode = SA_IN_STREAM;
    g.rollback = 4;
    open_list(max_size, keep);
    open_single(&g);
}

static void mlx_update(void) {
    mlx_create();
    FEED(cache, &theirs, 0, 10);
    for (int id = 10; id < 100; id++) FEED(cache, &theirs, id, 1);
}

static void mlx_offset(void) {
    mlx_update();
    CHECK(info_of(cache).tokens_seen == (uint64_t)theirs.next, "%d", (int)info_of(cache).tokens_seen);
}

static void mlx_size(void) {
    mlx_update();
    CHECK(info_of(cache).positions_held == (uint64_t)theirs.n, "%d", (int)info_of(cache).positions_held);
}

static void mlx_is_trimmable(void) {
    mlx_create();
    FEED(cache, &theirs, 0, 10);
    CHECK(info_of(cache).rollback_now == 10, "before it is full");
    FEED(cache, &theirs, 10, 50);
    CHECK(info_of(cache).rollback_now >= 4, "after that, where theirs is no longer trimmable");
}

static void mlx_trim(void) {
    mlx_create();
    FEED(cache, &theirs, 0, 60);
    list before = theirs;
    FEED(cache, &theirs, 60, 4);
    DO(sa_cache_rollback(cache, SA_ALL_LAYERS, 4));
    FEED(cache, &before, 80, 30);
    CHECK(sa_cache_rollback(cache, SA_ALL_LAYERS, 1000) == SA_ERR_ARGUMENT, "more than have come");
}

static void mlx_nbytes(void) {
    uint64_t kv = 0;
    mlx_create();
    for (int layer = 0; layer < LAYERS; layer++) {
        sa_cache_facts info = {.struct_size = sizeof info};
        DO(sa_cache_info(cache, layer, &info));
        kv += info.kv_size;
    }
    CHECK(kv >= 2 * LAYERS * 20 * KV_HEADS * DIM * sizeof(float) && kv < info_of(cache).cache_size, "%ld", (long)kv);
}

static void mlx_make_mask(void) {
    mlx_create();
    FEED(cache, &theirs, 0, 60); /* each of them sees its own window */
}

/* ------------------------------- DuoAttention ------------------------------ */

enum { SINK_SIZE = 4, RECENT_SIZE = 20, GROUP = HEADS / KV_HEADS };

/* Kv head 0 keeps all tokens, as `theirs` does, and kv head 1 what this list has. */
static list streaming;

static void duo_create(void) {
    static const int32_t windows[KV_HEADS] = {0, RECENT_SIZE + 1}, sinks[KV_HEADS] = {0, SINK_SIZE};
    sa_config g = config_of(SA_POLICY_DENSE, 0, ROOM);
    g.head_windows = windows;
    g.head_sinks = sinks;
    g.position_mode = SA_IN_STREAM;
    open_list(SINK_SIZE + RECENT_SIZE + 1, SINK_SIZE); /* the last one is the token that attends */
    streaming = theirs;
    open_list(0, 0);
    open_single(&g);
}

/* Tokens id .. id + n - 1, at most 16, on all three sides; each kv head is compared with its own list. */
static void duo_feed(int id, int n) {
    float q[16 * HEADS * DIM], k[16 * KV_HEADS * DIM], v[16 * KV_HEADS * DIM], out[16 * HEADS * DIM];
    float expected[16 * HEADS * DIM], of_streaming[16 * HEADS * DIM];
    for (int layer = 0; layer < LAYERS; layer++) {
        porting_fill(q, id, n, layer, PORTING_Q, HEADS);
        porting_fill(k, id, n, layer, PORTING_K, KV_HEADS);
        porting_fill(v, id, n, layer, PORTING_V, KV_HEADS);
        compare_forget(out, sizeof out);
        DO(sa_append_attend(cache, layer, n, q, k, v, out));
        list_outputs(&theirs, id, n, layer, expected);
        list_outputs(&streaming, id, n, layer, of_streaming);
        for (int i = 0; i < n; i++) {
            int first = (i * HEADS + GROUP) * DIM; /* of the query heads of kv head 1 */
            memcpy(expected + first, of_streaming + first, GROUP * DIM * sizeof(float));
        }
        comparison made = compare_floats(out, expected, n * HEADS * DIM);
        CHECK(compare_holds(&made, n * HEADS * DIM, PORTING_BOUND), "token %d, layer %d: %g, not %g", id, layer,
              made.got, made.expected);
    }
    for (int i = 0; i < n; i++) {
        list_append(&theirs, id + i);
        list_append(&streaming, id + i);
    }
}

static void duo_put(void) {
    duo_create();
    for (int t = 0; t < 60; t++) duo_feed(t, 1);
    duo_feed(60, 16); /* each sees its own window */
}

static void duo_full(void) {
    float zeros[KV_HEADS * DIM] = {0};
    duo_create();
    for (int t = 0; t < ROOM; t++) duo_feed(t, 1);
    CHECK(sa_append_kv(cache, 0, 1, zeros, zeros) == SA_ERR_FULL, "the retrieval heads have room for no more");
}

static void duo_clear(void) {
    duo_put();
    DO(sa_cache_reset(cache, SA_ALL_LAYERS));
    theirs.n = theirs.next = streaming.n = streaming.next = 0;
    duo_feed(80, 10);
}

static void duo_evict_last(void) {
    duo_put();
    list all = theirs, recent = streaming;
    duo_feed(80, 9);
    DO(sa_cache_rollback(cache, SA_ALL_LAYERS, 9));
    theirs = all;
    streaming = recent;
    duo_feed(90, 3);
}

static void duo_memory_usage(void) {
    sa_config g = config_of(SA_POLICY_DENSE, 0, ROOM);
    uint64_t all;
    open_single(&g);
    all = info_of(cache).kv_size;
    close_all();
    duo_create();
    CHECK(info_of(cache).kv_size < all, "a head that streams saves nothing");
}

/* ---------------------------------- rows ----------------------------------- */

static const row rows[] = {
    {"hf-update", hf_update},
    {"hf-seq-length", hf_seq_length},
    {"hf-max-shape", hf_max_shape},
    {"hf-crop", hf_crop},
    {"hf-reset", hf_reset},
    {"hf-reorder", hf_reorder},
    {"hf-repeat", hf_repeat},
    {"hf-select", hf_select},
    {"hf-sinks", hf_sinks},
    {"duo-create", duo_create},
    {"duo-put", duo_put},
    {"duo-full", duo_full},
    {"duo-clear", duo_clear},
    {"duo-evict-last", duo_evict_last},
    {"duo-memory-usage", duo_memory_usage},
    {"mlx-create", mlx_create},
    {"mlx-update", mlx_update},
    {"mlx-offset", mlx_offset},
    {"mlx-size", mlx_size},
    {"mlx-is-trimmable", mlx_is_trimmable},
    {"mlx-trim", mlx_trim},
    {"mlx-nbytes", mlx_nbytes},
    {"mlx-make-mask", mlx_make_mask},
};

int main(void) {
    run_rows(rows, sizeof rows / sizeof *rows);
    return test_end();
}
