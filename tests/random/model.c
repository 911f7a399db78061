/*
 * The model of one lane of a sequence: a list of every token that ever came, and the written rules.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdlib.h>
#include <string.h>

#include "random.h"

void model_make(model *m, setup *s, int layer, int lane, const host_rows *rows) {
    memset(m, 0, sizeof *m);
    m->setup = s;
    m->layer = layer;
    m->rules = &s->lanes[layer][lane];
    m->rows = rows;
    model_reset(m);
}

void model_copy(model *to, const model *from) {
    *to = *from;
    to->items = test_take((size_t)from->room * sizeof *to->items);
    if (from->n > 0) {
        memcpy(to->items, from->items, (size_t)from->n * sizeof *to->items);
    }
}

void model_free(model *m) {
    free(m->items);
    m->items = NULL;
    m->n = m->room = 0;
}

void model_reset(model *m) {
    m->n = 0;
    m->seen = m->floor = m->left = m->left_copy = 0;
    m->sink_end = (uint64_t)m->rules->n_sink;
}

/* An empty place in the list before item `at`. */
static item *make_room(model *m, int64_t at) {
    if (m->n == m->room) {
        m->room = 2 * m->room + 64;
        m->items = realloc(m->items, (size_t)m->room * sizeof *m->items);
        if (!m->items) {
            abort();
        }
    }
    memmove(m->items + at + 1, m->items + at, (size_t)(m->n - at) * sizeof *m->items);
    memset(m->items + at, 0, sizeof *m->items);
    m->n++;
    return m->items + at;
}

int64_t model_split(model *m, uint64_t p) {
    int64_t i = 0;
    while (i < m->n && m->items[i].end <= p) {
        i++;
    }
    if (i < m->n && m->items[i].from < p) {
        item *added = make_room(m, i + 1);
        *added = m->items[i];
        m->items[i].end = added->from = p;
        i++;
    }
    return i;
}

const item *model_at(const model *m, uint64_t p) {
    int64_t low = 0, high = m->n;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (m->items[middle].end <= p) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < m->n && m->items[low].from <= p ? m->items + low : NULL;
}

uint64_t model_shift(const model *m, uint64_t p) {
    uint64_t shift = 0;
    int64_t i;
    for (i = 0; i < m->n && m->items[i].from < p; i++) {
        if (m->items[i].state == ITEM_CLOSED) {
            shift += (m->items[i].end < p ? m->items[i].end : p) - m->items[i].from;
        }
    }
    return shift;
}

int64_t model_count_held(const model *m) {
    int64_t i, n = 0;
    for (i = 0; i < m->n; i++) {
        n += m->items[i].state == ITEM_HELD;
    }
    return n;
}

int64_t model_count_tiles(const model *m) {
    uint64_t before = UINT64_MAX;
    int64_t i, n = 0;
    for (i = 0; i < m->n; i++) {
        const item *t = m->items + i;
        if (t->state == ITEM_HELD && !t->is_apart) {
            n += t->from / 16 != before;
            before = t->from / 16;
        }
    }
    return n;
}

/* ---------------------------------- storing -------------------------------- */

double model_rounded(int dtype, double x) {
    return dtype == SA_F16 ? oracle_round_f16(x) : dtype == SA_BF16 ? oracle_round_bf16(x) : x;
}

/* Keys of half precision are kept as they are stored: rotated to their position in the stream. All that are to be
 * rotated have the attention factor in them. */
static int64_t store_key(oracle_layer *l, arena *a, int dtype, uint64_t position, const float *k, const double **out) {
    int n = l->n_kv_heads * l->head_dim, i, h;
    int rotates = l->position == SA_POSITION_ROPE && (dtype == SA_F16 || dtype == SA_BF16);
    double *x = arena_take(a, (size_t)n * sizeof *x);
    for (i = 0; i < n; i++) {
        x[i] = k[i];
    }
    for (h = 0; h < l->n_kv_heads; h++) {
        if (l->position == SA_POSITION_ROPE) {
            oracle_rotate(l, rotates ? (int64_t)position : 0, l->attention_factor, x + h * l->head_dim);
        }
        if (oracle_is_integer(dtype) && l->position != SA_POSITION_ROPE) {
            oracle_integer_key(dtype, k + h * l->head_dim, l->head_dim, x + h * l->head_dim);
        }
    }
    for (i = 0; i < n; i++) {
        x[i] = model_rounded(dtype, x[i]);
    }
    *out = x;
    return rotates ? (int64_t)position : 0;
}

static const double *store_value(const oracle_layer *l, arena *a, int dtype, const float *v) {
    int n = l->n_kv_heads * l->v_head_dim, i;
    double *x = arena_take(a, (size_t)n * sizeof *x), scales[RANDOM_DIMS];
    for (i = 0; i < n; i++) {
        x[i] = model_rounded(dtype, v[i]);
    }
    for (i = 0; i < l->n_kv_heads && oracle_is_integer(dtype); i++) {
        oracle_integer_value(dtype, v + i * l->v_head_dim, l->v_head_dim, x + i * l->v_head_dim, scales);
    }
    return x;
}

/* Copies of the newest tokens may be let go when they are n_recent - 1 + slack back. */
static void age_copies(model *m) {
    int64_t n_recent = m->rules->n_recent, i, back = 0;
    for (i = m->n - 1; i >= 0 && n_recent; i--) {
        item *t = m->items + i;
        back += t->state == ITEM_CLOSED ? 0 : (int64_t)(t->end - t->from);
        t->copy_may_go = t->copy_may_go || (t->k_recent && back > n_recent - 1 + m->setup->slack);
    }
}

void model_append(model *m, arena *a, const inputs *in) {
    oracle_layer *l = &m->setup->layers[m->layer]->layer;
    int64_t i;
    for (i = 0; i < in->n; i++, m->seen++) {
        const float *k = in->k + i * l->n_kv_heads * l->head_dim, *v = in->v + i * l->n_kv_heads * l->v_head_dim;
        int is_sink = m->seen < m->sink_end;
        item *t = make_room(m, m->n);
        t->from = m->seen;
        t->end = m->seen + 1;
        t->kind = is_sink ? SA_SPAN_SINK : SA_SPAN_WINDOW;
        t->state = ITEM_HELD;
        t->is_apart = is_sink;
        t->base = store_key(l, a, is_sink ? l->sink_k_dtype : l->k_dtype, m->seen, k, &t->k);
        t->v = store_value(l, a, is_sink ? l->sink_v_dtype : l->v_dtype, v);
        t->k_recent = NULL;
        if (l->n_recent && !is_sink) {
            t->base_recent = store_key(l, a, l->recent_k_dtype, m->seen, k, &t->k_recent);
            t->v_recent = store_value(l, a, l->recent_v_dtype, v);
        }
    }
    age_copies(m);
}

/* ---------------------------------- changes -------------------------------- */

void model_rollback(model *m, uint64_t target) {
    if (target < m->seen) {
        m->n = model_split(m, target);
        m->seen = target;
        m->left = m->left < target ? m->left : target;
        m->left_copy = m->left_copy < target ? m->left_copy : target;
        m->sink_end = target ? m->sink_end : (uint64_t)m->rules->n_sink;
    }
}

static void add_masked(model *m, uint64_t from, uint64_t end, int kind) {
    item *gap;
    if (from < end) {
        gap = make_room(m, m->n);
        gap->from = from;
        gap->end = end;
        gap->kind = kind;
        gap->state = ITEM_MASKED;
    }
}

void model_seek(model *m, uint64_t position) {
    uint64_t middle = m->sink_end > m->seen ? m->sink_end : m->seen;
    int64_t i;
    if (position == m->seen) {
        return;
    }
    middle = middle < position ? middle : position;
    for (i = 0; i < m->n; i++) {
        m->items[i].copy_may_go = 1;
        if (m->items[i].kind == SA_SPAN_WINDOW && m->items[i].state != ITEM_CLOSED) {
            m->items[i].state = ITEM_LOST;
        }
    }
    add_masked(m, m->seen, middle, SA_SPAN_SINK);
    add_masked(m, middle, position, SA_SPAN_WINDOW);
    m->seen = m->floor = position;
}

static int in_span(const item *t) { return t->state == ITEM_HELD || t->state == ITEM_MASKED; }

/* The oldest window position that is at most `reach` places before the next token; all, if that is negative. */
static uint64_t oldest_within(const model *m, int64_t reach) {
    int64_t next = (int64_t)(m->seen - model_shift(m, m->seen)), closed = 0, i;
    for (i = 0; i < m->n; i++) {
        const item *t = m->items + i;
        int64_t least = reach < 0 ? 0 : next - reach + closed; /* the first position near enough */
        int64_t from = (int64_t)t->from > least ? (int64_t)t->from : least;
        if (in_span(t) && t->kind == SA_SPAN_WINDOW && from < (int64_t)t->end) {
            return (uint64_t)from;
        }
        closed += t->state == ITEM_CLOSED ? (int64_t)(t->end - t->from) : 0;
    }
    return m->seen;
}

/* Tokens that are held by chance alone are gone for good once a gap behind them is closed. */
static void leave(model *m, uint64_t left, uint64_t left_copy) {
    int64_t i;
    m->left = left > m->left ? left : m->left;
    m->left_copy = left_copy > m->left_copy ? left_copy : m->left_copy;
    model_split(m, m->left);
    for (i = 0; i < m->n; i++) {
        item *t = m->items + i;
        if (in_span(t) && t->kind == SA_SPAN_WINDOW && t->from < m->left) {
            t->state = ITEM_EVICTED;
        }
        if (t->k_recent && t->from < m->left_copy) {
            t->k_recent = NULL;
            t->copy_may_go = 0;
            t->copy_left = 1;
        }
    }
}

static void close_up(model *m, uint64_t from, uint64_t end) {
    const lane *l = m->rules;
    uint64_t oldest = oldest_within(m, l->is_dense ? -1 : l->window - 1 + m->setup->slack);
    uint64_t oldest_copy = oldest_within(m, l->n_recent - 1 + m->setup->slack);
    int64_t i, n_closed = 0;
    model_split(m, oldest);
    model_split(m, end);
    for (i = model_split(m, from); i < m->n && m->items[i].from < end; i++) {
        item *t = m->items + i;
        if (!in_span(t)) {
            continue;
        }
        t->state = t->kind != SA_SPAN_WINDOW || t->from >= oldest ? ITEM_CLOSED : ITEM_EVICTED;
        n_closed += t->state == ITEM_CLOSED;
    }
    if (n_closed) {
        leave(m, oldest, l->n_recent ? oldest_copy : 0);
    }
}

static void mask(model *m, uint64_t from, uint64_t end) {
    int64_t last, i;
    for (i = model_split(m, from), last = model_split(m, end); i < last; i++) {
        item *t = m->items + i;
        if (t->state == ITEM_HELD) {
            t->state = ITEM_MASKED;
        } else if (t->state == ITEM_EVICTED) {
            t->state = ITEM_LOST;
            t->was_evicted = 1;
        }
    }
}

void model_remove(model *m, uint64_t from, uint64_t end, int keep) {
    if (keep) {
        mask(m, from, end);
    } else {
        close_up(m, from, end);
    }
}

static void change_kind(model *m, uint64_t from, uint64_t end, int before, int after) {
    int64_t i;
    for (i = model_split(m, from); i < m->n && m->items[i].from < end; i++) {
        if (in_span(m->items + i) && m->items[i].kind == before) {
            m->items[i].kind = after;
        }
    }
}

void model_pin(model *m, uint64_t from, uint64_t end) { change_kind(m, from, end, SA_SPAN_WINDOW, SA_SPAN_PIN); }

/* Window tokens are newer than a jump, and than what the window had left when a gap was closed. */
static void let_go(model *m) {
    uint64_t end = m->floor > m->left ? m->floor : m->left;
    int64_t i;
    model_split(m, m->floor);
    for (i = 0; i < model_split(m, end); i++) {
        item *t = m->items + i;
        if (in_span(t) && t->kind == SA_SPAN_WINDOW) {
            t->state = t->from < m->floor ? ITEM_LOST : ITEM_EVICTED;
        }
    }
}

void model_unpin(model *m, uint64_t from, uint64_t end) {
    change_kind(m, from, end, SA_SPAN_PIN, SA_SPAN_WINDOW);
    let_go(m);
}

void model_anchor(model *m, uint64_t from, uint64_t end) {
    int64_t i;
    for (i = 0; i < m->n; i++) {
        if (m->items[i].kind == SA_SPAN_SINK) {
            m->items[i].kind = SA_SPAN_WINDOW;
        }
    }
    model_split(m, end);
    for (i = model_split(m, from); i < m->n && m->items[i].from < end; i++) {
        m->items[i].kind = SA_SPAN_SINK;
    }
    m->sink_end = 0;
    let_go(m);
}
