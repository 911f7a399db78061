/*
 * The laws of rows of the host: what must be equal to what, bit for bit where the order of keys is the same.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "compare.h"
#include "support.h"
#include "test.h"

enum { HEADS = 4, KV = 2, DIM = 24, V_DIM = 20, S = 3, W = 40, N = 21, MOST = 160 };

static float q[MOST][HEADS][DIM], k[MOST][KV][DIM], v[MOST][KV][V_DIM];
static float row_k[N][KV][DIM], row_v[N][KV][V_DIM], biases[N][KV];
static int64_t places[N][KV];
static const float slopes[HEADS] = {0.25f, 0.125f, 0.0625f, 0.5f};

/* What a call gives. */
typedef struct given {
    float out[MOST][HEADS][V_DIM], lse[MOST][HEADS], mass[MOST][HEADS];
} given;

static given first_given, second_given;

static void draw(test_rng *rng, float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = rng_normal(rng);
}

static sa_config config_of(int position, float softcap) {
    sa_config g;
    memset(&g, 0, sizeof g);
    g.struct_size = sizeof g;
    g.n_layers = 1;
    g.max_append = 16;
    g.rollback = 8;
    g.n_heads = HEADS;
    g.n_kv_heads = KV;
    g.head_dim = DIM;
    g.v_head_dim = V_DIM;
    g.n_sink = S;
    g.window = W;
    g.position = position;
    g.softcap = softcap;
    g.alibi_slopes = position == SA_POSITION_ALIBI ? slopes : NULL;
    g.n_spans = 8;
    g.n_pin = 20;
    g.n_rows = N;
    return g;
}

static sa_cache *open_cache(const sa_config *g) {
    sa_cache *cache = NULL;
    const char *why = "";
    sa_config_check(g, &why, NULL);
    CHECK(sa_cache_create(g, NULL, &cache) == SA_SUCCESS, "%s", why);
    return cache;
}

static sa_rows rows_of(int first, int n) {
    sa_rows r;
    memset(&r, 0, sizeof r);
    r.struct_size = sizeof r;
    r.first = first;
    r.n_rows = n;
    r.k.data = row_k[first];
    r.v.data = row_v[first];
    return r;
}

static sa_rows no_rows(int first, int n) {
    sa_rows r = rows_of(first, n);
    r.k.data = r.v.data = NULL;
    return r;
}

#define DONE(cache, call) CHECK((call) == SA_SUCCESS, "%s: %s", #call, sa_cache_error(cache))

/* Tokens [from, from + n) of the stream, or with `appends` 0 probes with their queries. */
static void step(sa_cache *cache, int from, int n, int appends, int view_window, given *to) {
    sa_step_args a;
    memset(&a, 0, sizeof a);
    memset(to, 0, sizeof *to);
    a.struct_size = sizeof a;
    a.n_tokens = n;
    a.q.data = q[from];
    a.k.data = appends ? k[from] : NULL;
    a.v.data = appends ? v[from] : NULL;
    a.out.data = to->out;
    a.lse = to->lse[0];
    a.sink_mass = to->mass[0];
    a.view_window = view_window;
    a.view_sinks = view_window ? 1 : 0;
    compare_forget(to->out, (size_t)n * sizeof to->out[0]);
    DONE(cache, sa_step(cache, &a));
}

static void same_bits(const given *a, const given *b, int n, int line) {
    CHECK(compare_bits(a->out[0][0], n * HEADS * V_DIM, b->out[0][0], n * HEADS * V_DIM) < 0 &&
              compare_bits(a->lse[0], n * HEADS, b->lse[0], n * HEADS) < 0 &&
              compare_bits(a->mass[0], n * HEADS, b->mass[0], n * HEADS) < 0,
          "line %d: the bits differ", line);
}

static void nearly(const given *a, const given *b, int n, int line) {
    comparison c = compare_floats(a->out[0][0], b->out[0][0], n * HEADS * V_DIM);
    comparison lse = compare_floats(a->lse[0], b->lse[0], n * HEADS);
    CHECK(compare_holds(&c, n * HEADS * V_DIM, 4e-6) && compare_holds(&lse, n * HEADS, 1e-5),
          "line %d: out is off by %g, lse by %g", line, c.difference, lse.difference);
}

#define SAME_BITS(n) same_bits(&first_given, &second_given, n, __LINE__)

/* ---------------------------------- learned rows --------------------------------- */

/* Both caches do the same, and a query at every place sees the same. */
static void compare_streams(sa_cache *a, sa_cache *b, int exact) {
    sa_cache *both[2] = {a, b};
    given *to[2] = {&first_given, &second_given};
    for (int t = 0, n; t < 150; t += n) {
        n = 1 + t % 16;
        for (int i = 0; i < 2; i++) {
            step(both[i], t, n, 1, 0, to[i]);
            if (t == 45) DONE(both[i], sa_cache_pin(both[i], 0, 20, 24));
            if (t == 66) DONE(both[i], sa_cache_remove(both[i], 0, 40, 50, SA_GAP_CLOSE));
            if (t == 91) DONE(both[i], sa_cache_remove(both[i], 0, 1, 2, SA_GAP_KEEP));
            if (t == 120) DONE(both[i], sa_cache_anchor(both[i], 0, 100, 105));
        }
        (exact ? same_bits : nearly)(&first_given, &second_given, n, __LINE__);
        for (int i = 0; i < 2; i++) step(both[i], t, 2, 0, 1 + t % W, to[i]);
        (exact ? same_bits : nearly)(&first_given, &second_given, 2, __LINE__);
    }
}

static void learned(int position, float softcap, int kv_position, int mode) {
    sa_config with_rows = config_of(position, softcap), with_learned = with_rows;
    with_rows.position_mode = with_learned.position_mode = mode;
    with_learned.n_rows = 0;
    with_learned.n_sink_kv = N;
    with_learned.sink_kv_position = kv_position;
    sa_cache *a = open_cache(&with_rows), *b = open_cache(&with_learned);
    sa_rows rows = rows_of(0, N);
    for (int i = 0; i < N; i++)
        for (int h = 0; h < KV; h++) places[i][h] = kv_position == SA_SINK_KV_AT_ZERO ? 0 : i - N;
    rows.places = places[0];
    DONE(a, sa_set_rows(a, &rows));
    DONE(b, sa_set_sink_kv(b, 0, row_k, row_v));
    compare_streams(a, b, softcap != 0 && position != SA_POSITION_ALIBI);
    sa_cache_destroy(a);
    sa_cache_destroy(b);
}

static void learned_rows(void) {
    for (int position = SA_POSITION_NONE; position <= SA_POSITION_ALIBI; position++)
        for (int capped = 0; capped < 2; capped++)
            for (int mode = 0; mode < (position == SA_POSITION_NONE ? 1 : 2); mode++) {
                learned(position, capped ? 20.0f : 0.0f, SA_SINK_KV_BEFORE, mode);
                learned(position, capped ? 20.0f : 0.0f, SA_SINK_KV_AT_ZERO, mode);
            }
}

/* -------------------------------------- sinks ------------------------------------ */

/* Rows that are the first tokens, at their places, are sinks, once the window has left these. */
static void sinks(int position, float softcap) {
    sa_config with_sinks = config_of(position, softcap), with_rows = with_sinks;
    with_rows.n_sink = 0;
    sa_cache *a = open_cache(&with_sinks), *b = open_cache(&with_rows);
    sa_rows rows = rows_of(0, S);
    memcpy(row_k, k, sizeof row_k[0] * S);
    memcpy(row_v, v, sizeof row_v[0] * S);
    /* Tokens of a layer without sinks have places from S on. */
    for (int i = 0; i < S; i++)
        for (int h = 0; h < KV; h++) places[i][h] = i - S;
    rows.places = places[0];
    DONE(a, sa_append_kv(a, 0, W + S, k, v));
    DONE(b, sa_append_kv(b, 0, W + S, k, v));
    DONE(b, sa_set_rows(b, &rows));
    step(a, W + S, 12, 1, 0, &first_given);
    step(b, W + S, 12, 1, 0, &second_given);
    nearly(&first_given, &second_given, 12, __LINE__);
    if (softcap != 0 && position == SA_POSITION_NONE) SAME_BITS(12);
    sa_cache_destroy(a);
    sa_cache_destroy(b);
}

/* ------------------------------------ biases ------------------------------------- */

/* A row with bias ln(n) is n equal rows, in front and at a distance. */
static void equal_rows(int position, uint32_t flags) {
    sa_config g = config_of(position, 0);
    sa_cache *a = open_cache(&g), *b = open_cache(&g);
    for (int i = 0; i < N; i++) {
        memcpy(row_k[i], row_k[0], sizeof row_k[0]);
        memcpy(row_v[i], row_v[0], sizeof row_v[0]);
        for (int h = 0; h < KV; h++) {
            places[i][h] = 7;
            biases[i][h] = logf(N);
        }
    }
    sa_rows one = rows_of(4, 1), all = rows_of(0, N);
    one.flags = all.flags = flags;
    one.places = all.places = places[0];
    one.biases = biases[0];
    DONE(a, sa_set_rows(a, &one));
    DONE(b, sa_set_rows(b, &all));
    for (int t = 0; t < 80; t += 16) {
        step(a, t, 16, 1, 0, &first_given);
        step(b, t, 16, 1, 0, &second_given);
        nearly(&first_given, &second_given, 16, __LINE__);
    }
    sa_cache_destroy(a);
    sa_cache_destroy(b);
}

/* ------------------------------------- lanes ------------------------------------- */

/* The kv head, as if all were like it. */
static sa_cache *open_like(const sa_config *lanes, int head) {
    sa_config g = *lanes;
    g.n_sink = lanes->head_sinks[head];
    g.window = lanes->head_windows[head];
    g.head_sinks = g.head_windows = NULL;
    return open_cache(&g);
}

/* Where kv heads keep different tokens, each sees its rows as if all heads were like it. */
static void lanes(int position) {
    static const int32_t windows[KV] = {W, 9}, head_sinks[KV] = {S, 1};
    sa_config g = config_of(position, 0);
    g.head_windows = windows;
    g.head_sinks = head_sinks;
    sa_cache *caches[3] = {open_cache(&g), open_like(&g, 0), open_like(&g, 1)};
    sa_rows rows = rows_of(1, N - 1), near = rows_of(5, 3);
    for (int i = 0; i < N; i++)
        for (int h = 0; h < KV; h++) {
            places[i][h] = 3 * h - i;
            biases[i][h] = 0.25f * (float)(i - 5 * h);
        }
    rows.places = near.places = places[0];
    rows.biases = near.biases = biases[0];
    near.flags = SA_ROWS_AT_DISTANCE;
    for (int i = 0; i < 3; i++) {
        DONE(caches[i], sa_set_rows(caches[i], &rows));
        DONE(caches[i], sa_set_rows(caches[i], &near));
        CHECK(sa_append_kv(caches[i], 0, 70, k, v) == SA_SUCCESS, "append");
    }
    step(caches[0], 70, 16, 1, 0, &first_given);
    for (int kv = 0; kv < KV; kv++) {
        int head = kv * HEADS / KV, n = HEADS / KV;
        step(caches[1 + kv], 70, 16, 1, 0, &second_given);
        for (int t = 0; t < 16; t++)
            CHECK(compare_bits(first_given.out[t][head], n * V_DIM, second_given.out[t][head], n * V_DIM) < 0 &&
                      compare_bits(&first_given.mass[t][head], n, &second_given.mass[t][head], n) < 0,
                  "kv head %d, token %d: other bits", kv, t);
    }
    for (int i = 0; i < 3; i++) sa_cache_destroy(caches[i]);
}

/* Rows [from, end) of one kv head alone, over whatever was there. */
static void set_of_head(sa_cache *cache, int h, int from, int end, uint32_t flags) {
    int64_t place[N];
    float bias[N];
    sa_rows rows = rows_of(from, end - from);
    for (int i = from; i < end; i++) {
        place[i - from] = places[i][h];
        bias[i - from] = biases[i][h];
    }
    rows.flags = flags;
    rows.kv_head = h;
    rows.n_kv_heads = 1;
    rows.k.data = row_k[from][h];
    rows.v.data = row_v[from][h];
    rows.k.token_stride = sizeof row_k[0];
    rows.v.token_stride = sizeof row_v[0];
    rows.places = place;
    rows.biases = bias;
    DONE(cache, sa_set_rows(cache, &rows));
}

/* Rows that come kv head by kv head are those that come together; what one head loses, the others keep. */
static void head_by_head(int position, int has_lanes) {
    static const int32_t windows[KV] = {W, 9};
    sa_config g = config_of(position, 0);
    if (has_lanes) g.head_windows = windows;
    sa_cache *a = open_cache(&g), *b = open_cache(&g);
    sa_rows all = rows_of(0, N), gone = no_rows(6, 8);
    for (int i = 0; i < N; i++)
        for (int h = 0; h < KV; h++) {
            places[i][h] = 2 * h + i;
            biases[i][h] = i >= 6 && i < 14 && h == 1 ? -INFINITY : 0.1f * (float)(h - i);
        }
    all.flags = SA_ROWS_AT_DISTANCE;
    all.places = places[0];
    all.biases = biases[0];
    DONE(a, sa_set_rows(a, &all));
    set_of_head(b, 1, 0, 6, SA_ROWS_AT_DISTANCE);
    set_of_head(b, 0, 0, N, 0); /* in front, and then replaced */
    set_of_head(b, 0, 9, N, SA_ROWS_AT_DISTANCE);
    for (int i = 6; i < 14; i++) biases[i][1] = 1;
    set_of_head(b, 1, 6, N, SA_ROWS_AT_DISTANCE);
    set_of_head(b, 0, 0, 9, SA_ROWS_AT_DISTANCE);
    gone.kv_head = 1;
    gone.n_kv_heads = KV;
    CHECK(sa_set_rows(b, &gone) == SA_ERR_ARGUMENT, "heads that the layer does not have");
    gone.n_kv_heads = 0;
    DONE(b, sa_set_rows(b, &gone));
    for (int t = 0; t < 80; t += 16) {
        step(a, t, 16, 1, 0, &first_given);
        step(b, t, 16, 1, 0, &second_given);
        same_bits(&first_given, &second_given, 16, __LINE__);
    }
    sa_cache_destroy(a);
    sa_cache_destroy(b);
}

/* ------------------------------------ nothing ------------------------------------ */

/* Rows that are hidden or were taken away leave no trace, whatever they were. */
static void nothing(int position, test_rng *rng) {
    sa_config g = config_of(position, 0), without = g;
    without.n_rows = 0;
    sa_cache *a = open_cache(&without), *b = open_cache(&g);
    sa_rows rows = rows_of(0, N), hidden = rows_of(2, 4), gone = no_rows(0, N), before = no_rows(N - 1, 1);
    hidden.biases = biases[0];
    draw(rng, row_k[0][0], N * KV * DIM);
    draw(rng, row_v[0][0], N * KV * V_DIM);
    row_k[3][0][5] = row_v[4][1][2] = NAN;
    row_v[5][0][1] = INFINITY;
    for (int i = 0; i < N; i++)
        for (int h = 0; h < KV; h++) biases[i][h] = -INFINITY;
    DONE(b, sa_set_rows(b, &before)); /* of what was never there */
    for (int way = 0; way < 4; way++) {
        if (way == 1) DONE(b, sa_set_rows(b, &hidden));
        if (way == 2) DONE(b, sa_set_rows(b, &rows));
        if (way == 2) DONE(b, sa_set_rows(b, &gone));
        if (way == 3) DONE(b, sa_set_rows(b, &rows));
        if (way == 3) rows.biases = biases[0];
        if (way == 3) DONE(b, sa_set_rows(b, &rows));
        step(a, 16 * way, 16, 1, 0, &first_given);
        step(b, 16 * way, 16, 1, 0, &second_given);
        SAME_BITS(16);
    }
    sa_cache_destroy(a);
    sa_cache_destroy(b);
}

/* The same of rows that lie between others, which stay: their tiles are read, but nothing of them gets in. */
static void nothing_between(int position) {
    sa_config g = config_of(position, 0);
    sa_cache *a = open_cache(&g), *b = open_cache(&g), *c = open_cache(&g);
    sa_rows first = rows_of(0, 1), last = rows_of(N - 1, 1), all = rows_of(0, N), gone = no_rows(1, N - 2), hidden;
    row_k[3][0][5] = row_v[4][1][2] = NAN;
    row_v[5][0][1] = INFINITY;
    for (int i = 0; i < N; i++)
        for (int h = 0; h < KV; h++) biases[i][h] = i > 0 && i < N - 1 ? -INFINITY : 0;
    DONE(a, sa_set_rows(a, &first));
    DONE(a, sa_set_rows(a, &last));
    DONE(b, sa_set_rows(b, &all));
    DONE(b, sa_set_rows(b, &gone));
    DONE(c, sa_set_rows(c, &all));
    hidden = all;
    hidden.biases = biases[0];
    DONE(c, sa_set_rows(c, &hidden));
    step(a, 0, 16, 1, 0, &first_given);
    step(b, 0, 16, 1, 0, &second_given);
    SAME_BITS(16);
    step(c, 0, 16, 1, 0, &second_given);
    SAME_BITS(16);
    sa_cache_destroy(a);
    sa_cache_destroy(b);
    sa_cache_destroy(c);
}

/* One that is not finite spoils the query heads of its kv head, and no other. */
static void one_kv_head(void) {
    sa_config g = config_of(SA_POSITION_ROPE, 0);
    sa_cache *a = open_cache(&g), *b = open_cache(&g);
    sa_rows rows = rows_of(0, N);
    DONE(a, sa_set_rows(a, &rows));
    row_k[3][0][5] = row_v[4][0][2] = NAN;
    DONE(b, sa_set_rows(b, &rows));
    step(a, 0, 16, 1, 0, &first_given);
    step(b, 0, 16, 1, 0, &second_given);
    for (int t = 0; t < 16; t++) {
        CHECK(compare_bits(first_given.out[t][HEADS / KV], HEADS / KV * V_DIM, second_given.out[t][HEADS / KV],
                           HEADS / KV * V_DIM) < 0,
              "token %d: another kv head has other bits", t);
        CHECK(compare_finite(second_given.out[t][0], V_DIM) >= 0, "token %d: the row's own head does not see it", t);
    }
    sa_cache_destroy(a);
    sa_cache_destroy(b);
}

/* ------------------------------- how long they stay ------------------------------ */

static uint64_t used(sa_cache *cache) {
    sa_cache_facts facts;
    memset(&facts, 0, sizeof facts);
    facts.struct_size = sizeof facts;
    CHECK(sa_cache_info(cache, 0, &facts) == SA_SUCCESS, "info");
    return facts.rows_used;
}

#define USED(cache, n) CHECK(used(cache) == (n), "%d rows are used", (int)used(cache))

/* A distance stays, wherever the stream is; so do rows, until a reset. A call that is refused changes nothing. */
static void staying(int position) {
    sa_config g = config_of(position, 0);
    sa_cache *cache = open_cache(&g);
    sa_rows rows = rows_of(2, N - 3), wrong = rows_of(0, N), end = no_rows(10, N - 10);
    rows.flags = SA_ROWS_AT_DISTANCE;
    rows.places = places[0];
    USED(cache, 0);
    DONE(cache, sa_set_rows(cache, &rows));
    USED(cache, N - 1);
    step(cache, 0, 4, 0, 0, &first_given);
    DONE(cache, sa_cache_seek(cache, SA_ALL_LAYERS, 1000000000000000u));
    biases[N - 1][KV - 1] = NAN;
    wrong.biases = biases[0];
    CHECK(sa_set_rows(cache, &wrong) == SA_ERR_ARGUMENT, "a bias is NaN");
    USED(cache, N - 1);
    step(cache, 0, 4, 0, 0, &second_given);
    SAME_BITS(4);
    DONE(cache, sa_append_kv(cache, 0, 5, k, v));
    DONE(cache, sa_cache_rollback(cache, 0, 5));
    step(cache, 0, 4, 0, 0, &second_given);
    SAME_BITS(4);
    DONE(cache, sa_set_rows(cache, &end));
    USED(cache, 10);
    DONE(cache, sa_cache_reset(cache, 0));
    USED(cache, 0);
    step(cache, 0, 1, 0, 0, &second_given);
    CHECK(second_given.lse[0][0] == -INFINITY && second_given.out[0][0][0] == 0, "lse %g after a reset",
          second_given.lse[0][0]);
    sa_cache_destroy(cache);
}

int main(int argc, char **argv) {
    uint64_t seed = 3;
    long count = 1;
    test_begin("test_row_laws", argc, argv, &seed, &count);
    test_rng rng = {seed};
    for (long i = 0; i < count; i++) {
        draw(&rng, q[0][0], sizeof q / sizeof(float));
        draw(&rng, k[0][0], sizeof k / sizeof(float));
        draw(&rng, v[0][0], sizeof v / sizeof(float));
        draw(&rng, row_k[0][0], sizeof row_k / sizeof(float));
        draw(&rng, row_v[0][0], sizeof row_v / sizeof(float));
        learned_rows();
        for (int position = SA_POSITION_NONE; position <= SA_POSITION_ALIBI; position++) {
            nothing(position, &rng);
            nothing_between(position);
            if (position == SA_POSITION_ROPE_APPLIED) continue; /* the host would have to rotate */
            sinks(position, 0);
            sinks(position, 20);
            equal_rows(position, 0);
            equal_rows(position, SA_ROWS_AT_DISTANCE);
            staying(position);
            lanes(position);
            head_by_head(position, 0);
            head_by_head(position, 1);
        }
        draw(&rng, row_k[0][0], sizeof row_k / sizeof(float));
        draw(&rng, row_v[0][0], sizeof row_v / sizeof(float));
        one_kv_head();
    }
    return test_end();
}
