/*
 * What each key weighs: against the oracle, in double; and by laws, bit by bit, over threads, instruction sets, batches
 * and whatever else must not matter.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "bars.h"
#include "cases.h"
#include "compare.h"
#include "test.h"

typedef struct run {
    test_case c;
    test_rng rng;
    long index;
    sa_cache *cache;
    oracle *o;
    int layer, has_logit;
    int64_t seen, n_keys, n_positions, stride;
    uint64_t *positions;
    float *mass, *norms;
    double *expected, *allowed; /* (heads, keys): what the oracle has, and how far it may be off */
} run;

static double worst[KINDS], worst_sum, worst_norm;

static const oracle_layer *layer_of(const run *r) { return &r->o->layer; }

/* ---------------------------------- oracle ---------------------------------- */

/* The token of the oracle at a position: the last that came to it. */
static int64_t token_at(const run *r, uint64_t position) {
    for (int64_t i = r->o->count - 1; i >= 0; i--)
        if (r->o->positions[i] == (int64_t)position) return i;
    return -1;
}

static void list_keys(run *r) {
    sa_cache_facts info = {.struct_size = sizeof info};
    int64_t n = -1;
    CHECK(sa_cache_info(r->cache, r->layer, &info) == SA_SUCCESS, "info");
    CHECK(sa_cache_positions(r->cache, r->layer, 0, 0, NULL, &n) == SA_SUCCESS && n == (int64_t)info.tokens_held,
          "%lld positions, %lld tokens held", (long long)n, (long long)info.tokens_held);
    r->positions = test_take((size_t)(n + 1) * sizeof *r->positions);
    CHECK(sa_cache_positions(r->cache, r->layer, 0, n, r->positions, &r->n_positions) == SA_SUCCESS, "positions");
    CHECK(info.keys_in_front == (uint64_t)(r->has_logit + layer_of(r)->n_sink_kv), "in front");
    r->n_keys = (int64_t)info.keys_in_front + n;
    CHECK(r->n_keys <= (int64_t)info.keys_most, "%lld keys of at most %lld", (long long)r->n_keys,
          (long long)info.keys_most);
}

/* Adds a row's shares to those of its kv head or query head. */
static void expect_row(run *r, int64_t t, int head, int row_of, const float *q) {
    const oracle_layer *l = layer_of(r);
    double *front = test_take((size_t)(1 + l->n_sink_kv) * sizeof *front);
    double *tokens = test_take((size_t)(r->o->count + 1) * sizeof *tokens);
    double *to = r->expected + row_of * r->n_keys, *allowed = r->allowed + row_of * r->n_keys;
    static oracle_row row;
    oracle_attend(r->o, t, head, q, &row);
    oracle_weigh(r->o, t, head, q, front, tokens);
    double size = 1.0 + (row.max > -INFINITY ? fabs(row.max) : 0.0);
    double bar = kind_of(l) == KIND_F32 ? 2e-6 : 4e-6;
    bar = bar * (size > 16.0 ? size / 16.0 : 1.0) + logit_bar(l) * size;
    for (int64_t e = 0; e < r->n_keys; e++) {
        int64_t at = e - r->has_logit - l->n_sink_kv;
        double share = at < 0 ? front[e + !r->has_logit] : tokens[token_at(r, r->positions[at])];
        to[e] += share;
        /* A logit that is off by x makes a share off by x times itself; below 2^-126 it is 0. */
        allowed[e] += bar * (share + 1e-3) + 1e-37;
    }
    free(front);
    free(tokens);
}

static void check_masses(run *r, int64_t n, int per_head) {
    const oracle_layer *l = layer_of(r);
    int heads = per_head ? l->n_heads : l->n_kv_heads, kind = kind_of(l);
    double rows = (double)(n * l->n_heads) / heads;
    for (int h = 0; h < heads; h++) {
        double sum = 0.0, expected = 0.0, worst_here = 0.0;
        for (int64_t e = 0; e < r->n_keys; e++) {
            float got = r->mass[h * r->stride + e];
            double off = compare_difference(got, r->expected[h * r->n_keys + e]);
            sum += got;
            expected += r->expected[h * r->n_keys + e];
            worst_here = compare_greater(worst_here, off / rows);
            CHECK(off <= r->allowed[h * r->n_keys + e] && got >= 0.0f,
                  "case %ld head %d entry %lld of %lld: %.9g, oracle %.9g: %s", r->index, h, (long long)e,
                  (long long)r->n_keys, got, r->expected[h * r->n_keys + e], case_text(&r->c));
        }
        worst[kind] = compare_greater(worst[kind], worst_here);
        worst_sum = compare_greater(worst_sum, compare_difference(sum, expected) / rows);
        CHECK(compare_difference(sum, expected) <= 3e-6 * rows, "case %ld head %d: sum %.9g of %.9g: %s", r->index, h,
              sum, expected, case_text(&r->c));
        for (int64_t e = r->n_keys; e < r->stride; e++)
            CHECK(isnan(r->mass[h * r->stride + e]), "case %ld: entry %lld is written", r->index, (long long)e);
    }
}

static void check_norms(run *r) {
    const oracle_layer *l = layer_of(r);
    for (int h = 0; h < l->n_kv_heads; h++)
        for (int64_t e = 0; e < r->n_keys; e++) {
            int64_t row = e - r->has_logit, at = row - l->n_sink_kv;
            double sum = 0.0;
            for (int d = 0; d < l->v_head_dim && row >= 0; d++) {
                int64_t token = at < 0 ? row : token_at(r, r->positions[at]);
                double x = (at < 0 ? r->o->sink_v : r->o->v)[(token * l->n_kv_heads + h) * l->v_head_dim + d];
                sum += x * x;
            }
            double off = compare_difference(r->norms[h * r->stride + e], sqrt(sum)) / (sqrt(sum) + 1e-30);
            worst_norm = compare_greater(worst_norm, off);
            CHECK(off <= 1e-5, "case %ld: norm %.9g, not %.9g: %s", r->index, r->norms[h * r->stride + e], sqrt(sum),
                  case_text(&r->c));
        }
}

/* A step of n tokens, or a probe, with the weights of its keys. */
static void weigh(run *r, int64_t n, int appends, int64_t q_offset) {
    const oracle_layer *l = layer_of(r);
    int per_head = rng_chance(&r->rng, 50), heads = per_head ? l->n_heads : l->n_kv_heads;
    sa_cache_facts info = {.struct_size = sizeof info};
    case_data data;
    sa_step_args a = {.struct_size = sizeof a, .layer = r->layer, .n_tokens = (int32_t)n, .q_offset = q_offset};
    int64_t first = r->seen + q_offset;
    float *out = test_take((size_t)(n * l->n_heads * l->v_head_dim) * sizeof *out);
    case_fill(&r->c, &r->rng, r->o, first, n, &data);
    CHECK(sa_cache_info(r->cache, r->layer, &info) == SA_SUCCESS, "info");
    r->stride = (int64_t)info.keys_most + rng_in(&r->rng, 0, 3);
    size_t size = (size_t)(heads * r->stride) * sizeof(float);
    r->mass = test_take(size);
    r->norms = test_take(size);
    compare_forget(r->mass, size);
    a.flags = per_head ? SA_STEP_MASS_PER_HEAD : 0;
    a.q = (sa_tensor){data.q, 0, 0, SA_F32, 0};
    a.k = (sa_tensor){appends ? data.k : NULL, 0, 0, SA_F32, 0};
    a.v = (sa_tensor){appends ? data.v : NULL, 0, 0, SA_F32, 0};
    a.out = (sa_tensor){out, 0, 0, SA_F32, 0};
    a.key_mass = r->mass;
    a.value_norms = r->norms;
    a.key_stride = r->stride;
    CHECK(sa_step(r->cache, &a) == SA_SUCCESS, "case %ld: %s: %s", r->index, sa_cache_error(r->cache),
          case_text(&r->c));
    if (appends) oracle_append(r->o, n, data.k, data.v);
    list_keys(r);
    r->expected = test_take((size_t)(heads * r->n_keys + 1) * sizeof(double));
    r->allowed = test_take((size_t)(heads * r->n_keys + 1) * sizeof(double));
    for (int64_t i = 0; i < n; i++)
        for (int h = 0; h < l->n_heads; h++)
            expect_row(r, first + i, h, per_head ? h : h / (l->n_heads / l->n_kv_heads),
                       data.q + (i * l->n_heads + h) * l->head_dim);
    check_masses(r, n, per_head);
    check_norms(r);
    free(r->mass);
    free(r->norms);
    free(r->expected);
    free(r->allowed);
    free(r->positions);
    free(out);
    case_data_free(&data);
}

static void plain_append(run *r, int64_t n) {
    case_data data;
    sa_step_args a = {.struct_size = sizeof a, .layer = r->layer, .n_tokens = (int32_t)n};
    case_fill(&r->c, &r->rng, r->o, r->seen, n, &data);
    a.k = (sa_tensor){data.k, 0, 0, SA_F32, 0};
    a.v = (sa_tensor){data.v, 0, 0, SA_F32, 0};
    CHECK(sa_step(r->cache, &a) == SA_SUCCESS, "case %ld: %s", r->index, sa_cache_error(r->cache));
    oracle_append(r->o, n, data.k, data.v);
    case_data_free(&data);
    r->seen += n;
}

static void set_learned(run *r) {
    case_data data;
    const oracle_layer *l = layer_of(r);
    int io = r->c.config.io_dtype ? r->c.config.io_dtype : SA_F32;
    test_tensor k, v;
    if (!l->n_sink_kv) return;
    case_fill_sink_kv(&r->c, &r->rng, r->o, &data);
    tensor_make(&k, &r->rng, SHAPE_CONTIGUOUS, io, 0, l->n_sink_kv, l->n_kv_heads, l->head_dim);
    tensor_make(&v, &r->rng, SHAPE_CONTIGUOUS, io, 0, l->n_sink_kv, l->n_kv_heads, l->v_head_dim);
    tensor_write(&k, data.k);
    tensor_write(&v, data.v);
    CHECK(sa_set_sink_kv(r->cache, r->layer, k.tensor.data, v.tensor.data) == SA_SUCCESS, "learned rows");
    oracle_set_sink_kv(r->o, data.k, data.v);
    tensor_free(&k);
    tensor_free(&v);
    case_data_free(&data);
}

static void run_case(uint64_t seed, long index) {
    static run r;
    static const case_limits limits = {400000, 30000, 300, 0, 0};
    memset(&r, 0, sizeof r);
    r.index = index;
    r.rng.state = seed + (uint64_t)index * 0x632BE59BD9B4E019u;
    case_draw(&r.c, &r.rng, &limits);
    r.c.config.rollback = r.c.config.rollback > 3 ? r.c.config.rollback : 3;
    if (!CHECK(sa_cache_create(&r.c.config, NULL, &r.cache) == SA_SUCCESS, "case %ld: %s", index, case_text(&r.c)))
        return;
    r.layer = (int)rng_in(&r.rng, 0, r.c.config.n_layers - 1);
    const sa_config *g = case_layer(&r.c, r.layer);
    r.o = oracle_create(g);
    r.has_logit = g->sink_logits != NULL;
    set_learned(&r);
    int64_t most = r.c.config.max_append ? r.c.config.max_append : 256;
    int64_t room = g->policy == SA_POLICY_DENSE ? g->window : 1000000, left = r.c.n_tokens;
    if (rng_chance(&r.rng, 20)) weigh(&r, 1, 0, rng_in(&r.rng, 0, 3));
    while (left > 0 && room > 0) {
        int64_t n = rng_in(&r.rng, 1, rng_chance(&r.rng, 50) ? 4 : 40);
        n = n > most ? most : n;
        n = n > room ? room : n;
        if (rng_chance(&r.rng, 40)) {
            plain_append(&r, n);
        } else {
            weigh(&r, n, 1, 0);
            r.seen += n;
        }
        left -= n;
        room -= n;
        int64_t back = rng_in(&r.rng, 0, 3);
        if (rng_chance(&r.rng, 10) && back <= r.seen) {
            CHECK(sa_cache_rollback(r.cache, r.layer, back) == SA_SUCCESS, "rollback");
            oracle_rollback(r.o, back);
            r.seen -= back;
            room += back;
            left -= 5;
        }
        if (rng_chance(&r.rng, 15)) weigh(&r, 1, 0, rng_chance(&r.rng, 50) && r.seen > 0 ? -1 : rng_in(&r.rng, 0, 5));
    }
    oracle_destroy(r.o);
    sa_cache_destroy(r.cache);
}

int main(int argc, char **argv) {
    uint64_t seed = 20240611;
    long count = 400, i;
    test_begin("test_mass", argc, argv, &seed, &count);
    for (i = 0; i < count; i++) run_case(seed, i);
    for (i = 0; i < KINDS; i++) printf("worst |mass - oracle| / rows, %s: %.3g\n", kind_names[i], worst[i]);
    printf("worst sum: %.3g a row; worst norm: %.3g\n", worst_sum, worst_norm);
    return test_end();
}
