/* A tree of drafted tokens in one call, beside as many tokens of a chain that are appended in one call.
 *
 * SPDX-License-Identifier: MIT
 *
 * The two take turns. How far the stream's newest token is behind a multiple of 256 decides how many keys are read node
 * by node, so there are rows for the middle and for the worst. A row's limit is the time of the chain, and its fraction
 * what part of the tree's time that is: 0.87 or more is the bar.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum {
    DRAFT_NODES = 64,
    DRAFT_WINDOW = 4096,
    DRAFT_HEADS = 32,
    DRAFT_KV_HEADS = 8,
    DRAFT_DIM = 128,
    DRAFT_REPEATS = 15
};

typedef struct draft_bench {
    sa_cache *cache;
    sa_step_args args;
    float *q, *kv, *out;
    int32_t parents[DRAFT_NODES];
} draft_bench;

static void draft_open(draft_bench *b, int behind) {
    sa_config config = bench_sequence_config(1, DRAFT_HEADS, DRAFT_KV_HEADS, DRAFT_DIM, DRAFT_WINDOW);
    size_t n = (size_t)DRAFT_NODES * DRAFT_HEADS * DRAFT_DIM;
    config.max_append = config.max_draft = config.rollback = DRAFT_NODES;
    bench_check(sa_cache_create(&config, NULL, &b->cache));
    b->q = (float *)bench_alloc(n * sizeof *b->q);
    b->out = (float *)bench_alloc(n * sizeof *b->out);
    b->kv = bench_tokens(DRAFT_KV_HEADS, DRAFT_DIM);
    bench_fill(b->q, n);
    bench_append(b->cache, 1, b->kv, 2 * DRAFT_WINDOW + behind);
    memset(&b->args, 0, sizeof b->args);
    b->args.struct_size = sizeof b->args;
    b->args.n_tokens = DRAFT_NODES;
    b->args.q.data = b->q;
    b->args.k.data = b->args.v.data = b->kv;
    b->args.out.data = b->out;
}

static void draft_close(draft_bench *b) {
    sa_cache_destroy(b->cache);
    free(b->q);
    free(b->kv);
    free(b->out);
}

static double draft_time(draft_bench *b, const int32_t *parents) {
    double start = bench_now();
    b->args.parents = parents;
    bench_check(sa_step(b->cache, &b->args));
    double took = bench_now() - start;
    bench_check(parents ? sa_draft_accept(b->cache, 0, 0, NULL) : sa_cache_rollback(b->cache, 0, DRAFT_NODES));
    return took;
}

/* Node i's parent, of trees where each node has so many children; 0: all are children of the newest token. */
static int32_t draft_parent(int i, int children) { return children ? (i + children - 1) / children - 1 : -1; }

static void draft_run(const char *name, int children, int behind, FILE *csv) {
    static double trees[DRAFT_REPEATS], chains[DRAFT_REPEATS];
    static draft_bench b;
    char row[80];
    draft_open(&b, behind);
    for (int i = 0; i < DRAFT_NODES; i++) b.parents[i] = draft_parent(i, children);
    for (int r = -1; r < DRAFT_REPEATS; r++) { /* the first is a warm-up */
        double chain = draft_time(&b, NULL), tree = draft_time(&b, b.parents);
        if (r >= 0) chains[r] = chain;
        if (r >= 0) trees[r] = tree;
    }
    double tree = bench_median(trees, DRAFT_REPEATS), chain = bench_median(chains, DRAFT_REPEATS);
    snprintf(row, sizeof row, "64 nodes: %s; %d behind a chunk", name, behind);
    bench_sequences_row(row, tree, 0, chain, chain / tree, csv);
    draft_close(&b);
}

void bench_drafts(FILE *csv) {
    static const int behind[] = {0, 128, 250};
    for (int i = 0; i < 3; i++) {
        draft_run("a chain", 1, behind[i], csv);
        draft_run("two children each", 2, behind[i], csv);
        draft_run("eight children each", 8, behind[i], csv);
        draft_run("siblings", 0, behind[i], csv);
    }
}
