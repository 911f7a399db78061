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
#include "support.h"
#include "test.h"

enum { MOST_KV = 6, MOST_GROUP = 4, MOST_DIM = 40, MOST_TOKENS = 70, SEQUENCES = 3, ROOM = 64 };
enum { MOST_HEADS = MOST_KV * MOST_GROUP };

/* Arrays of a layer's heads that configs point to, of the layer and of each part. */
typedef struct arrays {
    int32_t windows[MOST_KV], sinks[MOST_KV];
    float slopes[MOST_HEADS], logits[MOST_HEADS];
} arrays;

/* Kv heads of the layer that one pool of its own has, and that pool. */
typedef struct part {
    int heads[MOST_KV], n;
    arrays arrays;
    sa_pool *pool;
    sa_cache *caches[SEQUENCES];
} part;

typedef struct world {
    sa_config config;
    arrays arrays;
    test_pool threads;
    part whole, parts[MOST_KV];
    int n_parts;
} world;

/* What a step takes and gives, of all heads or of some. */
typedef struct tensors {
    float q[MOST_TOKENS * MOST_HEADS * MOST_DIM], out[MOST_TOKENS * MOST_HEADS * MOST_DIM];
    float k[MOST_TOKENS * MOST_KV * MOST_DIM], v[MOST_TOKENS * MOST_KV * MOST_DIM];
    float beside[4][MOST_TOKENS * MOST_HEADS]; /* lse, sink mass, partial max, partial sum */
} tensors;

/* ---------------------------------- configs --------------------------------- */

static int32_t window_of(const sa_config *c, int h) { return c->head_windows[h] ? c->head_windows[h] : c->window; }
static int32_t sinks_of(const sa_config *c, int h) {
    int32_t n = c->head_sinks[h];
    return n == 0 ? c->n_sink : n < 0 ? 0 : n;
}
static int is_dense(const sa_config *c, int h) { return c->policy == SA_POLICY_DENSE && !c->head_windows[h]; }

static int are_alike(const sa_config *c, int a, int b) {
    return window_of(c, a) == window_of(c, b) && sinks_of(c, a) == sinks_of(c, b) && is_dense(c, a) == is_dense(c, b);
}

static void draw_stored(sa_config *c, test_rng *rng) {
    static const int dtypes[] = {SA_F32, SA_F32, SA_F16, SA_BF16, SA_I8, SA_I4};
    c->k_dtype = rng_pick(rng, dtypes, 6);
    c->v_dtype = rng_pick(rng, dtypes, 6);
    if (rng_chance(rng, 30)) c->n_recent = (int32_t)rng_in(rng, 1, c->window);
    c->n_sink_kv = rng_chance(rng, 30) ? (int32_t)rng_in(rng, 1, 20) : 0;
    c->sink_kv_position = c->n_sink_kv && rng_chance(rng, 50) ? SA_SINK_KV_AT_ZERO : SA_SINK_KV_BEFORE;
}

static void draw_heads(world *w, test_rng *rng) {
    sa_config *c = &w->config;
    int32_t narrow = (int32_t)rng_in(rng, 1, c->window);
    for (int h = 0; h < c->n_kv_heads; h++) {
        int32_t *own = &w->arrays.windows[h];
        *own = rng_chance(rng, 40) ? 0 : rng_chance(rng, 60) ? narrow : (int32_t)rng_in(rng, 1, c->window);
        int32_t most = c->policy == SA_POLICY_DENSE ? (*own ? c->window - *own : 0) : c->n_sink;
        w->arrays.sinks[h] = (int32_t)rng_in(rng, -1, most < 3 ? most : 3);
    }
    c->head_windows = w->arrays.windows;
    c->head_sinks = w->arrays.sinks;
}

static void draw(world *w, test_rng *rng) {
    static const int policies[] = {SA_POLICY_SINK_WINDOW, SA_POLICY_SINK_WINDOW, SA_POLICY_WINDOW, SA_POLICY_DENSE};
    sa_config *c = &w->config;
    memset(w, 0, sizeof *w);
    c->struct_size = sizeof *c;
    c->n_layers = 1;
    c->max_append = (int32_t)rng_in(rng, 1, 24);
    c->rollback = (int32_t)rng_in(rng, 0, 24);
    c->n_kv_heads = (int32_t)rng_in(rng, 1, MOST_KV);
    c->n_heads = c->n_kv_heads * (int32_t)rng_in(rng, 1, MOST_GROUP);
    c->head_dim = 2 * (int32_t)rng_in(rng, 1, MOST_DIM / 2);
    c->v_head_dim = (int32_t)rng_in(rng, 1, MOST_DIM);
    c->policy = rng_pick(rng, policies, 4);
    c->window = (int32_t)(c->policy == SA_POLICY_DENSE ? rng_in(rng, 200, 500) : rng_in(rng, 1, 90));
    c->n_sink = c->policy == SA_POLICY_SINK_WINDOW ? (int32_t)rng_in(rng, 0, 5) : 0;
    draw_stored(c, rng);
    draw_heads(w, rng);
    c->position = (int32_t)rng_in(rng, SA_POSITION_NONE, SA_POSITION_ALIBI);
    if (c->position != SA_POSITION_NONE && rng_chance(rng, 30)) c->position_mode = SA_IN_STREAM;
    for (int h = 0; h < MOST_HEADS; h++) {
        w->arrays.slopes[h] = (float)rng_unit(rng);
        w->arrays.logits[h] = rng_chance(rng, 20) ? -1.0f / 0.0f : rng_normal(rng);
    }
    if (c->position == SA_POSITION_ALIBI) c->alibi_slopes = w->arrays.slopes;
    if (rng_chance(rng, 40)) c->sink_logits = w->arrays.logits;
    c->n_sequences = SEQUENCES;
    c->n_spans = rng_chance(rng, 70) ? (int32_t)rng_in(rng, 1, 6) : 0;
    c->n_pin = c->n_spans ? (int32_t)rng_in(rng, 1, 60) : 0;
}

/* The config of a pool for some heads of the layer, all alike. */
static sa_config part_config(const world *w, part *p) {
    sa_config c = w->config;
    int group = c.n_heads / c.n_kv_heads, h = p->heads[0];
    c.n_kv_heads = p->n;
    c.n_heads = p->n * group;
    c.policy = c.policy == SA_POLICY_DENSE && !is_dense(&w->config, h) ? SA_POLICY_SINK_WINDOW : c.policy;
    c.window = window_of(&w->config, h);
    c.n_sink = sinks_of(&w->config, h);
    c.head_windows = c.head_sinks = NULL;
    if (c.n_recent > c.window) c.n_recent = c.window;
    for (int i = 0; i < c.n_heads; i++) {
        int from = p->heads[i / group] * group + i % group;
        p->arrays.slopes[i] = w->arrays.slopes[from];
        p->arrays.logits[i] = w->arrays.logits[from];
    }
    if (c.alibi_slopes) c.alibi_slopes = p->arrays.slopes;
    if (c.sink_logits) c.sink_logits = p->arrays.logits;
    return c;
}

static void open_part(part *p, sa_config *c, int sequences) {
    const char *why = "";
    c->n_sequences = sequences;
    if (!CHECK(sa_pool_create(c, NULL, &p->pool) == SA_SUCCESS, "a pool of %d kv heads", (int)c->n_kv_heads)) {
        (void)sa_config_check(c, &why, NULL);
        printf("%s\n", why);
        abort();
    }
}

/* The whole layer with threads and an instruction set of its own, which do not show. */
static void open_world(world *w, test_rng *rng) {
    sa_config c = w->config;
    for (int h = 0; h < c.n_kv_heads; h++) {
        int p = 0;
        while (p < w->n_parts && !are_alike(&w->config, w->parts[p].heads[0], h)) p++;
        if (p == w->n_parts) w->n_parts++;
        w->parts[p].heads[w->parts[p].n++] = h;
        w->whole.heads[w->whole.n++] = h;
    }
    for (int p = 0; p < w->n_parts; p++) {
        sa_config own = part_config(w, &w->parts[p]);
        open_part(&w->parts[p], &own, SEQUENCES + 1);
    }
    if (rng_chance(rng, 60)) {
        w->threads.n_threads = c.n_threads = (int32_t)rng_in(rng, 2, 4);
        w->threads.backwards = rng_chance(rng, 50);
        c.parallel_for = test_parallel_for;
        c.parallel_context = &w->threads;
    }
    if (rng_chance(rng, 20)) c.isa = SA_ISA_PLAIN;
    open_part(&w->whole, &c, SEQUENCES);
}

static uint64_t tiles_used(const sa_pool *pool, int kv_head) {
    sa_pool_facts facts;
    memset(&facts, 0, sizeof facts);
    facts.struct_size = sizeof facts;
    CHECK(sa_pool_info(pool, 0, kv_head, &facts) == SA_SUCCESS, "pool info");
    return facts.tiles - facts.tiles_free;
}

static void close_world(world *w) {
    for (int s = 0; s < SEQUENCES; s++) sa_cache_destroy(w->whole.caches[s]);
    for (int h = 0; h < w->config.n_kv_heads; h++)
        CHECK(tiles_used(w->whole.pool, h) == 0, "tiles of kv head %d are not free", h);
    for (int p = 0; p < w->n_parts; p++) sa_pool_destroy(w->parts[p].pool);
    sa_pool_destroy(w->whole.pool);
}

/* ----------------------------------- heads ---------------------------------- */

/* Takes a part's heads out of an array (n, heads, dim), or puts them there. */
static void heads_out(const part *p, const float *all, float *some, int n, int heads, int group, int dim, int back) {
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

static step draw_step(const world *w, test_rng *rng, int most, tensors *in, tensors *expected) {
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

static sa_step_args args_of(const step *s, tensors *t) {
    sa_step_args a;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
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
static sa_status step_part(const world *w, const part *p, sa_cache *cache, const step *s) {
    static tensors own;
    const sa_config *c = &w->config;
    int group = c->n_heads / c->n_kv_heads;
    heads_out(p, s->in->q, own.q, s->n, c->n_heads, group, c->head_dim, 0);
    heads_out(p, s->in->k, own.k, s->n, c->n_kv_heads, 1, c->head_dim, 0);
    heads_out(p, s->in->v, own.v, s->n, c->n_kv_heads, 1, c->v_head_dim, 0);
    step narrowed = *s;
    if (s->view_window > window_of(c, p->heads[0])) narrowed.view_window = window_of(c, p->heads[0]);
    sa_step_args a = args_of(&narrowed, &own);
    sa_status status = sa_step(cache, &a);
    if (status || !s->attends) return status;
    heads_out(p, s->expected->out, own.out, s->n, c->n_heads, group, c->v_head_dim, 1);
    for (int i = 0; i < (s->partial ? 4 : 2); i++)
        heads_out(p, s->expected->beside[i], own.beside[i], s->n, c->n_heads, group, 1, 1);
    return SA_SUCCESS;
}

static void check_step(const world *w, const step *s, const char *what) {
    int64_t rows = (int64_t)s->n * w->config.n_heads, floats = rows * w->config.v_head_dim;
    if (!s->attends || !s->n) return;
    CHECK(compare_bits(s->in->out, floats, s->expected->out, floats) < 0, "%s: out of %d tokens differs", what, s->n);
    for (int i = 0; i < (s->partial ? 4 : 2); i++)
        CHECK(compare_bits(s->in->beside[i], rows, s->expected->beside[i], rows) < 0, "%s: array %d differs", what, i);
}

/* An operation on a sequence of a part: does it with `context`. */
typedef sa_status (*act)(const world *w, const part *p, sa_cache *cache, const void *context);

static sa_status act_step(const world *w, const part *p, sa_cache *cache, const void *context) {
    return step_part(w, p, cache, (const step *)context);
}

/* The parts follow what the layer did: all of them, or, where it was refused, one of them refuses as well. */
static void follow(world *w, int sequence, sa_status status, act how, const void *context, const char *what) {
    int refused = 0;
    for (int p = 0; p < w->n_parts; p++) {
        part *own = &w->parts[p];
        if (status == SA_SUCCESS) {
            CHECK(how(w, own, own->caches[sequence], context) == SA_SUCCESS, "%s: part %d refuses", what, p);
            continue;
        }
        sa_cache *copy = NULL;
        CHECK(sa_cache_fork(own->caches[sequence], &copy) == SA_SUCCESS, "a fork");
        refused += how(w, own, copy, context) == status;
        sa_cache_destroy(copy);
    }
    CHECK(status == SA_SUCCESS || refused > 0, "%s: refused with %d, and by no part", what, (int)status);
}

static long seen[20]; /* how often each kind of operation was done, and refused */

static void one_step(world *w, int s, test_rng *rng) {
    static tensors in, expected;
    step st = draw_step(w, rng, MOST_TOKENS, &in, &expected);
    sa_step_args a = args_of(&st, &in);
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
    seen[status ? 10 : 0]++;
}

static void one_batch(world *w, test_rng *rng) {
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
        own[s] = args_of(&steps[s], &in[s]);
        args[s] = &own[s];
        caches[s] = w->whole.caches[s];
    }
    sa_status status = parts ? sa_batch_begin(w->whole.pool, SEQUENCES, caches, args, &phases, &failed)
                             : sa_step_batch(w->whole.pool, SEQUENCES, caches, args, &failed);
    for (int32_t i = 0; parts && status == SA_SUCCESS && i < 6; i++)
        CHECK(sa_batch_part(w->whole.pool, i / 3, i % 3, 3) == SA_SUCCESS, "part %d", (int)i);
    for (int s = 0; s < SEQUENCES; s++) {
        if (status != SA_SUCCESS && s != failed) continue;
        follow(w, s, status, act_step, &steps[s], "batch");
        if (status == SA_SUCCESS) check_step(w, &steps[s], "batch");
    }
    seen[status ? 11 : 1]++;
}

/* ---------------------------------- changes --------------------------------- */

typedef struct change {
    int kind, gap;
    int64_t n;
    uint64_t from, end;
} change;

static sa_status change_one(sa_cache *cache, const change *c) {
    switch (c->kind) {
    case 2:
        return sa_cache_rollback(cache, 0, c->n);
    case 3:
        return sa_cache_remove(cache, 0, c->from, c->end, c->gap);
    case 4:
        return sa_cache_pin(cache, 0, c->from, c->end);
    case 5:
        return sa_cache_unpin(cache, 0, c->from, c->end);
    case 6:
        return sa_cache_anchor(cache, 0, c->from, c->end);
    case 7:
        return c->gap ? sa_cache_seek(cache, 0, c->end) : sa_cache_restart(cache, 0, c->end);
    default:
        return sa_cache_reset(cache, SA_ALL_LAYERS);
    }
}

static sa_status act_change(const world *w, const part *p, sa_cache *cache, const void *context) {
    (void)w;
    (void)p;
    return change_one(cache, (const change *)context);
}

static sa_info info_of(const sa_cache *cache) {
    sa_info info;
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    CHECK(sa_cache_info(cache, 0, &info) == SA_SUCCESS, "info");
    return info;
}

static void one_change(world *w, int s, test_rng *rng) {
    uint64_t came = info_of(w->whole.caches[s]).tokens_seen;
    int64_t most = came < 120 ? (int64_t)came : 120;
    change c = {(int)rng_in(rng, 2, 7), rng_chance(rng, 50), 0, 0, 0};
    if (rng_chance(rng, 2)) c.kind = 8;
    c.n = rng_in(rng, 0, rng_chance(rng, 70) && most > 10 ? 10 : most);
    c.from = came - (uint64_t)rng_in(rng, 0, most);
    c.end = c.from + (uint64_t)rng_in(rng, 0, 12);
    if (c.kind == 7) {
        if (!rng_chance(rng, 20)) return;
        c.end = came + (uint64_t)rng_in(rng, 0, 50);
    }
    sa_status status = change_one(w->whole.caches[s], &c);
    follow(w, s, status, act_change, &c, "change");
    seen[status ? 10 + c.kind : c.kind]++;
}

/* Closes a sequence, and opens it as a fork of another one. */
static void one_fork(world *w, int s, test_rng *rng) {
    int of = (int)rng_in(rng, 0, SEQUENCES - 1);
    if (of == s) return;
    for (int p = -1; p < w->n_parts; p++) {
        part *own = p < 0 ? &w->whole : &w->parts[p];
        sa_cache_destroy(own->caches[s]);
        CHECK(sa_cache_fork(own->caches[of], &own->caches[s]) == SA_SUCCESS, "a fork");
    }
    seen[9]++;
}

/* ----------------------------------- facts ---------------------------------- */

static void check_spans(const world *w, int s) {
    static sa_span got[ROOM], expected[ROOM];
    for (int p = 0; p < w->n_parts; p++)
        for (int i = 0; i < w->parts[p].n; i++) {
            int32_t n = 0, m = 0;
            memset(got, 0, sizeof got);
            memset(expected, 0, sizeof expected);
            CHECK(sa_cache_spans(w->whole.caches[s], 0, w->parts[p].heads[i], ROOM, got, &n) == SA_SUCCESS &&
                      sa_cache_spans(w->parts[p].caches[s], 0, i, ROOM, expected, &m) == SA_SUCCESS && n == m &&
                      memcmp(got, expected, sizeof got) == 0,
                  "spans of kv head %d", w->parts[p].heads[i]);
        }
}

static void check_facts(const world *w, int s) {
    sa_info got = info_of(w->whole.caches[s]);
    uint64_t held = 0, visible = 0, back = UINT64_MAX, size = 0;
    for (int p = 0; p < w->n_parts; p++) {
        sa_info own = info_of(w->parts[p].caches[s]);
        CHECK(own.tokens_seen == got.tokens_seen, "part %d has seen %d of %d", p, (int)own.tokens_seen,
              (int)got.tokens_seen);
        if (own.tokens_held > held) held = own.tokens_held;
        if (own.positions_held > visible) visible = own.positions_held;
        if (own.rollback_now < back) back = own.rollback_now;
        size += own.kv_size / (SEQUENCES + 1); /* learned rows are there once: checked without them */
    }
    CHECK(got.tokens_held == held && got.positions_held == visible && got.rollback_now == back, "facts");
    CHECK(w->config.n_sink_kv || got.kv_size == size * SEQUENCES, "kv_size");
    CHECK(got.n_lanes == w->n_parts, "%d lanes, not %d", (int)got.n_lanes, w->n_parts);
    check_spans(w, s);
}

/* ---------------------------------- worlds ---------------------------------- */

static void set_learned(world *w, test_rng *rng) {
    static tensors in, own;
    const sa_config *c = &w->config;
    if (!c->n_sink_kv) return;
    fill(in.k, (int64_t)c->n_sink_kv * c->n_kv_heads * c->head_dim, rng);
    fill(in.v, (int64_t)c->n_sink_kv * c->n_kv_heads * c->v_head_dim, rng);
    CHECK(sa_set_sink_kv(w->whole.caches[0], 0, in.k, in.v) == SA_SUCCESS, "learned rows");
    for (int p = 0; p < w->n_parts; p++) {
        heads_out(&w->parts[p], in.k, own.k, c->n_sink_kv, c->n_kv_heads, 1, c->head_dim, 0);
        heads_out(&w->parts[p], in.v, own.v, c->n_sink_kv, c->n_kv_heads, 1, c->v_head_dim, 0);
        CHECK(sa_set_sink_kv(w->parts[p].caches[0], 0, own.k, own.v) == SA_SUCCESS, "learned rows");
    }
}

static void episode(test_rng *rng, int operations) {
    world w;
    draw(&w, rng);
    open_world(&w, rng);
    for (int s = 0; s < SEQUENCES; s++)
        for (int p = -1; p < w.n_parts; p++) {
            part *own = p < 0 ? &w.whole : &w.parts[p];
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
    long count = 400;
    test_begin("test_lanes", argc, argv, &seed, &count);
    for (long i = 0; i < count && !test_failed; i++) {
        test_rng rng = {seed + (uint64_t)i};
        episode(&rng, 60);
        if (test_failed) printf("seed %llu\n", (unsigned long long)(seed + (uint64_t)i));
    }
    for (int kind = 0; kind < 19; kind++) printf("%s%d: %ld", kind ? ", " : "", kind, seen[kind]);
    printf("\n");
    return test_end();
}
