/*
 * Snapshots: what is saved and loaded goes on as if nothing had been. (make random takes snapshots of everything.)
 *
 * SPDX-License-Identifier: MIT
 */
#include "snapshots/loading.h"

/* Both give the same from token 90 on, rollback included. */
static void go_on_alike(sa_cache *a, sa_cache *b, const char *what) {
    static stream_out out_a, out_b;
    for (int at = 90; at < 150; at += 6) {
        DO(a, stream_feed(a, at, 6, &out_a));
        DO(b, stream_feed(b, at, 6, &out_b));
        CHECK(stream_differs(&out_a, &out_b, 6) < 0, "%s: token %d in layer %d", what, at,
              stream_differs(&out_a, &out_b, 6));
        DO(a, sa_cache_rollback(a, SA_ALL_LAYERS, 4));
        DO(b, sa_cache_rollback(b, SA_ALL_LAYERS, 4));
    }
}

/* ------------------------------------ laws --------------------------------- */

static void every_dtype_and_instruction_set(void) {
    for (int dtype = SA_F32; dtype <= SA_I4; dtype++)
        for (int isa = SA_ISA_PLAIN; isa < 32; isa++) {
            if (!sa_isa_available(isa) || isa == SA_ISA_PLAIN_NOFMA || isa == SA_ISA_WASM) continue;
            sa_config g = config_of(dtype), other;
            sa_cache *stays, *goes;
            g.isa = SA_ISA_PLAIN;
            if (!sa_isa_available(SA_ISA_PLAIN)) continue;
            stays = live(&g);
            other = g;
            other.isa = isa;
            goes = stream_open(&other);
            DO(goes, stream_feed(goes, 100, 31, NULL));
            snapshot s = save(stays, 0);
            DO(goes, sa_cache_load(goes, s.data, s.size));
            snapshot again = save(goes, 0);
            CHECK(same(s, again), "what was loaded is saved as other bytes");
            go_on_alike(stays, goes, sa_isa_name(isa));
            free(s.data);
            free(again.data);
            sa_cache_destroy(stays);
            sa_cache_destroy(goes);
        }
}

static void empty_and_closed(void) {
    sa_config g = config_of(SA_F16);
    sa_pool *pool;
    sa_cache *cache, *other;
    g.n_sequences = 2;
    CHECK(sa_pool_create(&g, NULL, &pool) == SA_SUCCESS, "create");
    CHECK(sa_pool_open(pool, &cache) == SA_SUCCESS && sa_pool_open(pool, &other) == SA_SUCCESS, "open");
    uint64_t free_tiles = stream_facts(pool).tiles_free;
    snapshot s = save(cache, 0);
    DO(other, stream_feed(other, 0, 50, NULL));
    DO(other, sa_cache_load(other, s.data, s.size));
    CHECK(stream_facts(pool).tiles_free == free_tiles, "an empty sequence has tiles");
    size_t size = 7;
    sa_cache_destroy(other);
    CHECK(sa_cache_load(other, s.data, s.size) == SA_ERR_STATE, "load into a closed sequence");
    CHECK(sa_cache_save(other, 0, s.data, s.size, &size) == SA_ERR_STATE, "save a closed sequence");
    CHECK(sa_cache_save_size(other, 0, &size) == SA_ERR_STATE && size == 7, "size of a closed sequence");
    free(s.data);
    sa_pool_destroy(pool);
}

/* What stands in a tile beside the tokens held is not saved. */
static void leaks_nothing(void) {
    for (int dtype = SA_F32; dtype <= SA_I4; dtype++) {
        sa_config g = config_of(dtype);
        sa_cache *fresh = stream_open(&g), *used = stream_open(&g);
        DO(used, stream_feed(used, 100, 60, NULL));
        DO(used, sa_cache_reset(used, SA_ALL_LAYERS));
        DO(fresh, stream_feed(fresh, 0, 21, NULL));
        DO(used, stream_feed(used, 0, 24, NULL));
        DO(used, sa_cache_rollback(used, SA_ALL_LAYERS, 3));
        snapshot a = save(fresh, 0), b = save(used, 0);
        CHECK(same(a, b), "dtype %d: tokens that are gone are in the snapshot", dtype);
        free(a.data);
        free(b.data);
        sa_cache_destroy(fresh);
        sa_cache_destroy(used);
    }
}

/* ----------------------------------- partial ------------------------------- */

static void partial_on_forks(void) {
    for (int dtype = SA_F32; dtype <= SA_I4; dtype++) {
        sa_config g = config_of(dtype);
        sa_cache *base = stream_open(&g), *there = stream_open(&g), *stays;
        DO(base, stream_feed(base, 0, 83, NULL));
        DO(base, sa_cache_pin(base, SA_ALL_LAYERS, 70, 75));
        snapshot whole = save(base, 0);
        DO(there, sa_cache_load(there, whole.data, whole.size));
        stays = base;
        DO(stays, stream_feed(stays, 83, 7, NULL));
        snapshot part = save(stays, 83), all = save(stays, 0);
        CHECK(part.size < all.size, "part %zu, all %zu bytes", part.size, all.size);
        DO(there, sa_cache_load(there, part.data, part.size));
        snapshot again = save(there, 0);
        CHECK(same(all, again), "dtype %d: base and part are not the whole", dtype);
        go_on_alike(stays, there, "partial");
        /* It must stand just there, and hold what is listed. */
        REFUSES(there, part, SA_ERR_DEPTH, "from a position on");
        sa_cache_reset(there, SA_ALL_LAYERS);
        REFUSES(there, part, SA_ERR_DEPTH, "from a position on");
        DO(there, sa_cache_seek(there, SA_ALL_LAYERS, 83));
        REFUSES(there, part, SA_ERR_DEPTH, "from a position on");
        size_t size;
        CHECK(sa_cache_save_size(there, 84, &size) == SA_ERR_ARGUMENT, "from beyond tokens_seen");
        free(whole.data);
        free(part.data);
        free(all.data);
        free(again.data);
        sa_cache_destroy(stays);
        sa_cache_destroy(there);
    }
}

/* A fork that took a part shares the rest with its base, and the base is untouched. */
static void partial_shares(void) {
    sa_config g = config_of(SA_F16);
    sa_pool *pool;
    sa_cache *base, *turn, *fork;
    g.n_sequences = 3;
    g.window = 100;
    CHECK(sa_pool_create(&g, NULL, &pool) == SA_SUCCESS && sa_pool_open(pool, &base) == SA_SUCCESS, "pool");
    DO(base, stream_feed(base, 0, 90, NULL));
    DO(base, sa_cache_fork(base, &turn));
    DO(turn, stream_feed(turn, 90, 10, NULL));
    snapshot part = save(turn, 90), whole = save(base, 0), turned = save(turn, 0);
    sa_cache_destroy(turn);
    uint64_t before = stream_facts(pool).tiles_free;
    DO(base, sa_cache_fork(base, &fork));
    DO(fork, sa_cache_load(fork, part.data, part.size));
    CHECK(before - stream_facts(pool).tiles_free == 2, "%d tiles for 10 tokens",
          (int)(before - stream_facts(pool).tiles_free));
    snapshot still = save(base, 0), loaded = save(fork, 0);
    CHECK(same(whole, still), "the base has changed");
    CHECK(same(turned, loaded), "the fork is not what was saved");
    free(part.data);
    free(whole.data);
    free(turned.data);
    free(still.data);
    free(loaded.data);
    sa_pool_destroy(pool);
}

/* ----------------------------- other configurations ------------------------ */

/* A window's results do not depend on what else is kept, so a smaller window takes over what a larger one held. */
static void smaller_window(void) {
    static stream_out out_a, out_b;
    sa_config g = config_of(SA_F16), small = g;
    small.window = 13;
    small.rollback = 1;
    small.max_append = 6;
    sa_cache *large = stream_open_at(&g, 90), *to = stream_open(&small), *ever = stream_open_at(&small, 90);
    snapshot s = save(large, 0);
    DO(to, sa_cache_load(to, s.data, s.size));
    for (int at = 90; at < 120; at += 5) {
        DO(to, stream_feed(to, at, 5, &out_a));
        DO(ever, stream_feed(ever, at, 5, &out_b));
        CHECK(stream_differs(&out_a, &out_b, 5) < 0, "token %d with a smaller window", at);
    }
    free(s.data);
    sa_cache_destroy(large);
    sa_cache_destroy(to);
    sa_cache_destroy(ever);
}

/* As long as nothing has left, a larger window is fine. */
static void larger_window(void) {
    static stream_out out_a, out_b;
    sa_config g = config_of(SA_BF16), wide = g;
    wide.window = 50;
    sa_cache *from = stream_open_at(&g, 22), *to = stream_open(&wide), *ever = stream_open_at(&wide, 22);
    snapshot s = save(from, 0);
    DO(to, sa_cache_load(to, s.data, s.size));
    DO(to, stream_feed(to, 22, 60, &out_a));
    DO(ever, stream_feed(ever, 22, 60, &out_b));
    CHECK(stream_differs(&out_a, &out_b, 60) < 0, "a larger window");
    free(s.data);
    sa_cache_destroy(from);
    sa_cache_destroy(to);
    sa_cache_destroy(ever);
}

static void learned_rows(void) {
    static stream_out out_a, out_b;
    sa_config g = config_of(SA_F16);
    g.n_sink_kv = 2;
    sa_cache *cache = stream_open(&g), *other = stream_open(&g);
    for (int l = 0; l < STREAM_LAYERS; l++) {
        DO(cache, sa_set_sink_kv(cache, l, stream_k, stream_v));
        DO(other, sa_set_sink_kv(other, l, stream_k, stream_k));
    }
    DO(cache, stream_feed(cache, 0, 40, NULL));
    snapshot s = save(cache, 0);
    REFUSES(other, s, SA_ERR_STATE, "learned");
    for (int l = 0; l < STREAM_LAYERS; l++) DO(other, sa_set_sink_kv(other, l, stream_k, stream_v));
    DO(other, sa_cache_load(other, s.data, s.size));
    DO(cache, stream_feed(cache, 40, 8, &out_a));
    DO(other, stream_feed(other, 40, 8, &out_b));
    CHECK(stream_differs(&out_a, &out_b, 8) < 0, "learned rows");
    free(s.data);
    sa_cache_destroy(cache);
    sa_cache_destroy(other);
}

static void set_rows(sa_cache *cache, int first, int n, int flags) {
    sa_rows rows;
    int64_t places[16 * STREAM_KV_HEADS];
    float biases[16 * STREAM_KV_HEADS];
    for (int i = 0; i < n * STREAM_KV_HEADS; i++) places[i] = flags ? i : -i;
    for (int i = 0; i < n * STREAM_KV_HEADS; i++) biases[i] = 0.25f * (float)i - 1;
    memset(&rows, 0, sizeof rows);
    rows.struct_size = sizeof rows;
    rows.flags = (uint32_t)flags;
    rows.first = first;
    rows.n_rows = n;
    rows.k.data = stream_k;
    rows.v.data = stream_v;
    rows.places = places;
    rows.biases = biases;
    for (int l = 0; l < STREAM_LAYERS; l++) {
        rows.layer = l;
        DO(cache, sa_set_rows(cache, &rows));
    }
}

/* Rows of the host go along, of both kinds; what the sequence had of its own is gone. */
static void host_rows(void) {
    for (int dtype = SA_F32; dtype <= SA_I8; dtype++) {
        sa_config g = config_of(dtype), less, none;
        g.n_rows = 40;
        less = none = g;
        less.n_rows = 36;
        none.n_rows = 0;
        sa_cache *cache = live(&g), *there = stream_open(&g), *small = stream_open(&less);
        set_rows(cache, 3, 5, 0);
        set_rows(cache, 30, 7, SA_ROWS_AT_DISTANCE);
        set_rows(there, 0, 16, 0);
        snapshot s = save(cache, 0), part = save(cache, 90), empty = save(small, 0);
        DO(there, sa_cache_load(there, s.data, s.size));
        snapshot again = save(there, 0);
        CHECK(same(s, again), "rows are saved as other bytes");
        DO(there, sa_cache_load(there, part.data, part.size));
        go_on_alike(cache, there, "rows of the host");
        REFUSES(small, s, SA_ERR_FULL, "n_rows");
        DO(there, sa_cache_load(there, empty.data, empty.size));
        sa_info info = {.struct_size = sizeof info};
        CHECK(sa_cache_info(there, 0, &info) == SA_SUCCESS && info.rows_used == 0, "rows are left");
        refused_by(none, s, SA_ERR_FULL, "n_rows", __LINE__);
        free(s.data);
        free(part.data);
        free(empty.data);
        free(again.data);
        sa_cache_destroy(cache);
        sa_cache_destroy(there);
        sa_cache_destroy(small);
    }
}

static void dense(void) {
    static stream_out out_a, out_b;
    sa_config g = config_of(SA_F32), less = g;
    g.policy = less.policy = SA_POLICY_DENSE;
    g.n_sink = less.n_sink = 0;
    g.window = 100;
    less.window = 45;
    sa_cache *cache = stream_open(&g), *other = stream_open(&less);
    DO(cache, stream_feed(cache, 0, 40, NULL));
    snapshot s = save(cache, 0);
    DO(other, sa_cache_load(other, s.data, s.size));
    DO(cache, stream_feed(cache, 40, 5, &out_a));
    DO(other, stream_feed(other, 40, 5, &out_b));
    CHECK(stream_differs(&out_a, &out_b, 5) < 0, "dense");
    CHECK(stream_feed(other, 45, 1, NULL) == SA_ERR_FULL, "a dense layer of the smaller window is full");
    DO(cache, stream_feed(cache, 45, 1, NULL));
    free(s.data);
    s = save(cache, 0);
    REFUSES(other, s, SA_ERR_FULL, "window");
    free(s.data);
    sa_cache_destroy(cache);
    sa_cache_destroy(other);
}

/* Kv heads that keep different tokens, and in another layer all the same. */
static void lanes(void) {
    static const int32_t windows[STREAM_KV_HEADS] = {0, 7};
    sa_config g = config_of(SA_F16), one = g;
    const sa_config *layers[STREAM_LAYERS] = {NULL, &one};
    one.head_windows = windows;
    g.layers = layers;
    sa_cache *cache = live(&g), *there = stream_open(&g);
    snapshot s = save(cache, 0), part = save(cache, 85);
    CHECK(snapshot_get(s.data + 40, 4) == STREAM_LAYERS + 1, "lanes");
    DO(there, stream_feed(there, 100, 30, NULL));
    DO(there, sa_cache_load(there, s.data, s.size));
    DO(there, sa_cache_rollback(there, SA_ALL_LAYERS, 5));
    DO(there, sa_cache_load(there, part.data, part.size));
    snapshot again = save(there, 0);
    CHECK(same(s, again), "lanes are saved as other bytes");
    go_on_alike(cache, there, "lanes");
    sa_cache_destroy(there);
    g.layers = NULL;
    refused_by(g, s, SA_ERR_CONFIG, "head_windows", __LINE__);
    free(s.data);
    free(part.data);
    free(again.data);
    sa_cache_destroy(cache);
}

int main(void) {
    stream_begin();
    every_dtype_and_instruction_set();
    empty_and_closed();
    leaks_nothing();
    partial_on_forks();
    partial_shares();
    smaller_window();
    larger_window();
    learned_rows();
    host_rows();
    dense();
    lanes();
    return test_end();
}
