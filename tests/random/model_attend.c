/*
 * What a query of the model sees, at which distance, and its attention in double.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"

/* The rules under which one call looks: the layer's, or narrower ones. */
typedef struct rules {
    int64_t window, sinks; /* sinks: how many of the sink positions stay sinks; -1: all */
    int is_dense, in_stream;
} rules;

static rules rules_of(const model *m, view v) {
    const lane *l = m->rules;
    rules r = {l->window, -1, l->is_dense, m->setup->layers[m->layer]->layer.in_stream};
    if (v.window > 0) {
        r.window = v.window < l->window ? v.window : l->window;
        r.is_dense = 0;
    }
    if (v.sinks != 0) {
        r.sinks = v.sinks < 0 ? 0 : v.sinks;
    }
    return r;
}

/* Walks the items that have come by t, in the order of their positions. */
typedef struct walk {
    const model *m;
    rules r;
    uint64_t t;
    int64_t logical; /* of t */
    int64_t i, closed, sinks;
    /* Of the item that it stands at: */
    const item *item;
    item coming;         /* sinks that have not come, for a query beyond them: they count as a jump's do */
    int64_t first, last; /* logical positions of it, as far as t */
    int is_sink, is_kept;
} walk;

static walk walk_begin(const model *m, rules r, uint64_t t) {
    walk w;
    memset(&w, 0, sizeof w);
    w.m = m;
    w.r = r;
    w.t = t;
    w.logical = (int64_t)(t - model_shift(m, t));
    return w;
}

static const item *coming_sinks(walk *w) {
    const model *m = w->m;
    if (w->i > m->n || w->t < m->seen || m->seen >= m->sink_end) {
        return NULL;
    }
    w->i = m->n + 1;
    w->coming.from = m->seen;
    w->coming.end = m->sink_end;
    w->coming.kind = SA_SPAN_SINK;
    w->coming.state = ITEM_MASKED;
    return &w->coming;
}

static const item *next_item(walk *w) {
    if (w->i < w->m->n && w->m->items[w->i].from <= w->t) {
        return w->m->items + w->i++;
    }
    return coming_sinks(w);
}

static int walk_next(walk *w) {
    const item *t;
    if (w->item) {
        w->closed += w->item->state == ITEM_CLOSED ? (int64_t)(w->item->end - w->item->from) : 0;
        w->sinks += w->item->kind == SA_SPAN_SINK && w->is_kept ? w->last - w->first + 1 : 0;
    }
    t = next_item(w);
    if (!t) {
        return 0;
    }
    w->item = t;
    w->first = (int64_t)t->from - w->closed;
    w->last = (int64_t)(t->end - 1 < w->t ? t->end - 1 : w->t) - w->closed;
    w->is_sink = t->kind == SA_SPAN_SINK && (w->r.sinks < 0 || w->sinks < w->r.sinks);
    w->is_kept = (w->is_sink || t->kind == SA_SPAN_PIN) && (t->state == ITEM_HELD || t->state == ITEM_MASKED);
    if (w->is_sink && w->r.sinks >= 0 && w->last - w->first >= w->r.sinks - w->sinks) {
        w->last = w->first + w->r.sinks - w->sinks - 1; /* of a masked run: so many of its positions stay sinks */
    }
    return 1;
}

/* Positions of the item that are kept and lie before the window. */
static int64_t kept_before_window(const walk *w) {
    int64_t last = w->logical - w->r.window;
    last = w->last < last ? w->last : last;
    return w->is_kept && last >= w->first ? last - w->first + 1 : 0;
}

static int64_t count_kept(const model *m, rules r, uint64_t t) {
    walk w = walk_begin(m, r, t);
    int64_t n = 0;
    while (walk_next(&w)) {
        n += kept_before_window(&w);
    }
    return n;
}

static void add_token(sight *s, const walk *w, int64_t kept_behind) {
    int64_t near = w->logical - w->first;
    seen_token *seen;
    if (s->n == s->room) {
        s->room = 2 * s->room + 64;
        s->list = realloc(s->list, (size_t)s->room * sizeof *s->list);
        if (!s->list) {
            abort();
        }
    }
    seen = s->list + s->n++;
    seen->item = w->item;
    seen->is_sink = w->is_sink;
    seen->is_recent = !w->is_sink && w->item->k_recent && near < w->m->rules->n_recent;
    seen->distance = w->r.is_dense || w->r.in_stream || near < w->r.window ? near : w->r.window + kept_behind;
}

/* A token that is near, but gone. */
static void note_missing(sight *s, const walk *w) {
    const model *m = w->m;
    if (w->item->state == ITEM_EVICTED && !(s->t >= m->left && w->item->from < m->left)) {
        s->misses = s->must_fail = 1;
    }
    s->misses = s->misses || w->item->was_evicted;
}

/* A token that is read, but not as the newest ones are stored: its copy went when a gap was closed. */
static void note_copy(sight *s, const walk *w) {
    const model *m = w->m;
    int is_recent = w->logical - w->first < m->rules->n_recent;
    if (!w->is_sink && w->item->copy_left && is_recent && s->t < m->left_copy) {
        s->misses = s->must_fail = 1;
    }
}

void model_look(const model *m, uint64_t t, view v, sight *s) {
    rules r = rules_of(m, v);
    walk w = walk_begin(m, r, t);
    int64_t kept = count_kept(m, r, t), passed = 0;
    s->t = t;
    s->logical = w.logical;
    s->place = r.is_dense || r.in_stream ? w.logical : (w.logical + 1 < r.window ? w.logical + 1 : r.window) + kept - 1;
    s->n = s->misses = s->must_fail = s->is_vague = 0;
    while (walk_next(&w)) {
        int is_near = r.is_dense || w.logical - w.last < r.window;
        passed += kept_before_window(&w);
        if (w.item->state == ITEM_HELD && (is_near || w.is_kept)) {
            add_token(s, &w, kept - passed);
            note_copy(s, &w);
            s->is_vague = s->is_vague || (s->list[s->n - 1].is_recent && w.item->copy_may_go);
        } else if (is_near) {
            note_missing(s, &w);
        }
    }
    s->misses = s->misses || s->is_vague;
}

int64_t model_visible_to_newest(const model *m) {
    sight s;
    view none = {0, 0};
    memset(&s, 0, sizeof s);
    if (m->seen > 0) {
        model_look(m, m->seen - 1, none, &s);
    }
    free(s.list);
    return s.n;
}

/* --------------------------------- rotation -------------------------------- */

#define PHASES 2048

/* cos and sin of one amount, for one set of frequencies. */
typedef struct phase {
    const long double *frequencies;
    int64_t amount;
    double cos_sin[RANDOM_DIMS];
} phase;

static phase phases[PHASES];

static const double *phase_of(const oracle_layer *l, int64_t amount) {
    phase *p = phases + ((uint64_t)amount * 2654435761u + (uintptr_t)l->frequencies / 64) % PHASES;
    int i;
    if (p->frequencies != l->frequencies || p->amount != amount) {
        p->frequencies = l->frequencies;
        p->amount = amount;
        for (i = 0; i < l->rope_dims / 2; i++) {
            double angle = oracle_angle(l->frequencies[i], amount);
            p->cos_sin[2 * i] = cos(angle);
            p->cos_sin[2 * i + 1] = sin(angle);
        }
    }
    return p->cos_sin;
}

void model_forget_phases(void) { memset(phases, 0, sizeof phases); }

void model_rotate(const oracle_layer *l, int64_t amount, double *x) {
    const double *p = phase_of(l, amount);
    int half = l->rope_dims / 2, i;
    for (i = 0; i < half; i++) {
        int first = l->rope_offset + (l->interleaved ? 2 * i : i);
        int second = l->interleaved ? first + 1 : first + half;
        double a = x[first], b = x[second];
        x[first] = a * p[2 * i] - b * p[2 * i + 1];
        x[second] = a * p[2 * i + 1] + b * p[2 * i];
    }
}

/* --------------------------------- attention ------------------------------- */

/* By the attention factor, where it counts. */
static void multiply(const oracle_layer *l, double *x) {
    int i;
    for (i = 0; i < l->rope_dims; i++) {
        x[l->rope_offset + i] *= l->attention_factor;
    }
}

/* A key as a query finds it: at a distance, handed in at a position, stored rotated to `base`. */
typedef struct key_at {
    const double *k, *v;
    int64_t distance, position, base;
    int is_sink;
} key_at;

/* The query, rotated by some amount: the one before is kept. */
typedef struct rotated {
    const oracle_layer *l;
    const float *q;
    int64_t amount;
    int is_ready;
    double x[RANDOM_DIMS];
} rotated;

static const double *rotated_to(rotated *r, int64_t amount) {
    int i;
    if (!r->is_ready || r->amount != amount) {
        for (i = 0; i < r->l->head_dim; i++) {
            r->x[i] = r->q[i];
        }
        if (r->l->position == SA_POSITION_ROPE) {
            multiply(r->l, r->x);
        }
        if (r->l->rope_dims > 0 && amount != 0) {
            model_rotate(r->l, amount, r->x);
        }
        r->amount = amount;
        r->is_ready = 1;
    }
    return r->x;
}

static double logit_of(rotated *r, int head, uint64_t t, const key_at *key) {
    const oracle_layer *l = r->l;
    int64_t amount = key->distance + key->base;
    const double *q;
    double sum = 0.0;
    int i;
    if (l->position == SA_POSITION_ROPE_APPLIED) {
        amount = key->distance - ((int64_t)t - key->position); /* both come rotated to where they stand */
    }
    q = rotated_to(r, amount);
    for (i = 0; i < l->head_dim; i++) {
        sum += q[i] * key->k[i];
    }
    sum *= l->scale;
    sum = l->softcap > 0.0 ? l->softcap * tanh(sum / l->softcap) : sum;
    return sum - l->slopes[head] * (double)key->distance;
}

/* The sums of a softmax, with the largest logit so far taken out. */
typedef struct softmax {
    double max, sum, sinks;
    double *out;
    int dims;
} softmax;

static void softmax_add(softmax *s, double logit, const double *v, int is_sink) {
    double weight, before = 1.0;
    int d;
    if (logit > s->max) {
        before = exp(s->max - logit);
        s->max = logit;
    }
    weight = exp(logit - s->max);
    s->sum = s->sum * before + weight;
    s->sinks = s->sinks * before + (is_sink ? weight : 0.0);
    for (d = 0; d < s->dims; d++) {
        s->out[d] = s->out[d] * before + (v ? weight * v[d] : 0.0);
    }
}

/* The oracle keeps it as it is handed in, or rotated and with the attention factor. */
static key_at learned_key(const oracle *o, const sight *s, int row, int kv_head) {
    static double scaled[RANDOM_DIMS];
    const oracle_layer *l = &o->layer;
    int64_t at = (int64_t)row * l->n_kv_heads + kv_head, position = oracle_sink_kv_position(l, row);
    int is_half = l->sink_k_dtype != SA_F32 || l->in_stream; /* the oracle keeps these rotated */
    key_at key = {o->sink_k + at * l->head_dim, o->sink_v + at * l->v_head_dim, s->place - position, position, 0, 1};
    int exact = l->k_dtype == SA_F32 && l->sink_k_dtype == SA_F32 && (!l->n_recent || l->recent_k_dtype == SA_F32);
    if (l->position == SA_POSITION_ROPE && (!exact || is_half)) {
        key.base = position;
    } else if (l->position == SA_POSITION_ROPE) {
        memcpy(scaled, key.k, (size_t)l->head_dim * sizeof *scaled);
        multiply(l, scaled);
        key.k = scaled;
    }
    return key;
}

/* A row of the host. */
static key_at row_key(const sight *s, const host_row *r) {
    int64_t stands = r->at_distance ? -r->place : r->place;
    key_at key = {r->k, r->v, r->at_distance ? r->place : s->place - r->place, stands, r->base, 1};
    return key;
}

static key_at token_key(const oracle_layer *l, const seen_token *seen, int kv_head) {
    const item *t = seen->item;
    int64_t k = (int64_t)kv_head * l->head_dim, v = (int64_t)kv_head * l->v_head_dim;
    key_at key = {t->k + k, t->v + v, seen->distance, (int64_t)t->from, t->base, seen->is_sink};
    if (seen->is_recent) {
        key.k = t->k_recent + k;
        key.v = t->v_recent + v;
        key.base = t->base_recent;
    }
    return key;
}

static void finish(oracle_row *row, const softmax *s, const sight *seen) {
    int d;
    row->max = s->max;
    row->n_visible = seen->n;
    row->lse = s->sum > 0.0 ? s->max + log(s->sum) : -INFINITY;
    row->sink_mass = s->sum > 0.0 ? s->sinks / s->sum : 0.0;
    for (d = 0; d < s->dims; d++) {
        row->out[d] = s->sum > 0.0 ? row->out[d] / s->sum : 0.0;
    }
}

/* A row that sums up what it sees. */
typedef struct summing {
    softmax sums;
    rotated r;
    uint64_t t;
    int head;
    double *logits; /* where the next goes, or NULL */
} summing;

static void sum_logit(summing *s, double logit, const double *v, int is_sink) {
    if (s->logits) {
        *s->logits++ = logit;
    }
    if (logit > -INFINITY) {
        softmax_add(&s->sums, logit, v, is_sink);
    }
}

static void sum_key(summing *s, const key_at *key, double bias) {
    sum_logit(s, logit_of(&s->r, s->head, s->t, key) + bias, key->v, key->is_sink);
}

static void sum_rows(summing *s, const model *m, const sight *seen, int kv_head) {
    int n = setup_layer(m->setup, m->layer)->n_rows, i;
    for (i = 0; i < n; i++) {
        const host_row *own = &m->rows->list[i][kv_head];
        key_at key = row_key(seen, own);
        if (own->is_there) {
            sum_key(s, &key, own->bias);
        } else {
            sum_logit(s, -INFINITY, NULL, 0);
        }
    }
}

void model_attend(const model *m, const sight *s, int head, const float *q, oracle_row *row, double *logits) {
    const oracle *o = m->setup->layers[m->layer];
    const oracle_layer *l = &o->layer;
    summing all = {{-INFINITY, 0.0, 0.0, row->out, l->v_head_dim}, {l, q, 0, 0, {0}}, s->t, head, logits};
    int kv_head = head / (l->n_heads / l->n_kv_heads), i;
    memset(row->out, 0, (size_t)l->v_head_dim * sizeof *row->out);
    sum_logit(&all, l->sink_logits[head], NULL, 1);
    for (i = 0; i < l->n_sink_kv; i++) {
        key_at key = learned_key(o, s, i, kv_head);
        sum_key(&all, &key, 0.0);
    }
    sum_rows(&all, m, s, kv_head);
    for (i = 0; i < s->n; i++) {
        key_at key = token_key(l, s->list + i, kv_head);
        sum_key(&all, &key, 0.0);
    }
    finish(row, &all.sums, s);
}
