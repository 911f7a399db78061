/*
 * Un-normalised states: finishing one gives the bits of the normal result, and merging the states of
 * two caches gives attention over both.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "cases.h"
#include "compare.h"
#include "test.h"

typedef struct states {
    int64_t n_rows, dim;
    float *max, *sum, *acc;
} states;

static states states_take(int64_t n_rows, int64_t dim) {
    states s;
    s.n_rows = n_rows;
    s.dim = dim;
    s.max = test_take((size_t)n_rows * sizeof(float));
    s.sum = test_take((size_t)n_rows * sizeof(float));
    s.acc = test_take((size_t)(n_rows * dim) * sizeof(float));
    compare_forget(s.max, (size_t)n_rows * sizeof(float));
    compare_forget(s.sum, (size_t)n_rows * sizeof(float));
    compare_forget(s.acc, (size_t)(n_rows * dim) * sizeof(float));
    return s;
}

static void states_free(states *s) {
    free(s->max);
    free(s->sum);
    free(s->acc);
}

static float *unwritten(int64_t count) {
    float *x = test_take((size_t)count * sizeof *x);
    compare_forget(x, (size_t)count * sizeof *x);
    return x;
}

static float *normals(test_rng *rng, int64_t count) {
    float *x = test_take((size_t)count * sizeof *x);
    int64_t i;
    for (i = 0; i < count; i++) {
        x[i] = rng_normal(rng);
    }
    return x;
}

/* Attention of n queries that append nothing; into `s` if that is given, else into out and lse. */
static sa_status read_rows(sa_cache *cache, int64_t n, int64_t offset, float *q, states *s, float *out, float *lse) {
    sa_step_args a;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.n_tokens = (int32_t)n;
    a.q_offset = offset;
    a.q.data = q;
    a.q.dtype = SA_F32;
    a.out.data = s ? s->acc : out;
    a.out.dtype = SA_F32;
    a.lse = s ? NULL : lse;
    a.partial_max = s ? s->max : NULL;
    a.partial_sum = s ? s->sum : NULL;
    return sa_step(cache, &a);
}

/* ------------------------------- finish == step ----------------------------- */

static void finish_case(uint64_t seed, long index) {
    static const case_limits limits = {400000, 40000, 300, 1, 0};
    static test_case c;
    sa_cache *cache = NULL;
    const oracle_layer *l;
    oracle *o;
    case_data data, sinks;
    states s;
    float *out, *lse, *got_lse;
    int64_t n;
    test_rng rng;
    rng.state = seed + (uint64_t)index * 77777;
    case_draw(&c, &rng, &limits);
    c.config.io_dtype = SA_F32;
    o = oracle_create(&c.config);
    l = &o->layer;
    case_fill(&c, &rng, o, 0, c.n_tokens, &data);
    case_fill_sink_kv(&c, &rng, o, &sinks);
    n = c.config.max_append ? c.config.max_append : 256;
    n = n < c.n_tokens ? n : c.n_tokens;
    s = states_take(n * l->n_heads, l->v_head_dim);
    out = unwritten(n * l->n_heads * l->v_head_dim);
    lse = unwritten(n * l->n_heads);
    got_lse = unwritten(n * l->n_heads);
    CHECK(sa_cache_create(&c.config, NULL, &cache) == SA_SUCCESS, "create: %s", case_text(&c));
    if (cache) {
        CHECK(l->n_sink_kv == 0 || sa_set_sink_kv(cache, 0, sinks.k, sinks.v) == SA_SUCCESS, "sink rows");
        CHECK(sa_append_kv(cache, 0, (int32_t)c.n_tokens, data.k, data.v) == SA_SUCCESS, "append");
        CHECK(read_rows(cache, n, -n, data.q, NULL, out, lse) == SA_SUCCESS, "normal");
        CHECK(read_rows(cache, n, -n, data.q, &s, NULL, NULL) == SA_SUCCESS, "partial");
        CHECK(sa_finish_partial(s.n_rows, (int32_t)s.dim, s.max, s.sum, s.acc, got_lse) == SA_SUCCESS, "finish");
        CHECK(compare_bits(s.acc, s.n_rows * s.dim, out, n * l->n_heads * l->v_head_dim) < 0, "case %ld: out: %s",
              index, case_text(&c));
        CHECK(compare_bits(got_lse, s.n_rows, lse, n * l->n_heads) < 0, "case %ld: lse: %s", index, case_text(&c));
    }
    sa_cache_destroy(cache);
    oracle_destroy(o);
    case_data_free(&data);
    case_data_free(&sinks);
    states_free(&s);
    free(out);
    free(lse);
    free(got_lse);
}

/* -------------------------- a prefix and the rest --------------------------- */

enum { HEADS = 6, KV_HEADS = 2, DIM = 32, V_DIM = 20, PREFIX = 45, REST = 30 };

static sa_config dense(int position, const float *sink_logits) {
    sa_config g;
    memset(&g, 0, sizeof g);
    g.struct_size = sizeof g;
    g.n_layers = 1;
    g.n_heads = HEADS;
    g.n_kv_heads = KV_HEADS;
    g.head_dim = DIM;
    g.v_head_dim = V_DIM;
    g.policy = SA_POLICY_DENSE;
    g.window = PREFIX + REST;
    g.position = position;
    g.sink_logits = sink_logits;
    return g;
}

static sa_cache *open_cache(const sa_config *g) {
    sa_cache *cache = NULL;
    CHECK(sa_cache_create(g, NULL, &cache) == SA_SUCCESS, "create");
    return cache;
}

static void check_close(const char *what, int position, const float *got, const float *expected, int64_t n,
                        double bar) {
    comparison c = compare_floats(got, expected, n);
    CHECK(compare_holds(&c, n, bar), "%s, position %d: element %lld: %.9g, not %.9g", what, position, (long long)c.at,
          c.got, c.expected);
}

/* The prefix in a dense cache that is probed, the rest in a cache of its own that began behind it. */
static void split_caches(test_rng *rng, int position, const float *sink_logits, int swap) {
    sa_config plain = dense(position, NULL), with = dense(position, sink_logits);
    sa_cache *whole = open_cache(&with), *prefix = open_cache(&plain), *rest = open_cache(&with);
    float *q = normals(rng, (PREFIX + REST) * HEADS * DIM), *k = normals(rng, (PREFIX + REST) * KV_HEADS * DIM);
    float *v = normals(rng, (PREFIX + REST) * KV_HEADS * V_DIM), *lse = unwritten(REST * HEADS);
    float *out = unwritten(REST * HEADS * V_DIM), *got_lse = unwritten(REST * HEADS);
    states a = states_take(REST * HEADS, V_DIM), b = states_take(REST * HEADS, V_DIM);
    float *q_rest = q + PREFIX * HEADS * DIM;
    CHECK(sa_append_kv(whole, 0, PREFIX + REST, k, v) == SA_SUCCESS, "whole");
    CHECK(sa_append_kv(prefix, 0, PREFIX, k, v) == SA_SUCCESS, "prefix");
    CHECK(sa_cache_seek(rest, SA_ALL_LAYERS, PREFIX) == SA_SUCCESS, "seek");
    CHECK(sa_append_kv(rest, 0, REST, k + PREFIX * KV_HEADS * DIM, v + PREFIX * KV_HEADS * V_DIM) == SA_SUCCESS,
          "rest");
    CHECK(read_rows(whole, REST, -REST, q_rest, NULL, out, lse) == SA_SUCCESS, "read whole");
    CHECK(read_rows(prefix, REST, 0, q_rest, swap ? &b : &a, NULL, NULL) == SA_SUCCESS, "read prefix");
    CHECK(read_rows(rest, REST, -REST, q_rest, swap ? &a : &b, NULL, NULL) == SA_SUCCESS, "read rest");
    CHECK(sa_merge_partial(a.n_rows, V_DIM, a.max, a.sum, a.acc, b.max, b.sum, b.acc) == SA_SUCCESS, "merge");
    CHECK(sa_finish_partial(a.n_rows, V_DIM, a.max, a.sum, a.acc, got_lse) == SA_SUCCESS, "finish");
    check_close("merged out", position, a.acc, out, REST * HEADS * V_DIM, 6e-6);
    check_close("merged lse", position, got_lse, lse, REST * HEADS, 6e-6);
    sa_cache_destroy(whole);
    sa_cache_destroy(prefix);
    sa_cache_destroy(rest);
    states_free(&a);
    states_free(&b);
    free(q);
    free(k);
    free(v);
    free(lse);
    free(out);
    free(got_lse);
}

/* ------------------------------- empty states ------------------------------- */

static void fill(states *s, test_rng *rng, int is_empty) {
    int64_t i;
    for (i = 0; i < s->n_rows; i++) {
        s->max[i] = is_empty ? -INFINITY : 5.0f * rng_normal(rng);
        s->sum[i] = is_empty ? 0.0f : 1.0f + (float)rng_unit(rng);
    }
    for (i = 0; i < s->n_rows * s->dim; i++) {
        s->acc[i] = is_empty ? 0.0f : rng_normal(rng);
    }
}

static int same(const states *a, const states *b) {
    return compare_bits(a->max, a->n_rows, b->max, b->n_rows) < 0 &&
           compare_bits(a->sum, a->n_rows, b->sum, b->n_rows) < 0 &&
           compare_bits(a->acc, a->n_rows * a->dim, b->acc, b->n_rows * b->dim) < 0;
}

static sa_status merge(states *a, const states *b) {
    return sa_merge_partial(a->n_rows, (int32_t)a->dim, a->max, a->sum, a->acc, b->max, b->sum, b->acc);
}

static void empty_states(uint64_t seed, int64_t dim) {
    states a = states_take(7, dim), b = states_take(7, dim), before = states_take(7, dim);
    float lse[7];
    test_rng rng = {seed}, again = {seed};
    int64_t i;
    fill(&a, &rng, 0);
    fill(&before, &again, 0);
    fill(&b, &rng, 1);
    CHECK(merge(&a, &b) == SA_SUCCESS && same(&a, &before), "dim %ld: nothing merged in changes nothing", (long)dim);
    CHECK(merge(&b, &a) == SA_SUCCESS && same(&b, &before), "dim %ld: merged into nothing", (long)dim);
    fill(&a, &rng, 1);
    fill(&b, &rng, 1);
    fill(&before, &rng, 1);
    CHECK(merge(&a, &b) == SA_SUCCESS && same(&a, &before), "dim %ld: nothing and nothing", (long)dim);
    /* What a sum of 0 says is that there are no values, whatever stands there. */
    memset(a.acc, 0xFF, (size_t)(7 * dim) * sizeof *a.acc);
    CHECK(sa_finish_partial(7, (int32_t)dim, a.max, a.sum, a.acc, lse) == SA_SUCCESS, "finish nothing");
    for (i = 0; i < 7 * dim; i++) {
        CHECK(lse[i / dim] == -INFINITY && a.acc[i] == 0.0f, "dim %ld: lse %g, out %g of nothing", (long)dim,
              (double)lse[i / dim], (double)a.acc[i]);
    }
    CHECK(sa_merge_partial(0, (int32_t)dim, a.max, a.sum, a.acc, b.max, b.sum, b.acc) == SA_SUCCESS, "no rows");
    CHECK(sa_finish_partial(0, (int32_t)dim, a.max, a.sum, a.acc, NULL) == SA_SUCCESS, "no rows");
    states_free(&a);
    states_free(&b);
    states_free(&before);
}

/* Merging against the formula, in double; and a large state beside a negligible one. */
static void merge_values(uint64_t seed) {
    states a = states_take(9, 13), b = states_take(9, 13), c = states_take(9, 13);
    test_rng rng = {seed}, again = {seed};
    int64_t i;
    fill(&a, &rng, 0);
    fill(&c, &again, 0);
    fill(&b, &rng, 0);
    b.max[0] = 300.0f;
    b.max[1] = -300.0f;
    b.max[2] = a.max[2];
    CHECK(merge(&a, &b) == SA_SUCCESS, "merge");
    for (i = 0; i < 9 * 13; i++) {
        int64_t r = i / 13;
        double top = c.max[r] > b.max[r] ? c.max[r] : b.max[r], wc = exp(c.max[r] - top), wb = exp(b.max[r] - top);
        double acc = wc * c.acc[i] + wb * b.acc[i], sum = wc * c.sum[r] + wb * b.sum[r];
        CHECK((double)a.max[r] == top, "row %ld: max %g, not %g", (long)r, (double)a.max[r], top);
        CHECK(compare_difference(a.sum[r], sum) <= 1e-6 * sum, "row %ld: sum %.9g, not %.9g", (long)r, (double)a.sum[r],
              sum);
        CHECK(compare_difference(a.acc[i], acc) <= 2e-6 * (wc * fabs(c.acc[i]) + wb * fabs(b.acc[i])) + 1e-30,
              "row %ld: acc %.9g, not %.9g", (long)r, (double)a.acc[i], acc);
    }
    states_free(&a);
    states_free(&b);
    states_free(&c);
}

/* A query that sees no key at all: out 0, lse -infinity, sink mass 0; with a sink logit, that alone. */
static void nothing_visible(const float *sink_logits) {
    sa_config without = dense(SA_POSITION_NONE, NULL), with = dense(SA_POSITION_NONE, sink_logits);
    sa_cache *none = open_cache(&without), *logits = open_cache(&with);
    float q[HEADS * DIM] = {0}, out[HEADS * V_DIM], lse[HEADS];
    int h;
    memset(out, 0xFF, sizeof out);
    CHECK(read_rows(none, 1, 0, q, NULL, out, lse) == SA_SUCCESS, "probe of an empty cache");
    for (h = 0; h < HEADS; h++) {
        CHECK(out[h * V_DIM] == 0.0f && lse[h] == -INFINITY, "head %d: out %g lse %g", h, (double)out[h * V_DIM],
              (double)lse[h]);
    }
    memset(out, 0xFF, sizeof out);
    CHECK(read_rows(logits, 1, 0, q, NULL, out, lse) == SA_SUCCESS, "probe of an empty cache with sink logits");
    for (h = 0; h < HEADS; h++) {
        CHECK(out[h * V_DIM + 1] == 0.0f && compare_difference(lse[h], sink_logits[h]) < 1e-6, "head %d: out %g lse %g",
              h, (double)out[h * V_DIM + 1], (double)lse[h]);
    }
    sa_cache_destroy(none);
    sa_cache_destroy(logits);
}

int main(int argc, char **argv) {
    static const float sink_logits[HEADS] = {0.0f, 1.5f, -2.0f, -INFINITY, 4.0f, 0.5f};
    uint64_t seed = 777;
    long count = 300, i;
    test_rng rng;
    test_begin("test_partial", argc, argv, &seed, &count);
    for (i = 0; i < count; i++) {
        finish_case(seed, i);
    }
    rng.state = seed;
    for (i = SA_POSITION_NONE; i <= SA_POSITION_ALIBI; i++) {
        if (i != SA_POSITION_ROPE_APPLIED) {
            split_caches(&rng, (int)i, NULL, 0);
            split_caches(&rng, (int)i, sink_logits, 0);
            split_caches(&rng, (int)i, sink_logits, 1);
        }
    }
    for (i = 1; i < 40; i++) {
        empty_states(seed + (uint64_t)i, i);
    }
    empty_states(seed, 1024);
    for (i = 0; i < 20; i++) {
        merge_values(seed + (uint64_t)i);
    }
    nothing_visible(sink_logits);
    return test_end();
}
