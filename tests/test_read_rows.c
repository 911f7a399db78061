/*
 * Rows of the host, read back: what was put in, turned to its place, back, or to another place.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "compare.h"
#include "support.h"
#include "test.h"

enum { KV = 2, DIM = 24, V_DIM = 20, N = 37, FIRST = 3 };

static float row_k[N][KV][DIM], row_v[N][KV][V_DIM], biases[N][KV];
static int64_t places[N][KV];
static uint64_t numbers[N];

/* What a call reads. */
typedef struct read_back {
    float k[N][KV][DIM], v[N][KV][V_DIM];
} read_back;

static sa_cache *open_cache(int position, int has_lanes) {
    static const int32_t windows[KV] = {40, 9};
    sa_cache *cache = NULL;
    sa_config g;
    memset(&g, 0, sizeof g);
    g.struct_size = sizeof g;
    g.n_layers = 1;
    g.max_append = 1;
    g.n_heads = g.n_kv_heads = KV;
    g.head_dim = DIM;
    g.v_head_dim = V_DIM;
    g.n_sink = 2;
    g.window = 40;
    g.position = position;
    g.n_rows = N + FIRST;
    g.head_windows = has_lanes ? windows : NULL;
    CHECK(sa_cache_create(&g, NULL, &cache) == SA_SUCCESS, "create");
    return cache;
}

static sa_status set(sa_cache *cache, uint32_t flags) {
    sa_rows r;
    memset(&r, 0, sizeof r);
    r.struct_size = sizeof r;
    r.flags = flags;
    r.first = FIRST;
    r.n_rows = N;
    r.k.data = row_k;
    r.v.data = row_v;
    r.places = places[0];
    r.biases = biases[0];
    return sa_set_rows(cache, &r);
}

static sa_status read_rows(sa_cache *cache, int form, const int64_t *to_places, int heads, read_back *to) {
    sa_read_args a;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.flags = SA_READ_ROWS;
    a.n_tokens = N;
    a.n_kv_heads = heads;
    a.key_form = form;
    a.positions = numbers;
    a.places = to_places;
    a.k.data = to->k;
    a.v.data = to->v;
    a.k.token_stride = sizeof to->k[0];
    a.v.token_stride = sizeof to->v[0];
    compare_forget(to->k, sizeof to->k);
    compare_forget(to->v, sizeof to->v);
    return sa_cache_read(cache, &a);
}

static void nearly(const float *a, const float *b, int line) {
    comparison c = compare_floats(a, b, N * KV * DIM);
    CHECK(compare_holds(&c, N * KV * DIM, 4e-6), "line %d: a key is off by %g", line, c.difference);
}

static void draw(test_rng *rng) {
    int64_t place = 0;
    for (int i = 0; i < N; i++) {
        numbers[i] = (uint64_t)(FIRST + i);
        for (int h = 0; h < KV; h++) {
            for (int d = 0; d < DIM; d++) row_k[i][h][d] = rng_normal(rng);
            for (int d = 0; d < V_DIM; d++) row_v[i][h][d] = rng_normal(rng);
            if (rng_chance(rng, 60)) place = rng_in(rng, -500, 500);
            places[i][h] = place;
            biases[i][h] = rng_normal(rng);
        }
    }
}

/* Values come back as they are, keys so where nothing rotates them; rotated ones nearly, from wherever they stood. */
static void comes_back(int position, uint32_t flags, int has_lanes) {
    static read_back stored, back, there, stands;
    sa_cache *cache = open_cache(position, has_lanes);
    int64_t to_places[N];
    CHECK(set(cache, flags) == SA_SUCCESS, "set: %s", sa_cache_error(cache));
    CHECK(read_rows(cache, SA_KEY_AS_STORED, NULL, 0, &stored) == SA_SUCCESS, "read: %s", sa_cache_error(cache));
    CHECK(compare_bits(stored.v[0][0], N * KV * V_DIM, row_v[0][0], N * KV * V_DIM) < 0, "other values");
    if (position != SA_POSITION_ROPE) {
        if (position != SA_POSITION_ROPE_APPLIED)
            CHECK(compare_bits(stored.k[0][0], N * KV * DIM, row_k[0][0], N * KV * DIM) < 0, "other keys");
        sa_cache_destroy(cache);
        return;
    }
    CHECK(read_rows(cache, SA_KEY_UNROTATED, NULL, 0, &back) == SA_SUCCESS, "read: %s", sa_cache_error(cache));
    nearly(back.k[0][0], row_k[0][0], __LINE__);
    for (int i = 0; i < N; i++) {
        to_places[i] = 7 * i - 60;
        for (int h = 0; h < KV; h++) places[i][h] = flags ? -to_places[i] : to_places[i];
    }
    CHECK(read_rows(cache, SA_KEY_AT_PLACE, to_places, 0, &there) == SA_SUCCESS, "read: %s", sa_cache_error(cache));
    CHECK(set(cache, flags) == SA_SUCCESS, "set: %s", sa_cache_error(cache));
    CHECK(read_rows(cache, SA_KEY_AS_STORED, NULL, 0, &stands) == SA_SUCCESS, "read: %s", sa_cache_error(cache));
    nearly(there.k[0][0], stands.k[0][0], __LINE__);
    sa_cache_destroy(cache);
}

/* A row that one kv head lacks can be read of the others. */
static void lacking(int has_lanes) {
    static read_back part, all;
    sa_cache *cache = open_cache(SA_POSITION_ROPE, has_lanes);
    sa_rows gone;
    CHECK(read_rows(cache, SA_KEY_AS_STORED, NULL, 0, &all) == SA_ERR_DEPTH, "rows that never came");
    CHECK(set(cache, 0) == SA_SUCCESS, "set");
    CHECK(read_rows(cache, SA_KEY_UNROTATED, NULL, 0, &all) == SA_SUCCESS, "read");
    memset(&gone, 0, sizeof gone);
    gone.struct_size = sizeof gone;
    gone.first = FIRST + N / 2;
    gone.n_rows = gone.kv_head = 1;
    CHECK(sa_set_rows(cache, &gone) == SA_SUCCESS, "take away");
    CHECK(read_rows(cache, SA_KEY_UNROTATED, NULL, 0, &part) == SA_ERR_DEPTH, "a row that is not there");
    CHECK(read_rows(cache, SA_KEY_UNROTATED, NULL, 1, &part) == SA_SUCCESS, "read: %s", sa_cache_error(cache));
    for (int i = 0; i < N; i++)
        CHECK(compare_bits(part.k[i][0], DIM, all.k[i][0], DIM) < 0 &&
                  compare_bits(part.v[i][0], V_DIM, all.v[i][0], V_DIM) < 0,
              "row %d: other bits", i);
    numbers[0] = UINT64_MAX;
    CHECK(read_rows(cache, SA_KEY_AS_STORED, NULL, 1, &part) == SA_ERR_DEPTH, "a number beyond all");
    numbers[0] = FIRST;
    sa_cache_destroy(cache);
}

int main(int argc, char **argv) {
    uint64_t seed = 0;
    long count = 4;
    test_begin("test_read_rows", argc, argv, &seed, &count);
    test_rng rng = {seed};
    for (long i = 0; i < count; i++)
        for (int position = SA_POSITION_NONE; position <= SA_POSITION_ALIBI; position++) {
            draw(&rng);
            comes_back(position, 0, (int)(i % 2));
            draw(&rng);
            comes_back(position, SA_ROWS_AT_DISTANCE, (int)(i % 2));
            lacking((int)(i % 2));
        }
    return test_end();
}
