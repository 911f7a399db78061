/*
 * Bit-identity: the same stream in many ways, compared byte by byte.
 *
 * One call, or any pieces; any number of threads; any instruction set with fused multiply-add;
 * tensors of any strides; any room (max_append, rollback); with detours that are rolled back; in a
 * block that is copied halfway; after a reset; each layer in a cache of its own.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "cases.h"
#include "compare.h"
#include "test.h"

enum { WHOLE, STEPS, TWO_CALLS, ONE_BY_ONE };

typedef struct variant {
    const char *name;
    int way;
    int isa; /* 0: as the case */
    int n_threads;
    int openmp;
    int is_strided;
    int detours;
    int copies;
    int max_append; /* 0: as the case */
    int rollback;
    int after_reset;
    int lone_layers;
} variant;

/* A layer's inputs, and what came out: the bits that are compared. */
typedef struct layer_stream {
    int64_t n_heads, n_kv_heads, head_dim, v_head_dim, n_sink_kv;
    float *q, *k, *v, *sink_k, *sink_v;
    float *out, *lse, *mass;
    size_t out_size, row_size; /* bytes of out, of lse and mass */
} layer_stream;

typedef struct player {
    test_case *c;
    const variant *way;
    test_rng rng;
    sa_config config;
    sa_cache *cache;
    unsigned char *block, *at; /* allocated; where the cache's block begins in it */
    size_t size;
    test_pool pool;
    layer_stream *layers; /* (n_layers) of this cache */
    int64_t n_tokens, start, seen;
} player;

static void draw(test_case *c, test_rng *rng, float **out, int64_t count) {
    int64_t i;
    *out = test_take((size_t)count * sizeof(float));
    for (i = 0; i < count; i++) {
        (*out)[i] = case_number(c, rng_normal(rng));
    }
}

static void layer_forget(const layer_stream *s) {
    compare_forget(s->out, s->out_size);
    compare_forget(s->lse, s->row_size);
    compare_forget(s->mass, s->row_size);
}

static void layer_make(layer_stream *s, test_case *c, const sa_config *g, test_rng *rng) {
    int64_t n = c->n_tokens;
    s->n_heads = g->n_heads;
    s->n_kv_heads = g->n_kv_heads ? g->n_kv_heads : g->n_heads;
    s->head_dim = g->head_dim;
    s->v_head_dim = g->v_head_dim ? g->v_head_dim : g->head_dim;
    s->n_sink_kv = g->n_sink_kv;
    draw(c, rng, &s->q, n * s->n_heads * s->head_dim);
    draw(c, rng, &s->k, n * s->n_kv_heads * s->head_dim);
    draw(c, rng, &s->v, n * s->n_kv_heads * s->v_head_dim);
    draw(c, rng, &s->sink_k, s->n_sink_kv * s->n_kv_heads * s->head_dim);
    draw(c, rng, &s->sink_v, s->n_sink_kv * s->n_kv_heads * s->v_head_dim);
    s->out_size = (size_t)(n * s->n_heads * s->v_head_dim) * sizeof(float);
    s->row_size = (size_t)(n * s->n_heads) * sizeof(float);
    s->out = test_take(s->out_size);
    s->lse = test_take(s->row_size);
    s->mass = test_take(s->row_size);
    layer_forget(s);
}

static void layer_free(layer_stream *s) {
    free(s->q);
    free(s->k);
    free(s->v);
    free(s->sink_k);
    free(s->sink_v);
    free(s->out);
    free(s->lse);
    free(s->mass);
}

static sa_tensor plain_tensor(const float *data) {
    sa_tensor t;
    memset(&t, 0, sizeof t);
    t.data = (void *)(uintptr_t)data;
    t.dtype = SA_F32;
    return t;
}

/* Tokens at .. at + n - 1 of a layer's stream in one sa_step, the tensors as they lie. */
static sa_status step_plain(player *p, int l, int64_t at, int64_t n, int with_kv, int with_q) {
    layer_stream *s = &p->layers[l];
    sa_step_args a;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.layer = l;
    a.n_tokens = (int32_t)n;
    if (with_kv) {
        a.k = plain_tensor(s->k + at * s->n_kv_heads * s->head_dim);
        a.v = plain_tensor(s->v + at * s->n_kv_heads * s->v_head_dim);
    }
    if (with_q) {
        a.q_offset = with_kv ? 0 : -n;
        a.q = plain_tensor(s->q + at * s->n_heads * s->head_dim);
        a.out = plain_tensor(s->out + at * s->n_heads * s->v_head_dim);
        a.lse = s->lse + at * s->n_heads;
        a.sink_mass = s->mass + at * s->n_heads;
    }
    return sa_step(p->cache, &a);
}

static void make_strided(player *p, test_tensor *t, int64_t n, int64_t heads, int64_t dim, const float *from) {
    int dtype = from ? case_input_dtype(p->c, &p->rng) : SA_F32;
    tensor_make(t, &p->rng, (int)rng_in(&p->rng, 1, SHAPE_COUNT - 1), dtype, dtype, n, heads, dim);
    if (from) {
        tensor_write(t, from);
    }
}

/* The same with odd strides, and element types that hold the same numbers. */
static sa_status step_strided(player *p, int l, int64_t at, int64_t n) {
    layer_stream *s = &p->layers[l];
    test_tensor q, k, v, out;
    sa_status status;
    sa_step_args a;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.layer = l;
    a.n_tokens = (int32_t)n;
    make_strided(p, &q, n, s->n_heads, s->head_dim, s->q + at * s->n_heads * s->head_dim);
    make_strided(p, &k, n, s->n_kv_heads, s->head_dim, s->k + at * s->n_kv_heads * s->head_dim);
    make_strided(p, &v, n, s->n_kv_heads, s->v_head_dim, s->v + at * s->n_kv_heads * s->v_head_dim);
    make_strided(p, &out, n, s->n_heads, s->v_head_dim, NULL);
    a.q = q.tensor;
    a.k = k.tensor;
    a.v = v.tensor;
    a.out = out.tensor;
    a.lse = s->lse + at * s->n_heads;
    a.sink_mass = s->mass + at * s->n_heads;
    status = sa_step(p->cache, &a);
    tensor_read(&out, s->out + at * s->n_heads * s->v_head_dim);
    tensor_free(&q);
    tensor_free(&k);
    tensor_free(&v);
    tensor_free(&out);
    return status;
}

static sa_status play_piece(player *p, int l, int64_t at, int64_t n) {
    sa_status status;
    if (p->way->is_strided) {
        return step_strided(p, l, at, n);
    }
    if (p->way->way != TWO_CALLS) {
        return step_plain(p, l, at, n, 1, 1);
    }
    status = step_plain(p, l, at, n, 1, 0);
    return status == SA_SUCCESS ? step_plain(p, l, at, n, 0, 1) : status;
}

/* Tokens that will be taken back: large numbers, or no numbers at all. */
static sa_status play_garbage(player *p, int l, int64_t n) {
    layer_stream *s = &p->layers[l];
    int64_t count = n * s->n_kv_heads * (s->head_dim + s->v_head_dim), i;
    float *x = test_take((size_t)count * sizeof *x), kind = rng_chance(&p->rng, 50) ? NAN : 1e30f;
    sa_step_args a;
    sa_status status;
    for (i = 0; i < count; i++) {
        x[i] = rng_chance(&p->rng, 30) ? kind : 100.0f * rng_normal(&p->rng);
    }
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.layer = l;
    a.n_tokens = (int32_t)n;
    a.k = plain_tensor(x);
    a.v = plain_tensor(x + n * s->n_kv_heads * s->head_dim);
    status = sa_step(p->cache, &a);
    free(x);
    return status;
}

/* How many tokens every dense layer could still take. */
static int64_t room(const player *p) {
    int64_t least = INT32_MAX;
    int l;
    for (l = 0; l < p->config.n_layers; l++) {
        const sa_config *g = p->config.layers && p->config.layers[l] ? p->config.layers[l] : &p->config;
        int64_t left = g->window - p->seen;
        least = g->policy == SA_POLICY_DENSE && left < least ? left : least;
    }
    return least;
}

/* Appends tokens in all layers (or only the first ones: a pass that broke off) and takes them back. */
static void detour(player *p) {
    int64_t most = p->config.rollback < room(p) ? p->config.rollback : room(p), n, back;
    int l, until = rng_chance(&p->rng, 70) ? p->config.n_layers : (int)rng_in(&p->rng, 1, p->config.n_layers);
    sa_status status = SA_SUCCESS;
    if (most <= 0) {
        return;
    }
    n = rng_in(&p->rng, 1, most);
    for (l = 0; l < until && status == SA_SUCCESS; l++) {
        status = play_garbage(p, l, n);
    }
    CHECK(status == SA_SUCCESS, "%s: garbage: %s", p->way->name, sa_status_string(status));
    if (until == p->config.n_layers && n > 1 && rng_chance(&p->rng, 40)) { /* nested: back a little, on, and back */
        back = rng_in(&p->rng, 1, n - 1);
        CHECK(sa_cache_rollback(p->cache, SA_ALL_LAYERS, back) == SA_SUCCESS, "%s: rollback %lld", p->way->name,
              (long long)back);
        for (l = 0; l < until; l++) {
            CHECK(play_garbage(p, l, back) == SA_SUCCESS, "%s: more garbage", p->way->name);
        }
    }
    status = sa_cache_rollback(p->cache, SA_ALL_LAYERS, n);
    CHECK(status == SA_SUCCESS, "%s: rollback %lld: %s: %s", p->way->name, (long long)n, sa_status_string(status),
          config_text(&p->config));
}

static unsigned char *aligned(unsigned char *at, size_t alignment) {
    return at + (alignment - (uintptr_t)at % alignment) % alignment;
}

static void open_cache(player *p) {
    size_t alignment = 1;
    sa_status status = sa_cache_size(&p->config, &p->size, &alignment);
    CHECK(status == SA_SUCCESS, "%s: sa_cache_size: %s", p->way->name, sa_status_string(status));
    p->block = test_take(p->size + alignment);
    p->at = aligned(p->block, alignment);
    p->cache = NULL;
    status = sa_cache_init(p->at, p->size, &p->config, &p->cache);
    CHECK(status == SA_SUCCESS, "%s: sa_cache_init: %s", p->way->name, sa_status_string(status));
}

/* Moves the cache to a copy of its block, at another offset, and wipes the old one. */
static void move(player *p) {
    size_t alignment = 1, size = 0;
    unsigned char *old = p->block, *from = p->at;
    sa_cache_size(&p->config, &size, &alignment);
    p->block = test_take(size + 2 * alignment);
    p->at = aligned(p->block, alignment) + (rng_chance(&p->rng, 50) ? alignment : 0);
    memcpy(p->at, from, size);
    p->cache = (sa_cache *)(void *)(p->at + ((unsigned char *)p->cache - from));
    memset(from, 0xFF, size);
    free(old);
}

static void set_sinks(player *p) {
    int l;
    for (l = 0; l < p->config.n_layers; l++) {
        layer_stream *s = &p->layers[l];
        float *k = s->sink_k, *v = s->sink_v;
        if (s->n_sink_kv > 0) {
            CHECK(sa_set_sink_kv(p->cache, l, k, v) == SA_SUCCESS, "%s: sa_set_sink_kv", p->way->name);
        }
    }
}

static int64_t next_piece(player *p, int64_t at) {
    int64_t left = p->n_tokens - at, most = rng_chance(&p->rng, 50) ? 5 : rng_chance(&p->rng, 50) ? 70 : left, n;
    int64_t max_append = p->config.max_append ? p->config.max_append : 256;
    if (p->way->way == WHOLE) {
        return left;
    }
    n = p->way->way == ONE_BY_ONE ? 1 : rng_in(&p->rng, 1, most < left ? most : left);
    return p->way->way == TWO_CALLS && n > max_append ? max_append : n;
}

static void play_stream(player *p) {
    int64_t at = 0;
    int l;
    while (at < p->n_tokens) {
        int64_t n = next_piece(p, at);
        if (p->way->detours && rng_chance(&p->rng, 50)) {
            detour(p);
        }
        if (p->way->copies && rng_chance(&p->rng, 20)) {
            move(p);
        }
        for (l = 0; l < p->config.n_layers; l++) {
            sa_status status = play_piece(p, l, at, n);
            CHECK(status == SA_SUCCESS, "%s: at %lld of %lld, n %lld: %s: %s", p->way->name, (long long)at,
                  (long long)p->n_tokens, (long long)n, sa_status_string(status), config_text(&p->config));
        }
        at += n;
        p->seen = at;
    }
}

static void configure(player *p, const test_case *c) {
    const variant *w = p->way;
    p->config.isa = w->isa ? w->isa : c->config.isa;
    p->config.max_append = w->max_append ? w->max_append : c->config.max_append;
    p->config.rollback = w->rollback ? w->rollback : c->config.rollback;
    p->config.n_threads = w->n_threads;
    p->config.parallel_for = NULL;
    p->config.parallel_context = NULL;
    p->config.io_dtype = SA_F32;
    if (w->n_threads > 1 && !w->openmp) {
        p->pool.n_threads = w->n_threads;
        p->pool.backwards = w->n_threads % 2;
        p->config.parallel_for = test_parallel_for;
        p->config.parallel_context = &p->pool;
    }
}

static void play_cache(player *p) {
    open_cache(p);
    if (!p->cache) {
        return;
    }
    set_sinks(p);
    if (p->way->after_reset) {
        int l;
        for (l = 0; l < p->config.n_layers; l++) {
            CHECK(play_garbage(p, l, rng_in(&p->rng, 1, room(p) < 50 ? room(p) : 50)) == SA_SUCCESS, "garbage");
        }
        CHECK(sa_cache_reset(p->cache, SA_ALL_LAYERS) == SA_SUCCESS, "reset");
    }
    if (p->start > 0) {
        CHECK(sa_cache_seek(p->cache, SA_ALL_LAYERS, (uint64_t)p->start) == SA_SUCCESS, "seek");
    }
    play_stream(p);
    free(p->block);
}

/* Plays the case's stream in one way; results go to `layers`. */
static void play(test_case *c, const variant *w, uint64_t seed, int64_t start, layer_stream *layers) {
    player p;
    int l, rounds = w->lone_layers ? c->config.n_layers : 1;
    for (l = 0; l < rounds; l++) {
        memset(&p, 0, sizeof p);
        p.c = c;
        p.way = w;
        p.rng.state = seed;
        p.n_tokens = c->n_tokens;
        p.start = start;
        p.config = w->lone_layers ? *case_layer(c, l) : c->config;
        p.layers = layers + l;
        configure(&p, c);
        if (w->lone_layers) {
            p.config.n_layers = 1;
            p.config.layers = NULL;
        }
        play_cache(&p);
    }
}

static void compare(const test_case *c, long index, const variant *w, const layer_stream *a, const layer_stream *b) {
    int l;
    for (l = 0; l < c->config.n_layers; l++) {
        int64_t rows = c->n_tokens * a[l].n_heads, dims = a[l].v_head_dim;
        int64_t i = compare_bits(b[l].out, rows * dims, a[l].out, (int64_t)(a[l].out_size / sizeof(float)));
        CHECK(i < 0, "case %ld %s layer %d: token %ld of %ld, head %ld: %.9g, not %.9g: %s", index, w->name, l,
              (long)(i / dims / a[l].n_heads), (long)c->n_tokens, (long)(i / dims % a[l].n_heads), (double)b[l].out[i],
              (double)a[l].out[i], case_text(c));
        i = compare_bits(b[l].lse, rows, a[l].lse, (int64_t)(a[l].row_size / sizeof(float)));
        CHECK(i < 0, "case %ld %s layer %d: lse: %s", index, w->name, l, case_text(c));
        i = compare_bits(b[l].mass, rows, a[l].mass, (int64_t)(a[l].row_size / sizeof(float)));
        CHECK(i < 0, "case %ld %s layer %d: sink mass: %s", index, w->name, l, case_text(c));
        layer_forget(&b[l]);
    }
}

static int has_openmp(const test_case *c) {
    sa_config g = c->config;
    g.n_threads = 2;
    g.parallel_for = NULL;
    g.parallel_context = NULL;
    return sa_config_check(&g, NULL, NULL) == SA_SUCCESS;
}

/* Sets have one of two kinds of bits. */
static int fuses(int isa) { return isa != SA_ISA_PLAIN_NOFMA && isa != SA_ISA_WASM; }

static void try_variants(test_case *c, long index, uint64_t seed, int64_t start, const layer_stream *truth,
                         layer_stream *got) {
    const variant ways[] = {{.name = "pieces", .way = STEPS},
                            {.name = "append, then attend", .way = TWO_CALLS},
                            {.name = "one by one", .way = ONE_BY_ONE},
                            {.name = "2 threads", .way = WHOLE, .n_threads = 2},
                            {.name = "5 threads, pieces", .way = STEPS, .n_threads = 5},
                            {.name = "strides", .way = STEPS, .is_strided = 1},
                            {.name = "rollback", .way = STEPS, .detours = 1, .rollback = 40},
                            {.name = "rollback, one by one", .way = ONE_BY_ONE, .detours = 1, .rollback = 7},
                            {.name = "copied block", .way = STEPS, .copies = 1},
                            {.name = "max_append 1", .way = WHOLE, .max_append = 1},
                            {.name = "max_append 37", .way = WHOLE, .max_append = 37, .rollback = 90},
                            {.name = "max_append 1000", .way = WHOLE, .max_append = 1000},
                            {.name = "after reset", .way = STEPS, .after_reset = 1},
                            {.name = "lone layers", .way = STEPS, .lone_layers = 1}};
    const variant openmp = {.name = "OpenMP", .way = WHOLE, .n_threads = 2, .openmp = 1};
    size_t i;
    int isa;
    for (i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        play(c, &ways[i], seed + i, start, got);
        compare(c, index, &ways[i], truth, got);
    }
    if (has_openmp(c)) {
        play(c, &openmp, seed, start, got);
        compare(c, index, &openmp, truth, got);
    }
    for (isa = 1; isa < 32; isa++) {
        variant w = {.name = sa_isa_name(isa), .way = STEPS, .isa = isa};
        if (sa_isa_available(isa) && fuses(isa) == fuses(sa_isa_best())) {
            play(c, &w, seed + 99, start, got);
            compare(c, index, &w, truth, got);
        }
    }
}

/* The set without fused multiply-add has bits of its own; cutting does not change them either. */
static void try_nofma(test_case *c, long index, uint64_t seed, int64_t start, layer_stream *truth, layer_stream *got) {
    const variant whole = {.name = "no fma", .way = WHOLE, .isa = SA_ISA_PLAIN_NOFMA};
    const variant ways[] = {{.name = "no fma, pieces", .way = STEPS, .isa = SA_ISA_PLAIN_NOFMA},
                            {.name = "no fma, threads", .way = STEPS, .isa = SA_ISA_PLAIN_NOFMA, .n_threads = 3}};
    size_t i;
    play(c, &whole, seed, start, truth);
    for (i = 0; i < 2; i++) {
        play(c, &ways[i], seed + i, start, got);
        compare(c, index, &ways[i], truth, got);
    }
}

static void run_case(uint64_t seed, long index) {
    static const case_limits limits = {600000, 60000, 700, 0, 0};
    static test_case c;
    const variant whole = {.name = "one call", .way = WHOLE};
    layer_stream truth[CASE_LAYERS], got[CASE_LAYERS];
    test_rng rng, again;
    int64_t start;
    int l;
    rng.state = seed + (uint64_t)index * 0x632BE59BD9B4E019u;
    case_draw(&c, &rng, &limits);
    start = rng_chance(&rng, 60) ? 0 : rng_in(&rng, 0, rng_chance(&rng, 50) ? 100 : 1000000000000LL);
    again = rng;
    for (l = 0; l < c.config.n_layers; l++) {
        layer_make(&truth[l], &c, case_layer(&c, l), &rng);
    }
    for (l = 0; l < c.config.n_layers; l++) {
        layer_make(&got[l], &c, case_layer(&c, l), &again);
    }
    play(&c, &whole, rng.state, start, truth);
    try_variants(&c, index, rng.state, start, truth, got);
    if (sa_isa_available(SA_ISA_PLAIN_NOFMA) && index % 4 == 0) {
        try_nofma(&c, index, rng.state, start, truth, got);
    }
    for (l = 0; l < c.config.n_layers; l++) {
        layer_free(&truth[l]);
        layer_free(&got[l]);
    }
}

int main(int argc, char **argv) {
    uint64_t seed = 31337;
    long count = 400, i, first = argc > 3 ? strtol(argv[3], NULL, 0) : 0;
    double began = test_seconds();
    test_begin("test_bits", argc, argv, &seed, &count);
    for (i = first; i < first + count; i++) {
        run_case(seed, i);
    }
    printf("%.1f s\n", test_seconds() - began);
    return test_end();
}
