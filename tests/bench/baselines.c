/* What people write without a library: two plain ways, as fast as a compiler makes them.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "bench.h"

#if defined(__GNUC__) && !defined(__clang__)
#define FAST __attribute__((optimize("O3", "fast-math")))
#else
#define FAST
#endif

FAST static void plain_head(int kv_heads, int dim, int keys, int kv, const float *q, const float *k, const float *v,
                            float *scores, float *out) {
    size_t row = (size_t)kv_heads * (size_t)dim;
    float max = -INFINITY, sum = 0, scale = 1 / sqrtf((float)dim);
    for (int u = 0; u < keys; u++) {
        const float *key = k + (size_t)u * row + (size_t)kv * (size_t)dim;
        float s = 0;
        for (int d = 0; d < dim; d++) s += q[d] * key[d];
        scores[u] = s * scale;
        if (scores[u] > max) max = scores[u];
    }
    for (int u = 0; u < keys; u++) sum += scores[u] = expf(scores[u] - max);
    memset(out, 0, (size_t)dim * sizeof *out);
    for (int u = 0; u < keys; u++) {
        const float *value = v + (size_t)u * row + (size_t)kv * (size_t)dim;
        float p = scores[u] / sum;
        for (int d = 0; d < dim; d++) out[d] += p * value[d];
    }
}

void bench_plain_loop(const bench_plain *p, const float *q, float *out) {
    for (int h = 0; h < p->heads; h++)
        plain_head(p->kv_heads, p->dim, p->keys, h / (p->heads / p->kv_heads), q + h * p->dim, p->k[0], p->v[0],
                   p->scores, out + h * p->dim);
}

void bench_rope_table(int dim, int keys, float *table) {
    for (int u = 0; u < keys; u++)
        for (int i = 0; i < dim / 2; i++) {
            float angle = (float)u * powf(10000.0f, -2.0f * (float)i / (float)dim);
            table[u * dim + i] = cosf(angle);
            table[u * dim + dim / 2 + i] = sinf(angle);
        }
}

/* Half-split rotation of every key to its index. */
FAST static void rerotate_keys(int kv_heads, int dim, int keys, const float *table, const float *k, float *turned) {
    for (int u = 0; u < keys; u++) {
        const float *cosine = table + u * dim, *sine = cosine + dim / 2;
        for (int h = 0; h < kv_heads; h++) {
            const float *from = k + ((size_t)u * (size_t)kv_heads + (size_t)h) * (size_t)dim;
            float *to = turned + ((size_t)u * (size_t)kv_heads + (size_t)h) * (size_t)dim;
            for (int i = 0; i < dim / 2; i++) {
                to[i] = from[i] * cosine[i] - from[i + dim / 2] * sine[i];
                to[i + dim / 2] = from[i + dim / 2] * cosine[i] + from[i] * sine[i];
            }
        }
    }
}

/* The cache without token `sinks`, copied, as concatenation does. */
static void evict_by_copy(size_t row, int keys, int sinks, float *const cache[2]) {
    size_t before = row * (size_t)sinks, after = row * (size_t)(keys - sinks - 1);
    memcpy(cache[1], cache[0], before * sizeof(float));
    memcpy(cache[1] + before, cache[0] + before + row, after * sizeof(float));
    memcpy(cache[1] + before + after, cache[0], row * sizeof(float)); /* the new token */
}

void bench_rerotate_step(const bench_plain *p, int sinks, const float *table, const float *q, float *out) {
    size_t row = (size_t)p->kv_heads * (size_t)p->dim;
    evict_by_copy(row, p->keys, sinks, p->k);
    evict_by_copy(row, p->keys, sinks, p->v);
    rerotate_keys(p->kv_heads, p->dim, p->keys, table, p->k[1], p->turned);
    bench_plain loop = *p;
    loop.k[0] = p->turned;
    loop.v[0] = p->v[1];
    bench_plain_loop(&loop, q, out);
}
