/*
 * LeanAttention (Sanovar et al. 2024, arXiv 2405.10480): the keys of a stream in shares of any length, merged.
 *
 * SPDX-License-Identifier: MIT
 *
 * Softmax states merge associatively, so a row's keys may be cut anywhere. Three cuts of one stream, each against
 * attention over all of it in one call:
 *   - over two caches: the first holds the tokens before the cut, the second those behind it;
 *   - in one cache: probes whose views cover uneven shares, as many as there are workers;
 *   - inside the library, where blocks of 1024 positions are shared out to workers: the same bits for any number.
 */
#include "related.h"

enum { HEADS = 8, DIM = 64, ROW = HEADS * DIM, TOKENS = 5000, MOST_WORKERS = 7 };

static float query[ROW], keys[TOKENS * ROW], values[TOKENS * ROW];

typedef struct state {
    float max[HEADS], sum[HEADS], acc[ROW];
} state;

static const sa_config dense = {.struct_size = sizeof dense,
                                .n_layers = 1,
                                .max_append = 1,
                                .n_heads = HEADS,
                                .head_dim = DIM,
                                .policy = SA_POLICY_DENSE,
                                .window = TOKENS,
                                .position = SA_POSITION_ROPE};

/* A cache that holds tokens [from, end) of the stream, at their positions. */
static sa_cache *make_part(const sa_config *config, int from, int end) {
    sa_cache *cache = make_cache(config);
    must(sa_cache_seek(cache, 0, (uint64_t)from));
    must(sa_append_kv(cache, 0, end - from, keys + from * ROW, values + from * ROW));
    return cache;
}

/* The state of the query at `position`, over what a cache of `end` tokens holds, or over the newest `view` of it. */
static state attend(sa_cache *cache, int end, int position, int view) {
    state s;
    sa_step_args args = {.struct_size = sizeof args,
                         .n_tokens = 1,
                         .q = tensor(query),
                         .out = tensor(s.acc),
                         .q_offset = position - end,
                         .partial_max = s.max,
                         .partial_sum = s.sum,
                         .view_window = view};
    must(sa_step(cache, &args));
    return s;
}

static void merge(state *a, const state *b) {
    must(sa_merge_partial(HEADS, DIM, a->max, a->sum, a->acc, b->max, b->sum, b->acc));
}

static void finish(state *s) { must(sa_finish_partial(HEADS, DIM, s->max, s->sum, s->acc, NULL)); }

/* The largest difference of two results, and in *differ how many of their ROW numbers are not the same. */
static double difference(const float *a, const float *b, int *differ) {
    double worst = 0, exact[ROW];
    *differ = 0;
    for (int i = 0; i < ROW; i++) {
        exact[i] = (double)b[i];
        *differ += memcmp(a + i, b + i, sizeof *a) != 0;
    }
    compare(a, exact, ROW, &worst);
    return worst;
}

static int judge_share(const char *how, const state *s, const float *whole) {
    char line[96];
    int differ;
    double worst = difference(s->acc, whole, &differ);
    snprintf(line, sizeof line, "%s: %d of %d numbers differ", how, differ, ROW);
    return judge(line, worst, 1e-7);
}

/* The stream cut in two, at multiples of a block (1024), of a chunk (256), and anywhere. */
static int two_caches(const float *whole) {
    static const int cuts[] = {1, 777, 1024, 1280, 2500, 4096, 4999};
    int failed = 0;
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        char how[48];
        sa_cache *before = make_part(&dense, 0, cuts[i]), *behind = make_part(&dense, cuts[i], TOKENS);
        state a = attend(before, cuts[i], TOKENS - 1, 0), b = attend(behind, TOKENS, TOKENS - 1, 0);
        merge(&a, &b);
        finish(&a);
        snprintf(how, sizeof how, "two caches, cut at %d", cuts[i]);
        failed += judge_share(how, &a, whole);
        sa_cache_destroy(before);
        sa_cache_destroy(behind);
    }
    return failed;
}

/* The share of worker w of n: all shares together are all keys, and each is a little longer than the one before. */
static int share_end(int w, int n) { return (int)((int64_t)TOKENS * (w + 1) * (w + 2) / ((int64_t)n * (n + 1))); }

/* One cache, not copied: a probe at position p with a view of n tokens is attention over keys (p - n, p]. A probe is
 * rotated to where it stands, so this is for keys without positions, or rotated by the host. */
static int shares_of_one_cache(void) {
    sa_config config = dense;
    config.position = SA_POSITION_NONE;
    sa_cache *all = make_part(&config, 0, TOKENS);
    state whole = attend(all, TOKENS, TOKENS - 1, 0);
    finish(&whole);
    int failed = 0;
    for (int n = 2; n <= MOST_WORKERS; n += n == 2 ? 1 : 4) {
        char how[48];
        state sum;
        for (int w = 0, from = 0; w < n; from = share_end(w++, n)) {
            state share = attend(all, TOKENS, share_end(w, n) - 1, share_end(w, n) - from);
            if (w == 0) {
                sum = share;
            } else {
                merge(&sum, &share);
            }
        }
        finish(&sum);
        snprintf(how, sizeof how, "one cache, %d uneven shares", n);
        failed += judge_share(how, &sum, whole.acc);
    }
    sa_cache_destroy(all);
    return failed;
}

/* The library's own cut: what its workers do, one after the other here, as a host's threads would do it at once. */
static int workers(const float *whole) {
    int failed = 0;
    for (int n = 1; n <= MOST_WORKERS; n += 3) {
        float out[ROW];
        int32_t phases;
        sa_config config = dense;
        config.flags = SA_CONFIG_COOPERATIVE;
        config.n_threads = n;
        sa_cache *all = make_part(&config, 0, TOKENS);
        sa_step_args args = {
            .struct_size = sizeof args, .n_tokens = 1, .q = tensor(query), .out = tensor(out), .q_offset = -1};
        must(sa_step_begin(all, &args, &phases));
        for (int32_t p = 0; p < phases; p++) {
            for (int32_t i = n - 1; i >= 0; i--) {
                must(sa_step_part(all, p, i, n));
            }
        }
        int differ;
        difference(out, whole, &differ);
        printf("%d workers of the library, %d phases: %d of %d numbers differ\n", n, (int)phases, differ, ROW);
        failed += differ != 0;
        sa_cache_destroy(all);
    }
    return failed;
}

int main(void) {
    fill(query, ROW);
    for (int i = 0; i < ROW; i++) {
        query[i] *= 4; /* logits of some size, so that the weights differ */
    }
    fill(keys, TOKENS * ROW);
    fill(values, TOKENS * ROW);
    sa_cache *all = make_part(&dense, 0, TOKENS);
    state whole = attend(all, TOKENS, TOKENS - 1, 0);
    finish(&whole);
    sa_cache_destroy(all);
    printf("one query over %d keys, against one call over all of them\n", TOKENS);
    int failed = two_caches(whole.acc) + shares_of_one_cache() + workers(whole.acc);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
