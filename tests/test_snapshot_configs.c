/*
 * Snapshots that are loaded where another config is: where that has a meaning they go on, elsewhere they are refused.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdlib.h>
#include <string.h>

#include "saved.h"
#include "snapshots/snapshots.h"
#include "streams.h"
#include "support.h"
#include "test.h"

/* ----------------------------- other configurations ------------------------ */

/* A window's results do not depend on what else is kept, so a smaller window takes over what a larger one held. */
static void smaller_window(void) {
    static stream_out out_a, out_b;
    sa_config g = snapshot_config(SA_F16), small = g;
    small.window = 13;
    small.rollback = 1;
    small.max_append = 6;
    sa_cache *large = stream_open_at(&g, 90), *to = stream_open(&small), *ever = stream_open_at(&small, 90);
    snapshot s = snapshot_save(large, 0);
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
    sa_config g = snapshot_config(SA_BF16), wide = g;
    wide.window = 50;
    sa_cache *from = stream_open_at(&g, 22), *to = stream_open(&wide), *ever = stream_open_at(&wide, 22);
    snapshot s = snapshot_save(from, 0);
    DO(to, sa_cache_load(to, s.data, s.size));
    DO(to, stream_feed(to, 22, 60, &out_a));
    DO(ever, stream_feed(ever, 22, 60, &out_b));
    CHECK(stream_differs(&out_a, &out_b, 60) < 0, "a larger window");
    free(s.data);
    sa_cache_destroy(from);
    sa_cache_destroy(to);
    sa_cache_destroy(ever);
}

static void refused_by(sa_config g, snapshot s, sa_status status, const char *word, int line) {
    sa_cache *cache = NULL;
    if (!CHECK(sa_cache_create(&g, NULL, &cache) == SA_SUCCESS, "line %d: create", line)) return;
    CHECK(stream_feed(cache, 0, 8, NULL) == SA_SUCCESS, "line %d: feed", line);
    snapshot_refuses(cache, s, status, word, line);
    sa_cache_destroy(cache);
}
#define REFUSED_WITH(change, status, word)                                                                             \
    do {                                                                                                               \
        sa_config g = snapshot_config(SA_F16);                                                                         \
        change;                                                                                                        \
        refused_by(g, s, status, word, __LINE__);                                                                      \
    } while (0)

static void other_configs(void) {
    static const float logits[STREAM_HEADS] = {1, 2, 3, 4};
    sa_config own = snapshot_config(SA_F16);
    sa_cache *cache = snapshot_live(&own);
    snapshot s = snapshot_save(cache, 0);
    REFUSED_WITH(g.n_kv_heads = 1, SA_ERR_CONFIG, "geometry");
    REFUSED_WITH(g.k_dtype = SA_BF16, SA_ERR_CONFIG, "dtype");
    REFUSED_WITH(g.sink_v_dtype = SA_F32, SA_ERR_CONFIG, "dtype");
    REFUSED_WITH(g.position = SA_POSITION_ALIBI, SA_ERR_CONFIG, "position scheme");
    REFUSED_WITH(g.position_mode = SA_IN_STREAM, SA_ERR_CONFIG, "position scheme");
    REFUSED_WITH(g.rope_layout = SA_ROPE_INTERLEAVED, SA_ERR_CONFIG, "position scheme");
    REFUSED_WITH(g.rope_theta = 10001, SA_ERR_CONFIG, "position scheme");
    REFUSED_WITH(g.rope_dims = 4, SA_ERR_CONFIG, "position scheme");
    REFUSED_WITH(g.rope_attention_factor = 1.01, SA_ERR_CONFIG, "position scheme");
    REFUSED_WITH(g.scale = 0.36f, SA_ERR_CONFIG, "softmax");
    REFUSED_WITH(g.softcap = 50, SA_ERR_CONFIG, "softmax");
    REFUSED_WITH(g.sink_logits = logits, SA_ERR_CONFIG, "softmax");
    REFUSED_WITH(g.n_sink = 3, SA_ERR_CONFIG, "rules");
    REFUSED_WITH(g.n_recent = 4, SA_ERR_CONFIG, "rules");
    REFUSED_WITH((g.policy = SA_POLICY_DENSE, g.n_sink = 0, g.window = 500), SA_ERR_CONFIG, "rules");
    REFUSED_WITH(g.window = 60, SA_ERR_DEPTH, "window");
    REFUSED_WITH(g.n_pin = 3, SA_ERR_FULL, "n_pin");
    REFUSED_WITH(g.n_spans = 1, SA_ERR_FULL, "n_spans");
    REFUSED_WITH(g.pool_tokens = 1, SA_ERR_POOL, "free tiles");
    REFUSED_WITH(g.n_layers = 3, SA_ERR_CONFIG, "layers");
    free(s.data);
    sa_cache_destroy(cache);
}

/* Frequencies that differ by what libraries of mathematics differ in are the same; by more, they are not. */
static void nearly_equal_tables(void) {
    double frequencies[STREAM_DIM / 2], apart = 0;
    sa_config g = snapshot_config(SA_F32);
    g.rope_inv_freq = frequencies;
    for (int i = 0; i < STREAM_DIM / 2; i++) frequencies[i] = 1.0 / (i + 1);
    sa_cache *cache = stream_open_at(&g, 30);
    snapshot s = snapshot_save(cache, 0);
    for (int i = 0; i < 2; i++) {
        apart = i ? 1e-9 : 1e-15;
        frequencies[1] = 0.5 * (1 + apart);
        sa_cache *other = stream_open(&g);
        CHECK(sa_cache_load(other, s.data, s.size) == (i ? SA_ERR_CONFIG : SA_SUCCESS), "%g apart: %s", apart,
              sa_cache_error(other));
        sa_cache_destroy(other);
    }
    free(s.data);
    sa_cache_destroy(cache);
}

static void learned_rows(void) {
    static stream_out out_a, out_b;
    sa_config g = snapshot_config(SA_F16);
    g.n_sink_kv = 2;
    sa_cache *cache = stream_open(&g), *other = stream_open(&g);
    for (int l = 0; l < STREAM_LAYERS; l++) {
        DO(cache, sa_set_sink_kv(cache, l, stream_k, stream_v));
        DO(other, sa_set_sink_kv(other, l, stream_k, stream_k));
    }
    DO(cache, stream_feed(cache, 0, 40, NULL));
    snapshot s = snapshot_save(cache, 0);
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
        sa_config g = snapshot_config(dtype), less, none;
        g.n_rows = 40;
        less = none = g;
        less.n_rows = 36;
        none.n_rows = 0;
        sa_cache *cache = snapshot_live(&g), *there = stream_open(&g), *small = stream_open(&less);
        set_rows(cache, 3, 5, 0);
        set_rows(cache, 30, 7, SA_ROWS_AT_DISTANCE);
        set_rows(there, 0, 16, 0);
        snapshot s = snapshot_save(cache, 0), part = snapshot_save(cache, 90), empty = snapshot_save(small, 0);
        DO(there, sa_cache_load(there, s.data, s.size));
        snapshot again = snapshot_save(there, 0);
        CHECK(snapshot_same(s, again), "rows are saved as other bytes");
        DO(there, sa_cache_load(there, part.data, part.size));
        snapshot_go_on_alike(cache, there, "rows of the host");
        REFUSES(small, s, SA_ERR_FULL, "n_rows");
        DO(there, sa_cache_load(there, empty.data, empty.size));
        sa_cache_facts info = {.struct_size = sizeof info};
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
    sa_config g = snapshot_config(SA_F32), less = g;
    g.policy = less.policy = SA_POLICY_DENSE;
    g.n_sink = less.n_sink = 0;
    g.window = 100;
    less.window = 45;
    sa_cache *cache = stream_open(&g), *other = stream_open(&less);
    DO(cache, stream_feed(cache, 0, 40, NULL));
    snapshot s = snapshot_save(cache, 0);
    DO(other, sa_cache_load(other, s.data, s.size));
    DO(cache, stream_feed(cache, 40, 5, &out_a));
    DO(other, stream_feed(other, 40, 5, &out_b));
    CHECK(stream_differs(&out_a, &out_b, 5) < 0, "dense");
    CHECK(stream_feed(other, 45, 1, NULL) == SA_ERR_FULL, "a dense layer of the smaller window is full");
    DO(cache, stream_feed(cache, 45, 1, NULL));
    free(s.data);
    s = snapshot_save(cache, 0);
    REFUSES(other, s, SA_ERR_FULL, "window");
    free(s.data);
    sa_cache_destroy(cache);
    sa_cache_destroy(other);
}

/* Kv heads that keep different tokens, and in another layer all the same. */
static void lanes(void) {
    static const int32_t windows[STREAM_KV_HEADS] = {0, 7};
    sa_config g = snapshot_config(SA_F16), one = g;
    const sa_config *layers[STREAM_LAYERS] = {NULL, &one};
    one.head_windows = windows;
    g.layers = layers;
    sa_cache *cache = snapshot_live(&g), *there = stream_open(&g);
    snapshot s = snapshot_save(cache, 0), part = snapshot_save(cache, 85);
    CHECK(snapshot_get(s.data + 40, 4) == STREAM_LAYERS + 1, "lanes");
    DO(there, stream_feed(there, 100, 30, NULL));
    DO(there, sa_cache_load(there, s.data, s.size));
    DO(there, sa_cache_rollback(there, SA_ALL_LAYERS, 5));
    DO(there, sa_cache_load(there, part.data, part.size));
    snapshot again = snapshot_save(there, 0);
    CHECK(snapshot_same(s, again), "lanes are saved as other bytes");
    snapshot_go_on_alike(cache, there, "lanes");
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
    smaller_window();
    larger_window();
    other_configs();
    nearly_equal_tables();
    learned_rows();
    host_rows();
    dense();
    lanes();
    return test_end();
}
