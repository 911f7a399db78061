/*
 * Attention as an RNN (Feng et al. 2024, arXiv 2405.13956): a stream folded into one state, and a parallel prefix scan.
 *
 * SPDX-License-Identifier: MIT
 *
 * One learned query looks at every prefix of the stream. Its state (max, sum, acc) after token t follows from that
 * after token t - 1, so a recurrent network needs no cache. All prefixes together are a scan over the states of single
 * tokens, of log2(n) rounds. Both use sa_merge_partial alone, and both must give what a dense cache gives.
 */
#include "related.h"

enum { HEADS = 4, DIM = 64, TOKENS = 2000, LONG_TOKENS = 100000, ROW = HEADS * DIM };

/* Attention of the query over some of the tokens. */
typedef struct state {
    float max[HEADS], sum[HEADS], acc[ROW];
} state;

static float query[ROW], keys[TOKENS * ROW], values[TOKENS * ROW];
static double truth[TOKENS * ROW]; /* attention over each prefix, in double */

static void merge(state *a, const state *b) {
    must(sa_merge_partial(HEADS, DIM, a->max, a->sum, a->acc, b->max, b->sum, b->acc));
}

static void finish(const state *s, float *out) {
    memcpy(out, s->acc, sizeof s->acc);
    must(sa_finish_partial(HEADS, DIM, s->max, s->sum, out, NULL));
}

/* The state of a single token, from a cache that holds one: max is its logit, sum is 1, acc its value. */
static state token_state(sa_cache *one, const float *k, const float *v) {
    state s;
    sa_step_args args = {.struct_size = sizeof args,
                         .n_tokens = 1,
                         .q = tensor(query),
                         .k = tensor(k),
                         .v = tensor(v),
                         .out = tensor(s.acc),
                         .partial_max = s.max,
                         .partial_sum = s.sum};
    must(sa_step(one, &args));
    return s;
}

/* Adds a token to attention kept in doubles. */
static void add_exactly(const float *k, const float *v, double *max, double *sum, double *acc) {
    for (int h = 0; h < HEADS; h++, k += DIM, v += DIM, acc += DIM) {
        double logit = 0;
        for (int i = 0; i < DIM; i++) {
            logit += (double)query[h * DIM + i] * (double)k[i] / sqrt(DIM);
        }
        double now = fmax(max[h], logit), keep = exp(max[h] - now), weight = exp(logit - now);
        max[h] = now;
        sum[h] = sum[h] * keep + weight;
        for (int i = 0; i < DIM; i++) {
            acc[i] = acc[i] * keep + weight * (double)v[i];
        }
    }
}

/* Makes the stream and its truth. */
static void prepare(void) {
    double max[HEADS], sum[HEADS] = {0}, acc[ROW] = {0};
    fill(query, ROW);
    fill(keys, TOKENS * ROW);
    fill(values, TOKENS * ROW);
    for (int i = 0; i < ROW; i++) {
        query[i] *= 4; /* logits of some size, so that the weights differ */
        max[i / DIM] = -(double)INFINITY;
    }
    for (int t = 0; t < TOKENS; t++) {
        add_exactly(keys + t * ROW, values + t * ROW, max, sum, acc);
        for (int i = 0; i < ROW; i++) {
            truth[t * ROW + i] = acc[i] / sum[i / DIM];
        }
    }
}

static state empty_state(void) {
    state s = {.sum = {0}};
    for (int h = 0; h < HEADS; h++) {
        s.max[h] = -INFINITY;
    }
    return s;
}

static double fold(sa_cache *one) {
    double worst = 0;
    float out[ROW];
    state s = empty_state();
    for (int t = 0; t < TOKENS; t++) {
        state next = token_state(one, keys + t * ROW, values + t * ROW);
        merge(&s, &next);
        finish(&s, out);
        compare(out, truth + t * ROW, ROW, &worst);
    }
    return worst;
}

/* Hillis and Steele's scan: in round r, state i takes in state i - 2^r. The merges of a round do not depend on each
 * other, so as many processors as there are tokens do a round at once. */
static double scan(sa_cache *one, int *rounds) {
    static state states[TOKENS];
    double worst = 0;
    float out[ROW];
    for (int t = 0; t < TOKENS; t++) {
        states[t] = token_state(one, keys + t * ROW, values + t * ROW);
    }
    for (int apart = 1; apart < TOKENS; apart *= 2, ++*rounds) {
        for (int t = TOKENS - 1; t >= apart; t--) {
            state before = states[t - apart];
            merge(&before, &states[t]);
            states[t] = before;
        }
    }
    for (int t = 0; t < TOKENS; t++) {
        finish(&states[t], out);
        compare(out, truth + t * ROW, ROW, &worst);
    }
    return worst;
}

static double dense(sa_cache *all) {
    double worst = 0;
    float out[ROW];
    for (int t = 0; t < TOKENS; t++) {
        must(sa_append_attend(all, 0, 1, query, keys + t * ROW, values + t * ROW, out));
        compare(out, truth + t * ROW, ROW, &worst);
    }
    return worst;
}

/* A long stream, folded. Each token rounds the state once more, so what that comes to is measured here. */
static double fold_long(sa_cache *one) {
    double max[HEADS], sum[HEADS] = {0}, acc[ROW] = {0}, worst = 0;
    float k[ROW], v[ROW], out[ROW];
    state s = empty_state();
    for (int h = 0; h < HEADS; h++) {
        max[h] = -(double)INFINITY;
    }
    for (int t = 0; t < LONG_TOKENS; t++) {
        fill(k, ROW);
        fill(v, ROW);
        state next = token_state(one, k, v);
        merge(&s, &next);
        add_exactly(k, v, max, sum, acc);
    }
    for (int i = 0; i < ROW; i++) {
        acc[i] /= sum[i / DIM];
    }
    finish(&s, out);
    compare(out, acc, ROW, &worst);
    return worst;
}

int main(void) {
    sa_config config = {.struct_size = sizeof config,
                        .n_layers = 1,
                        .max_append = 1,
                        .n_heads = HEADS,
                        .head_dim = DIM,
                        .policy = SA_POLICY_WINDOW,
                        .window = 1,
                        .position = SA_POSITION_NONE};
    sa_cache *one = make_cache(&config);
    config.policy = SA_POLICY_DENSE;
    config.window = TOKENS;
    sa_cache *all = make_cache(&config);
    int rounds = 0, failed = 0;
    prepare();
    printf("attention of one query over each of %d prefixes, largest error against doubles\n", TOKENS);
    failed += judge("dense cache", dense(all), 2e-6);
    failed += judge("folded token by token", fold(one), 2e-6);
    double worst = scan(one, &rounds);
    failed += judge("parallel prefix scan", worst, 2e-6);
    printf("the scan took %d rounds\n", rounds);
    failed += judge("folded over 100,000 tokens", fold_long(one), 2e-6);
    sa_cache_facts info = {.struct_size = sizeof info}, dense_info = info;
    must(sa_cache_info(one, 0, &info));
    must(sa_cache_info(all, 0, &dense_info));
    printf("the fold keeps %zu bytes of state, and %llu of keys and values for one token; the dense cache %llu\n",
           sizeof(state), (unsigned long long)info.kv_size, (unsigned long long)dense_info.kv_size);
    sa_cache_destroy(one);
    sa_cache_destroy(all);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
