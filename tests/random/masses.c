/*
 * What each key weighs in a call, and the lengths of the values: asked for, and held against the model.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "../bars.h"
#include "random.h"

enum { COUNT_MASS = 27, MOST_KEYS = 1024 };

#define BAR_SUM 4e-6 /* of a row's weights, which are as many roundings as it sees keys */
#define BAR_NORM 1e-6

/* ---------------------------------- drawing -------------------------------- */

static int64_t most_held(const episode *e, const step *call) {
    int64_t most = 0, own;
    int i;
    for (i = 0; i < e->setup.n_lanes[call->layer]; i++) {
        own = model_count_held(&e->models[call->sequence][call->layer][i]);
        most = own > most ? own : most;
    }
    return most;
}

static int64_t front_of(const episode *e, int layer) {
    const sa_config *c = setup_layer(&e->setup, layer);
    return (c->sink_logits != NULL) + c->n_sink_kv + c->n_rows;
}

/* Room for what there is and for the step's tokens always suffices. What attends alone needs no more than there is. */
void draw_weighing(episode *e, step *call) {
    int64_t held = most_held(e, call), needed = front_of(e, call->layer) + held;
    call->weighs = call->lacks_room = 0;
    if (!call->with_q || !source_chance(e->from, 25) || (call->n > e->setup.max_append && !source_chance(e->from, 5))) {
        return;
    }
    call->weighs = (int)source_in(e->from, 1, WEIGH_KEYS | WEIGH_NORMS | WEIGH_PER_HEAD);
    call->weighs |= call->weighs & (WEIGH_KEYS | WEIGH_NORMS) ? 0 : WEIGH_KEYS;
    call->key_stride = needed + (call->with_kv ? call->n : 0) + source_in(e->from, 0, 3);
    if (!call->with_kv && source_chance(e->from, 20)) {
        call->key_stride = needed - (needed > 0 ? source_in(e->from, 0, 1) : 0);
        call->lacks_room = call->key_stride < needed;
    }
}

void masses_take(results *r, arena *a, const setup *s, const step *call) {
    const oracle_layer *l = &s->layers[call->layer]->layer;
    int heads = call->weighs & WEIGH_PER_HEAD ? l->n_heads : l->n_kv_heads;
    r->n_keys = call->weighs & WEIGH_KEYS ? (size_t)(heads * call->key_stride) : 0;
    r->n_norms = call->weighs & WEIGH_NORMS ? (size_t)(l->n_kv_heads * call->key_stride) : 0;
    r->keys = arena_take(a, (r->n_keys + 1) * sizeof(float));
    r->norms = arena_take(a, (r->n_norms + 1) * sizeof(float));
    memset(r->keys, 0xFF, r->n_keys * sizeof(float));
    memset(r->norms, 0xFF, r->n_norms * sizeof(float));
}

void masses_ask(sa_step_args *a, const step *call, const results *r) {
    if (call->weighs & WEIGH_KEYS) {
        a->key_mass = r->keys;
        a->flags = call->weighs & WEIGH_PER_HEAD ? SA_STEP_MASS_PER_HEAD : 0;
    }
    if (call->weighs & WEIGH_NORMS) {
        a->value_norms = r->norms;
    }
    a->key_stride = call->weighs ? call->key_stride : 0;
}

/* ---------------------------------- entries -------------------------------- */

/* The entries of a kv head: those in front, and then the positions that the library holds. */
typedef struct entries {
    int kv_head;
    int64_t front, n;
    uint64_t positions[MOST_KEYS];
} entries;

static int entries_list(episode *e, const step *call, int kv_head, entries *list) {
    int64_t n = 0;
    sa_cache *cache = e->worlds[0].caches[call->sequence];
    sa_status status = sa_cache_positions(cache, call->layer, kv_head, MOST_KEYS, list->positions, &n);
    list->kv_head = kv_head;
    list->front = front_of(e, call->layer);
    list->n = list->front + n;
    return status == SA_SUCCESS && n <= MOST_KEYS
               ? 1
               : say_wrong(e, "sa_cache_positions: %s, %lld positions", sa_status_string(status), (long long)n);
}

/* Of a position; -1: it is not held. */
static int64_t entry_of(const entries *list, uint64_t position) {
    int64_t i;
    for (i = list->n - list->front - 1; i >= 0 && list->positions[i] != position; i--) {
    }
    return i < 0 ? -1 : list->front + i;
}

static int is_untouched(const float *x, int64_t n) {
    int64_t i;
    for (i = 0; i < n * (int64_t)sizeof *x && ((const unsigned char *)x)[i] == 0xFF; i++) {
    }
    return i == n * (int64_t)sizeof *x;
}

/* ---------------------------------- lengths -------------------------------- */

static double length_of(const double *v, int n) {
    double sum = 0.0;
    int d;
    for (d = 0; d < n; d++) {
        sum += v[d] * v[d];
    }
    return sqrt(sum);
}

/* The value of an entry; NULL: there is none. */
static const double *value_of(const episode *e, const step *call, const entries *list, int64_t entry) {
    const model *m = model_of(e, call, list->kv_head);
    const oracle *o = e->setup.layers[call->layer];
    int64_t at = entry - (setup_layer(&e->setup, call->layer)->sink_logits != NULL), row = at - o->layer.n_sink_kv;
    const item *held;
    if (entry >= list->front) {
        held = model_at(m, list->positions[entry - list->front]);
        return held && held->state == ITEM_HELD ? held->v + list->kv_head * o->layer.v_head_dim : NULL;
    }
    if (at < 0 || row >= 0) {
        return at < 0 ? NULL : m->rows->list[row][list->kv_head].v;
    }
    return o->sink_v + (at * o->layer.n_kv_heads + list->kv_head) * o->layer.v_head_dim;
}

static int check_norms(episode *e, const step *call, const entries *list, const float *norms) {
    int dims = e->setup.layers[call->layer]->layer.v_head_dim;
    int64_t i;
    for (i = 0; i < list->n; i++) {
        const double *v = value_of(e, call, list, i);
        double length = v ? length_of(v, dims) : 0.0;
        if (!v && i >= list->front) {
            return say_wrong(e, "position %llu should not be held",
                             (unsigned long long)list->positions[i - list->front]);
        }
        if (!(fabs(norms[i] - length) <= BAR_NORM * length)) {
            return say_wrong(e, "value %lld of kv head %d is %.9g long, model %.9g", (long long)i, list->kv_head,
                             (double)norms[i], length);
        }
    }
    return is_untouched(norms + list->n, call->key_stride - list->n)
               ? 1
               : say_wrong(e, "value_norms are written behind the last key");
}

/* ----------------------------------- mass ---------------------------------- */

/* What the model makes of some query heads' rows. */
typedef struct weighed {
    double mass[MOST_KEYS], bar, rows;
    int is_seen[MOST_KEYS], is_vague;
} weighed;

/* Adds a row's shares; 0: it sees a token that is not listed. */
static int add_shares(weighed *to, const episode *e, const step *call, const entries *list, const sight *s,
                      const double *logits, double lse) {
    int has_logit = setup_layer(&e->setup, call->layer)->sink_logits != NULL, i;
    int64_t entry;
    for (i = 0; i < list->front + s->n; i++) {
        entry = i < list->front ? i : entry_of(list, s->list[i - list->front].item->from);
        if (entry < 0) {
            return 0;
        }
        to->mass[entry] += exp(logits[i + !has_logit] - lse);
        to->is_seen[entry] = to->is_seen[entry] || logits[i + !has_logit] > -INFINITY;
    }
    return 1;
}

/* One row of query head `head`, of a sight that the model has looked at. */
static int weigh_row(episode *e, const step *call, const results *r, const entries *list, int64_t token, int head,
                     weighed *to) {
    static double logits[MOST_KEYS];
    static oracle_row row;
    const oracle_layer *l = &e->setup.layers[call->layer]->layer;
    int64_t at = token * l->n_heads + head;
    to->rows += r->lse[at] > -INFINITY;
    to->is_vague = to->is_vague || e->sight.is_vague;
    if (e->sight.is_vague) {
        return 1;
    }
    model_attend(model_of(e, call, list->kv_head), &e->sight, head, call->in.q + at * l->head_dim, &row, logits);
    if (row.lse == -INFINITY) {
        return 1;
    }
    to->bar += share_bar(l, &row);
    return add_shares(to, e, call, list, &e->sight, logits, row.lse)
               ? 1
               : say_wrong(e, "t=%llu sees a token that is not held afterwards", (unsigned long long)e->sight.t);
}

/* Of the query heads [first, first + n) of a kv head. */
static int weigh_heads(episode *e, const step *call, const results *r, const entries *list, int first, int n,
                       weighed *to) {
    int64_t i;
    int h;
    memset(to, 0, sizeof *to);
    for (i = 0; i < call->n; i++) {
        model_look(model_of(e, call, list->kv_head), call->first + (uint64_t)i, call->view, &e->sight);
        for (h = first; h < first + n; h++) {
            if (!weigh_row(e, call, r, list, i, h, to)) {
                return 0;
            }
        }
    }
    return 1;
}

static int check_shares(episode *e, const entries *list, int head, const float *mass, const weighed *to) {
    double sum = 0.0;
    int64_t i;
    for (i = 0; i < list->n; i++) {
        sum += mass[i];
        if (to->is_vague) {
            continue;
        }
        if (to->is_seen[i] ? !(fabs(mass[i] - to->mass[i]) <= to->bar) : mass[i] != 0.0f) {
            return say_wrong(e, "head %d: key %lld (%lld in front) weighs %.9g, model %.9g", head, (long long)i,
                             (long long)list->front, (double)mass[i], to->mass[i]);
        }
    }
    return fabs(sum - to->rows) <= BAR_SUM * to->rows
               ? 1
               : say_wrong(e, "head %d: all keys weigh %.9g in %g rows", head, sum, to->rows);
}

static int check_keys(episode *e, const step *call, const results *r, const entries *list) {
    static weighed to;
    const oracle_layer *l = &e->setup.layers[call->layer]->layer;
    int group = l->n_heads / l->n_kv_heads, n = call->weighs & WEIGH_PER_HEAD ? 1 : group, first, end;
    first = list->kv_head * group;
    for (end = first + group; first < end; first += n) {
        const float *mass = r->keys + first / n * call->key_stride;
        if (!weigh_heads(e, call, r, list, first, n, &to) || !check_shares(e, list, first, mass, &to)) {
            return 0;
        }
        if (!is_untouched(mass + list->n, call->key_stride - list->n)) {
            return say_wrong(e, "key_mass is written behind the last key");
        }
    }
    return 1;
}

int check_masses(episode *e, const step *call, const results *r) {
    static entries list;
    int kv = e->setup.layers[call->layer]->layer.n_kv_heads, h;
    for (h = 0; h < kv && call->weighs && call->n > 0; h++) {
        if (!entries_list(e, call, h, &list)) {
            return 0;
        }
        if (call->weighs & WEIGH_NORMS && !check_norms(e, call, &list, r->norms + h * call->key_stride)) {
            return 0;
        }
        if (call->weighs & WEIGH_KEYS && !check_keys(e, call, r, &list)) {
            return 0;
        }
    }
    found.counts[COUNT_MASS] += call->weighs != 0;
    return 1;
}
