/*
 * Block Transformer (Ho et al. 2024, arXiv 2406.02657): attention inside blocks, and over one row per block.
 *
 * SPDX-License-Identifier: MIT
 *
 * Layer 0, the block decoder, gets one row per block, and its result is the context of the next block. Layer 1, the
 * token decoder, sees that context as a first row, and the tokens of its own block: it begins anew with every block.
 * Both live in one cache. Checked against a model in doubles that knows no cache. The weights are random, and the mean
 * of a block's tokens stands in for the paper's embedder: only the shape of the attention is the paper's.
 */
#include "related.h"

enum { GLOBAL = 0, LOCAL = 1, HEADS = 4, DIM = 16, WIDTH = HEADS * DIM, BLOCK = 4, BLOCKS = 300, ROWS = 1 + BLOCK };

enum { Q, K, V, PROJECTIONS };

static float weights[2][PROJECTIONS][WIDTH * WIDTH], tokens[BLOCKS * BLOCK * WIDTH];

/* ------------------------------- with the cache ------------------------------- */

static void project(int layer, const float *x, float out[PROJECTIONS][WIDTH]) {
    for (int p = 0; p < PROJECTIONS; p++) {
        for (int i = 0; i < WIDTH; i++) {
            out[p][i] = 0;
            for (int j = 0; j < WIDTH; j++) {
                out[p][i] += weights[layer][p][i * WIDTH + j] * x[j];
            }
        }
    }
}

/* One row through a layer's attention. */
static void attend(sa_cache *cache, int layer, const float *x, float *out) {
    float rows[PROJECTIONS][WIDTH];
    project(layer, x, rows);
    must(sa_append_attend(cache, layer, 1, rows[Q], rows[K], rows[V], out));
}

/* Results of the token decoder, (BLOCKS, ROWS, WIDTH), and of the block decoder, (BLOCKS, WIDTH). */
static float local_results[BLOCKS * ROWS * WIDTH], contexts[BLOCKS * WIDTH];

static void run_block(sa_cache *cache, int b) {
    static const float none[WIDTH];
    float mean[WIDTH] = {0}, *out = local_results + b * ROWS * WIDTH;
    must(sa_cache_restart(cache, LOCAL, (uint64_t)b * ROWS));
    attend(cache, LOCAL, b > 0 ? contexts + (b - 1) * WIDTH : none, out);
    for (int i = 0; i < BLOCK; i++) {
        const float *x = tokens + (b * BLOCK + i) * WIDTH;
        attend(cache, LOCAL, x, out + (1 + i) * WIDTH);
        for (int j = 0; j < WIDTH; j++) {
            mean[j] += x[j] / BLOCK;
        }
    }
    attend(cache, GLOBAL, mean, contexts + b * WIDTH);
}

/* ----------------------------- the model in doubles --------------------------- */

static void project_exactly(int layer, int p, const double *x, double *out) {
    for (int i = 0; i < WIDTH; i++) {
        out[i] = 0;
        for (int j = 0; j < WIDTH; j++) {
            out[i] += (double)weights[layer][p][i * WIDTH + j] * x[j];
        }
    }
}

/* <q, k> of a head after both were rotated to their places: only the distance counts. */
static double rotated_product(const double *q, const double *k, int distance) {
    double sum = 0;
    for (int i = 0; i < DIM / 2; i++) {
        double angle = distance * pow(10000, -2.0 * i / DIM), c = cos(angle), s = sin(angle);
        const double *q2 = q + DIM / 2, *k2 = k + DIM / 2;
        sum += c * (q[i] * k[i] + q2[i] * k2[i]) + s * (q[i] * k2[i] - q2[i] * k[i]);
    }
    return sum / sqrt(DIM);
}

/* Attention of the last of n rows over all of them. */
static void attend_exactly(int layer, const double *rows, int n, double *out) {
    static double k[BLOCKS * WIDTH], v[BLOCKS * WIDTH];
    double q[WIDTH];
    project_exactly(layer, Q, rows + (n - 1) * WIDTH, q);
    for (int r = 0; r < n; r++) {
        project_exactly(layer, K, rows + r * WIDTH, k + r * WIDTH);
        project_exactly(layer, V, rows + r * WIDTH, v + r * WIDTH);
    }
    for (int h = 0; h < HEADS; h++) {
        double sum = 0, *acc = out + h * DIM;
        memset(acc, 0, DIM * sizeof *acc);
        for (int r = 0; r < n; r++) {
            double weight = exp(rotated_product(q + h * DIM, k + r * WIDTH + h * DIM, n - 1 - r));
            sum += weight;
            for (int i = 0; i < DIM; i++) {
                acc[i] += weight * v[r * WIDTH + h * DIM + i];
            }
        }
        for (int i = 0; i < DIM; i++) {
            acc[i] /= sum;
        }
    }
}

static void check_block(int b, double *worst_local, double *worst_global) {
    static double means[BLOCKS * WIDTH], context[WIDTH]; /* context is that of the block before */
    double rows[ROWS * WIDTH], out[WIDTH];
    memcpy(rows, context, sizeof context);
    for (int i = 0; i < BLOCK * WIDTH; i++) {
        rows[WIDTH + i] = (double)tokens[b * BLOCK * WIDTH + i];
        means[b * WIDTH + i % WIDTH] += rows[WIDTH + i] / BLOCK;
    }
    for (int r = 0; r < ROWS; r++) {
        attend_exactly(LOCAL, rows, r + 1, out);
        compare(local_results + (b * ROWS + r) * WIDTH, out, WIDTH, worst_local);
    }
    attend_exactly(GLOBAL, means, b + 1, context);
    compare(contexts + b * WIDTH, context, WIDTH, worst_global);
}

int main(void) {
    sa_config local = {.struct_size = sizeof local,
                       .n_layers = 2,
                       .max_append = 1,
                       .n_heads = HEADS,
                       .head_dim = DIM,
                       .policy = SA_POLICY_DENSE,
                       .window = ROWS,
                       .position = SA_POSITION_ROPE};
    sa_config global = local, config = local;
    global.window = BLOCKS;
    const sa_config *layers[2] = {&global, &local};
    config.layers = layers;
    sa_cache *cache = make_cache(&config);
    fill(&weights[0][0][0], 2 * PROJECTIONS * WIDTH * WIDTH);
    fill(tokens, BLOCKS * BLOCK * WIDTH);
    for (int i = 0; i < 2 * PROJECTIONS * WIDTH * WIDTH; i++) {
        (&weights[0][0][0])[i] *= 0.25f; /* so that logits are of size 1 */
    }
    double worst_local = 0, worst_global = 0;
    for (int b = 0; b < BLOCKS; b++) {
        run_block(cache, b);
        check_block(b, &worst_local, &worst_global);
    }
    printf("%d tokens in %d blocks of %d, largest error against a model in doubles\n", BLOCKS * BLOCK, BLOCKS, BLOCK);
    int failed = judge("token decoder: a context row and the tokens of its block", worst_local, 4e-6);
    failed += judge("block decoder: one row per block", worst_global, 4e-6);
    sa_cache_facts info = {.struct_size = sizeof info}, blocks = info;
    must(sa_cache_info(cache, LOCAL, &info));
    must(sa_cache_info(cache, GLOBAL, &blocks));
    printf("a token sees %llu rows of its block; the next block is told of %llu blocks\n",
           (unsigned long long)info.positions_held, (unsigned long long)blocks.positions_held);
    sa_cache_destroy(cache);
    return failed || info.positions_held != ROWS || blocks.positions_held != BLOCKS ? EXIT_FAILURE : EXIT_SUCCESS;
}
