/*
 * The authors' loop, in double and as naively as the paper's text, against the library.
 *
 * The cache is a list of unrotated keys. For every token all keys are rotated anew at their place in
 * that list, the query at the last place; then the list is cut to the first S and the last R entries.
 * A loop that cuts after the forward pass is window = R + 1 here; one that makes room before it, R.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "compare.h"
#include "support.h"
#include "test.h"

enum { HEADS = 4, KV_HEADS = 2, DIM = 24, MOST = 400 };

/* Keys and values of one kv head, oldest first. */
typedef struct list {
    int length;
    double k[MOST][DIM], v[MOST][DIM];
} list;

typedef struct model {
    int n_sink, recent, evicts_before;
    int interleaved, rotary_dims;
    list cache[KV_HEADS];
} model;

static void rotate(const model *m, int position, const double *x, double *out) {
    int i, d = m->rotary_dims;
    memcpy(out, x, DIM * sizeof *out);
    for (i = 0; i < d / 2; i++) {
        double angle = position * pow(10000.0, -2.0 * i / d);
        int a = m->interleaved ? 2 * i : i, b = m->interleaved ? 2 * i + 1 : i + d / 2;
        out[a] = x[a] * cos(angle) - x[b] * sin(angle);
        out[b] = x[b] * cos(angle) + x[a] * sin(angle);
    }
}

/* Keeps the first n_sink and the last `recent` entries. */
static void cut(list *l, int n_sink, int recent) {
    int drop = l->length - n_sink - recent;
    if (drop > 0) {
        memmove(l->k[n_sink], l->k[n_sink + drop], (size_t)recent * sizeof l->k[0]);
        memmove(l->v[n_sink], l->v[n_sink + drop], (size_t)recent * sizeof l->v[0]);
        l->length -= drop;
    }
}

static void push(list *l, const float *k, const float *v) {
    int i;
    for (i = 0; i < DIM; i++) {
        l->k[l->length][i] = k[i];
        l->v[l->length][i] = v[i];
    }
    l->length++;
}

static void attend(const model *m, const list *l, const float *query, double *out) {
    double q[DIM], rotated[DIM], k[DIM], score[MOST], largest = -INFINITY, sum = 0.0;
    int i, j;
    for (i = 0; i < DIM; i++) {
        q[i] = query[i];
        out[i] = 0.0;
    }
    rotate(m, l->length - 1, q, rotated);
    for (j = 0; j < l->length; j++) {
        rotate(m, j, l->k[j], k);
        score[j] = 0.0;
        for (i = 0; i < DIM; i++) {
            score[j] += rotated[i] * k[i] / sqrt((double)DIM);
        }
        largest = score[j] > largest ? score[j] : largest;
    }
    for (j = 0; j < l->length; j++) {
        sum += exp(score[j] - largest);
    }
    for (j = 0; j < l->length; j++) {
        for (i = 0; i < DIM; i++) {
            out[i] += exp(score[j] - largest) / sum * l->v[j][i];
        }
    }
}

/* One forward pass of one token; out (HEADS, DIM). */
static void forward(model *m, const float *q, const float *k, const float *v, double *out) {
    int g, h;
    for (g = 0; g < KV_HEADS; g++) {
        if (m->evicts_before) {
            cut(&m->cache[g], m->n_sink, m->recent - 1);
        }
        push(&m->cache[g], k + g * DIM, v + g * DIM);
    }
    for (h = 0; h < HEADS; h++) {
        attend(m, &m->cache[h / (HEADS / KV_HEADS)], q + h * DIM, out + h * DIM);
    }
    for (g = 0; g < KV_HEADS && !m->evicts_before; g++) {
        cut(&m->cache[g], m->n_sink, m->recent);
    }
}

static sa_config config_of(const model *m) {
    sa_config g;
    memset(&g, 0, sizeof g);
    g.struct_size = sizeof g;
    g.n_layers = 1;
    g.max_append = 16;
    g.n_heads = HEADS;
    g.n_kv_heads = KV_HEADS;
    g.head_dim = DIM;
    g.n_sink = m->n_sink;
    g.window = m->evicts_before ? m->recent : m->recent + 1;
    g.position = SA_POSITION_ROPE;
    g.rope_layout = m->interleaved ? SA_ROPE_INTERLEAVED : SA_ROPE_HALF_SPLIT;
    g.rope_dims = m->rotary_dims == DIM ? 0 : m->rotary_dims;
    return g;
}

static void check_token(const model *m, int t, const float *got, const double *expected, double v_max) {
    comparison c = compare_begin();
    int i;
    for (i = 0; i < HEADS * DIM; i++) {
        compare_add(&c, got[i], expected[i], 0.0);
    }
    CHECK(compare_holds(&c, HEADS * DIM, 2e-6 * v_max), "S=%d R=%d before=%d t=%d: dim %lld: %.9g, reference %.9g",
          m->n_sink, m->recent, m->evicts_before, t, (long long)c.at, c.got, c.expected);
}

static void run_loop(test_rng *rng, int n_sink, int recent, int evicts_before, int interleaved, int rotary_dims) {
    static model m;
    float q[HEADS * DIM], k[KV_HEADS * DIM], v[KV_HEADS * DIM], got[HEADS * DIM];
    double expected[HEADS * DIM];
    sa_cache *cache = NULL;
    sa_config g;
    /* The library's ring has less than window + max_append + 16 places. */
    int t, i, tokens = n_sink + 3 * (recent + 1 + 16 + 16) + 5;
    memset(&m, 0, sizeof m);
    m.n_sink = n_sink;
    m.recent = recent;
    m.evicts_before = evicts_before;
    m.interleaved = interleaved;
    m.rotary_dims = rotary_dims;
    g = config_of(&m);
    CHECK(sa_cache_create(&g, NULL, &cache) == SA_SUCCESS, "create S=%d R=%d", n_sink, recent);
    for (t = 0; t < tokens && cache; t++) {
        double v_max = 1.0;
        for (i = 0; i < HEADS * DIM; i++) {
            q[i] = rng_normal(rng);
            if (i < KV_HEADS * DIM) {
                k[i] = rng_normal(rng);
                v[i] = rng_normal(rng);
            }
        }
        forward(&m, q, k, v, expected);
        compare_forget(got, sizeof got);
        CHECK(sa_append_kv(cache, 0, 1, k, v) == SA_SUCCESS, "append");
        CHECK(sa_attend(cache, 0, 1, q, got) == SA_SUCCESS, "attend");
        check_token(&m, t, got, expected, v_max);
    }
    sa_cache_destroy(cache);
}

int main(int argc, char **argv) {
    static const int sinks[] = {0, 1, 4}, recents[] = {1, 2, 12, 50};
    uint64_t seed = 2309;
    long count = 1;
    int s, r;
    test_rng rng;
    test_begin("test_reference", argc, argv, &seed, &count);
    rng.state = seed;
    for (s = 0; s < 3; s++) {
        for (r = 0; r < 4; r++) {
            run_loop(&rng, sinks[s], recents[r], 0, 0, DIM);
            run_loop(&rng, sinks[s], recents[r], 1, 0, DIM);
            run_loop(&rng, sinks[s], recents[r], 0, 1, DIM);
            run_loop(&rng, sinks[s], recents[r], 0, 0, 8);
        }
    }
    return test_end();
}
