/*
 * sa_cache_size and sa_pool_size against docs/memory.md: every term, byte by byte, over random configurations.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "../lib/plan.h"
#include "../lib/rows.h"
#include "support.h"
#include "test.h"

static uint64_t round_up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

/* A part begins on a line of the processor's cache. */
static uint64_t part(uint64_t bytes) { return round_up(bytes, 64); }

static uint64_t max_of(uint64_t a, uint64_t b) { return a > b ? a : b; }
static uint64_t min_of(uint64_t a, uint64_t b) { return a < b ? a : b; }

static uint64_t tiles_of(uint64_t tokens) { return (tokens + 15) / 16; }

static uint64_t rotated_dims(const sa_config *c) {
    int rotates = c->position == SA_POSITION_ROPE || c->position == SA_POSITION_ROPE_APPLIED;
    return !rotates ? 0 : (uint64_t)(c->rope_dims ? c->rope_dims : c->head_dim);
}

static int is_integer(int dtype) { return dtype == SA_I8 || dtype == SA_I4; }
static int sink_dtype(int own, int window) { return own ? own : is_integer(window) ? SA_F16 : window; }
static int recent_dtype(int own) { return own ? own : SA_F16; }

/* ---------------------------- tiles, and their room --------------------------- */

/* Tiles that one sequence may have in a layer: of window and pins, of sinks, of the second copy. */
typedef struct counts {
    uint64_t window, sinks, recent;
} counts;

static counts counts_of(const sa_config *c) {
    uint64_t slack = max_of((uint64_t)c->max_append, (uint64_t)c->rollback + 1), window = (uint64_t)c->window;
    uint64_t held = c->policy == SA_POLICY_DENSE ? window : window - 1 + slack, cuts = 2 * (uint64_t)c->n_spans;
    counts n = {tiles_of(held + (uint64_t)c->n_pin) + 1 + cuts, tiles_of((uint64_t)c->n_sink),
                c->n_recent ? tiles_of((uint64_t)c->n_recent - 1 + slack) + 1 + cuts : 0};
    return n;
}

/* -------------------------------- lanes of heads ------------------------------ */

enum { MOST_HEADS = 8 };

/* A config whose head h stands for all. */
static sa_config as_head(const sa_config *c, int h) {
    sa_config own = *c;
    if (c->head_sinks && c->head_sinks[h]) own.n_sink = c->head_sinks[h] < 0 ? 0 : c->head_sinks[h];
    if (c->head_windows && c->head_windows[h]) {
        own.window = c->head_windows[h];
        if (c->policy == SA_POLICY_DENSE) own.policy = SA_POLICY_SINK_WINDOW;
    }
    own.n_recent = (int32_t)min_of((uint64_t)own.n_recent, (uint64_t)own.window);
    return own;
}

/* The config of a layer with the kv heads that are like head h alone; n_kv_heads is 0 if an earlier head is. */
static sa_config lane_of(const sa_config *c, int h) {
    sa_config own = as_head(c, h);
    own.n_kv_heads = 0;
    for (int other = 0; other < c->n_kv_heads; other++) {
        sa_config theirs = as_head(c, other);
        int alike = own.policy == theirs.policy && own.n_sink == theirs.n_sink && own.window == theirs.window;
        if (alike && other < h) {
            own.n_kv_heads = 0;
            return own;
        }
        own.n_kv_heads += alike;
    }
    own.n_heads = c->n_heads / c->n_kv_heads * own.n_kv_heads;
    return own;
}

/* The sum of a term over the lanes of a layer, or the largest. */
typedef uint64_t (*term)(const sa_config *lane);

static uint64_t sum_of_lanes(const sa_config *c, term f) {
    uint64_t sum = 0;
    for (int h = 0; h < c->n_kv_heads; h++) {
        sa_config lane = lane_of(c, h);
        if (lane.n_kv_heads) sum += f(&lane);
    }
    return sum;
}

static uint64_t largest_of_lanes(const sa_config *c, term f) {
    uint64_t most = 0;
    for (int h = 0; h < c->n_kv_heads; h++) {
        sa_config lane = lane_of(c, h);
        if (lane.n_kv_heads) most = max_of(most, f(&lane));
    }
    return most;
}

static uint64_t one(const sa_config *lane) {
    (void)lane;
    return 1;
}

static uint64_t lanes_of(const sa_config *c) { return sum_of_lanes(c, one); }

/* ------------------------------- keys and values ------------------------------ */

/* Tiles of a worker that a path of a draft is put in. */
static uint64_t path_tiles(const sa_config *c) {
    return c->max_draft ? tiles_of(min_of((uint64_t)c->max_draft, (uint64_t)c->max_append) + 15) : 0;
}

/* Keys, values, and how many sequences use each tile; `beside`: tiles that no sequence has. */
static uint64_t region(const sa_config *c, uint64_t tiles, uint64_t beside, int k_dtype, int v_dtype) {
    uint64_t all = (uint64_t)c->n_kv_heads * (tiles + beside);
    return part(all * test_key_tile(k_dtype, c->head_dim)) + part(all * test_value_tile(v_dtype, c->v_head_dim)) +
           part(4 * tiles);
}

static uint64_t keys_and_values(const sa_config *c) {
    uint64_t n = (uint64_t)c->n_sequences, learned = tiles_of((uint64_t)c->n_sink_kv),
             rows = tiles_of((uint64_t)c->n_rows);
    counts most = counts_of(c);
    uint64_t window = n * most.window, paths = (uint64_t)c->n_threads * path_tiles(c);
    uint64_t nodes = n * tiles_of((uint64_t)c->max_draft), again = c->n_recent ? nodes : 0;
    int recent_k = recent_dtype(c->recent_k_dtype), recent_v = recent_dtype(c->recent_v_dtype);
    int sink_k = sink_dtype(c->sink_k_dtype, c->k_dtype), sink_v = sink_dtype(c->sink_v_dtype, c->v_dtype);
    if (c->pool_tokens) {
        window = min_of(window, tiles_of((uint64_t)c->pool_tokens));
    }
    return region(c, window, paths, c->k_dtype, c->v_dtype) +
           region(c, n * most.recent, c->n_recent ? paths : 0, recent_k, recent_v) +
           region(c, n * most.sinks, 0, sink_k, sink_v) + region(c, learned, 0, sink_k, sink_v) + part(4 * learned) +
           region(c, n * rows, 0, sink_k, sink_v) + part((uint64_t)c->n_kv_heads * n * rows * 256) +
           region(c, nodes, 0, c->k_dtype, c->v_dtype) + region(c, again, 0, recent_k, recent_v);
}

/* A lane's part of a sequence: spans, and where its tiles are. */
static uint64_t sequence(const sa_config *c) {
    counts n = counts_of(c);
    const uint64_t most[] = {n.window, n.sinks, n.recent};
    uint64_t sum = sizeof(sai_spans) + 2 * (8 + (uint64_t)c->n_spans) * sizeof(sai_span) + 3 * sizeof(sai_table);
    for (int i = 0; i < 3; i++) {
        sum += 2 * 8 * most[i] + 2 * 4 * most[i];
    }
    if (c->n_rows) {
        sum += sizeof(sai_rows) + 8 * tiles_of((uint64_t)c->n_rows) + round_up(4 * tiles_of((uint64_t)c->n_rows), 8);
    }
    return c->max_draft ? sum + round_up(sizeof(sai_nodes) + 8 * (uint64_t)c->max_draft, 8) +
                              2 * 12 * tiles_of((uint64_t)c->max_draft)
                        : sum;
}

/* Which of the layer's heads a lane has. */
static uint64_t heads(const sa_config *lane) { return part(4 * (uint64_t)lane->n_kv_heads); }

static uint64_t tables(const sa_config *c) {
    uint64_t sum = part(rotated_dims(c) / 2 * 8);
    if (c->position == SA_POSITION_ALIBI) {
        sum += part((uint64_t)c->n_heads * 4);
    }
    if (c->sink_logits) {
        sum += part((uint64_t)c->n_heads * 4);
    }
    return lanes_of(c) > 1 ? sum + sum_of_lanes(c, heads) : sum;
}

/* --------------------------------- workspace ---------------------------------- */

static int is_half(int dtype) { return dtype == SA_F16 || dtype == SA_BF16; }

/* Whether the window, the recent tokens, the sinks or the rows have such a dtype. */
static int is_somewhere(const sa_config *c, int own, int recent, int sink, int (*is)(int dtype)) {
    return is(own) || (c->n_recent && is(recent_dtype(recent))) ||
           (c->n_sink + c->n_sink_kv + c->n_rows > 0 && is(sink_dtype(sink, own)));
}

static uint64_t floats(uint64_t n) { return round_up(n, 16); }

static uint64_t worker(const sa_config *c) {
    uint64_t e = round_up((uint64_t)c->v_head_dim, 16);
    uint64_t rows = min_of(192, (uint64_t)c->max_append * (uint64_t)(c->n_heads / c->n_kv_heads));
    uint64_t together = min_of(rows, 8), d = (uint64_t)c->head_dim;
    uint64_t sum = 2 * floats(rows * d) + floats(rotated_dims(c)) + 256 * together + together * e + 2 * rows * e;
    if (is_integer(c->k_dtype)) {
        sum += floats(d) + floats(rows * (round_up(d, 16) / 2 + round_up(d, 32) / 32 + 1));
    }
    if (rows >= 13 && is_somewhere(c, c->k_dtype, c->recent_k_dtype, c->sink_k_dtype, is_half)) {
        sum += 256 * d;
    }
    if (rows >= 13 && is_somewhere(c, c->v_dtype, c->recent_v_dtype, c->sink_v_dtype, is_half)) {
        sum += 256 * e;
    }
    if (is_integer(c->v_dtype)) {
        sum += together * floats(162 * (round_up(e, 32) / 32));
    }
    if (c->max_draft) {
        sum += floats(16 + path_tiles(c)) + floats(min_of((uint64_t)c->max_draft, (uint64_t)c->max_append));
    }
    return 4 * (sum + 6 * floats(rows) + 16);
}

static uint64_t shared_out(const sa_config *c) {
    uint64_t e = round_up((uint64_t)c->v_head_dim, 16), sinks = (uint64_t)c->n_sink, learned = (uint64_t)c->n_sink_kv;
    uint64_t window = (uint64_t)c->window, recent = (uint64_t)c->n_recent, n_rows = (uint64_t)c->n_rows, k = 1024;
    uint64_t rows = (uint64_t)c->n_heads * (uint64_t)c->max_append * (uint64_t)c->n_sequences;
    if (c->n_threads == 1) {
        return 0;
    }
    while (max_of(window, max_of(sinks, learned)) > 64 * k) {
        k *= 2;
    }
    return 4 * min_of(rows, 32 * (uint64_t)c->n_threads) *
           ((learned + k - 1) / k + 2 * ((n_rows + k - 1) / k) + (sinks + k - 1) / k + window / k + 2 +
            (recent ? recent / k + 2 : 0)) *
           (e + 2);
}

static uint64_t rotations(const sa_config *c) {
    uint64_t rows = (1 + lanes_of(c)) * max_of((uint64_t)c->max_append, (uint64_t)c->n_sequences) + 16;
    uint64_t dims = rotated_dims(c);
    return part(rows * dims * 4) + part((dims ? 512 : 1) * sizeof(sai_rotations_key));
}

/* What is being worked: calls, jobs, the parts that they look at, the spans of narrowed views. */
static uint64_t jobs(const sa_config *c) {
    uint64_t n = (uint64_t)c->n_sequences, spans = 2 * (8 + (uint64_t)c->n_spans), lanes = lanes_of(c), m = n * lanes;
    return part(n * sizeof(sai_batch_call)) + part(m * sizeof(sai_job)) + part(m * (2 * spans + 3) * sizeof(sai_part)) +
           part(m * spans * sizeof(sai_span)) + part(lanes * 8);
}

static uint64_t documented(const sa_config *c) {
    uint64_t layers = (uint64_t)c->n_layers;
    return (uint64_t)c->n_sequences * part(sizeof(sa_cache) + layers * sum_of_lanes(c, sequence)) +
           part(sizeof(sa_pool)) + part(layers * lanes_of(c) * sizeof(sai_layer)) + part(4 * (layers + 1)) +
           layers * (sum_of_lanes(c, keys_and_values) + tables(c)) + rotations(c) +
           (uint64_t)c->n_threads * largest_of_lanes(c, worker) + part(sum_of_lanes(c, shared_out)) + jobs(c);
}

/* ---------------------------------- configs ----------------------------------- */

static void no_pool(void *context, int32_t n, sa_task task, void *task_context) {
    (void)context;
    for (int32_t i = 0; i < n; i++) {
        task(task_context, i);
    }
}

static void draw_sequences(sa_config *c, test_rng *rng) {
    c->n_sequences = rng_chance(rng, 50) ? 1 : (int32_t)rng_in(rng, 2, 70);
    c->n_spans = rng_chance(rng, 50) ? 0 : (int32_t)rng_in(rng, 1, 20);
    c->n_pin = c->n_spans && rng_chance(rng, 50) ? (int32_t)rng_in(rng, 1, 1000) : 0;
    c->pool_tokens = rng_chance(rng, 50) ? 0 : rng_in(rng, 1, 10000);
    c->max_draft = rng_chance(rng, 50) ? 0 : (int32_t)rng_in(rng, 1, 600);
}

/* Some kv heads with sinks and a window of their own. */
static void draw_lanes(sa_config *c, test_rng *rng) {
    static int32_t windows[MOST_HEADS], sinks[MOST_HEADS];
    int narrow = (int)rng_in(rng, 1, c->window), some = (int)rng_in(rng, 0, 3);
    for (int h = 0; h < c->n_kv_heads; h++) {
        windows[h] = rng_chance(rng, 50) ? narrow : rng_chance(rng, 50) ? 0 : (int32_t)rng_in(rng, 1, c->window);
        int most = c->policy != SA_POLICY_DENSE ? c->n_sink : windows[h] ? c->window - windows[h] : 0;
        sinks[h] = (int32_t)rng_in(rng, -1, some < most ? some : most);
    }
    c->head_windows = rng_chance(rng, 80) ? windows : NULL;
    c->head_sinks = c->head_windows || c->policy != SA_POLICY_DENSE ? sinks : NULL;
}

static void draw(sa_config *c, test_rng *rng) {
    static const float logits[71 * MOST_HEADS];
    memset(c, 0, sizeof *c);
    c->struct_size = sizeof *c;
    c->n_layers = (int32_t)rng_in(rng, 1, 4);
    c->n_kv_heads = (int32_t)rng_in(rng, 1, MOST_HEADS);
    c->n_heads = c->n_kv_heads * (int32_t)(rng_chance(rng, 10) ? 71 : rng_in(rng, 1, 9));
    c->head_dim = 2 * (int32_t)rng_in(rng, 1, 150);
    c->v_head_dim = (int32_t)rng_in(rng, 1, 300);
    c->policy = rng_chance(rng, 20) ? SA_POLICY_DENSE : SA_POLICY_SINK_WINDOW;
    c->n_sink = c->policy == SA_POLICY_DENSE ? 0 : (int32_t)rng_in(rng, 0, 40);
    c->window = (int32_t)rng_in(rng, 1, rng_chance(rng, 10) ? 300000 : 5000);
    c->n_sink_kv = (int32_t)rng_in(rng, 0, 20);
    c->n_rows = rng_chance(rng, 50) ? 0 : (int32_t)rng_in(rng, 1, rng_chance(rng, 10) ? 5000 : 200);
    c->max_append = (int32_t)rng_in(rng, 1, 400);
    c->rollback = (int32_t)rng_in(rng, 0, 400);
    c->k_dtype = (int32_t)rng_in(rng, SA_F32, SA_I4);
    c->v_dtype = (int32_t)rng_in(rng, SA_F32, SA_I4);
    if (c->n_sink + c->n_sink_kv + c->n_rows > 0) {
        c->sink_k_dtype = (int32_t)rng_in(rng, 0, SA_BF16);
        c->sink_v_dtype = (int32_t)rng_in(rng, 0, SA_BF16);
    }
    if (rng_chance(rng, 40)) {
        c->n_recent = (int32_t)rng_in(rng, 1, c->window);
        c->recent_k_dtype = (int32_t)rng_in(rng, 0, SA_BF16);
        c->recent_v_dtype = (int32_t)rng_in(rng, 0, SA_BF16);
    }
    c->position = (int32_t)rng_in(rng, SA_POSITION_NONE, SA_POSITION_ALIBI);
    if (rotated_dims(c) > 0 && rng_chance(rng, 50)) {
        c->rope_dims = 2 * (int32_t)rng_in(rng, 1, c->head_dim / 2);
    }
    c->sink_logits = rng_chance(rng, 50) ? logits : NULL;
    c->n_threads = (int32_t)rng_in(rng, 1, 4);
    c->parallel_for = c->n_threads > 1 ? no_pool : NULL;
    draw_sequences(c, rng);
    if (rng_chance(rng, 50)) draw_lanes(c, rng);
}

static void check(const sa_config *c, long index, long *fit) {
    size_t size = 0, alignment = 0, alone = 0;
    const char *why = "";
    sa_status status = sa_pool_size(c, &size, &alignment);
    sa_config_check(c, &why, NULL);
    if (documented(c) > SIZE_MAX / 2) { /* half of the addresses at most; only those of 32 bits are so few */
        CHECK(status == SA_ERR_OVERFLOW, "case %ld: %llu bytes: %s", index, (unsigned long long)documented(c),
              sa_status_string(status));
        return;
    }
    if (CHECK(status == SA_SUCCESS, "case %ld: %s", index, why)) {
        CHECK(size == documented(c), "case %ld: %zu bytes, documented %llu", index, size,
              (unsigned long long)documented(c));
        CHECK(alignment == 64, "alignment %zu", alignment);
        CHECK(c->n_sequences > 1 || (sa_cache_size(c, &alone, &alignment) == SA_SUCCESS && alone == size),
              "case %ld: alone %zu bytes, not %zu", index, alone, size);
        ++*fit;
    }
}

/* The example of docs/memory.md. */
static void example(void) {
    sa_config c;
    size_t size = 0, alignment = 0;
    memset(&c, 0, sizeof c);
    c.struct_size = sizeof c;
    c.n_layers = 32;
    c.n_heads = 32;
    c.n_kv_heads = 8;
    c.head_dim = c.v_head_dim = 128;
    c.n_sink = 4;
    c.window = 4092;
    c.k_dtype = c.v_dtype = SA_F16;
    c.position = SA_POSITION_ROPE;
    c.max_append = 256;
    c.n_threads = c.n_sequences = 1;
    if (sizeof(void *) < 8) {
        return;
    }
    CHECK(sa_cache_size(&c, &size, &alignment) == SA_SUCCESS && size == documented(&c), "the example: %zu", size);
    CHECK(size - 574619648u < 2000000, "the example: %zu bytes beside keys and values", size - 574619648u);
}

int main(int argc, char **argv) {
    uint64_t seed = 5;
    long count = 20000, fit = 0;
    test_begin("test_size", argc, argv, &seed, &count);
    test_rng rng = {seed};
    for (long i = 0; i < count; i++) {
        sa_config c;
        draw(&c, &rng);
        check(&c, i, &fit);
    }
    CHECK(fit > count / 2, "%ld of %ld pools fit", fit, count);
    example();
    return test_end();
}
