/*
 * Keys and values read out, and the list of what is held: against the model, and one world against the others.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "random.h"

enum { COUNT_READ = 28, MOST_READ = 8, MOST_POSITIONS = 1024 };

/* A rotation in floats; codes of keys that were rotated before they were coded can differ from the model's. */
#define BAR_ROTATED 4e-6
#define BAR_CODED 1e-6
#define BAR_LOOSE 0.05

typedef struct reading {
    int sequence, layer, first, heads; /* kv heads */
    int n, form, with_k, with_v;
    uint64_t positions[MOST_READ];
    int64_t places[MOST_READ];
} reading;

static const model *lane_of(const episode *e, const reading *r, int kv_head) {
    return &e->models[r->sequence][r->layer][setup_lane(&e->setup, r->layer, kv_head)];
}

/* ---------------------------------- drawing -------------------------------- */

/* Mostly one that is held. */
static uint64_t draw_held(episode *e, const model *m) {
    int64_t tries, i;
    for (tries = 0; tries < 20 && m->n > 0; tries++) {
        i = source_in(e->from, 0, m->n - 1);
        if (m->items[i].state == ITEM_HELD || source_chance(e->from, 1)) {
            return m->items[i].from;
        }
    }
    return (uint64_t)source_in(e->from, 0, (int64_t)(m->seen % 4096) + 2);
}

static void draw_reading(episode *e, reading *r) {
    const oracle_layer *l;
    int i;
    memset(r, 0, sizeof *r);
    r->sequence = sequence_any(e);
    r->layer = (int)source_in(e->from, 0, e->setup.config.n_layers - 1);
    l = &e->setup.layers[r->layer]->layer;
    r->first = (int)source_in(e->from, 0, l->n_kv_heads - 1);
    r->heads = (int)source_in(e->from, 1, l->n_kv_heads - r->first);
    r->form = (int)source_in(e->from, SA_KEY_AS_STORED, SA_KEY_AT_PLACE);
    r->with_k = source_chance(e->from, 80);
    r->with_v = !r->with_k || source_chance(e->from, 70);
    r->n = (int)source_in(e->from, 0, MOST_READ);
    for (i = 0; i < r->n; i++) {
        int64_t far = (int64_t)1 << source_in(e->from, 0, 40);
        r->positions[i] = draw_held(e, lane_of(e, r, r->first + (int)source_in(e->from, 0, r->heads - 1)));
        r->places[i] = source_in(e->from, -far, far);
    }
}

static unsigned may_read(const episode *e, const reading *r) {
    int i, h;
    for (i = 0; i < r->n; i++) {
        for (h = r->first; h < r->first + r->heads; h++) {
            const item *t = model_at(lane_of(e, r, h), r->positions[i]);
            if (!t || t->state != ITEM_HELD) {
                return MAY(SA_ERR_DEPTH);
            }
        }
    }
    return MAY(SA_SUCCESS);
}

/* ----------------------------------- model --------------------------------- */

/* By how much a key that the model keeps is to be rotated. */
static int64_t amount_of(const oracle_layer *l, const reading *r, int i, const item *t) {
    int64_t stands = l->position == SA_POSITION_ROPE ? t->base : (int64_t)t->from;
    if (l->position != SA_POSITION_ROPE && l->position != SA_POSITION_ROPE_APPLIED) {
        return 0;
    }
    return (r->form == SA_KEY_AS_STORED ? (int64_t)t->from : r->form == SA_KEY_UNROTATED ? 0 : r->places[i]) - stands;
}

static double key_bar(const oracle_layer *l, int form, const item *t, int64_t amount) {
    /* Which the library may do and undo, and the factor is multiplied with as well. */
    int is_rotated = amount != 0 || form != SA_KEY_AS_STORED || l->attention_factor != 1.0;
    if (!t->is_apart && oracle_is_integer(l->k_dtype)) {
        return l->position == SA_POSITION_ROPE ? BAR_LOOSE : is_rotated ? BAR_ROTATED : BAR_CODED;
    }
    return is_rotated ? BAR_ROTATED : 0.0;
}

static double most_of(const double *x, int n) {
    double most = 0.0;
    int d;
    for (d = 0; d < n; d++) {
        most = fabs(x[d]) > most ? fabs(x[d]) : most;
    }
    return most;
}

static int check_numbers(episode *e, const char *what, const reading *r, int i, int h, const float *got,
                         const double *model, int n, double bar) {
    int d;
    for (d = 0; d < n; d++) {
        if (!(fabs(got[d] - model[d]) <= bar * most_of(model, n))) {
            return say_wrong(e, "%s of position %llu, kv head %d, form %d, dim %d: %.9g, model %.9g", what,
                             (unsigned long long)r->positions[i], h, r->form, d, (double)got[d], model[d]);
        }
    }
    return 1;
}

static int check_token(episode *e, const reading *r, int i, const float *k, const float *v) {
    oracle_layer *l = &e->setup.layers[r->layer]->layer;
    double key[RANDOM_DIMS];
    int h;
    for (h = r->first; h < r->first + r->heads; h++) {
        const item *t = model_at(lane_of(e, r, h), r->positions[i]);
        int64_t at = (int64_t)i * r->heads + h - r->first, amount = amount_of(l, r, i, t);
        double value_bar = !t->is_apart && oracle_is_integer(l->v_dtype) ? BAR_CODED : 0.0;
        memcpy(key, t->k + h * l->head_dim, (size_t)l->head_dim * sizeof *key);
        if (amount != 0) {
            model_rotate(l, amount, key);
        }
        if (l->position == SA_POSITION_ROPE && r->form == SA_KEY_UNROTATED) {
            oracle_rotate(l, 0, 1.0 / l->attention_factor, key);
        }
        if (r->with_k &&
            !check_numbers(e, "key", r, i, h, k + at * l->head_dim, key, l->head_dim, key_bar(l, r->form, t, amount))) {
            return 0;
        }
        if (r->with_v && !check_numbers(e, "value", r, i, h, v + at * l->v_head_dim, t->v + h * l->v_head_dim,
                                        l->v_head_dim, value_bar)) {
            return 0;
        }
    }
    return 1;
}

/* ----------------------------------- calls --------------------------------- */

typedef struct read_out {
    float k[MOST_READ * RANDOM_KV * RANDOM_DIMS], v[MOST_READ * RANDOM_KV * RANDOM_DIMS];
} read_out;

static sa_status call_read(sa_cache *cache, const reading *r, read_out *out) {
    sa_read_args a;
    memset(&a, 0, sizeof a);
    memset(out, 0xFF, sizeof *out);
    a.struct_size = sizeof a;
    a.layer = r->layer;
    a.n_tokens = r->n;
    a.kv_head = r->first;
    a.n_kv_heads = r->heads;
    a.key_form = r->form;
    a.positions = r->positions;
    if (r->with_k) {
        a.k.data = out->k;
        a.places = r->form == SA_KEY_AT_PLACE ? r->places : NULL;
    }
    if (r->with_v) {
        a.v.data = out->v;
    }
    return sa_cache_read(cache, &a);
}

/* ---------------------------------- positions ------------------------------ */

static int check_positions(episode *e, const reading *r, int w) {
    static uint64_t positions[MOST_POSITIONS];
    const model *m = lane_of(e, r, r->first);
    int64_t n = -1, held = model_count_held(m), room, i, at = 0;
    sa_status status;
    room = source_chance(e->from, 50) ? MOST_POSITIONS : source_in(e->from, 0, held);
    memset(positions, 0xFF, sizeof positions);
    status = sa_cache_positions(e->worlds[w].caches[r->sequence], r->layer, r->first, room, positions, &n);
    if (status != SA_SUCCESS || n != held) {
        return say_wrong(e, "world %d: sa_cache_positions: %s, %lld positions, not %lld", w, sa_status_string(status),
                         (long long)n, (long long)held);
    }
    for (i = 0; i < m->n && at < room; i++) {
        if (m->items[i].state == ITEM_HELD && positions[at++] != m->items[i].from) {
            return say_wrong(e, "world %d: position %lld held is %llu, not %llu", w, (long long)at - 1,
                             (unsigned long long)positions[at - 1], (unsigned long long)m->items[i].from);
        }
    }
    return room == MOST_POSITIONS || positions[room] == UINT64_MAX
               ? 1
               : say_wrong(e, "world %d: more positions are written than have room", w);
}

/* --------------------------------- operation ------------------------------- */

int do_read(episode *e) {
    static read_out first, other;
    reading r;
    unsigned may;
    sa_status status = SA_SUCCESS, its;
    int w, i;
    draw_reading(e, &r);
    may = may_read(e, &r);
    snprintf(e->text, sizeof e->text, "sequence %d layer %d: read %d positions of %d kv heads from %d on", r.sequence,
             r.layer, r.n, r.heads, r.first);
    for (w = 0; w < e->n_worlds; w++) {
        its = call_read(e->worlds[w].caches[r.sequence], &r, w ? &other : &first);
        status = w ? status : its;
        if (!check_status(e, its, may) || !check_positions(e, &r, w)) {
            return 0;
        }
        if (w && memcmp(&first, &other, sizeof first)) {
            return say_differ(e, w, "what is read, form %d", r.form);
        }
    }
    found.counts[COUNT_READ] += status == SA_SUCCESS;
    found.refused[COUNT_READ] += status != SA_SUCCESS;
    for (i = 0; i < r.n && status == SA_SUCCESS; i++) {
        if (!check_token(e, &r, i, first.k, first.v)) {
            return 0;
        }
    }
    return 1;
}
