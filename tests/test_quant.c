/*
 * What integers cost: the output of a cache that stores int8 or int4 against one that stores f32, as relative
 * RMS error, on normal data, with channels of keys that stand out, and with a sink that takes most of the mass.
 *
 * The bars are what ggml's q8_0 and q4_0 reach on the first and the last kind (32 heads, 8 kv heads, head_dim 128,
 * 4096 keys). With outlying channels the bar is half of what the same groups of 32 lose without a rotation, on
 * the same data.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "support.h"
#include "test.h"

enum { HEADS = 32, KV_HEADS = 8, DIM = 128, KEYS = 4096, N_QUERIES = 4 };
enum { NORMAL, OUTLIERS, HEAVY_SINK, KINDS };
static const char *const kind_names[KINDS] = {"normal", "outlying channels", "heavy sink"};

typedef struct tensors {
    float *q, *k, *v;
} tensors;

/* Keys of outlying channels: 4 of 128 are 20 times the others, as Llama's are. The queries are small there, so that
 * the logits stay what they were. A heavy sink: token 0 lies along every query. */
static tensors draw(int kind, test_rng *rng) {
    tensors t;
    size_t n = (size_t)KEYS * KV_HEADS * DIM, i;
    t.q = test_take((size_t)N_QUERIES * HEADS * DIM * sizeof(float));
    t.k = test_take(n * sizeof(float));
    t.v = test_take(n * sizeof(float));
    for (i = 0; i < (size_t)N_QUERIES * HEADS * DIM; i++) {
        t.q[i] = rng_normal(rng) / (kind == OUTLIERS && i % 32 == 5 ? 20.0f : 1.0f);
    }
    for (i = 0; i < n; i++) {
        t.k[i] = rng_normal(rng) * (kind == OUTLIERS && i % 32 == 5 ? 20.0f : 1.0f);
        t.v[i] = rng_normal(rng);
    }
    for (i = 0; i < (size_t)N_QUERIES * HEADS * DIM && kind == HEAVY_SINK; i += DIM) {
        t.q[i] = 10.0f;
    }
    for (i = 0; i < KV_HEADS && kind == HEAVY_SINK; i++) {
        t.k[i * DIM] = 12.0f;
    }
    return t;
}

/* Codes of queries and weights have `bits` bits. */
static void run(const tensors *t, int n_sink, int k_dtype, int v_dtype, int bits, float *out) {
    sa_cache *cache = NULL;
    sa_config c;
    memset(&c, 0, sizeof c);
    c.struct_size = sizeof c;
    c.n_layers = 1;
    c.n_heads = HEADS;
    c.n_kv_heads = KV_HEADS;
    c.head_dim = DIM;
    c.n_sink = n_sink;
    c.window = KEYS;
    c.k_dtype = k_dtype;
    c.v_dtype = v_dtype;
    c.query_bits = k_dtype >= SA_I8 ? bits : 0;
    c.weight_bits = v_dtype >= SA_I8 ? bits : 0;
    c.position = SA_POSITION_NONE;
    CHECK(sa_cache_create(&c, NULL, &cache) == SA_SUCCESS, "create");
    compare_forget(out, (size_t)N_QUERIES * HEADS * DIM * sizeof *out);
    CHECK(sa_append_kv(cache, 0, KEYS, t->k, t->v) == SA_SUCCESS, "append");
    CHECK(sa_attend(cache, 0, N_QUERIES, t->q, out) == SA_SUCCESS, "attend");
    sa_cache_destroy(cache);
}

/* Infinite if any number of x is not one. */
static double error_of(const float *x, const float *exact, size_t n) {
    double off = 0.0, all = 0.0;
    size_t i;
    for (i = 0; i < n; i++) {
        double difference = compare_difference(x[i], exact[i]);
        off += difference * difference;
        all += (double)exact[i] * exact[i];
    }
    return compare_greater(sqrt(off / all), 0.0);
}

/* Keys after coding each 32 dims by their largest, to `most` steps either side: what is done without a rotation. */
static void code_plainly(const float *x, size_t n, int most, float *out) {
    size_t i, j;
    for (i = 0; i < n; i += 32) {
        float largest = 0.0f;
        for (j = i; j < i + 32; j++) {
            largest = fabsf(x[j]) > largest ? fabsf(x[j]) : largest;
        }
        for (j = i; j < i + 32; j++) {
            out[j] = largest > 0.0f ? nearbyintf(x[j] / largest * (float)most) * largest / (float)most : 0.0f;
        }
    }
}

static double plain_error(const tensors *t, int dtype) {
    size_t n = (size_t)N_QUERIES * HEADS * DIM, n_keys = (size_t)KEYS * KV_HEADS * DIM;
    float *exact = test_take(n * sizeof(float)), *out = test_take(n * sizeof(float));
    tensors coded = *t;
    double error;
    coded.k = test_take(n_keys * sizeof(float));
    code_plainly(t->k, n_keys, dtype == SA_I8 ? 127 : 8, coded.k);
    run(t, 0, SA_F32, SA_F32, 16, exact);
    run(&coded, 0, SA_F32, SA_F32, 16, out);
    error = error_of(out, exact, n);
    CHECK(error > 0.0 && error < 1.0, "error %g of keys coded without a rotation", error);
    printf("%-18s keys coded without a rotation, %s: %.2e\n", kind_names[OUTLIERS], dtype == SA_I8 ? "int8" : "int4",
           error);
    free(exact);
    free(out);
    free(coded.k);
    return error;
}

/* Sinks are stored in f16; without sinks, token 0 is coded like the others. */
static void compare(const tensors *t, int kind, int n_sink, int dtype, double bar) {
    size_t n = (size_t)N_QUERIES * HEADS * DIM;
    float *exact = test_take(n * sizeof(float)), *out = test_take(n * sizeof(float));
    double both, keys, values;
    run(t, n_sink, SA_F32, SA_F32, 16, exact);
    run(t, n_sink, dtype, dtype, 16, out);
    both = error_of(out, exact, n);
    run(t, n_sink, dtype, SA_F32, 16, out);
    keys = error_of(out, exact, n);
    run(t, n_sink, SA_F32, dtype, 16, out);
    values = error_of(out, exact, n);
    printf("%-18s %d sinks, %s: %.2e (keys alone %.2e, values alone %.2e)\n", kind_names[kind], n_sink,
           dtype == SA_I8    ? "int8"
           : dtype == SA_I4  ? "int4"
           : dtype == SA_F16 ? "f16"
                             : "bf16",
           both, keys, values);
    CHECK(both <= bar && both > 0.0, "error %g, bar %g", both, bar);
    /* Coding one of the two alone cannot cost more than coding both, but for chance. */
    CHECK(keys <= bar && values <= bar, "error of keys alone %g, of values alone %g, bar %g", keys, values, bar);
    free(exact);
    free(out);
}

/* What codes of 8 bits cost beside those of 16, for queries and for weights: more than nothing, and, where no key has
 * most of the mass, less than the stored codes. */
static void compare_code_bits(const tensors *t, int kind, int n_sink, int dtype, double bar) {
    size_t n = (size_t)N_QUERIES * HEADS * DIM;
    float *wide = test_take(n * sizeof(float)), *out = test_take(n * sizeof(float));
    double queries, weights;
    run(t, n_sink, dtype, SA_F32, 16, wide);
    run(t, n_sink, dtype, SA_F32, 8, out);
    queries = error_of(out, wide, n);
    run(t, n_sink, SA_F32, dtype, 16, wide);
    run(t, n_sink, SA_F32, dtype, 8, out);
    weights = error_of(out, wide, n);
    printf("%-18s %d sinks, %s: 8 bits against 16: queries %.2e, weights %.2e\n", kind_names[kind], n_sink,
           dtype == SA_I8 ? "int8" : "int4", queries, weights);
    CHECK(queries > 0.0 && queries <= bar, "error %g of queries, bar %g", queries, bar);
    CHECK(weights > 0.0 && weights <= bar, "error %g of weights, bar %g", weights, bar);
    free(wide);
    free(out);
}

int main(int argc, char **argv) {
    double bars[KINDS][2] = {{9.2e-3, 0.125}, {0.0, 0.0}, {7.4e-3, 0.113}};
    uint64_t seed = 8;
    long count = 1;
    int kind, n_sink;
    test_rng rng;
    test_begin("test_quant", argc, argv, &seed, &count);
    rng.state = seed;
    for (kind = 0; kind < KINDS; kind++) {
        tensors t = draw(kind, &rng);
        if (kind == OUTLIERS) {
            bars[kind][0] = plain_error(&t, SA_I8) / 2.0;
            bars[kind][1] = plain_error(&t, SA_I4) / 2.0;
        }
        for (n_sink = test_is_quick ? 4 : 0; n_sink <= 4; n_sink += 4) {
            if (!test_is_quick) compare(&t, kind, n_sink, SA_F16, 1e-3);
            if (!test_is_quick) compare(&t, kind, n_sink, SA_BF16, 4e-3);
            compare(&t, kind, n_sink, SA_I8, bars[kind][0]);
            compare(&t, kind, n_sink, SA_I4, bars[kind][1]);
            compare_code_bits(&t, kind, n_sink, SA_I8, 0.03);
            compare_code_bits(&t, kind, n_sink, SA_I4, 0.03);
        }
        free(t.q);
        free(t.k);
        free(t.v);
    }
    return test_end();
}
