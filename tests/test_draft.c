/*
 * Drafts with parents: a node gives what it would give had its path been appended, and accepting a path leaves what
 * appending it leaves, bit for bit, whatever the layer is made of and whatever the stream has been through.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "compare.h"
#include "test.h"

enum { IDS = 97, NODES = 130, ROUNDS = 3, OUT = 16384, HEADS = 512 };

static const case_limits limits = {400000, 60000, 600, 0, 0};

/* One layer's tokens: token i of the stream is row i % IDS. */
typedef struct rows {
    float *q, *k, *v;
    int heads, kv, dk, dv;
} rows;

typedef struct result {
    float out[OUT], lse[HEADS], mass[HEADS];
} result;

/* A draft as the test keeps it: a node's token, and the parent that it was given. */
typedef struct tree {
    int n;
    int32_t parents[NODES];
    int tokens[NODES], poisoned[NODES];
} tree;

typedef struct world {
    test_case c;
    sa_config config;
    test_rng rng;
    sa_pool *pool;
    sa_cache *stream, *other; /* that which drafts, and one that only appends */
    rows layers[CASE_LAYERS];
    int n_layers, max_append;
    int32_t head_windows[HEADS], head_sinks[HEADS];
    tree tree;
} world;

#define DONE(cache, call) CHECK((call) == SA_SUCCESS, "%s: %s", #call, sa_cache_error(cache))

/* ----------------------------------- tokens -------------------------------- */

static float *random_rows(world *w, int64_t n) {
    float *x = test_take((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = rng_normal(&w->rng);
    return x;
}

static void make_rows(world *w) {
    for (int l = 0; l < w->n_layers; l++) {
        const sa_config *g = case_layer(&w->c, l);
        rows *r = &w->layers[l];
        r->heads = g->n_heads;
        r->kv = g->n_kv_heads ? g->n_kv_heads : g->n_heads;
        r->dk = g->head_dim;
        r->dv = g->v_head_dim ? g->v_head_dim : g->head_dim;
        r->q = random_rows(w, (int64_t)IDS * r->heads * r->dk);
        r->k = random_rows(w, (int64_t)IDS * r->kv * r->dk);
        r->v = random_rows(w, (int64_t)IDS * r->kv * r->dv);
    }
}

static void free_rows(world *w) {
    for (int l = 0; l < w->n_layers; l++) {
        free(w->layers[l].q);
        free(w->layers[l].k);
        free(w->layers[l].v);
    }
}

static void set_sink_rows(world *w) {
    for (int l = 0; l < w->n_layers; l++) {
        const sa_config *g = case_layer(&w->c, l);
        int64_t n = g->n_sink_kv;
        if (!n) continue;
        size_t size = 4;
        char *k = test_take((size_t)n * (size_t)w->layers[l].kv * (size_t)w->layers[l].dk * size);
        char *v = test_take((size_t)n * (size_t)w->layers[l].kv * (size_t)w->layers[l].dv * size);
        DONE(w->stream, sa_set_sink_kv(w->stream, l, k, v));
        free(k);
        free(v);
    }
}

/* Rows of the host, the same ones for both streams. */
static void set_rows(world *w, sa_cache *cache) {
    sa_rows r;
    memset(&r, 0, sizeof r);
    r.struct_size = sizeof r;
    r.flags = w->config.n_rows % 2 ? SA_ROWS_AT_DISTANCE : 0;
    r.n_rows = w->config.n_rows;
    r.k.data = w->layers[0].k;
    r.v.data = w->layers[0].v;
    if (r.n_rows) DONE(cache, sa_set_rows(cache, &r));
}

/* A step of tokens that follow each other in the table, from token `id` on. */
static sa_step_args step_of(const world *w, int layer, int id, int n, int with_k, result *to) {
    const rows *r = &w->layers[layer];
    sa_step_args a;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.layer = layer;
    a.n_tokens = n;
    a.q.dtype = a.k.dtype = a.v.dtype = a.out.dtype = SA_F32;
    if (with_k) {
        a.k.data = r->k + (size_t)id * (size_t)(r->kv * r->dk);
        a.v.data = r->v + (size_t)id * (size_t)(r->kv * r->dv);
    }
    if (!to) return a;
    compare_forget(to->out, (size_t)(r->heads * r->dv) * sizeof *to->out);
    compare_forget(to->lse, sizeof to->lse);
    compare_forget(to->mass, sizeof to->mass);
    a.q.data = r->q + (size_t)id * (size_t)(r->heads * r->dk);
    a.out.data = to->out;
    a.lse = to->lse;
    a.sink_mass = to->mass;
    return a;
}

static int same(const world *w, int layer, const result *a, const result *b) {
    const rows *r = &w->layers[layer];
    int64_t n = (int64_t)r->heads * r->dv;
    for (int i = 0; i < r->heads; i++)
        if (a->lse[i] != b->lse[i] && !(isinf(a->lse[i]) && isinf(b->lse[i]))) return 0;
    return compare_bits(a->out, n, b->out, n) < 0 && compare_bits(a->mass, r->heads, b->mass, r->heads) < 0;
}

/* ---------------------------------- streams -------------------------------- */

static void append(world *w, sa_cache *cache, int id, int n) {
    for (int l = 0; l < w->n_layers; l++) {
        sa_step_args a = step_of(w, l, id, n, 1, NULL);
        DONE(cache, sa_step(cache, &a));
    }
}

static uint64_t seen(sa_cache *cache, int layer) {
    sa_cache_facts info;
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    CHECK(sa_cache_info(cache, layer, &info) == SA_SUCCESS, "info");
    return info.tokens_seen;
}

/* Tokens that still have room: without a dense layer, any number. */
static int64_t room(const world *w) {
    int64_t most = 1 << 30;
    for (int l = 0; l < w->n_layers; l++) {
        const sa_config *g = case_layer(&w->c, l);
        if (g->policy != SA_POLICY_DENSE) continue;
        sa_cache_facts info;
        memset(&info, 0, sizeof info);
        info.struct_size = sizeof info;
        CHECK(sa_cache_info(w->stream, l, &info) == SA_SUCCESS, "info");
        if (g->window - (int64_t)info.tokens_held < most) most = g->window - (int64_t)info.tokens_held;
    }
    return most;
}

static int sinks_have_come(const world *w) {
    int64_t most = 0;
    for (int l = 0; l < w->n_layers; l++) {
        const sa_config *g = case_layer(&w->c, l);
        if (g->n_sink > most) most = g->n_sink;
    }
    return (int64_t)seen(w->stream, 0) >= most;
}

/* The same change of both streams; it may be refused, then of both. */
static void change(world *w) {
    uint64_t end = seen(w->stream, 0), a, b;
    sa_status status[2];
    if (end < 3) return;
    a = end > 30 && rng_chance(&w->rng, 80) ? end - (uint64_t)rng_in(&w->rng, 1, 29) : (uint64_t)rng_in(&w->rng, 0, 2);
    b = a + (uint64_t)rng_in(&w->rng, 1, 12);
    if (b > end) b = end;
    int what = (int)rng_in(&w->rng, 0, 5);
    int64_t back = rng_in(&w->rng, 0, end < 8 ? (int64_t)end : 8);
    uint64_t jump = rng_chance(&w->rng, 50) ? 7 : 0;
    for (int i = 0; i < 2; i++) {
        sa_cache *c = i ? w->other : w->stream;
        status[i] = what == 0   ? sa_cache_remove(c, SA_ALL_LAYERS, a, b, SA_GAP_CLOSE)
                    : what == 1 ? sa_cache_remove(c, SA_ALL_LAYERS, a, b, SA_GAP_KEEP)
                    : what == 2 ? sa_cache_pin(c, SA_ALL_LAYERS, a, b)
                    : what == 3 ? sa_cache_unpin(c, SA_ALL_LAYERS, a, b)
                    : what == 4 ? sa_cache_rollback(c, SA_ALL_LAYERS, w->tree.n ? 0 : back)
                                : sa_cache_seek(c, SA_ALL_LAYERS, end + jump);
        if (w->tree.n && what >= 4) {
            CHECK(status[i] == SA_ERR_STATE || i, "a draft is open: %d", (int)status[i]);
            return;
        }
    }
    CHECK(status[0] == status[1], "%d, but %d", (int)status[0], (int)status[1]);
}

static void grow(world *w, int64_t n) {
    if (n > room(w)) n = room(w);
    while (n > 0) {
        int step = (int)rng_in(&w->rng, 1, n > 40 ? 40 : n), id = (int)rng_in(&w->rng, 0, IDS - 41);
        append(w, w->stream, id, step);
        append(w, w->other, id, step);
        n -= step;
    }
}

/* ---------------------------------- drafts --------------------------------- */

/* The path of a node, root first; returns its length. */
static int path_of(const tree *t, int node, int32_t *path) {
    int n = 0;
    for (int i = node; i >= 0; i = t->parents[i]) n++;
    for (int i = node, at = n; i >= 0; i = t->parents[i]) path[--at] = (int32_t)i;
    return n;
}

/* What appending a node's path to a copy of the other stream gives for it, in such a view. */
static void expect(world *w, int layer, int node, const sa_step_args *view, result *to) {
    int32_t path[NODES];
    sa_cache *fork = NULL;
    int n = path_of(&w->tree, node, path);
    DONE(w->other, sa_cache_fork(w->other, &fork));
    for (int i = 0; i < n; i++) {
        sa_step_args a = step_of(w, layer, w->tree.tokens[path[i]], 1, 1, i + 1 < n ? NULL : to);
        if (i + 1 == n) a.view_window = view->view_window;
        if (i + 1 == n) a.view_sinks = view->view_sinks;
        DONE(fork, sa_step(fork, &a));
    }
    sa_cache_destroy(fork);
}

/* Draws the parents of n more nodes; returns how many have found one. */
static int draw_parents(world *w, int n) {
    tree *t = &w->tree;
    int kind = (int)rng_in(&w->rng, 0, 2), id = (int)rng_in(&w->rng, 0, IDS - NODES / 4 - 1);
    int64_t most = room(w) < w->max_append ? room(w) : w->max_append;
    int32_t path[NODES];
    if (most < 1) return 0;
    for (int i = 0; i < n; i++) {
        int node = t->n + i,
            parent = kind == 0 ? node - 1 : (int)rng_in(&w->rng, kind == 1 || node < 2 ? -1 : node / 2, node - 1);
        while (parent >= 0 && path_of(t, parent, path) >= most) parent = t->parents[parent];
        t->parents[node] = parent;
        t->tokens[node] = id + i;
        t->poisoned[node] = 0;
    }
    return n;
}

/* Drafts n more nodes in all layers, with or without queries, which are checked. */
static void draft(world *w, int n) {
    static result all;
    tree *t = &w->tree;
    n = draw_parents(w, n);
    if (!n) return;
    int first = t->n, asks = rng_chance(&w->rng, 50);
    static float out[NODES * OUT / 8];
    t->n += n;
    for (int l = 0; l < w->n_layers; l++) {
        const rows *r = &w->layers[l];
        int64_t row = (int64_t)r->heads * r->dv;
        int with_q = asks && n * row <= (int64_t)(sizeof out / sizeof *out);
        sa_step_args a = step_of(w, l, t->tokens[first], n, 1, with_q ? &all : NULL);
        a.lse = a.sink_mass = NULL;
        a.parents = t->parents + first;
        if (with_q) a.out.data = out;
        if (with_q) compare_forget(out, sizeof out);
        DONE(w->stream, sa_step(w->stream, &a));
        for (int i = 0; with_q && i < n; i++) {
            expect(w, l, first + i, &a, &all);
            CHECK(compare_bits(out + i * row, row, all.out, row) < 0, "node %d of %d, layer %d, %s", first + i, t->n, l,
                  case_text(&w->c));
        }
    }
}

/* Queries of nodes that were drafted before. */
static void ask(world *w) {
    static result got, expected;
    for (int l = 0; l < w->n_layers && w->tree.n; l++) {
        int node = (int)rng_in(&w->rng, 0, w->tree.n - 1);
        sa_step_args a = step_of(w, l, w->tree.tokens[node], 1, 0, &got);
        a.flags = SA_STEP_NODES;
        a.q_offset = node;
        if (rng_chance(&w->rng, 30)) a.view_window = (int32_t)rng_in(&w->rng, 1, case_layer(&w->c, l)->window);
        if (rng_chance(&w->rng, 30)) a.view_sinks = (int32_t)rng_in(&w->rng, -1, 3);
        DONE(w->stream, sa_step(w->stream, &a));
        expect(w, l, node, &a, &expected);
        CHECK(same(w, l, &got, &expected), "node %d of %d asked, layer %d, %s", node, w->tree.n, l, case_text(&w->c));
    }
}

/* Both streams list the same spans and facts, and give the same for a probe and for the newest tokens. */
static void check_same_streams(world *w, const char *when) {
    static result a, b;
    for (int l = 0; l < w->n_layers; l++) {
        for (int newest = 0; newest < 2; newest++) {
            sa_step_args x = step_of(w, l, 5, 1, 0, &a), y = step_of(w, l, 5, 1, 0, &b);
            x.q_offset = y.q_offset = -newest;
            sa_status got = sa_step(w->stream, &x), expected = sa_step(w->other, &y);
            CHECK(got == expected, "%s: %d, but %d", when, (int)got, (int)expected);
            if (!got) CHECK(same(w, l, &a, &b), "%s, newest %d, layer %d, %s", when, newest, l, case_text(&w->c));
        }
        sa_cache_facts facts[2];
        sa_span spans[2][24];
        int32_t n[2];
        memset(facts, 0, sizeof facts);
        memset(spans, 0, sizeof spans);
        for (int i = 0; i < 2; i++) {
            sa_cache *c = i ? w->other : w->stream;
            facts[i].struct_size = sizeof facts[i];
            CHECK(sa_cache_info(c, l, &facts[i]) == SA_SUCCESS, "info");
            CHECK(sa_cache_spans(c, l, 0, 24, spans[i], &n[i]) == SA_SUCCESS, "spans");
        }
        CHECK(memcmp(&facts[0], &facts[1], sizeof facts[0]) == 0 || w->tree.n, "%s: other facts", when);
        CHECK(n[0] == n[1] && memcmp(spans[0], spans[1], sizeof spans[0]) == 0, "%s: other spans", when);
    }
}

/* Accepts a path, or none, and appends it to the other stream. */
static void accept(world *w) {
    int32_t path[NODES];
    int n = w->tree.n && rng_chance(&w->rng, 80) ? path_of(&w->tree, (int)rng_in(&w->rng, 0, w->tree.n - 1), path) : 0;
    if (n && rng_chance(&w->rng, 50)) n = (int)rng_in(&w->rng, 1, n);
    DONE(w->stream, sa_draft_accept(w->stream, SA_ALL_LAYERS, n, path));
    for (int i = 0; i < n; i++) append(w, w->other, w->tree.tokens[path[i]], 1);
    w->tree.n = 0;
}

/* ----------------------------------- a case -------------------------------- */

/* Whether the results of a token fit. */
static int fits(const world *w) {
    for (int l = 0; l < w->c.config.n_layers; l++) {
        const sa_config *g = case_layer(&w->c, l);
        if (g->n_heads * (g->v_head_dim ? g->v_head_dim : g->head_dim) > OUT) return 0;
    }
    return 1;
}

/* Some kv heads of a lone layer keep fewer tokens than others. */
static void draw_lanes(world *w) {
    sa_config *g = &w->config;
    int kv = g->n_kv_heads ? g->n_kv_heads : g->n_heads, narrow = (int)rng_in(&w->rng, 1, g->window);
    if (g->layers || !rng_chance(&w->rng, 30)) return;
    for (int h = 0; h < kv; h++) {
        w->head_windows[h] = rng_chance(&w->rng, 50) ? narrow : 0;
        w->head_sinks[h] = g->policy == SA_POLICY_SINK_WINDOW && rng_chance(&w->rng, 30) ? -1 : 0;
    }
    g->head_windows = w->head_windows;
    g->head_sinks = w->head_sinks;
}

static void draw_world(world *w, uint64_t seed) {
    memset(w, 0, sizeof *w);
    w->rng.state = seed;
    case_draw(&w->c, &w->rng, &limits);
    while (!fits(w)) case_draw(&w->c, &w->rng, &limits);
    w->config = w->c.config;
    w->config.n_sequences = 4;
    w->config.max_draft = (int32_t)rng_in(&w->rng, 1, rng_chance(&w->rng, 30) ? NODES : 30);
    w->config.n_spans = 8;
    w->config.n_pin = 100;
    w->config.io_dtype = SA_F32;
    if (rng_chance(&w->rng, 15)) w->config.isa = SA_ISA_PLAIN;
    if (!w->config.layers && rng_chance(&w->rng, 25)) w->config.n_rows = (int32_t)rng_in(&w->rng, 1, 5);
    if (w->config.n_threads < 2 && rng_chance(&w->rng, 25)) {
        w->c.pool.n_threads = w->config.n_threads = (int32_t)rng_in(&w->rng, 2, 4);
        w->config.parallel_for = test_parallel_for;
        w->config.parallel_context = &w->c.pool;
    }
    w->n_layers = w->config.n_layers;
    draw_lanes(w);
    w->max_append = w->config.max_append ? w->config.max_append : 256;
    CHECK(sa_pool_create(&w->config, NULL, &w->pool) == SA_SUCCESS, "create");
    CHECK(sa_pool_open(w->pool, &w->stream) == SA_SUCCESS && sa_pool_open(w->pool, &w->other) == SA_SUCCESS, "open");
    make_rows(w);
    set_sink_rows(w);
    set_rows(w, w->stream);
    set_rows(w, w->other);
}

static void one_round(world *w) {
    if (rng_chance(&w->rng, 60)) change(w);
    if (sinks_have_come(w)) {
        for (int calls = (int)rng_in(&w->rng, 1, 3); calls > 0; calls--) {
            int left = w->config.max_draft - w->tree.n, most = left < NODES / 4 ? left : NODES / 4;
            if (most > 0) draft(w, (int)rng_in(&w->rng, 1, most));
            ask(w);
            if (rng_chance(&w->rng, 20)) change(w);
            if (rng_chance(&w->rng, 20)) ask(w);
        }
        check_same_streams(w, "drafting");
    }
    accept(w);
    check_same_streams(w, "accepted");
    grow(w, rng_in(&w->rng, 0, 20));
    check_same_streams(w, "gone on");
}

static void one_case(uint64_t seed) {
    static world w;
    draw_world(&w, seed);
    if (w.c.n_tokens > 0) grow(&w, w.c.n_tokens);
    for (int r = 0; r < ROUNDS; r++) one_round(&w);
    sa_cache_destroy(w.stream);
    sa_cache_destroy(w.other);
    sa_pool_destroy(w.pool);
    free_rows(&w);
}

int main(int argc, char **argv) {
    uint64_t seed = 1;
    long count = 150;
    test_begin("draft", argc, argv, &seed, &count);
    for (long i = 0; i < count; i++) {
        long failed = test_failed;
        one_case(seed * 1000003 + (uint64_t)i);
        if (test_failed > failed && failed < TEST_SHOWN) printf("  in case %ld\n", i);
    }
    return test_end();
}
