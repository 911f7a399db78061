/*
 * Rows of the host: drawn, set in all worlds, and kept by the model as they are stored.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "random.h"

enum { COUNT_ROWS = 26 };

/* ---------------------------------- drawing -------------------------------- */

static float draw_bias(test_rng *rng) {
    static const float strong[] = {1e4f, -1e4f, -1e30f, 1e30f};
    if (rng_chance(rng, 25)) {
        return -INFINITY;
    }
    if (rng_chance(rng, 2)) {
        return strong[rng_in(rng, 0, 3)];
    }
    return rng_chance(rng, 50) ? 2.0f * rng_normal(rng) : (float)log((double)rng_in(rng, 1, 64));
}

/* Mostly near. A slope times a far place would leave nothing of the other logits. */
static int64_t draw_place(const oracle_layer *l, test_rng *rng) {
    int64_t far = (int64_t)1 << rng_in(rng, 4, 40);
    return l->position == SA_POSITION_ALIBI || rng_chance(rng, 90) ? rng_in(rng, -40, 40) : rng_in(rng, -far, far);
}

/* What is not there is not read. */
static void draw_nothing(float *x, int n) {
    int i;
    for (i = 0; i < n; i++) {
        x[i] = NAN;
    }
}

static void draw_one(setup *s, test_rng *rng, int layer, rows_given *g, int64_t at) {
    oracle *o = s->layers[layer];
    const oracle_layer *l = &o->layer;
    int64_t place = g->places ? g->places[at] : 0;
    float *k = g->k + at * l->head_dim, *v = g->v + at * l->v_head_dim;
    int d;
    if (g->biases && g->biases[at] == -INFINITY) {
        draw_nothing(k, l->head_dim);
        draw_nothing(v, l->v_head_dim);
        return;
    }
    setup_key(rng, o, (uint64_t)(g->at_distance ? -place : place), k);
    for (d = 0; d < l->v_head_dim; d++) {
        v[d] = rng_normal(rng);
        s->v_most[layer] = fabs(v[d]) > s->v_most[layer] ? fabs(v[d]) : s->v_most[layer];
    }
}

/* So many rows of any kind, from number `first` on. */
static rows_given *draw_given(setup *s, arena *a, test_rng *rng, int layer, int first, int n) {
    const oracle_layer *l = &s->layers[layer]->layer;
    rows_given *g = arena_take(a, sizeof *g);
    size_t all = (size_t)n * (size_t)l->n_kv_heads, i;
    g->first = first;
    g->n = n;
    if (rng_chance(rng, 20)) {
        return g; /* they are taken away */
    }
    g->at_distance = rng_chance(rng, 40);
    g->k = arena_take(a, all * (size_t)l->head_dim * sizeof *g->k);
    g->v = arena_take(a, all * (size_t)l->v_head_dim * sizeof *g->v);
    g->places = rng_chance(rng, 85) ? arena_take(a, all * sizeof *g->places) : NULL;
    g->biases = rng_chance(rng, 80) ? arena_take(a, all * sizeof *g->biases) : NULL;
    for (i = 0; i < all && g->biases; i++) {
        g->biases[i] = draw_bias(rng);
    }
    for (i = 0; i < all && g->places; i++) {
        g->places[i] = draw_place(l, rng);
    }
    for (i = 0; i < all; i++) {
        draw_one(s, rng, layer, g, (int64_t)i);
    }
    return g;
}

/* ----------------------------------- calls --------------------------------- */

/* Rows [at, at + n) of what is given. */
static sa_rows part_of(const setup *s, int layer, const rows_given *g, int at, int n) {
    const oracle_layer *l = &s->layers[layer]->layer;
    int64_t skip = (int64_t)at * l->n_kv_heads;
    sa_rows r;
    memset(&r, 0, sizeof r);
    r.struct_size = sizeof r;
    r.layer = layer;
    r.first = g->first + at;
    r.n_rows = n;
    if (g->k) {
        r.flags = g->at_distance ? SA_ROWS_AT_DISTANCE : 0;
        r.k.data = g->k + skip * l->head_dim;
        r.v.data = g->v + skip * l->v_head_dim;
        r.places = g->places ? g->places + skip : NULL;
        r.biases = g->biases ? g->biases + skip : NULL;
    }
    return r;
}

static sa_status call_part(const setup *s, sa_cache *cache, int layer, const rows_given *g, int at, int n) {
    sa_rows r = part_of(s, layer, g, at, n);
    return sa_set_rows(cache, &r);
}

/* The same of kv heads [head, head + n_heads) alone. */
static sa_status call_heads(episode *e, sa_cache *cache, int layer, const rows_given *g, sa_rows r, int head,
                            int n_heads) {
    const oracle_layer *l = &e->setup.layers[layer]->layer;
    size_t all = (size_t)(r.n_rows * n_heads);
    int64_t *places = arena_take(&e->arena, all * sizeof *places);
    float *biases = arena_take(&e->arena, all * sizeof *biases);
    for (int i = 0; g->k && i < r.n_rows * n_heads; i++) {
        int from = i / n_heads * l->n_kv_heads + head + i % n_heads;
        places[i] = r.places ? r.places[from] : 0;
        biases[i] = r.biases ? r.biases[from] : 0;
    }
    r.kv_head = head;
    r.n_kv_heads = n_heads;
    if (g->k) {
        r.k.token_stride = (int64_t)sizeof(float) * l->n_kv_heads * l->head_dim;
        r.v.token_stride = (int64_t)sizeof(float) * l->n_kv_heads * l->v_head_dim;
        r.k.data = (float *)r.k.data + (size_t)head * (size_t)l->head_dim;
        r.v.data = (float *)r.v.data + (size_t)head * (size_t)l->v_head_dim;
        r.places = places;
        r.biases = biases;
    }
    return sa_set_rows(cache, &r);
}

sa_status rows_call(const setup *s, sa_cache *cache, int layer, const rows_given *g) {
    return call_part(s, cache, layer, g, 0, g->n);
}

void rows_spoil(episode *e, world *w, sa_cache *cache, int layer) {
    int n_rows = setup_layer(&e->setup, layer)->n_rows, first;
    if (n_rows > 0) {
        first = (int)rng_in(&w->rng, 0, n_rows - 1);
        (void)rows_call(
            &e->setup, cache, layer,
            draw_given(&e->setup, &e->arena, &w->rng, layer, first, (int)rng_in(&w->rng, 0, n_rows - first)));
    }
}

static sa_status call_piece(episode *e, world *w, sa_cache *cache, int layer, const rows_given *g, int at, int n) {
    int heads = e->setup.layers[layer]->layer.n_kv_heads, n_heads;
    sa_status status = SA_SUCCESS;
    if (rng_in(&w->rng, 0, 1)) {
        return call_part(&e->setup, cache, layer, g, at, n);
    }
    for (; heads > 0 && status == SA_SUCCESS; heads -= n_heads) {
        n_heads = (int)rng_in(&w->rng, 1, heads);
        status = call_heads(e, cache, layer, g, part_of(&e->setup, layer, g, at, n), heads - n_heads, n_heads);
    }
    return status;
}

/* Other rows before, which these replace, and then piece by piece, from behind, at times by kv head. */
static sa_status call_in_pieces(episode *e, world *w, sa_cache *cache, int layer, const rows_given *g) {
    sa_status status =
        rows_call(&e->setup, cache, layer, draw_given(&e->setup, &e->arena, &w->rng, layer, g->first, g->n));
    int end = g->n, n;
    for (; end > 0 && status == SA_SUCCESS; end -= n) {
        n = (int)rng_in(&w->rng, 1, end);
        status = call_piece(e, w, cache, layer, g, end - n, n);
    }
    return status;
}

/* ----------------------------------- model --------------------------------- */

static host_row keep_one(const setup *s, arena *a, int layer, const rows_given *g, int64_t at) {
    oracle_layer *l = &s->layers[layer]->layer;
    int rotates = l->position == SA_POSITION_ROPE && l->sink_k_dtype != SA_F32, d;
    double *k = arena_take(a, (size_t)l->head_dim * sizeof *k), *v = arena_take(a, (size_t)l->v_head_dim * sizeof *v);
    host_row r = {1, g->at_distance, g->places ? g->places[at] : 0, g->biases ? (double)g->biases[at] : 0.0, k, v, 0};
    int64_t stands = r.at_distance ? -r.place : r.place;
    for (d = 0; d < l->head_dim; d++) {
        k[d] = g->k[at * l->head_dim + d];
    }
    if (l->position == SA_POSITION_ROPE) {
        r.base = rotates ? stands : 0;
        oracle_rotate(l, r.base, l->attention_factor, k);
    }
    for (d = 0; d < l->head_dim; d++) {
        k[d] = model_rounded(l->sink_k_dtype, k[d]);
    }
    for (d = 0; d < l->v_head_dim; d++) {
        v[d] = model_rounded(l->sink_v_dtype, g->v[at * l->v_head_dim + d]);
    }
    return r;
}

static void keep(episode *e, int sequence, int layer, const rows_given *g) {
    int kv = e->setup.layers[layer]->layer.n_kv_heads, i, h;
    for (i = 0; i < g->n; i++) {
        for (h = 0; h < kv; h++) {
            host_row *r = &e->rows[sequence][layer].list[g->first + i][h];
            int64_t at = (int64_t)i * kv + h;
            memset(r, 0, sizeof *r);
            if (g->k && !(g->biases && g->biases[at] == -INFINITY)) {
                *r = keep_one(&e->setup, &e->arena, layer, g, at);
            }
        }
    }
}

int rows_used(const host_rows *rows) {
    int i, h, used = 0;
    for (i = 0; i < RANDOM_ROWS; i++) {
        for (h = 0; h < RANDOM_KV; h++) {
            used = rows->list[i][h].is_there ? i + 1 : used;
        }
    }
    return used;
}

/* --------------------------------- operation ------------------------------- */

static rows_given *draw_rows(episode *e, int layer) {
    int n_rows = setup_layer(&e->setup, layer)->n_rows, first = (int)source_in(e->from, 0, n_rows), n;
    test_rng rng = {0};
    n = (int)source_in(e->from, 0, source_chance(e->from, 60) ? 3 : n_rows);
    if (first + n > n_rows && !source_chance(e->from, 5)) {
        n = n_rows - first;
    }
    rng.state = source_seed(e->from);
    return draw_given(&e->setup, &e->arena, &rng, layer, first, n);
}

int do_rows(episode *e) {
    int sequence = sequence_any(e), layer = (int)source_in(e->from, 0, e->setup.config.n_layers - 1), w;
    rows_given *g = draw_rows(e, layer);
    int fits = g->first + g->n <= setup_layer(&e->setup, layer)->n_rows;
    change c = {.kind = CHANGE_ROWS, .layer = layer, .rows = g};
    snprintf(e->text, sizeof e->text, "sequence %d layer %d: rows %d .. %d%s", sequence, layer, g->first,
             g->first + g->n,
             !g->k            ? " are taken away"
             : g->at_distance ? " at a distance"
                              : " in front");
    for (w = 0; w < e->n_worlds; w++) {
        sa_cache *cache = e->worlds[w].caches[sequence];
        sa_status status = fits && e->worlds[w].cuts ? call_in_pieces(e, &e->worlds[w], cache, layer, g)
                                                     : rows_call(&e->setup, cache, layer, g);
        if (!check_status(e, status, fits ? MAY(SA_SUCCESS) : MAY(SA_ERR_ARGUMENT))) {
            return 0;
        }
    }
    found.counts[COUNT_ROWS] += fits;
    found.refused[COUNT_ROWS] += !fits;
    if (fits) {
        keep(e, sequence, layer, g);
        history_add(e, sequence, &c);
    }
    return check_info(e, sequence, layer) && check_state(e, sequence);
}
