/*
 * Laws of the weights of keys, over removals, pins, views, forks and rollbacks: the values weighted by them are the sum
 * of the results; and their bits do not depend on threads, instruction set, batches, or who works.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "compare.h"
#include "support.h"
#include "test.h"

enum { LEARNED = 3, ROWS = 21, HEADS = 4, KV = 2, DIM = 8, IDS = 4096, MOST = 40, KEYS = 4096 };
enum { SINGLE, THREADS, PLAIN, TOGETHER, BATCH, WITHOUT, WAYS };
static const char *const way_names[WAYS] = {"single", "threads", "plain C", "by the host's threads",
                                            "batch",  "without"};

static float learned[LEARNED * KV * DIM]; /* values that every dtype holds */
static float q[IDS * HEADS * DIM], k[IDS * KV * DIM], v[IDS * KV * DIM];

typedef struct results {
    float out[MOST * HEADS * DIM], lse[MOST * HEADS], mass[HEADS * KEYS], norms[KV * KEYS];
    int32_t phases;
} results;

typedef struct world {
    sa_config g;
    sa_pool *pool;
    sa_cache *cache, *other; /* other: a companion in the batch */
    results got;
} world;

typedef struct run {
    test_rng rng;
    world w[WAYS];
    test_pool threads;
    int64_t seen;
    int next;                    /* token */
    float rows[ROWS * KV * DIM]; /* the values of the host's rows; 0 where none is */
    long index;
} run;

static double worst_sum, worst_out;
static int met_phases[4];

static sa_config draw_config(test_rng *rng) {
    static const int windows[] = {1, 20, 100, 700, 1500};
    static int32_t lanes[KV] = {0, 7};
    static float logits[HEADS] = {0.5f, -1.0f, 2.0f, -INFINITY};
    sa_config g;
    memset(&g, 0, sizeof g);
    g.struct_size = sizeof g;
    g.n_layers = 1;
    g.n_heads = HEADS;
    g.n_kv_heads = KV;
    g.head_dim = DIM;
    g.max_append = MOST;
    g.rollback = 5;
    g.n_sink = (int)rng_in(rng, 0, 5);
    g.window = rng_pick(rng, windows, 5);
    g.k_dtype = (int)rng_in(rng, SA_F32, SA_I4);
    g.v_dtype = (int)rng_in(rng, SA_F32, SA_BF16);
    g.sink_v_dtype = g.n_sink && rng_chance(rng, 30) ? SA_F32 : 0;
    g.position = (int)rng_in(rng, SA_POSITION_NONE, SA_POSITION_ALIBI);
    g.n_spans = 20;
    g.n_pin = 60;
    if (rng_chance(rng, 40)) {
        g.n_recent = (int)rng_in(rng, 1, g.window);
        g.recent_v_dtype = g.v_dtype; /* so that what is read is what was weighted */
    }
    if (rng_chance(rng, 30)) {
        lanes[1] = (int32_t)rng_in(rng, 1, g.window);
        g.head_windows = lanes;
    }
    if (rng_chance(rng, 50)) g.n_rows = ROWS;
    if (rng_chance(rng, 40)) g.n_sink_kv = LEARNED;
    if (rng_chance(rng, 30)) g.sink_logits = logits;
    if (rng_chance(rng, 20)) g.softcap = 5.0f;
    return g;
}

static void open_world(run *r, int way, const sa_config *config) {
    world *w = &r->w[way];
    w->g = *config;
    w->g.n_sequences = 4;
    if (way == THREADS || way == BATCH) {
        w->g.n_threads = 3;
        w->g.parallel_for = test_parallel_for;
        w->g.parallel_context = &r->threads;
    }
    if (way == TOGETHER) {
        w->g.n_threads = 4;
        w->g.flags = SA_CONFIG_COOPERATIVE;
    }
    if (way == PLAIN && sa_isa_best() != SA_ISA_PLAIN_NOFMA && sa_isa_best() != SA_ISA_WASM) w->g.isa = SA_ISA_PLAIN;
    const char *why;
    CHECK(sa_config_check(&w->g, &why, NULL) == SA_SUCCESS, "case %ld: %s", r->index, why);
    CHECK(sa_pool_create(&w->g, NULL, &w->pool) == SA_SUCCESS, "pool");
    CHECK(sa_pool_open(w->pool, &w->cache) == SA_SUCCESS && sa_pool_open(w->pool, &w->other) == SA_SUCCESS, "open");
    if (w->g.n_sink_kv) CHECK(sa_set_sink_kv(w->cache, 0, k, learned) == SA_SUCCESS, "learned rows");
    CHECK(sa_append_kv(w->other, 0, MOST, k, v) == SA_SUCCESS, "append");
}

/* ----------------------------------- steps ---------------------------------- */

static sa_status together(world *w, const sa_step_args *a) {
    int32_t phases = 0;
    sa_status status = sa_step_begin(w->cache, a, &phases);
    for (int32_t p = 0; p < phases && !status; p++)
        for (int32_t i = 3; i >= 0 && !status; i--) status = sa_step_part(w->cache, p, i, 4);
    if (phases >= 0 && phases <= 3) met_phases[phases]++;
    return status;
}

/* Beside a companion that weighs its own keys. */
static sa_status in_batch(world *w, const sa_step_args *a) {
    static results theirs;
    sa_step_args b = *a;
    sa_cache *caches[2] = {w->other, w->cache};
    const sa_step_args *args[2] = {&b, a};
    int32_t failed;
    b.k.data = b.v.data = NULL;
    b.q_offset = 0;
    b.n_tokens = 1;
    b.out.data = theirs.out;
    b.lse = theirs.lse;
    if (b.key_mass) b.key_mass = theirs.mass;
    if (b.value_norms) b.value_norms = theirs.norms;
    /* More tokens than have room together would be cut, and then nobody can weigh. */
    if (a->n_tokens == MOST && a->key_mass)
        CHECK(sa_batch(w->pool, 2, caches, args, &failed) < 0 && failed == 1, "too many tokens");
    return a->n_tokens < MOST ? sa_batch(w->pool, 2, caches, args, &failed)
                              : sa_batch(w->pool, 1, caches + 1, args + 1, &failed);
}

static sa_status step(run *r, int way, sa_step_args a) {
    world *w = &r->w[way];
    results *got = &w->got;
    memset(got, COMPARE_CANARY, sizeof *got);
    if (a.q.data) {
        a.out.data = got->out;
        a.lse = got->lse;
        a.key_mass = way == WITHOUT || !a.key_stride ? NULL : got->mass;
        a.value_norms = way == WITHOUT || !a.key_stride ? NULL : got->norms;
    }
    if (way == WITHOUT) a.key_stride = 0;
    return way == TOGETHER ? together(w, &a) : way == BATCH ? in_batch(w, &a) : sa_step(w->cache, &a);
}

static void same_bits(const run *r, int way, int64_t rows, int64_t heads) {
    const results *a = &r->w[SINGLE].got, *b = &r->w[way].got;
    CHECK(compare_bits(b->out, rows * DIM, a->out, rows * DIM) < 0 && !memcmp(b->lse, a->lse, (size_t)rows * 4),
          "case %ld: %s: out differs", r->index, way_names[way]);
    if (way == WITHOUT) return;
    CHECK(!memcmp(b->mass, a->mass, (size_t)heads * KEYS * 4), "case %ld: %s: masses differ", r->index, way_names[way]);
    CHECK(!memcmp(b->norms, a->norms, sizeof a->norms), "case %ld: %s: norms differ", r->index, way_names[way]);
}

/* --------------------------------- the sums --------------------------------- */

static double rows_of(const results *got, int64_t n, int first, int heads, double *out) {
    double rows = 0.0;
    for (int64_t i = 0; i < n; i++)
        for (int h = first; h < first + heads; h++) {
            rows += got->lse[i * HEADS + h] > -INFINITY;
            for (int d = 0; d < DIM; d++) out[d] += got->out[(i * HEADS + h) * DIM + d];
        }
    return rows;
}

/* Of the entries of `heads` query heads from `first` on, all of one kv head. */
static void weighted_values(run *r, int64_t n, const float *mass, int first, int heads) {
    static float values[KEYS * DIM];
    static uint64_t positions[KEYS];
    world *w = &r->w[SINGLE];
    int kv = first / (HEADS / KV);
    double sum[DIM] = {0}, out[DIM] = {0}, all = 0.0, rows = rows_of(&w->got, n, first, heads, out);
    int64_t n_keys = 0;
    sa_cache_facts info = {.struct_size = sizeof info};
    CHECK(sa_cache_info(w->cache, 0, &info) == SA_SUCCESS, "info");
    int64_t front = (int64_t)info.keys_in_front;
    CHECK(sa_cache_positions(w->cache, 0, kv, KEYS, positions, &n_keys) == SA_SUCCESS && n_keys < KEYS, "positions");
    sa_read_args a = {.struct_size = sizeof a, .n_tokens = (int32_t)n_keys, .positions = positions};
    a.kv_head = kv;
    a.n_kv_heads = 1;
    a.v = (sa_tensor){values, 0, 0, SA_F32, 0};
    CHECK(sa_cache_read(w->cache, &a) == SA_SUCCESS, "read: %s", sa_cache_error(w->cache));
    for (int64_t e = 0; e < front + n_keys; e++) all += mass[e];
    for (int e = 0; e < w->g.n_sink_kv; e++)
        for (int d = 0; d < DIM; d++)
            sum[d] += (double)mass[front - w->g.n_rows - LEARNED + e] * learned[(e * KV + kv) * DIM + d];
    for (int e = 0; e < w->g.n_rows; e++) {
        const float *row = r->rows + (e * KV + kv) * DIM;
        double size = 0.0;
        for (int d = 0; d < DIM; d++) {
            sum[d] += (double)mass[front - ROWS + e] * row[d];
            size += (double)row[d] * row[d];
        }
        CHECK(compare_difference(w->got.norms[kv * KEYS + front - ROWS + e], sqrt(size)) <= 1e-6 * sqrt(size),
              "case %ld: norm of row %d", r->index, e);
        CHECK(size > 0.0 || mass[front - ROWS + e] == 0.0f, "case %ld: row %d is not there", r->index, e);
    }
    for (int64_t e = 0; e < n_keys; e++)
        for (int d = 0; d < DIM; d++) sum[d] += (double)mass[front + e] * values[e * DIM + d];
    worst_sum = compare_greater(worst_sum, compare_difference(all, rows) / (rows + 1e-9));
    CHECK(compare_difference(all, rows) <= 2e-6 * rows, "case %ld head %d: %.9g of %g rows", r->index, first, all,
          rows);
    for (int d = 0; d < DIM; d++) {
        worst_out = compare_greater(worst_out, compare_difference(sum[d], out[d]) / (rows + 1e-9));
        CHECK(compare_difference(sum[d], out[d]) <= 1e-5 * rows, "case %ld head %d dim %d: %.9g, not %.9g", r->index,
              first, d, sum[d], out[d]);
    }
}

/* ---------------------------------- a case ---------------------------------- */

static sa_tensor rows_at(const float *from, int token, int heads) {
    sa_tensor t = {(void *)(uintptr_t)(from + token * heads * DIM), 0, 0, SA_F32, 0};
    return t;
}

static void weigh(run *r) {
    int per_head = rng_chance(&r->rng, 50), appends = rng_chance(&r->rng, 60);
    int n = (int)rng_in(&r->rng, 1, rng_chance(&r->rng, 60) ? 3 : MOST);
    sa_step_args a = {.struct_size = sizeof a, .n_tokens = n, .key_stride = KEYS};
    a.flags = per_head ? SA_STEP_MASS_PER_HEAD : 0;
    a.q = rows_at(q, r->next, HEADS);
    a.out.dtype = SA_F32;
    if (appends) {
        a.k = rows_at(k, r->next, KV);
        a.v = rows_at(v, r->next, KV);
    } else {
        a.q_offset = rng_chance(&r->rng, 50) ? -(int64_t)n : 0;
    }
    if (rng_chance(&r->rng, 30)) a.view_window = (int)rng_in(&r->rng, 1, r->w[0].g.window);
    if (rng_chance(&r->rng, 30)) a.view_sinks = (int)rng_in(&r->rng, -1, 4);
    sa_status first = step(r, SINGLE, a);
    for (int way = 1; way < WAYS; way++) {
        CHECK(step(r, way, a) == first, "case %ld: %s: another status", r->index, way_names[way]);
        if (!first) same_bits(r, way, (int64_t)n * HEADS, per_head ? HEADS : KV);
    }
    CHECK(!first || first == SA_ERR_DEPTH, "case %ld: %s", r->index, sa_cache_error(r->w[0].cache));
    if (first) return;
    int heads = per_head ? 1 : HEADS / KV;
    for (int h = 0; h < HEADS; h += heads) weighted_values(r, n, r->w[SINGLE].got.mass + h / heads * KEYS, h, heads);
    if (appends) r->seen += n;
    r->next = (int)rng_in(&r->rng, 0, IDS - 2000);
}

static void feed(run *r) {
    int n = (int)rng_in(&r->rng, 1, rng_chance(&r->rng, 70) ? 60 : 1900);
    for (int way = 0; way < WAYS; way++)
        CHECK(sa_append_kv(r->w[way].cache, 0, n, k + r->next * KV * DIM, v + r->next * KV * DIM) == SA_SUCCESS,
              "feed");
    r->seen += n;
}

/* Rows of the host, some of them hidden from a kv head, of numbers that every dtype holds. */
static void set_rows(run *r) {
    static float values[ROWS * KV * DIM], biases[ROWS * KV];
    static int64_t places[ROWS * KV];
    sa_rows rows = {.struct_size = sizeof rows, .first = (int32_t)rng_in(&r->rng, 0, ROWS - 1)};
    rows.n_rows = (int32_t)rng_in(&r->rng, 1, ROWS - rows.first);
    int takes = rng_chance(&r->rng, 20);
    for (int i = 0; i < rows.n_rows * KV; i++) {
        int is_there = !takes && !rng_chance(&r->rng, 30);
        biases[i] = is_there ? rng_normal(&r->rng) : -INFINITY;
        places[i] = rng_in(&r->rng, -20, 20);
        for (int d = 0; d < DIM; d++) {
            values[i * DIM + d] = (float)rng_in(&r->rng, 1, 16) / 8.0f;
            r->rows[rows.first * KV * DIM + i * DIM + d] = is_there ? values[i * DIM + d] : 0.0f;
        }
    }
    if (!takes) {
        rows.flags = rng_chance(&r->rng, 50) ? SA_ROWS_AT_DISTANCE : 0;
        rows.k = rows_at(k, 17, KV);
        rows.v = rows_at(values, 0, KV);
        rows.places = places;
        rows.biases = biases;
    }
    for (int way = 0; way < WAYS; way++)
        CHECK(sa_set_rows(r->w[way].cache, &rows) == SA_SUCCESS, "rows: %s", sa_cache_error(r->w[way].cache));
}

/* Goes on as a fork of the sequence, whose tiles the sequence still has for a while. */
static sa_status go_on_as_fork(world *w) {
    sa_cache *fork;
    sa_status status = sa_cache_fork(w->cache, &fork);
    if (status) return status;
    sa_cache_destroy(w->cache);
    w->cache = fork;
    return SA_SUCCESS;
}

static void change(run *r) {
    uint64_t from = (uint64_t)rng_in(&r->rng, r->seen > 300 ? r->seen - 300 : 0, r->seen - 1);
    uint64_t end = from + (uint64_t)rng_in(&r->rng, 1, 30);
    int what = (int)rng_in(&r->rng, 0, 6);
    sa_status first = SA_SUCCESS;
    if (end > (uint64_t)r->seen) end = (uint64_t)r->seen;
    for (int way = 0; way < WAYS; way++) {
        sa_cache *c = r->w[way].cache;
        sa_status status = what < 2    ? sa_cache_remove(c, 0, from, end, what)
                           : what == 2 ? sa_cache_pin(c, 0, from, end)
                           : what == 3 ? sa_cache_unpin(c, 0, from, end)
                           : what == 4 ? sa_cache_rollback(c, 0, r->seen < 4 ? r->seen : 4)
                           : what == 5 ? sa_cache_anchor(c, 0, from, end)
                                       : go_on_as_fork(&r->w[way]);
        if (!way) first = status;
        CHECK(status == first, "case %ld: change %d: %d, not %d", r->index, what, (int)status, (int)first);
    }
    if (what == 4 && !first) r->seen -= r->seen < 4 ? r->seen : 4;
}

static void run_case(uint64_t seed, long index) {
    static run r;
    memset(&r, 0, sizeof r);
    r.index = index;
    r.rng.state = seed + (uint64_t)index * 0x632BE59BD9B4E019u;
    r.threads.n_threads = 3;
    r.threads.backwards = index % 2;
    sa_config g = draw_config(&r.rng);
    for (int way = 0; way < WAYS; way++) open_world(&r, way, &g);
    for (int i = 0; i < 12; i++) {
        if (rng_chance(&r.rng, 40)) feed(&r);
        if (rng_chance(&r.rng, 60) && r.seen > 0) change(&r);
        if (g.n_rows && rng_chance(&r.rng, 50)) set_rows(&r);
        weigh(&r);
    }
    for (int way = 0; way < WAYS; way++) sa_pool_destroy(r.w[way].pool);
}

/* A value that is not a number, or a key that nobody sees, does not reach other entries. */
static void strangers(void) {
    static float mass[KV * 64], norms[KV * 64], out[HEADS * DIM], bad[KV * DIM], large[KV * DIM], small[KV * DIM];
    sa_config g;
    sa_cache *cache;
    memset(&g, 0, sizeof g);
    g.struct_size = sizeof g;
    g.n_layers = 1;
    g.n_heads = HEADS;
    g.n_kv_heads = KV;
    g.head_dim = DIM;
    g.window = 10;
    g.max_append = 4;
    g.rollback = 20;
    g.position = SA_POSITION_NONE;
    for (int i = 0; i < KV * DIM; i++) {
        bad[i] = NAN;
        large[i] = i % DIM ? 0.0f : 1e25f;
        small[i] = i % DIM ? 0.0f : 1e-30f;
    }
    CHECK(sa_cache_create(&g, NULL, &cache) == SA_SUCCESS, "create");
    CHECK(sa_append_kv(cache, 0, 1, bad, bad) == SA_SUCCESS, "append");
    CHECK(sa_append_kv(cache, 0, 1, k, large) == SA_SUCCESS, "append");
    CHECK(sa_append_kv(cache, 0, 1, k, small) == SA_SUCCESS, "append");
    CHECK(sa_append_kv(cache, 0, 10, k, v) == SA_SUCCESS, "append");
    sa_step_args a = {.struct_size = sizeof a, .n_tokens = 1, .q_offset = -1, .key_mass = mass, .value_norms = norms};
    a.key_stride = 64;
    a.q = rows_at(q, 0, HEADS);
    a.out = (sa_tensor){out, 0, 0, SA_F32, 0};
    CHECK(sa_step(cache, &a) == SA_SUCCESS, "step: %s", sa_cache_error(cache));
    const float far = 1e25f, near = 1e-30f; /* S/390 compares constants as doubles */
    for (int h = 0; h < KV; h++) {
        double sum = 0.0;
        for (int e = 0; e < 13; e++) sum += mass[h * 64 + e];
        CHECK(mass[h * 64] == 0.0f && compare_difference(sum, HEADS / KV) < 1e-5, "sum %g", sum);
        CHECK(norms[h * 64 + 1] == far && norms[h * 64 + 2] == near, "%g %g", norms[h * 64 + 1], norms[h * 64 + 2]);
        CHECK(isnan(norms[h * 64]) && compare_finite(norms + h * 64 + 1, 12) < 0, "norms");
    }
    sa_cache_destroy(cache);
}

/* A step asks for room for what is held after it, no more and no less. */
static void room_as_needed(void) {
    static float mass[KV * 64], out[MOST * HEADS * DIM];
    static const int lengths[] = {1, 3, 1, 7, 2, 16, 1, 5};
    sa_config g;
    sa_cache *one, *other;
    test_rng rng = {5};
    g = draw_config(&rng);
    g.window = 17;
    g.head_windows = NULL;
    g.n_recent = g.recent_v_dtype = 0;
    g.n_sink = 2;
    g.max_append = 16;
    g.sink_logits = NULL;
    g.n_rows = g.n_sink_kv = 0;
    CHECK(sa_cache_create(&g, NULL, &one) == SA_SUCCESS && sa_cache_create(&g, NULL, &other) == SA_SUCCESS, "create");
    for (int i = 0, at = 0; i < 40; at += lengths[i++ % 8]) {
        int n = lengths[i % 8];
        int64_t keys = 0;
        CHECK(sa_append_kv(other, 0, n, k + at * KV * DIM, v + at * KV * DIM) == SA_SUCCESS, "append");
        CHECK(sa_cache_positions(other, 0, 0, 0, NULL, &keys) == SA_SUCCESS, "positions");
        sa_step_args a = {.struct_size = sizeof a, .n_tokens = n, .key_mass = mass, .key_stride = keys - 1};
        a.q = rows_at(q, at, HEADS);
        a.k = rows_at(k, at, KV);
        a.v = rows_at(v, at, KV);
        a.out = (sa_tensor){out, 0, 0, SA_F32, 0};
        CHECK(sa_step(one, &a) == SA_ERR_ARGUMENT, "%d entries have room for %d", (int)keys - 1, (int)keys);
        a.key_stride = keys;
        CHECK(sa_step(one, &a) == SA_SUCCESS, "%d entries: %s", (int)keys, sa_cache_error(one));
    }
    sa_cache_destroy(one);
    sa_cache_destroy(other);
}

int main(int argc, char **argv) {
    uint64_t seed = 4242;
    long count = 120, i;
    test_rng rng = {99};
    test_begin("test_mass_laws", argc, argv, &seed, &count);
    for (i = 0; i < IDS * HEADS * DIM; i++) q[i] = 2.0f * rng_normal(&rng);
    for (i = 0; i < LEARNED * KV * DIM; i++) learned[i] = (float)rng_in(&rng, -16, 16) / 8.0f;
    for (i = 0; i < IDS * KV * DIM; i++) {
        k[i] = rng_normal(&rng);
        v[i] = rng_normal(&rng);
    }
    for (i = 0; i < count; i++) run_case(seed, i);
    strangers();
    room_as_needed();
    CHECK(met_phases[3] > 0, "no step had three phases");
    printf("worst sum: %.3g a row, weighted values: %.3g\n", worst_sum, worst_out);
    return test_end();
}
