/*
 * A host's threads working one step together: the bits of sa_step, for every number of them.
 *
 * SPDX-License-Identifier: MIT
 *
 * Threads are made for each phase and joined behind it, which is all the barrier that the calls ask for; a
 * thread sanitizer sees through it. (make test TESTS=threads CC=clang CFLAGS="-O1 -g -fsanitize=thread")
 */
#include <pthread.h>
#include <string.h>

#include "cases.h"
#include "compare.h"
#include "test.h"

enum { MOST_THREADS = 16 };

/* ---------------------------------- workers --------------------------------- */

typedef struct part {
    sa_cache *cache;
    int32_t phase, index, count;
    sa_status status;
} part;

static void *run_part(void *argument) {
    part *p = argument;
    p->status = sa_step_part(p->cache, p->phase, p->index, p->count);
    return NULL;
}

/* A phase by `count` threads; with 0, by this one alone, its `alone` parts last to first. */
static int run_phase(sa_cache *cache, int phase, int count, int alone) {
    pthread_t threads[MOST_THREADS];
    part parts[MOST_THREADS];
    int n = count ? count : alone, good = 1;
    for (int i = n - 1; i >= 0; i--) {
        part p = {cache, phase, i, n, SA_ERR_STATE};
        parts[i] = p;
        if (!count) run_part(&parts[i]);
    }
    for (int i = 0; i < count; i++) {
        good = pthread_create(&threads[i], NULL, run_part, &parts[i]) == 0 && good;
    }
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < n; i++) {
        good = good && parts[i].status == SA_SUCCESS;
    }
    return good;
}

static long steps_of_one_phase, steps_of_two;

/* A whole step. Every second host runs both phases without a look at how many there are. */
static sa_status run_step(sa_cache *cache, const sa_step_args *a, int count, test_rng *rng) {
    int32_t n_phases = -1;
    int alone = rng_chance(rng, 20) ? count : 0, run;
    sa_status status = sa_step_begin(cache, a, &n_phases);
    CHECK(n_phases >= 0 && n_phases <= (status ? 0 : 2), "%d phases, %s", (int)n_phases, sa_status_string(status));
    if (status) return status;
    steps_of_one_phase += n_phases == 1;
    steps_of_two += n_phases == 2;
    run = rng_chance(rng, 50) ? 2 : n_phases;
    for (int phase = 0; phase < run; phase++) {
        CHECK(run_phase(cache, phase, alone ? 0 : count, alone), "phase %d by %d threads", phase, count);
    }
    return SA_SUCCESS;
}

/* ---------------------------------- streams --------------------------------- */

/* One layer's inputs and outputs. */
typedef struct stream {
    int64_t heads, kv_heads, dk, dv, n;
    float *q, *k, *v, *sinks;
    float *out[2], *lse[2], *mass[2]; /* [0] by sa_step, [1] by the host's threads */
} stream;

static float *draw(const test_case *c, test_rng *rng, int64_t n) {
    float *x = test_take((size_t)(n + 1) * sizeof *x);
    for (int64_t i = 0; i < n; i++) {
        x[i] = case_number(c, rng_normal(rng));
    }
    return x;
}

static void stream_make(stream *s, const test_case *c, int layer, test_rng *rng) {
    const sa_config *g = case_layer(c, layer);
    s->n = c->n_tokens;
    s->heads = g->n_heads;
    s->kv_heads = g->n_kv_heads ? g->n_kv_heads : g->n_heads;
    s->dk = g->head_dim;
    s->dv = g->v_head_dim ? g->v_head_dim : g->head_dim;
    s->q = draw(c, rng, s->n * s->heads * s->dk);
    s->k = draw(c, rng, s->n * s->kv_heads * s->dk);
    s->v = draw(c, rng, s->n * s->kv_heads * s->dv);
    s->sinks = draw(c, rng, g->n_sink_kv * s->kv_heads * (s->dk > s->dv ? s->dk : s->dv));
    for (int i = 0; i < 2; i++) {
        s->out[i] = test_take((size_t)(s->n * s->heads * s->dv + 1) * sizeof(float));
        s->lse[i] = test_take((size_t)(s->n * s->heads + 1) * sizeof(float));
        s->mass[i] = test_take((size_t)(s->n * s->heads + 1) * sizeof(float));
        compare_forget(s->out[i], (size_t)(s->n * s->heads * s->dv) * sizeof(float));
        compare_forget(s->lse[i], (size_t)(s->n * s->heads) * sizeof(float));
        compare_forget(s->mass[i], (size_t)(s->n * s->heads) * sizeof(float));
    }
}

static void stream_free(stream *s) {
    free(s->q);
    free(s->k);
    free(s->v);
    free(s->sinks);
    for (int i = 0; i < 2; i++) {
        free(s->out[i]);
        free(s->lse[i]);
        free(s->mass[i]);
    }
}

/* Tokens at .. at + n - 1: appended, attended, or both. */
static sa_step_args args_of(const stream *s, int layer, int64_t at, int64_t n, int kv, int q, int side, int partial) {
    sa_step_args a;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.layer = layer;
    a.n_tokens = (int32_t)n;
    if (kv) {
        a.k.data = s->k + at * s->kv_heads * s->dk;
        a.v.data = s->v + at * s->kv_heads * s->dv;
    }
    if (q) {
        a.q.data = s->q + at * s->heads * s->dk;
        a.out.data = s->out[side] + at * s->heads * s->dv;
        a.q_offset = kv ? 0 : -n;
        *(partial ? &a.partial_max : &a.lse) = s->lse[side] + at * s->heads;
        *(partial ? &a.partial_sum : &a.sink_mass) = s->mass[side] + at * s->heads;
    }
    return a;
}

static sa_cache *make_cache(const test_case *c, int n_threads) {
    sa_config g = c->config;
    sa_cache *cache = NULL;
    g.flags |= SA_CONFIG_COOPERATIVE;
    g.n_threads = n_threads;
    g.parallel_for = NULL;
    g.parallel_context = NULL;
    g.io_dtype = SA_F32;
    sa_status status = sa_cache_create(&g, NULL, &cache);
    CHECK(status == SA_SUCCESS, "%s: %s", sa_status_string(status), case_text(c));
    return cache;
}

static int set_sinks(const test_case *c, sa_cache *cache, const stream *streams) {
    int good = 1;
    for (int l = 0; l < c->config.n_layers; l++) {
        const float *sinks = streams[l].sinks;
        good = good && (!case_layer(c, l)->n_sink_kv || sa_set_sink_kv(cache, l, sinks, sinks) == SA_SUCCESS);
    }
    return good;
}

/* One piece of every layer, by sa_step and by the host's threads. */
static void play_piece(const test_case *c, sa_cache *caches[2], stream *streams, int64_t at, int64_t n, test_rng *rng) {
    for (int l = 0; l < c->config.n_layers; l++) {
        int partial = rng_chance(rng, 20), apart = rng_chance(rng, 30);
        int count = (int)rng_in(rng, 1, rng_chance(rng, 10) ? MOST_THREADS : 8);
        sa_step_args whole = args_of(&streams[l], l, at, n, 1, 1, 0, partial);
        sa_step_args first = args_of(&streams[l], l, at, n, 1, !apart, 1, partial);
        sa_step_args second = args_of(&streams[l], l, at, n, 0, 1, 1, partial);
        sa_status one = sa_step(caches[0], &whole), many = run_step(caches[1], &first, count, rng);
        if (apart && !many) many = run_step(caches[1], &second, count, rng);
        CHECK(one == SA_SUCCESS && many == SA_SUCCESS, "%s, %s", sa_status_string(one), sa_status_string(many));
    }
}

/* The rows of tokens from `first` on. */
static void compare(const test_case *c, const stream *s, int64_t first, long index, int n_threads) {
    for (int l = 0; l < c->config.n_layers; l++, s++) {
        int64_t row = first * s->heads, rows = (s->n - first) * s->heads, dv = s->dv;
        CHECK(compare_bits(s->out[1] + row * dv, rows * dv, s->out[0] + row * dv, rows * dv) < 0,
              "case %ld, %d workers, layer %d: out: %s", index, n_threads, l, case_text(c));
        CHECK(compare_bits(s->lse[1] + row, rows, s->lse[0] + row, rows) < 0, "case %ld, %d workers, layer %d: lse: %s",
              index, n_threads, l, case_text(c));
        CHECK(compare_bits(s->mass[1] + row, rows, s->mass[0] + row, rows) < 0,
              "case %ld, %d workers, layer %d: mass: %s", index, n_threads, l, case_text(c));
    }
}

static void play(const test_case *c, long index, int n_threads, stream *streams, test_rng *rng) {
    sa_cache *caches[2] = {make_cache(c, 1), make_cache(c, n_threads)};
    int64_t most = c->config.max_append ? c->config.max_append : 256;
    if (caches[0] && caches[1]) {
        CHECK(set_sinks(c, caches[0], streams) && set_sinks(c, caches[1], streams), "sa_set_sink_kv");
        for (int64_t at = 0, n; at < c->n_tokens; at += n) {
            int64_t left = c->n_tokens - at, top = left < most ? left : most;
            n = rng_chance(rng, 60) ? 1 : rng_in(rng, 1, top);
            if (rng_chance(rng, 50)) n = top;
            play_piece(c, caches, streams, at, n, rng);
        }
        compare(c, streams, 0, index, n_threads);
    }
    sa_cache_destroy(caches[0]);
    sa_cache_destroy(caches[1]);
}

static void random_case(uint64_t seed, long index) {
    static const case_limits limits = {300000, 60000, 700, 0, 1};
    static test_case c;
    stream streams[CASE_LAYERS];
    test_rng rng = {seed + (uint64_t)index * 0x632BE59BD9B4E019u};
    case_draw(&c, &rng, &limits);
    for (int l = 0; l < c.config.n_layers; l++) {
        stream_make(&streams[l], &c, l, &rng);
    }
    play(&c, index, (int)rng_in(&rng, 1, 8), streams, &rng);
    for (int l = 0; l < c.config.n_layers; l++) {
        stream_free(&streams[l]);
    }
}

/* Few heads and a long window: keys are shared out, and every number of workers has its own cut. */
static void long_window(int n_threads) {
    static test_case c;
    stream s;
    test_rng rng = {(uint64_t)n_threads};
    memset(&c, 0, sizeof c);
    c.config.struct_size = sizeof c.config;
    c.config.n_layers = 1;
    c.config.n_heads = 3;
    c.config.n_kv_heads = 1;
    c.config.head_dim = 16;
    c.config.n_sink = 4;
    c.config.window = 5000;
    c.config.max_append = 64;
    c.config.position = SA_POSITION_ROPE;
    c.n_tokens = 6000;
    c.input_round = SA_F32;
    c.amplitude = 1;
    stream_make(&s, &c, 0, &rng);
    sa_cache *caches[2] = {make_cache(&c, 1), make_cache(&c, n_threads)};
    for (int side = 0; side < 2 && caches[0] && caches[1]; side++) {
        CHECK(sa_append_kv(caches[side], 0, 5900, s.k, s.v) == SA_SUCCESS, "fill");
    }
    for (int64_t at = 5900; at < c.n_tokens && caches[0] && caches[1]; at++) {
        play_piece(&c, caches, &s, at, 1, &rng);
    }
    compare(&c, &s, 5900, -1, n_threads);
    sa_cache_destroy(caches[0]);
    sa_cache_destroy(caches[1]);
    stream_free(&s);
}

/* A call of enough numbers that the host's threads store them, each some kv heads: every head must be stored. */
static void shared_appends(int n_threads) {
    static test_case c;
    stream s;
    test_rng rng = {(uint64_t)n_threads};
    test_pool pool = {n_threads, 0};
    sa_cache *caches[2] = {NULL, NULL};
    memset(&c, 0, sizeof c);
    c.config.struct_size = sizeof c.config;
    c.config.n_layers = 1;
    c.config.n_heads = 7;
    c.config.head_dim = 128;
    c.config.window = 40;
    c.config.max_append = 32;
    c.config.position = SA_POSITION_NONE;
    c.n_tokens = 32;
    c.input_round = SA_F32;
    c.amplitude = 1;
    stream_make(&s, &c, 0, &rng);
    for (int side = 0; side < 2; side++) {
        sa_step_args query = args_of(&s, 0, 0, 32, 0, 1, side, 0);
        c.config.n_threads = side ? n_threads : 1;
        c.config.parallel_for = side ? test_parallel_for : NULL;
        c.config.parallel_context = side ? &pool : NULL;
        CHECK(sa_cache_create(&c.config, NULL, &caches[side]) == SA_SUCCESS, "%d threads", n_threads);
        CHECK(sa_append_kv(caches[side], 0, 32, s.k, s.v) == SA_SUCCESS, "append");
        CHECK(sa_step(caches[side], &query) == SA_SUCCESS, "attend");
        sa_cache_destroy(caches[side]);
    }
    compare(&c, &s, 0, -2, n_threads);
    stream_free(&s);
}

/* ---------------------------------- statuses -------------------------------- */

#define IS(expected, call)                                                                                             \
    do {                                                                                                               \
        sa_status got = (call);                                                                                        \
        CHECK(got == (expected), "%s: %s, not %s", #call, sa_status_string(got), sa_status_string(expected));          \
    } while (0)

enum { HEADS = 2, DIM = 16, TOKENS = 8 };

typedef struct desk {
    sa_cache *cache;
    sa_step_args args;
    int32_t n_phases;
    float q[TOKENS * HEADS * DIM], k[TOKENS * HEADS * DIM], v[TOKENS * HEADS * DIM], out[TOKENS * HEADS * DIM];
} desk;

static sa_config desk_config(void) {
    sa_config g;
    memset(&g, 0, sizeof g);
    g.struct_size = sizeof g;
    g.flags = SA_CONFIG_COOPERATIVE;
    g.n_layers = 2;
    g.n_threads = 2;
    g.max_append = TOKENS;
    g.rollback = TOKENS;
    g.n_heads = HEADS;
    g.head_dim = DIM;
    g.window = 20;
    g.position = SA_POSITION_NONE;
    return g;
}

static void desk_open(desk *d) {
    sa_config g = desk_config();
    memset(d, 0, sizeof *d);
    IS(SA_SUCCESS, sa_cache_create(&g, NULL, &d->cache));
    for (int i = 0; i < TOKENS * HEADS * DIM; i++) {
        d->q[i] = d->k[i] = d->v[i] = (float)(i % 7);
    }
    d->args.struct_size = sizeof d->args;
    d->args.n_tokens = TOKENS;
    d->args.q.data = d->q;
    d->args.k.data = d->k;
    d->args.v.data = d->v;
    d->args.out.data = d->out;
}

static void arguments(void) {
    desk d;
    desk_open(&d);
    IS(SA_ERR_STATE, sa_step_part(d.cache, 0, 0, 1));
    IS(SA_ERR_ARGUMENT, sa_step_begin(NULL, &d.args, &d.n_phases));
    IS(SA_ERR_ARGUMENT, sa_step_begin(d.cache, NULL, &d.n_phases));
    IS(SA_ERR_ARGUMENT, sa_step_begin(d.cache, &d.args, NULL));
    IS(SA_SUCCESS, sa_step_begin(d.cache, &d.args, &d.n_phases));
    CHECK(d.n_phases == 1, "%d phases", (int)d.n_phases);
    IS(SA_ERR_ARGUMENT, sa_step_part(NULL, 0, 0, 1));
    IS(SA_ERR_ARGUMENT, sa_step_part(d.cache, -1, 0, 1));
    IS(SA_ERR_ARGUMENT, sa_step_part(d.cache, 3, 0, 1));
    IS(SA_ERR_ARGUMENT, sa_step_part(d.cache, 0, -1, 1));
    IS(SA_ERR_ARGUMENT, sa_step_part(d.cache, 0, 1, 1));
    IS(SA_ERR_ARGUMENT, sa_step_part(d.cache, 0, 0, 0));
    IS(SA_ERR_ARGUMENT, sa_step_part(d.cache, 0, 0, -1));
    CHECK(d.out[0] == 0 && d.out[TOKENS * HEADS * DIM - 1] == 0, "only good parts write");
    IS(SA_SUCCESS, sa_step_part(d.cache, 0, INT32_MAX - 1, INT32_MAX));
    IS(SA_SUCCESS, sa_step_part(d.cache, 1, 0, 1));
    CHECK(d.out[0] == 0 && d.out[TOKENS * HEADS * DIM - 1] == 0, "empty parts write nothing");
    sa_cache_destroy(d.cache);
}

/* A begin that fails: the stream stays, and no step is left standing, the one before neither. */
static void failures(void) {
    desk d;
    sa_cache_facts info = {.struct_size = sizeof info};
    desk_open(&d);
    for (int way = 0; way < 5; way++) {
        sa_step_args bad = d.args;
        if (way == 0) bad.layer = 2;
        if (way == 1) bad.n_tokens = TOKENS + 1;
        if (way == 2) bad.struct_size = 4;
        if (way == 3) bad.k.data = NULL;
        if (way == 4) bad.q.data = (char *)d.q + 1;
        IS(SA_SUCCESS, sa_step_begin(d.cache, &d.args, &d.n_phases));
        sa_status status = sa_step_begin(d.cache, &bad, &d.n_phases);
        CHECK(status < 0 && d.n_phases == 0, "way %d: %s, %d phases", way, sa_status_string(status), (int)d.n_phases);
        IS(SA_ERR_STATE, sa_step_part(d.cache, 0, 0, 1));
        IS(SA_SUCCESS, sa_cache_info(d.cache, 0, &info));
        CHECK(info.tokens_seen == (uint64_t)(way + 1) * TOKENS, "way %d: %d tokens", way, (int)info.tokens_seen);
    }
    sa_cache_destroy(d.cache);
}

/* More rows than 32 bits are sure to count: refused before anything is read. */
static void too_many_rows(void) {
    desk d;
    sa_config g = desk_config();
    sa_cache *cache = NULL;
    desk_open(&d);
    g.n_heads = 65536;
    g.n_kv_heads = 1;
    g.head_dim = 1;
    g.max_append = 257;
    IS(SA_SUCCESS, sa_cache_create(&g, NULL, &cache));
    d.args.n_tokens = 257;
    IS(SA_ERR_ARGUMENT, sa_step_begin(cache, &d.args, &d.n_phases));
    sa_cache_destroy(cache);
    sa_cache_destroy(d.cache);
}

/* Parts beyond n_threads have no scratch: they do nothing, above all not behind the cache's end. */
static void more_parts_than_threads(void) {
    enum { BEHIND = 1 << 16 };
    sa_config g = desk_config();
    desk d;
    size_t size, alignment, changed = 0;
    int32_t n_phases;
    g.n_threads = 1;
    desk_open(&d);
    CHECK(sa_cache_size(&g, &size, &alignment) == SA_SUCCESS, "size");
    unsigned char *room = test_take(size + alignment + BEHIND);
    unsigned char *block = room + (alignment - (uintptr_t)room % alignment) % alignment;
    memset(block + size, 0xa5, BEHIND);
    sa_cache *cache = NULL;
    IS(SA_SUCCESS, sa_cache_init(block, size, &g, &cache));
    IS(SA_SUCCESS, sa_step_begin(cache, &d.args, &n_phases));
    compare_forget(d.out, sizeof d.out);
    IS(SA_SUCCESS, sa_step_part(cache, 0, 0, 4));
    int64_t missing = compare_finite(d.out, TOKENS * HEADS * DIM);
    CHECK(missing < 0, "number %d is left to a part without scratch", (int)missing);
    for (int32_t index = 1; index < 4 && missing < 0; index++) IS(SA_SUCCESS, sa_step_part(cache, 0, index, 4));
    for (size_t i = 0; i < BEHIND; i++) changed += block[size + i] != 0xa5;
    CHECK(changed == 0, "%zu bytes behind the cache have changed", changed);
    free(room);
    sa_cache_destroy(d.cache);
}

/* What ends a step, and what does not. */
static void endings(void) {
    desk d;
    sa_cache_facts info = {.struct_size = sizeof info};
    desk_open(&d);
    for (int way = 0; way < 7; way++) {
        IS(SA_SUCCESS, sa_step_begin(d.cache, &d.args, &d.n_phases));
        IS(SA_SUCCESS, sa_cache_info(d.cache, 0, &info));
        IS(SA_SUCCESS, sa_step_part(d.cache, 0, 0, 2));
        IS(SA_SUCCESS, sa_step_part(d.cache, 0, 1, 2));
        if (way == 0) IS(SA_SUCCESS, sa_append_kv(d.cache, 1, 1, d.k, d.v));
        if (way == 1) IS(SA_SUCCESS, sa_attend(d.cache, 0, 1, d.q, d.out));
        if (way == 2) IS(SA_SUCCESS, sa_cache_rollback(d.cache, SA_ALL_LAYERS, 1));
        if (way == 3) IS(SA_SUCCESS, sa_cache_reset(d.cache, SA_ALL_LAYERS));
        if (way == 4) IS(SA_SUCCESS, sa_cache_seek(d.cache, SA_ALL_LAYERS, 1000));
        if (way == 5) IS(SA_SUCCESS, sa_step(d.cache, &d.args));
        if (way == 6) IS(SA_ERR_ARGUMENT, sa_attend(d.cache, 7, 1, d.q, d.out));
        IS(way == 6 ? SA_SUCCESS : SA_ERR_STATE, sa_step_part(d.cache, 0, 0, 1));
    }
    sa_cache_destroy(d.cache);
}

/* Steps that leave nothing for the parts: tokens appended only, no tokens. */
static void empty_steps(void) {
    desk d;
    sa_cache_facts info = {.struct_size = sizeof info};
    desk_open(&d);
    d.args.q.data = d.args.out.data = NULL;
    IS(SA_SUCCESS, sa_step_begin(d.cache, &d.args, &d.n_phases));
    CHECK(d.n_phases == 0, "%d phases", (int)d.n_phases);
    IS(SA_SUCCESS, sa_step_part(d.cache, 0, 0, 2));
    IS(SA_SUCCESS, sa_cache_info(d.cache, 0, &info));
    CHECK(info.tokens_seen == TOKENS, "%d tokens", (int)info.tokens_seen);
    d.args.n_tokens = 0;
    IS(SA_SUCCESS, sa_step_begin(d.cache, &d.args, &d.n_phases));
    CHECK(d.n_phases == 0, "%d phases", (int)d.n_phases);
    IS(SA_SUCCESS, sa_step_part(d.cache, 1, 1, 2));
    sa_cache_destroy(d.cache);
}

/* The flag lets n_threads be without a pool; the ordinary calls then run where they are called. */
static void without_pool(void) {
    sa_config g = desk_config(), layer = g;
    const sa_config *layers[2] = {&layer, NULL};
    IS(SA_SUCCESS, sa_config_check(&g, NULL, NULL));
    g.layers = layers;
    IS(SA_SUCCESS, sa_config_check(&g, NULL, NULL));
    layer.flags = 0;
    IS(SA_SUCCESS, sa_config_check(&g, NULL, NULL));
    g.layers = NULL;
    g.position = SA_POSITION_ROPE;
    IS(SA_SUCCESS, sa_config_check(&g, NULL, NULL));
}

int main(int argc, char **argv) {
    uint64_t seed = 8;
    long count = 150;
    double began = test_seconds();
    test_begin("test_threads", argc, argv, &seed, &count);
    more_parts_than_threads();
    arguments();
    failures();
    if (sizeof(void *) > 4) too_many_rows(); /* takes so much memory that Node 20 crashes when WebAssembly ends */
    endings();
    empty_steps();
    without_pool();
    for (int n = 1; n <= 8; n++) long_window(n);
    for (int n = 1; n <= 8; n++) shared_appends(n);
    for (long i = 0; i < count; i++) random_case(seed, i);
    CHECK(steps_of_one_phase >= 50 && steps_of_two >= 50, "%ld steps of one phase, %ld of two", steps_of_one_phase,
          steps_of_two);
    printf("%ld steps of one phase, %ld of two; %.1f s\n", steps_of_one_phase, steps_of_two, test_seconds() - began);
    return test_end();
}
