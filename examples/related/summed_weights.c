/*
 * Weights of keys summed over a stream, with a decay: what H2O (Zhang et al. 2023, arXiv 2306.14048) and its relatives
 * evict tokens by.
 *
 * SPDX-License-Identifier: MIT
 *
 * Each step gives the share of the softmax that every key had (sa_step_args.key_mass), and sa_cache_positions says
 * which tokens those are. The program keeps the sums itself, and carries them from one list of positions to the next:
 * the cache cannot, because what it holds can be taken back, and a sum with a decay cannot (docs/mass.md). Half way a
 * range is removed. The sums are checked against attention in doubles.
 */
#include "related.h"

enum { HEADS = 4, DIM = 32, ROW = HEADS * DIM, SINKS = 4, WINDOW = 60, TOKENS = 1000 };
enum { REMOVED_AT = 500, REMOVED_FROM = 480, REMOVED_END = 490 };
enum { MOST = 256 }; /* keys_most of sa_cache_info is less, which main looks at */

static const float DECAY = 0.98f;
static float queries[TOKENS * ROW], keys[TOKENS * ROW], values[TOKENS * ROW];

/* What the host knows of the tokens that are held: their positions, and a sum for each head. */
typedef struct held {
    int64_t n;
    uint64_t position[MOST];
    float sum[HEADS][MOST];
} held;

/* The sums of `before`, decayed, and a step's weights, for the tokens that `now` lists. Both lists ascend. */
static void carry(const held *before, const float *weights, held *now) {
    for (int64_t i = 0, j = 0; i < now->n; i++) {
        while (j < before->n && before->position[j] < now->position[i]) {
            j++;
        }
        int known = j < before->n && before->position[j] == now->position[i];
        for (int h = 0; h < HEADS; h++) {
            now->sum[h][i] = DECAY * (known ? before->sum[h][j] : 0) + weights[h * MOST + i];
        }
    }
}

/* A token's step: its weights come in the order of the positions that are held after it. */
static void step(sa_cache *cache, int t, held *tokens) {
    float out[ROW], weights[HEADS * MOST];
    held before = *tokens;
    sa_step_args args = {.struct_size = sizeof args,
                         .n_tokens = 1,
                         .q = tensor(queries + t * ROW),
                         .k = tensor(keys + t * ROW),
                         .v = tensor(values + t * ROW),
                         .out = tensor(out),
                         .key_mass = weights,
                         .key_stride = MOST};
    must(sa_step(cache, &args));
    must(sa_cache_positions(cache, 0, 0, MOST, tokens->position, &tokens->n));
    carry(&before, weights, tokens);
}

/* --------------------------------- in doubles --------------------------------- */

/* Where a token counts as standing: the gap was closed. */
static int place(int t, int u) { return t >= REMOVED_AT && u >= REMOVED_END ? u - (REMOVED_END - REMOVED_FROM) : u; }

/* Does token t see token u? When the gap was closed, the window held its last tokens and no older ones to come back. */
static int sees(int t, int u) {
    int removed = t >= REMOVED_AT && u >= REMOVED_FROM && u < REMOVED_END;
    int gone = t >= REMOVED_AT && u < REMOVED_AT - WINDOW;
    return u < SINKS || (!removed && !gone && place(t, t) - place(t, u) < WINDOW);
}

static void step_exactly(int t, int h, double *sums) {
    double weights[TOKENS], all = 0;
    for (int u = 0; u <= t; u++) {
        double logit = 0;
        for (int d = h * DIM; d < (h + 1) * DIM; d++) {
            logit += (double)queries[t * ROW + d] * (double)keys[u * ROW + d];
        }
        all += weights[u] = sees(t, u) ? exp(logit / sqrt(DIM)) : 0;
    }
    for (int u = 0; u <= t; u++) {
        sums[u] = (double)DECAY * sums[u] + weights[u] / all;
    }
}

/* The token with the largest sum over all heads. */
static uint64_t heaviest(const held *tokens) {
    int64_t best = 0;
    float most = -1;
    for (int64_t i = 0; i < tokens->n; i++) {
        float sum = 0;
        for (int h = 0; h < HEADS; h++) {
            sum += tokens->sum[h][i];
        }
        best = sum > most ? i : best;
        most = sum > most ? sum : most;
    }
    return tokens->position[best];
}

static sa_cache *make_stream(void) {
    sa_config config = {.struct_size = sizeof config,
                        .n_layers = 1,
                        .max_append = 1,
                        .n_heads = HEADS,
                        .head_dim = DIM,
                        .n_sink = SINKS,
                        .window = WINDOW,
                        .position = SA_POSITION_NONE,
                        .n_spans = 2};
    sa_cache *cache = make_cache(&config);
    sa_cache_facts facts = {.struct_size = sizeof facts};
    must(sa_cache_info(cache, 0, &facts));
    must(facts.keys_most <= MOST ? SA_SUCCESS : SA_ERR_BUFFER);
    return cache;
}

int main(void) {
    static double sums[HEADS][TOKENS];
    static held tokens;
    sa_cache *cache = make_stream();
    double worst = 0;
    fill(queries, TOKENS * ROW);
    fill(keys, TOKENS * ROW);
    fill(values, TOKENS * ROW);
    for (int t = 0; t < TOKENS; t++) {
        if (t == REMOVED_AT) {
            must(sa_cache_remove(cache, 0, REMOVED_FROM, REMOVED_END, SA_GAP_CLOSE));
        }
        step(cache, t, &tokens);
        for (int h = 0; h < HEADS; h++) {
            step_exactly(t, h, sums[h]);
            for (int64_t i = 0; i < tokens.n; i++) {
                compare(&tokens.sum[h][i], &sums[h][tokens.position[i]], 1, &worst);
            }
        }
    }
    printf("%d tokens, the heaviest of those held is token %d\n", TOKENS, (int)heaviest(&tokens));
    int failed = judge("weights of keys, summed with a decay", worst, 2e-6);
    sa_cache_destroy(cache);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
