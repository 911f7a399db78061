/*
 * Lanes: a layer whose kv heads have sinks and windows of their own gives, bit for bit, what one layer for each set of
 * equal heads gives, whatever is done to both: steps of any length, probes, views, batches, parts of host threads,
 * rollbacks, jumps, removals, pins, other sinks, forks.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "lanes.h"
#include "test.h"

/* What a step takes and gives, of all heads or of some. */
typedef struct tensors {
    float q[MOST_TOKENS * MOST_HEADS * MOST_DIM], out[MOST_TOKENS * MOST_HEADS * MOST_DIM];
    float k[MOST_TOKENS * MOST_KV * MOST_DIM], v[MOST_TOKENS * MOST_KV * MOST_DIM];
    float beside[4][MOST_TOKENS * MOST_HEADS]; /* lse, sink mass, partial max, partial sum */
} tensors;

static uint64_t tiles_used(const sa_pool *pool, int layer, int kv_head) {
    sa_pool_facts facts;
    memset(&facts, 0, sizeof facts);
    facts.struct_size = sizeof facts;
    CHECK(sa_pool_info(pool, layer, kv_head, &facts) == SA_SUCCESS, "pool info");
    return facts.tiles - facts.tiles_free;
}

static void close_world(lanes_world *w) {
    for (int s = 0; s < SEQUENCES; s++) sa_cache_destroy(w->whole.caches[s]);
    for (int h = 0; h < w->config.n_kv_heads; h++)
        CHECK(tiles_used(w->whole.pool, w->layer, h) == 0, "tiles of kv head %d are not free", h);
    lanes_close(w);
}

/* ----------------------------------- heads ---------------------------------- */

/* Takes a part's heads out of an array (n, heads, dim), or puts them there. */
static void heads_out(const lanes_part *p, const float *all, float *some, int n, int heads, int group, int dim,
                      int back) {
    for (int t = 0; t < n; t++)
        for (int i = 0; i < p->n * group; i++) {
            float *a = (float *)(uintptr_t)all + ((int64_t)t * heads + p->heads[i / group] * group + i % group) * dim;
            float *b = some + ((int64_t)t * p->n * group + i) * dim;
            memcpy(back ? a : b, back ? b : a, (size_t)dim * sizeof *a);
        }
}

static void fill(float *x, int64_t n, test_rng *rng) {
    for (int64_t i = 0; i < n; i++) x[i] = rng_normal(rng);
}

/* ----------------------------------- steps ---------------------------------- */

typedef struct step {
    int n, appends, attends, partial;
    int64_t q_offset;
    int32_t view_window, view_sinks;
    tensors *in, *expected;
} step;

static step draw_step(const lanes_world *w, test_rng *rng, int most, tensors *in, tensors *expected) {
    step s;
    memset(&s, 0, sizeof s);
    s.in = in;
    s.expected = expected;
    s.n = (int)rng_in(rng, 0, rng_chance(rng, 50) ? 2 : most);
    s.appends = rng_chance(rng, 75);
    s.attends = !s.appends || rng_chance(rng, 80);
    s.partial = rng_chance(rng, 20);
    if (!s.appends && s.n > w->config.max_append) s.n = w->config.max_append;
    if (!s.appends) s.q_offset = rng_chance(rng, 50) ? -s.n : rng_in(rng, -30, 5);
    if (s.attends && rng_chance(rng, 20)) s.view_window = (int32_t)rng_in(rng, 1, w->config.window);
    if (s.attends && rng_chance(rng, 20)) s.view_sinks = (int32_t)rng_in(rng, -1, 4);
    fill(in->q, (int64_t)s.n * w->config.n_heads * w->config.head_dim, rng);
    fill(in->k, (int64_t)s.n * w->config.n_kv_heads * w->config.head_dim, rng);
    fill(in->v, (int64_t)s.n * w->config.n_kv_heads * w->config.v_head_dim, rng);
    return s;
}

static sa_step_args args_of(const step *s, tensors *t, int layer) {
    sa_step_args a;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.layer = layer;
    a.n_tokens = s->n;
    if (s->appends) {
        a.k.data = t->k;
        a.v.data = t->v;
    }
    if (!s->attends) return a;
    a.q.data = t->q;
    a.out.data = t->out;
    a.q_offset = s->q_offset;
    a.view_window = s->view_window;
    a.view_sinks = s->view_sinks;
    a.lse = t->beside[0];
    a.sink_mass = t->beside[1];
    if (s->partial) {
        a.partial_max = t->beside[2];
        a.partial_sum = t->beside[3];
    }
    return a;
}

/* The step on a part's sequence, its results put among those of the layer. */
static sa_status step_part(const lanes_world *w, const lanes_part *p, sa_cache *cache, const step *s) {
    static tensors own;
    const sa_config *c = &w->config;
    int group = c->n_heads / c->n_kv_heads;
    heads_out(p, s->in->q, own.q, s->n, c->n_heads, group, c->head_dim, 0);
    heads_out(p, s->in->k, own.k, s->n, c->n_kv_heads, 1, c->head_dim, 0);
    heads_out(p, s->in->v, own.v, s->n, c->n_kv_heads, 1, c->v_head_dim, 0);
    step narrowed = *s;
    if (s->view_window > lanes_window(w, p->heads[0])) narrowed.view_window = lanes_window(w, p->heads[0]);
    sa_step_args a = args_of(&narrowed, &own, 0);
    sa_status status = sa_step(cache, &a);
    if (status || !s->attends) return status;
    heads_out(p, s->expected->out, own.out, s->n, c->n_heads, group, c->v_head_dim, 1);
    for (int i = 0; i < (s->partial ? 4 : 2); i++)
        heads_out(p, s->expected->beside[i], own.beside[i], s->n, c->n_heads, group, 1, 1);
    return SA_SUCCESS;
}

static void check_step(const lanes_world *w, const step *s, const char *what) {
    int64_t rows = (int64_t)s->n * w->config.n_heads, floats = rows * w->config.v_head_dim;
    if (!s->attends || !s->n) return;
    CHECK(compare_bits(s->in->out, floats, s->expected->out, floats) < 0, "%s: out of %d tokens differs", what, s->n);
    for (int i = 0; i < (s->partial ? 4 : 2); i++)
        CHECK(compare_bits(s->in->beside[i], rows, s->expected->beside[i], rows) < 0, "%s: array %d differs", what, i);
}

/* An operation on a sequence of a part: does it with `context`. */
typedef sa_status (*act)(const lanes_world *w, const lanes_part *p, sa_cache *cache, const void *context);

static sa_status act_step(const lanes_world *w, const lanes_part *p, sa_cache *cache, const void *context) {
    return step_part(w, p, cache, (const step *)context);
}

/* The parts follow what the layer did: all of them, or, where it was refused, one of them refuses as well. */
static void follow(lanes_world *w, int sequence, sa_status status, act how, const void *context, const char *what) {
    int alike = 0;
    if (status == SA_ERR_POOL) return; /* the parts have no budget */
    for (int p = 0; p < w->n_parts; p++) {
        lanes_part *own = &w->parts[p];
        if (status == SA_SUCCESS) {
            CHECK(how(w, own, own->caches[sequence], context) == SA_SUCCESS, "%s: part %d refuses", what, p);
            continue;
        }
        sa_cache *copy = NULL;
        CHECK(sa_cache_fork(own->caches[sequence], &copy) == SA_SUCCESS, "a fork");
        alike += how(w, own, copy, context) == status;
        sa_cache_destroy(copy);
    }
    CHECK(status == SA_SUCCESS || alike > 0, "%s: refused with %d, and by no part", what, (int)status);
}

enum { STEP, BATCH, ROLLBACK, REMOVE, PIN, UNPIN, ANCHOR, JUMP, RESET, FORK, KINDS };
static long done[KINDS], refused[KINDS];

static void count_one(int kind, sa_status status) { (status ? refused : done)[kind]++; }

static void one_step(lanes_world *w, int s, test_rng *rng) {
    static tensors in, expected;
    step st = draw_step(w, rng, MOST_TOKENS, &in, &expected);
    sa_step_args a = args_of(&st, &in, w->layer);
    sa_cache *cache = w->whole.caches[s];
    int32_t phases, n = (int32_t)rng_in(rng, 1, 5);
    sa_status status;
    if (st.n <= w->config.max_append && rng_chance(rng, 30)) {
        status = sa_step_begin(cache, &a, &phases);
        for (int32_t i = 0; status == SA_SUCCESS && i < 2 * n; i++)
            CHECK(sa_step_part(cache, i / n, i % n, n) == SA_SUCCESS, "part %d of %d", (int)(i % n), (int)n);
    } else {
        status = sa_step(cache, &a);
    }
    follow(w, s, status, act_step, &st, "step");
    if (status == SA_SUCCESS) check_step(w, &st, "step");
    count_one(STEP, status);
}

static void one_batch(lanes_world *w, test_rng *rng) {
    static tensors in[SEQUENCES], expected[SEQUENCES];
    step steps[SEQUENCES];
    sa_step_args own[SEQUENCES];
    const sa_step_args *args[SEQUENCES];
    sa_cache *caches[SEQUENCES];
    int32_t failed = -1, phases = 0;
    int room = w->config.max_append, parts = rng_chance(rng, 40);
    for (int s = 0; s < SEQUENCES; s++) {
        steps[s] = draw_step(w, rng, parts ? room : MOST_TOKENS, &in[s], &expected[s]);
        if (parts && steps[s].n > room) steps[s].n = room;
        if (parts) room -= steps[s].n;
        own[s] = args_of(&steps[s], &in[s], w->layer);
        args[s] = &own[s];
        caches[s] = w->whole.caches[s];
    }
    sa_status status = parts ? sa_batch_begin(w->whole.pool, SEQUENCES, caches, args, &phases, &failed)
                             : sa_batch(w->whole.pool, SEQUENCES, caches, args, &failed);
    for (int32_t i = 0; parts && status == SA_SUCCESS && i < 6; i++)
        CHECK(sa_batch_part(w->whole.pool, i / 3, i % 3, 3) == SA_SUCCESS, "part %d", (int)i);
    for (int s = 0; s < SEQUENCES; s++) {
        if (status != SA_SUCCESS && s != failed) continue;
        follow(w, s, status, act_step, &steps[s], "batch");
        if (status == SA_SUCCESS) check_step(w, &steps[s], "batch");
    }
    count_one(BATCH, status);
}

/* ---------------------------------- changes --------------------------------- */

typedef struct change {
    int kind, gap;
    int64_t n;
    uint64_t from, end;
} change;

static sa_status change_one(sa_cache *cache, int layer, const change *c) {
    switch (c->kind) {
    case ROLLBACK:
        return sa_cache_rollback(cache, layer, c->n);
    case REMOVE:
        return sa_cache_remove(cache, layer, c->from, c->end, c->gap);
    case PIN:
        return sa_cache_pin(cache, layer, c->from, c->end);
    case UNPIN:
        return sa_cache_unpin(cache, layer, c->from, c->end);
    case ANCHOR:
        return sa_cache_anchor(cache, layer, c->from, c->end);
    case JUMP:
        return c->gap ? sa_cache_seek(cache, layer, c->end) : sa_cache_restart(cache, layer, c->end);
    default:
        return sa_cache_reset(cache, SA_ALL_LAYERS);
    }
}

static sa_status act_change(const lanes_world *w, const lanes_part *p, sa_cache *cache, const void *context) {
    (void)w;
    (void)p;
    return change_one(cache, 0, (const change *)context);
}

static sa_cache_facts info_of(const sa_cache *cache, int layer) {
    sa_cache_facts info;
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    CHECK(sa_cache_info(cache, layer, &info) == SA_SUCCESS, "info");
    return info;
}

static void one_change(lanes_world *w, int s, test_rng *rng) {
    uint64_t came = info_of(w->whole.caches[s], w->layer).tokens_seen;
    int64_t most = came < 120 ? (int64_t)came : 120;
    change c = {(int)rng_in(rng, ROLLBACK, JUMP), rng_chance(rng, 50), 0, 0, 0};
    if (rng_chance(rng, 2)) c.kind = RESET;
    c.n = rng_in(rng, 0, rng_chance(rng, 70) && most > 10 ? 10 : most);
    c.from = came - (uint64_t)rng_in(rng, 0, most);
    c.end = c.from + (uint64_t)rng_in(rng, 0, 12);
    if (c.kind == JUMP) {
        if (!rng_chance(rng, 20)) return;
        c.end = came + (uint64_t)rng_in(rng, 0, 50);
    }
    sa_status status = change_one(w->whole.caches[s], w->layer, &c);
    follow(w, s, status, act_change, &c, "change");
    count_one(c.kind, status);
}

/* Closes a sequence, and opens it as a fork of another one. */
static void one_fork(lanes_world *w, int s, test_rng *rng) {
    int of = (int)rng_in(rng, 0, SEQUENCES - 1);
    if (of == s) return;
    for (int p = -1; p < w->n_parts; p++) {
        lanes_part *own = p < 0 ? &w->whole : &w->parts[p];
        sa_cache_destroy(own->caches[s]);
        CHECK(sa_cache_fork(own->caches[of], &own->caches[s]) == SA_SUCCESS, "a fork");
    }
    count_one(FORK, SA_SUCCESS);
}

/* ----------------------------------- facts ---------------------------------- */

static void check_spans(const lanes_world *w, int s) {
    static sa_span got[ROOM], expected[ROOM];
    for (int p = 0; p < w->n_parts; p++)
        for (int i = 0; i < w->parts[p].n; i++) {
            int32_t n = 0, m = 0;
            memset(got, 0, sizeof got);
            memset(expected, 0, sizeof expected);
            CHECK(sa_cache_spans(w->whole.caches[s], w->layer, w->parts[p].heads[i], ROOM, got, &n) == SA_SUCCESS &&
                      sa_cache_spans(w->parts[p].caches[s], 0, i, ROOM, expected, &m) == SA_SUCCESS && n == m &&
                      memcmp(got, expected, sizeof got) == 0,
                  "spans of kv head %d", w->parts[p].heads[i]);
        }
}

static void check_facts(const lanes_world *w, int s) {
    sa_cache_facts got = info_of(w->whole.caches[s], w->layer);
    uint64_t held = 0, visible = 0, back = UINT64_MAX, size = 0;
    for (int p = 0; p < w->n_parts; p++) {
        sa_cache_facts own = info_of(w->parts[p].caches[s], 0);
        CHECK(own.tokens_seen == got.tokens_seen, "part %d has seen %d of %d", p, (int)own.tokens_seen,
              (int)got.tokens_seen);
        if (own.tokens_held > held) held = own.tokens_held;
        if (own.positions_held > visible) visible = own.positions_held;
        if (own.rollback_now < back) back = own.rollback_now;
        size += own.kv_size / (SEQUENCES + 1); /* learned rows are there once: checked without them */
    }
    CHECK(got.tokens_held == held && got.positions_held == visible && got.rollback_now == back, "facts");
    CHECK(w->config.n_sink_kv || w->has_budget || got.kv_size == size * SEQUENCES, "kv_size");
    CHECK(got.n_lanes == w->n_parts, "%d lanes, not %d", (int)got.n_lanes, w->n_parts);
    check_spans(w, s);
    for (int l = 0; l < LAYERS; l++)
        CHECK(l == w->layer || info_of(w->whole.caches[s], l).tokens_held == 0, "layer %d holds something", l);
}

/* ---------------------------------- worlds ---------------------------------- */

static void set_learned(lanes_world *w, test_rng *rng) {
    static tensors in, own;
    const sa_config *c = &w->config;
    if (!c->n_sink_kv) return;
    fill(in.k, (int64_t)c->n_sink_kv * c->n_kv_heads * c->head_dim, rng);
    fill(in.v, (int64_t)c->n_sink_kv * c->n_kv_heads * c->v_head_dim, rng);
    CHECK(sa_set_sink_kv(w->whole.caches[0], w->layer, in.k, in.v) == SA_SUCCESS, "learned rows");
    for (int p = 0; p < w->n_parts; p++) {
        heads_out(&w->parts[p], in.k, own.k, c->n_sink_kv, c->n_kv_heads, 1, c->head_dim, 0);
        heads_out(&w->parts[p], in.v, own.v, c->n_sink_kv, c->n_kv_heads, 1, c->v_head_dim, 0);
        CHECK(sa_set_sink_kv(w->parts[p].caches[0], 0, own.k, own.v) == SA_SUCCESS, "learned rows");
    }
}

static void episode(test_rng *rng, int operations) {
    lanes_world w;
    lanes_open(&w, rng);
    for (int s = 0; s < SEQUENCES; s++)
        for (int p = -1; p < w.n_parts; p++) {
            lanes_part *own = p < 0 ? &w.whole : &w.parts[p];
            CHECK(sa_pool_open(own->pool, &own->caches[s]) == SA_SUCCESS, "open");
        }
    set_learned(&w, rng);
    for (int i = 0; i < operations && !test_failed; i++) {
        int s = (int)rng_in(rng, 0, SEQUENCES - 1), what = (int)rng_in(rng, 0, 99);
        if (what < 50)
            one_step(&w, s, rng);
        else if (what < 65)
            one_batch(&w, rng);
        else if (what < 95)
            one_change(&w, s, rng);
        else
            one_fork(&w, s, rng);
        check_facts(&w, s);
    }
    close_world(&w);
}

int main(int argc, char **argv) {
    uint64_t seed = 41;
    long count = 200;
    test_begin("test_lanes", argc, argv, &seed, &count);
    for (long i = 0; i < count && !test_failed; i++) {
        test_rng rng = {seed + (uint64_t)i};
        episode(&rng, 60);
        if (test_failed) printf("seed %llu\n", (unsigned long long)(seed + (uint64_t)i));
    }
    /* Jumps, resets and forks are never refused here. */
    for (int kind = 0; kind < KINDS; kind++)
        CHECK(count < 200 || (done[kind] > 0 && (kind >= JUMP || refused[kind] > 0)),
              "operation %d: %ld, and %ld refused", kind, done[kind], refused[kind]);
    return test_end();
}
