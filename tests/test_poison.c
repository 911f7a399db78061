/*
 * A NaN, an infinity or a number near the largest in one token's k, v or q, or in a learned row, leaves no trace in any
 * row that does not see it: not in earlier rows of the same call, not in other kv heads, not after it has left the
 * window, nor after a reset. For every stored dtype, and wherever the token is stored: ring, sinks, learned rows, and
 * the newest tokens' own ring.
 *
 * The same stream is run twice, once poisoned; rows that do not see the poison must have equal bits.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "compare.h"
#include "support.h"
#include "test.h"

enum { KV_HEADS = 2, GROUP = 3, HEADS = KV_HEADS * GROUP };

/* Where the poison is put. */
typedef enum target { IN_K, IN_V, IN_Q, IN_LEARNED_K, IN_LEARNED_V, TARGETS } target;
static const char *const target_names[TARGETS] = {"k", "v", "q", "learned k", "learned v"};

/* Where the poisoned token is first stored. */
typedef enum region { RING, SINKS, RECENT, LEARNED, REGIONS } region;
static const char *const region_names[REGIONS] = {"ring", "sinks", "recent", "learned"};

typedef struct stream {
    sa_config config;
    int n_tokens, dim, v_dim;
    float *q, *k, *v, *sink_k, *sink_v;
    float *out, *lse, *mass;
} stream;

typedef struct poisoned {
    target where;
    int token, head; /* token or learned row; kv head, or head of q */
} poisoned;

/* Cases met so far, by what the poisoned number was stored in. */
static long met[2][REGIONS][SA_I4 + 1];

static float *numbers(test_rng *rng, int64_t count) {
    float *x = test_take((size_t)count * sizeof *x);
    int64_t i;
    for (i = 0; i < count; i++) {
        x[i] = rng_normal(rng);
    }
    return x;
}

static int any_isa(test_rng *rng) {
    int available[32], n = 0, isa;
    for (isa = 1; isa < 32; isa++) {
        if (sa_isa_available(isa)) {
            available[n++] = isa;
        }
    }
    return rng_pick(rng, available, n);
}

/* Dtypes and regions in turn, so that a few hundred cases meet all of them; all else at random. */
static void draw_config(sa_config *g, test_rng *rng, long index) {
    static const int dims[] = {1, 4, 16, 17, 40, 64};
    int turn = (int)(index / TARGETS);
    memset(g, 0, sizeof *g);
    g->struct_size = sizeof *g;
    g->n_layers = 1;
    g->n_heads = HEADS;
    g->n_kv_heads = KV_HEADS;
    g->head_dim = rng_pick(rng, dims, 6);
    g->v_head_dim = rng_pick(rng, dims, 6);
    g->n_sink = (int32_t)rng_in(rng, turn % 2, 5);
    g->n_sink_kv = index % TARGETS >= IN_LEARNED_K ? (int32_t)rng_in(rng, 1, 4) : rng_chance(rng, 20);
    g->window = (int32_t)(rng_chance(rng, 85) ? rng_in(rng, 1, 40) : rng_in(rng, 240, 270));
    g->max_append = (int32_t)(rng_chance(rng, 50) ? 0 : rng_in(rng, 1, 30));
    g->position = g->head_dim % 2 ? SA_POSITION_NONE : SA_POSITION_ROPE;
    g->k_dtype = g->v_dtype = SA_F32 + turn % SA_I4;
    if (rng_chance(rng, 30)) {
        g->k_dtype = (int32_t)rng_in(rng, SA_F32, SA_I4);
    }
    if (rng_chance(rng, 30)) {
        g->v_dtype = (int32_t)rng_in(rng, SA_F32, SA_I4);
    }
    if (g->n_sink + g->n_sink_kv > 0) {
        g->sink_k_dtype = (int32_t)rng_in(rng, 0, SA_BF16);
        g->sink_v_dtype = (int32_t)rng_in(rng, 0, SA_BF16);
    }
    if (rng_chance(rng, 40)) {
        g->n_recent = (int32_t)rng_in(rng, 1, g->window);
        g->recent_k_dtype = (int32_t)rng_in(rng, 0, SA_BF16);
        g->recent_v_dtype = (int32_t)rng_in(rng, 0, SA_BF16);
    }
    g->isa = g->window <= 40 ? any_isa(rng) : SA_ISA_AUTO;
    g->softcap = rng_chance(rng, 20) ? 10.0f : 0.0f;
}

static void draw(stream *s, test_rng *rng, long index) {
    sa_config *g = &s->config;
    memset(s, 0, sizeof *s);
    draw_config(g, rng, index);
    s->dim = g->head_dim;
    s->v_dim = g->v_head_dim;
    s->n_tokens = g->n_sink + 2 * g->window + (int)rng_in(rng, 5, 60);
    s->q = numbers(rng, (int64_t)s->n_tokens * HEADS * s->dim);
    s->k = numbers(rng, (int64_t)s->n_tokens * KV_HEADS * s->dim);
    s->v = numbers(rng, (int64_t)s->n_tokens * KV_HEADS * s->v_dim);
    s->sink_k = numbers(rng, (int64_t)g->n_sink_kv * KV_HEADS * s->dim);
    s->sink_v = numbers(rng, (int64_t)g->n_sink_kv * KV_HEADS * s->v_dim);
    s->out = numbers(rng, (int64_t)s->n_tokens * HEADS * s->v_dim);
    s->lse = numbers(rng, (int64_t)s->n_tokens * HEADS);
    s->mass = numbers(rng, (int64_t)s->n_tokens * HEADS);
}

static void release(stream *s) {
    free(s->q);
    free(s->k);
    free(s->v);
    free(s->sink_k);
    free(s->sink_v);
    free(s->out);
    free(s->lse);
    free(s->mass);
}

/* Runs the stream through a cache that has seen nothing since its creation or its last reset. */
static sa_status play(sa_cache *cache, stream *s, test_rng rng, int one_call) {
    sa_status status = s->config.n_sink_kv ? sa_set_sink_kv(cache, 0, s->sink_k, s->sink_v) : SA_SUCCESS;
    int at = 0;
    compare_forget(s->out, (size_t)(s->n_tokens * HEADS * s->v_dim) * sizeof(float));
    compare_forget(s->lse, (size_t)(s->n_tokens * HEADS) * sizeof(float));
    compare_forget(s->mass, (size_t)(s->n_tokens * HEADS) * sizeof(float));
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
    return status;
}

/* Whether row (t, head) sees the poison. */
static int sees(const stream *s, int t, int head, const poisoned *p) {
    if (p->where == IN_Q) {
        return t == p->token && head == p->head;
    }
    if (head / GROUP != p->head) {
        return 0;
    }
    return p->where >= IN_LEARNED_K ||
           (p->token <= t && (p->token < s->config.n_sink || p->token > t - s->config.window));
}

static int same_row(const stream *a, const stream *b, int64_t row) {
    return compare_bits(b->out + row * b->v_dim, b->v_dim, a->out + row * a->v_dim, a->v_dim) < 0 &&
           compare_bits(b->lse + row, 1, a->lse + row, 1) < 0 && compare_bits(b->mass + row, 1, a->mass + row, 1) < 0;
}

/* Rows that do not see the poison; all rows if it is gone (`p` NULL). */
static void compare(const stream *clean, const stream *other, const poisoned *p, long index) {
    const sa_config *g = &clean->config;
    int t, head, rows = 0;
    for (t = 0; t < clean->n_tokens; t++) {
        for (head = 0; head < HEADS; head++) {
            int64_t row = (int64_t)t * HEADS + head;
            if (p && sees(clean, t, head, p)) {
                continue;
            }
            rows++;
            CHECK(same_row(clean, other, row),
                  "case %ld: %s of %d head %d shows at t=%d head %d: %g, not %g: S=%d+%d W=%d recent=%d k=%d v=%d "
                  "dims %d/%d isa %d",
                  index, p ? target_names[p->where] : "what a reset dropped, k", p ? p->token : -1, p ? p->head : -1, t,
                  head, (double)other->out[row * clean->v_dim], (double)clean->out[row * clean->v_dim], g->n_sink,
                  g->n_sink_kv, g->window, g->n_recent, g->k_dtype, g->v_dtype, clean->dim, clean->v_dim, g->isa);
        }
    }
    CHECK(rows > 0, "case %ld: every row sees the poison", index);
}

static void poison_row(float *row, int dim, test_rng *rng) {
    static const float bad[] = {NAN, NAN, INFINITY, -INFINITY, 3e38f};
    float x = bad[rng_in(rng, 0, 4)];
    int i, one = (int)rng_in(rng, 0, dim - 1), every = rng_chance(rng, 25);
    for (i = 0; i < dim; i++) {
        row[i] = every || i == one ? x : row[i];
    }
}

static poisoned draw_poison(const stream *s, test_rng *rng, long index) {
    poisoned p;
    int is_sink = s->config.n_sink > 0 && index / TARGETS % 4 == 1;
    p.where = (target)(index % TARGETS);
    p.head = (int)rng_in(rng, 0, p.where == IN_Q ? HEADS - 1 : KV_HEADS - 1);
    p.token = (int)(p.where >= IN_LEARNED_K ? rng_in(rng, 0, s->config.n_sink_kv - 1)
                    : is_sink               ? rng_in(rng, 0, s->config.n_sink - 1)
                                            : rng_in(rng, 0, s->n_tokens - 1));
    return p;
}

static void apply_poison(stream *s, const poisoned *p, test_rng *rng) {
    float *tensors[TARGETS] = {s->k, s->v, s->q, s->sink_k, s->sink_v};
    int is_value = p->where == IN_V || p->where == IN_LEARNED_V, dim = is_value ? s->v_dim : s->dim;
    int heads = p->where == IN_Q ? HEADS : KV_HEADS;
    poison_row(tensors[p->where] + ((int64_t)p->token * heads + p->head) * dim, dim, rng);
}

static int or_else(int dtype, int otherwise) { return dtype ? dtype : otherwise; }

/* Counts what the poisoned number is stored in: a token outside the sinks in the ring, and in `recent` as well. */
static void count_met(const sa_config *g, const poisoned *p) {
    int is_value = p->where == IN_V || p->where == IN_LEARNED_V, dtype = is_value ? g->v_dtype : g->k_dtype;
    int sink = or_else(is_value ? g->sink_v_dtype : g->sink_k_dtype, dtype > SA_BF16 ? SA_F16 : dtype);
    int recent = or_else(is_value ? g->recent_v_dtype : g->recent_k_dtype, SA_F16);
    if (p->where == IN_Q) {
        return;
    }
    if (p->where >= IN_LEARNED_K) {
        met[is_value][LEARNED][sink]++;
    } else if (p->token < g->n_sink) {
        met[is_value][SINKS][sink]++;
    } else {
        met[is_value][RING][dtype]++;
        met[is_value][RECENT][recent] += g->n_recent > 0;
    }
}

static void run_case(uint64_t seed, long index) {
    static stream clean, dirty, after;
    test_rng rng, again, third;
    sa_cache *first = NULL, *second = NULL;
    poisoned p;
    int one_call;
    rng.state = again.state = third.state = seed + (uint64_t)index * 1234567;
    draw(&clean, &rng, index);
    draw(&dirty, &again, index);
    draw(&after, &third, index);
    p = draw_poison(&clean, &rng, index);
    one_call = rng_chance(&rng, 50);
    apply_poison(&dirty, &p, &rng);
    count_met(&clean.config, &p);
    CHECK(sa_cache_create(&clean.config, NULL, &first) == SA_SUCCESS, "case %ld: create", index);
    CHECK(sa_cache_create(&clean.config, NULL, &second) == SA_SUCCESS, "case %ld: create", index);
    if (first && second) {
        CHECK(play(first, &clean, rng, one_call) == SA_SUCCESS, "case %ld: clean", index);
        CHECK(play(second, &dirty, rng, one_call) == SA_SUCCESS, "case %ld: poisoned", index);
        compare(&clean, &dirty, &p, index);
        CHECK(sa_cache_reset(second, SA_ALL_LAYERS) == SA_SUCCESS, "case %ld: reset", index);
        CHECK(play(second, &after, rng, one_call) == SA_SUCCESS, "case %ld: after the reset", index);
        compare(&clean, &after, NULL, index);
    }
    sa_cache_destroy(first);
    sa_cache_destroy(second);
    release(&clean);
    release(&dirty);
    release(&after);
}

/* Every dtype in every region that can store it. */
static void check_all_met(void) {
    int is_value, r, dtype;
    for (is_value = 0; is_value < 2; is_value++) {
        for (r = 0; r < REGIONS; r++) {
            for (dtype = SA_F32; dtype <= (r == RING ? SA_I4 : SA_BF16); dtype++) {
                CHECK(met[is_value][r][dtype] > 0, "no %s of dtype %d was poisoned in: %s", is_value ? "value" : "key",
                      dtype, region_names[r]);
            }
        }
    }
}

int main(int argc, char **argv) {
    uint64_t seed = 99;
    long count = 400, i, first = argc > 3 ? strtol(argv[3], NULL, 0) : 0;
    double began = test_seconds();
    test_begin("test_poison", argc, argv, &seed, &count);
    for (i = first; i < first + count; i++) {
        run_case(seed, i);
    }
    if (count >= 400) {
        check_all_met();
    }
    printf("%.1f s\n", test_seconds() - began);
    return test_end();
}
