/*
 * Rows out: keys and values as they are stored, turned back, or turned to other places; what is read goes back in with
 * the same bits; what is not held is refused.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "cases.h"
#include "compare.h"
#include "oracle.h"
#include "test.h"

enum { TOKENS = 120, KV = 3, DIMS = 160 };

typedef struct run {
    test_rng rng;
    sa_config g;
    oracle *o; /* for its rotations */
    sa_cache *cache;
    double x[TOKENS][KV][DIMS]; /* unrotated keys */
    float k[TOKENS][KV][DIMS], v[TOKENS][KV][DIMS];
    int seen, dk, dv;
    uint64_t positions[TOKENS];
    int64_t places[TOKENS];
    int32_t windows[KV];
    int first, heads; /* kv heads that are read */
    int n;
} run;

static double worst[SA_I4 + 1], worst_value[SA_I4 + 1];

static int rotates(const run *r) { return r->g.position == SA_POSITION_ROPE; }
static int is_turned(const run *r) { return rotates(r) || r->g.position == SA_POSITION_ROPE_APPLIED; }

static void draw_config(run *r) {
    static const int dims[] = {2, 16, 40, 64, 128, 144},
                     positions[] = {SA_POSITION_NONE, SA_POSITION_ROPE, SA_POSITION_ROPE, SA_POSITION_ROPE_APPLIED,
                                    SA_POSITION_ALIBI};
    test_rng *rng = &r->rng;
    sa_config *g = &r->g;
    memset(g, 0, sizeof *g);
    g->struct_size = sizeof *g;
    g->n_layers = 1;
    g->max_append = 16;
    g->rollback = 3;
    g->n_heads = g->n_kv_heads = (int)rng_in(rng, 1, KV);
    g->head_dim = r->dk = rng_pick(rng, dims, 6);
    g->v_head_dim = r->dv = rng_chance(rng, 50) ? r->dk : rng_pick(rng, dims, 6);
    g->policy = rng_chance(rng, 20) ? SA_POLICY_DENSE : SA_POLICY_SINK_WINDOW;
    g->n_sink = g->policy == SA_POLICY_DENSE ? 0 : (int)rng_in(rng, 0, 20);
    g->window = g->policy == SA_POLICY_DENSE ? TOKENS : (int)rng_in(rng, 1, 60);
    g->n_spans = 6;
    g->n_pin = 40;
    if (g->n_kv_heads > 1 && rng_chance(rng, 40)) {
        for (int h = 0; h < KV; h++) r->windows[h] = (int32_t)rng_in(rng, 0, g->window);
        g->head_windows = r->windows;
    }
    g->k_dtype = (int)rng_in(rng, SA_F32, SA_I4);
    g->v_dtype = (int)rng_in(rng, SA_F32, SA_I4);
    if (g->n_sink && rng_chance(rng, 50)) g->sink_k_dtype = (int)rng_in(rng, SA_F32, SA_BF16);
    if (rng_chance(rng, 30)) g->n_recent = (int)rng_in(rng, 1, g->window);
    g->position = rng_pick(rng, positions, 5);
    if (!is_turned(r)) return;
    g->rope_layout = (int)rng_in(rng, 0, 1);
    if (r->dk > 16 && rng_chance(rng, 50)) {
        g->rope_dims = r->dk / 4 * 2;
        g->rope_offset = (int)rng_in(rng, 0, r->dk - g->rope_dims);
    }
    if (rotates(r) && rng_chance(rng, 40)) g->rope_attention_factor = 0.7 + rng_unit(rng);
}

/* A key as the stream has it at a place: turned there, with the factor that the library puts in. */
static void turn(run *r, int64_t place, const double *x, double *out) {
    memcpy(out, x, (size_t)r->dk * sizeof *x);
    if (rotates(r)) oracle_rotate(&r->o->layer, place, r->o->layer.attention_factor, out);
    if (r->g.position == SA_POSITION_ROPE_APPLIED) oracle_rotate(&r->o->layer, place, 1.0, out);
}

static void draw_tokens(run *r) {
    for (int t = 0; t < TOKENS; t++)
        for (int h = 0; h < r->g.n_kv_heads; h++) {
            double rotated[DIMS];
            for (int d = 0; d < r->dk; d++) r->x[t][h][d] = rng_normal(&r->rng);
            turn(r, t, r->x[t][h], rotated);
            for (int d = 0; d < r->dk; d++) r->k[t][h][d] = (float)(rotates(r) ? r->x[t][h][d] : rotated[d]);
            for (int d = 0; d < r->dv; d++) r->v[t][h][d] = rng_normal(&r->rng);
        }
}

static sa_tensor rows_of(float (*rows)[KV][DIMS], int first) {
    sa_tensor t = {rows[first], sizeof(float) * KV * DIMS, sizeof(float) * DIMS, SA_F32, 0};
    return t;
}

static void feed(run *r, int n) {
    sa_step_args a = {.struct_size = sizeof a, .n_tokens = n, .k = rows_of(r->k, r->seen), .v = rows_of(r->v, r->seen)};
    CHECK(sa_step(r->cache, &a) == SA_SUCCESS, "append: %s", sa_cache_error(r->cache));
    r->seen += n;
}

/* Appends, and whatever leaves gaps, pins, and sinks in the window's dtype. */
static void live(run *r) {
    while (r->seen < TOKENS) {
        int n = (int)rng_in(&r->rng, 1, 16);
        feed(r, n < TOKENS - r->seen ? n : TOKENS - r->seen);
        uint64_t from = (uint64_t)rng_in(&r->rng, 0, r->seen - 1);
        uint64_t end = (uint64_t)rng_in(&r->rng, (int64_t)from + 1, r->seen);
        if (rng_chance(&r->rng, 10)) (void)sa_cache_remove(r->cache, 0, from, end, (int)rng_in(&r->rng, 0, 1));
        if (rng_chance(&r->rng, 10)) (void)sa_cache_pin(r->cache, 0, from, end);
        /* Below n_sink, tokens that come after the sinks were moved would be window tokens. */
        if (r->seen < r->g.n_sink + 3) continue;
        if (rng_chance(&r->rng, 3)) (void)sa_cache_anchor(r->cache, 0, from, end);
        if (rng_chance(&r->rng, 5) && sa_cache_rollback(r->cache, 0, 2) == SA_SUCCESS) r->seen -= 2;
    }
}

/* The dtype that a position is stored in. */
static int stored_as(const run *r, uint64_t position, int values) {
    int own = values ? r->g.v_dtype : r->g.k_dtype, sink = values ? r->g.sink_v_dtype : r->g.sink_k_dtype;
    if (position >= (uint64_t)r->g.n_sink) return own;
    return sink ? sink : own >= SA_I8 ? SA_F16 : own;
}

/* Some of what is held, in any order, some of it twice. */
static void choose(run *r) {
    uint64_t held[TOKENS];
    int64_t n = 0, least = TOKENS + 1;
    r->first = (int)rng_in(&r->rng, 0, r->g.n_kv_heads - 1);
    r->heads = (int)rng_in(&r->rng, 1, r->g.n_kv_heads - r->first);
    /* Of the head with the fewest: sinks, pins and the smallest window are in all of them. */
    for (int h = r->first; h < r->first + r->heads; h++) {
        CHECK(sa_cache_positions(r->cache, 0, h, TOKENS, NULL, &n) == SA_ERR_ARGUMENT, "NULL");
        CHECK(sa_cache_positions(r->cache, 0, h, 0, NULL, &n) == SA_SUCCESS && n <= TOKENS, "positions");
        if (n >= least) continue;
        least = n;
        CHECK(sa_cache_positions(r->cache, 0, h, TOKENS, held, &n) == SA_SUCCESS && n == least, "positions");
    }
    n = least;
    r->n = n ? (int)rng_in(&r->rng, 1, 40) : 0;
    for (int i = 0; i < r->n; i++) {
        r->positions[i] = held[rng_in(&r->rng, 0, n - 1)];
        r->places[i] = rng_in(&r->rng, -1000, 1000);
    }
}

/* ||got - expected|| / ||expected|| */
static double distance(const float *got, const double *expected, int n) {
    double off = 0.0, size = 0.0;
    for (int d = 0; d < n; d++) {
        double x = compare_difference(got[d], expected[d]);
        off += x * x;
        size += expected[d] * expected[d];
    }
    return sqrt(off) / (sqrt(size) + 1e-30);
}

static void read_and_compare(run *r, int form) {
    static const double bars[] = {0.0, 1e-6, 5e-4, 4e-3, 1e-2, 0.2}, roundings[] = {0.0, 0.0, 5e-4, 4e-3};
    static float k[TOKENS * KV * DIMS], v[TOKENS * KV * DIMS];
    test_tensor tk, tv;
    int out = (int)rng_in(&r->rng, SA_F32, SA_BF16), kv = r->heads;
    sa_read_args a = {.struct_size = sizeof a, .n_tokens = r->n, .key_form = form, .positions = r->positions};
    a.kv_head = r->first;
    a.n_kv_heads = r->first + r->heads == r->g.n_kv_heads && rng_chance(&r->rng, 50) ? 0 : r->heads;
    a.places = form == SA_KEY_AT_PLACE ? r->places : NULL;
    tensor_make(&tk, &r->rng, (int)rng_in(&r->rng, 0, SHAPE_COUNT - 1), out, out, r->n, kv, r->dk);
    tensor_make(&tv, &r->rng, (int)rng_in(&r->rng, 0, SHAPE_COUNT - 1), out, out, r->n, kv, r->dv);
    a.k = tk.tensor;
    a.v = tv.tensor;
    CHECK(sa_cache_read(r->cache, &a) == SA_SUCCESS, "read: %s", sa_cache_error(r->cache));
    CHECK(tensor_gaps_intact(&tk) && tensor_gaps_intact(&tv), "bytes between elements were written");
    tensor_read(&tk, k);
    tensor_read(&tv, v);
    for (int i = 0; i < r->n; i++)
        for (int h = 0; h < kv; h++) {
            double expected[DIMS], value[DIMS];
            uint64_t p = r->positions[i];
            int dtype = stored_as(r, p, 0), v_dtype = stored_as(r, p, 1);
            turn(r, form == SA_KEY_AT_PLACE ? r->places[i] : (int64_t)p, r->x[p][r->first + h], expected);
            if (form == SA_KEY_UNROTATED) memcpy(expected, r->x[p][r->first + h], sizeof expected);
            for (int d = 0; d < r->dv; d++) value[d] = r->v[p][r->first + h][d];
            double off = distance(k + (i * kv + h) * r->dk, expected, r->dk);
            double v_off = distance(v + (i * kv + h) * r->dv, value, r->dv);
            if (out == SA_F32) {
                worst[dtype] = compare_greater(worst[dtype], off);
                worst_value[v_dtype] = compare_greater(worst_value[v_dtype], v_off);
            }
            CHECK(off <= bars[dtype] + roundings[out], "form %d, stored as %d: key of %d is off by %g: %s", form, dtype,
                  (int)p, off, config_text(&r->g));
            CHECK(v_off <= bars[v_dtype] + roundings[out], "stored as %d: value of %d is off by %g: %s", v_dtype,
                  (int)p, v_off, config_text(&r->g));
        }
    tensor_free(&tk);
    tensor_free(&tv);
}

/* ----------------------------------- laws ----------------------------------- */

static void read_all(sa_cache *cache, int n, const uint64_t *positions, float (*k)[KV][DIMS], float (*v)[KV][DIMS]) {
    sa_read_args a = {.struct_size = sizeof a, .n_tokens = n, .positions = positions};
    a.k = rows_of(k, 0);
    a.v = rows_of(v, 0);
    CHECK(sa_cache_read(cache, &a) == SA_SUCCESS, "read: %s", sa_cache_error(cache));
}

/* What is read as stored, and appended to another cache that does not rotate, is stored there with the same bits; where
 * only keys or values are floats, those. */
static void goes_back_in(run *r) {
    static float k[TOKENS][KV][DIMS], v[TOKENS][KV][DIMS], k2[TOKENS][KV][DIMS], v2[TOKENS][KV][DIMS];
    uint64_t held[TOKENS], again[TOKENS];
    int64_t n = 0;
    sa_config g = r->g;
    sa_cache *other;
    g.head_windows = NULL;
    if (r->g.head_windows || g.k_dtype >= SA_I8 || g.v_dtype >= SA_I8 ||
        (g.sink_k_dtype && g.sink_k_dtype != g.k_dtype))
        return;
    g.policy = SA_POLICY_DENSE;
    g.n_sink = g.sink_k_dtype = g.n_recent = g.n_pin = g.n_spans = 0;
    g.window = TOKENS;
    g.position = rotates(r) ? SA_POSITION_ROPE_APPLIED : g.position;
    g.rope_attention_factor = 0;
    CHECK(sa_cache_create(&g, NULL, &other) == SA_SUCCESS, "create: %s", config_text(&g));
    CHECK(sa_cache_positions(r->cache, 0, 0, TOKENS, held, &n) == SA_SUCCESS, "positions");
    read_all(r->cache, (int)n, held, k, v);
    sa_step_args a = {.struct_size = sizeof a, .n_tokens = (int32_t)n, .k = rows_of(k, 0), .v = rows_of(v, 0)};
    CHECK(sa_step(other, &a) == SA_SUCCESS, "append: %s", sa_cache_error(other));
    for (int64_t i = 0; i < n; i++) again[i] = (uint64_t)i;
    read_all(other, (int)n, again, k2, v2);
    for (int64_t i = 0; i < n; i++)
        for (int h = 0; h < g.n_kv_heads; h++)
            CHECK(compare_bits(k2[i][h], r->dk, k[i][h], r->dk) < 0 &&
                      compare_bits(v2[i][h], r->dv, v[i][h], r->dv) < 0,
                  "position %d came back with other bits: %s", (int)held[i], config_text(&r->g));
    sa_cache_destroy(other);
}

/* Integers: what the oracle says is left of a number. */
static void integers_are_exact(run *r) {
    uint64_t p = (uint64_t)TOKENS - 1;
    float k[KV * DIMS], v[KV * DIMS];
    sa_read_args a = {.struct_size = sizeof a, .n_tokens = 1, .positions = &p};
    a.k = (sa_tensor){k, 0, 0, SA_F32, 0};
    a.v = (sa_tensor){v, 0, 0, SA_F32, 0};
    if (sa_cache_read(r->cache, &a) != SA_SUCCESS) return; /* removed */
    for (int h = 0; h < r->g.n_kv_heads; h++) {
        double expected[DIMS], scales[ORACLE_GROUPS];
        if (stored_as(r, p, 0) >= SA_I8 && !rotates(r)) {
            oracle_integer_key(r->g.k_dtype, r->k[p][h], r->dk, expected);
            CHECK(distance(k + h * r->dk, expected, r->dk) <= 1e-6, "key %g: %s",
                  distance(k + h * r->dk, expected, r->dk), config_text(&r->g));
        }
        if (stored_as(r, p, 1) >= SA_I8) {
            oracle_integer_value(r->g.v_dtype, r->v[p][h], r->dv, expected, scales);
            for (int d = 0; d < r->dv; d++)
                CHECK(compare_difference(v[h * r->dv + d], expected[d]) <= 1e-7 * fabs(expected[d]), "value: %s",
                      config_text(&r->g));
        }
    }
}

static void only_what_is_held(run *r, int head) {
    uint64_t held[TOKENS];
    int64_t n = 0, at = 0;
    float k[DIMS], v[DIMS];
    CHECK(sa_cache_positions(r->cache, 0, head, TOKENS, held, &n) == SA_SUCCESS, "positions");
    for (uint64_t p = 0; p < TOKENS + 3; p++) {
        int is_held = at < n && held[at] == p;
        sa_read_args a = {.struct_size = sizeof a, .n_tokens = 1, .positions = &p, .k = {k, 0, 0, SA_F32, 0}};
        a.kv_head = head;
        a.n_kv_heads = 1;
        a.v = (sa_tensor){v, 0, 0, SA_F32, 0};
        at += is_held;
        compare_forget(k, sizeof k);
        sa_status status = sa_cache_read(r->cache, &a);
        CHECK(status == (is_held ? SA_SUCCESS : SA_ERR_DEPTH), "position %d: %s", (int)p, sa_cache_error(r->cache));
        CHECK(isnan(k[0]) == !is_held, "position %d: written or not", (int)p);
    }
    CHECK(at == n, "held positions are in order");
}

/* --------------------------------- refusals --------------------------------- */

#define REFUSED(expected, change)                                                                                      \
    do {                                                                                                               \
        sa_read_args a = {.struct_size = sizeof a, .n_tokens = 2, .positions = two, .k = {k, 0, 0, SA_F32, 0}};        \
        change;                                                                                                        \
        compare_forget(k, sizeof k);                                                                                   \
        sa_status status = sa_cache_read(r->cache, &a);                                                                \
        CHECK(status == (expected) && *sa_cache_error(r->cache), "%s: %d", #change, (int)status);                      \
        CHECK(isnan(k[0]), "%s: written", #change);                                                                    \
    } while (0)

static void refusals(run *r) {
    static float k[4 * KV * DIMS];
    uint64_t two[2] = {TOKENS - 1, TOKENS - 1};
    int64_t places[2] = {0, 1};
    feed(r, 0);
    CHECK(sa_cache_read(NULL, NULL) == SA_ERR_ARGUMENT && sa_cache_read(r->cache, NULL) == SA_ERR_ARGUMENT, "NULL");
    REFUSED(SA_ERR_STRUCT_SIZE, a.struct_size = 8);
    REFUSED(SA_ERR_ARGUMENT, a.flags = 2);
    REFUSED(SA_ERR_ARGUMENT, a.reserved = 1);
    REFUSED(SA_ERR_ARGUMENT, a.layer = 1);
    REFUSED(SA_ERR_ARGUMENT, a.layer = -1);
    REFUSED(SA_ERR_ARGUMENT, a.n_tokens = -1);
    REFUSED(SA_ERR_ARGUMENT, a.kv_head = -1);
    REFUSED(SA_ERR_ARGUMENT, a.kv_head = r->g.n_kv_heads);
    REFUSED(SA_ERR_ARGUMENT, a.n_kv_heads = r->g.n_kv_heads + 1);
    REFUSED(SA_ERR_ARGUMENT, a.n_kv_heads = -1);
    REFUSED(SA_ERR_ARGUMENT, (a.kv_head = 1, a.n_kv_heads = r->g.n_kv_heads));
    REFUSED(SA_ERR_ARGUMENT, a.key_form = 3);
    REFUSED(SA_ERR_ARGUMENT, a.key_form = -1);
    REFUSED(SA_ERR_ARGUMENT, a.positions = NULL);
    REFUSED(SA_ERR_ARGUMENT, a.key_form = SA_KEY_AT_PLACE);
    REFUSED(SA_ERR_ARGUMENT, a.places = places);
    REFUSED(SA_ERR_ARGUMENT, a.k.data = NULL);
    REFUSED(SA_ERR_ARGUMENT, a.k.dtype = SA_I8);
    REFUSED(SA_ERR_ARGUMENT, a.k.token_stride = 4);
    REFUSED(SA_ERR_ALIGNMENT, a.k.data = (char *)k + 1);
    REFUSED(SA_ERR_ALIGNMENT, a.k.token_stride = 4 * KV * DIMS + 2);
    REFUSED(SA_ERR_OVERFLOW, a.k.token_stride = INT64_MAX / 4 * 4);
}

static void run_case(uint64_t seed, long index) {
    static run r;
    memset(&r, 0, sizeof r);
    r.rng.state = seed + (uint64_t)index * 0x632BE59BD9B4E019u;
    draw_config(&r);
    r.o = oracle_create(&r.g);
    draw_tokens(&r);
    CHECK(sa_cache_create(&r.g, NULL, &r.cache) == SA_SUCCESS, "create: %s", config_text(&r.g));
    live(&r);
    for (int form = SA_KEY_AS_STORED; form <= SA_KEY_AT_PLACE; form++) {
        choose(&r);
        read_and_compare(&r, form);
    }
    goes_back_in(&r);
    integers_are_exact(&r);
    for (int h = 0; h < r.g.n_kv_heads; h++) only_what_is_held(&r, h);
    if (index == 0) refusals(&r);
    oracle_destroy(r.o);
    sa_cache_destroy(r.cache);
}

int main(int argc, char **argv) {
    uint64_t seed = 77;
    long count = 600, i;
    test_begin("test_read", argc, argv, &seed, &count);
    for (i = 0; i < count; i++) run_case(seed, i);
    for (i = SA_F32; i <= SA_I4; i++)
        printf("dtype %ld: keys off by %.3g, values by %.3g\n", i, worst[i], worst_value[i]);
    return test_end();
}
