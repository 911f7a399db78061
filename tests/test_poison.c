/*
 * A NaN or an infinity in one token's k, v or q leaves no trace in any row that does not see it: not in
 * earlier rows of the same call, not in other kv heads, not after it has left the window.
 *
 * The same stream is run twice, once poisoned; rows that do not see the token must have equal bits.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "support.h"
#include "test.h"

enum { KV_HEADS = 2, GROUP = 3, HEADS = KV_HEADS * GROUP };

typedef struct stream {
    sa_config config;
    int n_tokens, dim, v_dim;
    float *q, *k, *v, *out;
    float *lse, *mass;
} stream;

static float *normals(test_rng *rng, int64_t count) {
    float *x = test_take((size_t)count * sizeof *x);
    int64_t i;
    for (i = 0; i < count; i++) {
        x[i] = rng_normal(rng);
    }
    return x;
}

static void draw(stream *s, test_rng *rng) {
    static const int dims[] = {1, 4, 16, 17, 40, 64};
    sa_config *g = &s->config;
    memset(s, 0, sizeof *s);
    g->struct_size = sizeof *g;
    g->n_layers = 1;
    g->n_heads = HEADS;
    g->n_kv_heads = KV_HEADS;
    g->head_dim = s->dim = rng_pick(rng, dims, 6);
    g->v_head_dim = s->v_dim = rng_pick(rng, dims, 6);
    g->n_sink = (int32_t)rng_in(rng, 0, 5);
    g->window = (int32_t)(rng_chance(rng, 85) ? rng_in(rng, 1, 40) : rng_in(rng, 240, 270));
    g->max_append = (int32_t)(rng_chance(rng, 50) ? 0 : rng_in(rng, 1, 30));
    g->position = s->dim % 2 ? SA_POSITION_NONE : SA_POSITION_ROPE;
    g->k_dtype = (int32_t)rng_in(rng, 1, 2);
    g->v_dtype = (int32_t)rng_in(rng, 1, 2);
    g->isa = g->window <= 40 && rng_chance(rng, 30) ? SA_ISA_PLAIN : SA_ISA_AUTO;
    g->softcap = rng_chance(rng, 20) ? 10.0f : 0.0f;
    s->n_tokens = g->n_sink + 2 * g->window + (int)rng_in(rng, 5, 60);
    s->q = normals(rng, (int64_t)s->n_tokens * HEADS * s->dim);
    s->k = normals(rng, (int64_t)s->n_tokens * KV_HEADS * s->dim);
    s->v = normals(rng, (int64_t)s->n_tokens * KV_HEADS * s->v_dim);
    s->out = normals(rng, (int64_t)s->n_tokens * HEADS * s->v_dim);
    s->lse = normals(rng, (int64_t)s->n_tokens * HEADS);
    s->mass = normals(rng, (int64_t)s->n_tokens * HEADS);
}

static void release(stream *s) {
    free(s->q);
    free(s->k);
    free(s->v);
    free(s->out);
    free(s->lse);
    free(s->mass);
}

static sa_status play(stream *s, test_rng rng, int one_call) {
    sa_cache *cache = NULL;
    sa_status status = sa_cache_create(&s->config, NULL, &cache);
    int at = 0;
    while (at < s->n_tokens && status == SA_SUCCESS) {
        int64_t left = s->n_tokens - at, n = one_call ? left : rng_in(&rng, 1, left < 20 ? left : 20);
        sa_step_args a;
        memset(&a, 0, sizeof a);
        a.struct_size = sizeof a;
        a.n_tokens = (int32_t)n;
        a.q.data = s->q + (int64_t)at * HEADS * s->dim;
        a.k.data = s->k + (int64_t)at * KV_HEADS * s->dim;
        a.v.data = s->v + (int64_t)at * KV_HEADS * s->v_dim;
        a.out.data = s->out + (int64_t)at * HEADS * s->v_dim;
        a.lse = s->lse + (int64_t)at * HEADS;
        a.sink_mass = s->mass + (int64_t)at * HEADS;
        status = sa_step(cache, &a);
        at += (int)n;
    }
    sa_cache_destroy(cache);
    return status;
}

/* Whether row (t, head) sees the poison in what ('k', 'v', 'q') of token p, head h. */
static int sees(const stream *s, int t, int head, char what, int p, int h) {
    if (what == 'q') {
        return t == p && head == h;
    }
    return head / GROUP == h && p <= t && (p < s->config.n_sink || p > t - s->config.window);
}

static void compare(const stream *clean, const stream *dirty, char what, int p, int h, long index) {
    int t, head, rows = 0;
    for (t = 0; t < clean->n_tokens; t++) {
        for (head = 0; head < HEADS; head++) {
            int64_t row = (int64_t)t * HEADS + head;
            size_t size = (size_t)clean->v_dim * sizeof(float);
            int same = memcmp(clean->out + row * clean->v_dim, dirty->out + row * clean->v_dim, size) == 0 &&
                       memcmp(clean->lse + row, dirty->lse + row, sizeof(float)) == 0 &&
                       memcmp(clean->mass + row, dirty->mass + row, sizeof(float)) == 0;
            if (!sees(clean, t, head, what, p, h)) {
                rows++;
                CHECK(same, "case %ld: %c of token %d head %d shows at t=%d head %d: %g, not %g: S=%d W=%d dims %d/%d",
                      index, what, p, h, t, head, (double)dirty->out[row * clean->v_dim],
                      (double)clean->out[row * clean->v_dim], clean->config.n_sink, clean->config.window, clean->dim,
                      clean->v_dim);
            }
        }
    }
    CHECK(rows > 0, "case %ld: every row sees the poison", index);
}

static void poison(float *row, int dim, test_rng *rng) {
    static const int all = 25;
    float bad = rng_chance(rng, 50) ? NAN : rng_chance(rng, 50) ? INFINITY : -INFINITY;
    int i, one = (int)rng_in(rng, 0, dim - 1), every = rng_chance(rng, all);
    for (i = 0; i < dim; i++) {
        row[i] = every || i == one ? bad : row[i];
    }
}

static void run_case(uint64_t seed, long index) {
    static const char whats[] = {'k', 'v', 'q'};
    static stream clean, dirty;
    test_rng rng, again;
    char what = whats[index % 3];
    int p, h, one_call;
    rng.state = again.state = seed + (uint64_t)index * 1234567;
    draw(&clean, &rng);
    draw(&dirty, &again);
    p = (int)rng_in(&rng, 0, clean.n_tokens - 1);
    h = (int)rng_in(&rng, 0, what == 'q' ? HEADS - 1 : KV_HEADS - 1);
    one_call = rng_chance(&rng, 50);
    if (what == 'q') {
        poison(dirty.q + ((int64_t)p * HEADS + h) * dirty.dim, dirty.dim, &rng);
    } else if (what == 'k') {
        poison(dirty.k + ((int64_t)p * KV_HEADS + h) * dirty.dim, dirty.dim, &rng);
    } else {
        poison(dirty.v + ((int64_t)p * KV_HEADS + h) * dirty.v_dim, dirty.v_dim, &rng);
    }
    CHECK(play(&clean, rng, one_call) == SA_SUCCESS, "case %ld: clean", index);
    CHECK(play(&dirty, rng, one_call) == SA_SUCCESS, "case %ld: poisoned", index);
    compare(&clean, &dirty, what, p, h, index);
    release(&clean);
    release(&dirty);
}

int main(int argc, char **argv) {
    uint64_t seed = 99;
    long count = 250, i, first = argc > 3 ? strtol(argv[3], NULL, 0) : 0;
    test_begin("test_poison", argc, argv, &seed, &count);
    for (i = first; i < first + count; i++) {
        run_case(seed, i);
    }
    return test_end();
}
