/*
 * What a call may answer, by the written rules; and what the library says it holds, held against them.
 *
 * A rule that leaves the library a choice (how many spans it needs, when a tile is evicted) gives a set of statuses.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stddef.h>

#include "random.h"

static int is_dense(const model *m) { return m->rules->is_dense; }

unsigned model_may_append(const model *m, int64_t n) {
    if (is_dense(m) && model_count_held(m) + n > m->rules->window) {
        return MAY(SA_ERR_FULL);
    }
    return MAY(SA_SUCCESS);
}

/* Whether a query at `target` would see a token below it that has been evicted. */
static int misses_at(const model *m, uint64_t target, int *unsure) {
    int64_t logical = (int64_t)(target - model_shift(m, target)), closed = 0, i;
    int misses = 0;
    for (i = 0; i < m->n && m->items[i].from < target; i++) {
        const item *t = m->items + i;
        int is_near = is_dense(m) || logical - ((int64_t)t->from - closed) < m->rules->window;
        if (t->state == ITEM_CLOSED) {
            closed += (int64_t)(t->end - t->from);
        }
        int is_excused = target >= m->left && t->from < m->left, is_old = target < m->left_copy;
        int is_recent = logical - ((int64_t)t->from - closed) < m->rules->n_recent;
        misses = misses || (is_near && t->state == ITEM_EVICTED && !is_excused);
        misses = misses || (t->state == ITEM_HELD && t->kind != SA_SPAN_SINK && t->copy_left && is_old && is_recent);
        *unsure = *unsure || (is_near && t->state == ITEM_LOST && t->was_evicted);
        *unsure = *unsure || (t->copy_may_go && is_recent);
    }
    return misses;
}

static int in_span(const item *t) { return t->state == ITEM_HELD || t->state == ITEM_MASKED; }

/* Of positions in no span, the library knows how many were removed with their gap closed, not which. */
int model_is_vague(const model *m, uint64_t p) {
    uint64_t end = 0;
    int64_t i;
    int closed = 0, other = 0;
    for (i = 0; i < m->n; i++) {
        const item *t = m->items + i;
        if (in_span(t)) {
            if (t->from >= p || t->end > p) {
                return closed && other && end < p && p < t->from;
            }
            end = t->end;
            closed = other = 0;
        }
        closed = closed || t->state == ITEM_CLOSED;
        other = other || t->state == ITEM_EVICTED || t->state == ITEM_LOST;
    }
    return closed && other && end < p && p < m->seen;
}

unsigned model_may_rollback(const model *m, uint64_t target) {
    int unsure = 0;
    if (target >= m->seen) {
        return MAY(SA_SUCCESS);
    }
    if (target < m->floor || model_is_vague(m, target) || misses_at(m, target, &unsure)) {
        return MAY(SA_ERR_DEPTH);
    }
    return MAY(SA_SUCCESS) | (unsure ? MAY(SA_ERR_DEPTH) : 0);
}

/* ----------------------------------- spans --------------------------------- */

/* Spans that the list needs at least, if those of each kind, shift and state that touch are one. */
static int count_spans(const model *m) {
    const item *before = NULL;
    int64_t i;
    int n = 0;
    for (i = 0; i < m->n; i++) {
        const item *t = m->items + i;
        if (in_span(t)) {
            n += !(before && before->end == t->from && before->kind == t->kind && before->state == t->state);
            before = t;
        }
    }
    return n;
}

/* Tokens that n_pin counts: pins, and sinks that are not where the first ones are. */
static int64_t count_pinned(const model *m, int with_first) {
    int64_t i, n = 0;
    for (i = 0; i < m->n; i++) {
        const item *t = m->items + i;
        int is_first = t->from < (uint64_t)m->rules->n_sink;
        n += t->state == ITEM_HELD && t->kind != SA_SPAN_WINDOW && (with_first || !is_first);
    }
    return n;
}

/* What a change may answer that leaves the list as `after`: the library may split spans where the model sees one. */
static unsigned may_fit(const model *after) {
    const sa_config *whole = &after->setup->config;
    const item *last = after->n ? after->items + after->n - 1 : NULL;
    int is_open = last && last->state == ITEM_HELD && last->kind == SA_SPAN_WINDOW;
    /* One span is the window's anyway, which may have to be a new one. */
    int unsure = count_spans(after) + !is_open > whole->n_spans + 1 || count_pinned(after, 1) > whole->n_pin;
    if (count_pinned(after, 0) > whole->n_pin) {
        return MAY(SA_ERR_FULL);
    }
    return MAY(SA_SUCCESS) | (unsure ? MAY(SA_ERR_FULL) : 0);
}

static unsigned may_change(const model *m, uint64_t from, uint64_t end, void (*change)(model *, uint64_t, uint64_t)) {
    model after;
    unsigned may;
    model_copy(&after, m);
    change(&after, from, end);
    may = may_fit(&after);
    model_free(&after);
    return may;
}

static void close_gap(model *m, uint64_t from, uint64_t end) { model_remove(m, from, end, 0); }
static void keep_gap(model *m, uint64_t from, uint64_t end) { model_remove(m, from, end, 1); }

unsigned model_may_remove(const model *m, uint64_t from, uint64_t end, int keep) {
    if (from >= end || end > m->seen) {
        return MAY(SA_ERR_ARGUMENT);
    }
    return may_change(m, from, end, keep ? keep_gap : close_gap);
}

static int all_held(const model *m, uint64_t from, uint64_t end) {
    uint64_t p;
    for (p = from; p < end; p++) {
        const item *t = model_at(m, p);
        if (!t || t->state != ITEM_HELD) {
            return 0;
        }
    }
    return 1;
}

unsigned model_may_pin(const model *m, uint64_t from, uint64_t end) {
    if (from >= end || end > m->seen) {
        return MAY(SA_ERR_ARGUMENT) | MAY(SA_ERR_DEPTH);
    }
    return all_held(m, from, end) ? may_change(m, from, end, model_pin) : MAY(SA_ERR_DEPTH);
}

unsigned model_may_unpin(const model *m, uint64_t from, uint64_t end) {
    if (from >= end || end > m->seen) {
        return MAY(SA_ERR_ARGUMENT) | MAY(SA_ERR_DEPTH);
    }
    return may_change(m, from, end, model_unpin);
}

unsigned model_may_anchor(const model *m, uint64_t from, uint64_t end) {
    if (from > end || end > m->seen) {
        return MAY(SA_ERR_ARGUMENT) | MAY(SA_ERR_DEPTH);
    }
    return all_held(m, from, end) ? may_change(m, from, end, model_anchor) : MAY(SA_ERR_DEPTH);
}

/* Whether the library may have let go of a position of the window: the newest window - 1 + slack are held. */
static int may_go(const model *m, const item *t, uint64_t last, int64_t shift) {
    int64_t newest = (int64_t)(m->seen - 1) - (int64_t)model_shift(m, m->seen);
    if (t->kind != SA_SPAN_WINDOW) {
        return 0;
    }
    if (t->state == ITEM_MASKED && last < m->floor) {
        return 1; /* what a jump left behind: nothing can go back there */
    }
    return !is_dense(m) && newest - ((int64_t)last - shift) > m->rules->window - 2 + m->setup->slack;
}

typedef struct cursor {
    const sa_span *spans;
    int32_t n, at;
    uint64_t positions; /* found in them */
} cursor;

/* The first span that ends beyond p, if there is one. */
static const sa_span *span_beyond(cursor *c, uint64_t p) {
    while (c->at < c->n && c->spans[c->at].end <= p) {
        c->at++;
    }
    return c->at < c->n ? c->spans + c->at : NULL;
}

/* Takes the part of an item that no span has, from its beginning on; returns where that ends. */
static uint64_t missing_to(cursor *c, const item *t) {
    const sa_span *s = span_beyond(c, t->from);
    return !s || s->from >= t->end ? t->end : s->from > t->from ? s->from : t->from;
}

/* The rest of an item must lie in spans of its kind. */
static const char *compare_item(cursor *c, const item *t, uint64_t from, uint64_t shift) {
    uint64_t p = from;
    while (p < t->end) {
        const sa_span *s = span_beyond(c, p);
        if (!s || s->from > p) {
            return "a position is in no span";
        }
        if (s->kind != t->kind || (s->masked != 0) != (t->state == ITEM_MASKED)) {
            return s->kind != t->kind ? "a span is of another kind" : "a span is masked or not against the rules";
        }
        if (s->shift != shift) {
            return "a span has another shift";
        }
        c->positions += (s->end < t->end ? s->end : t->end) - p;
        p = s->end < t->end ? s->end : t->end;
    }
    return NULL;
}

static const char *check_order(const model *m, const sa_span *spans, int32_t n, uint64_t *positions) {
    int32_t i;
    *positions = 0;
    for (i = 0; i < n; i++) {
        if (spans[i].from >= spans[i].end || spans[i].end > m->seen) {
            return "a span is empty or beyond the newest token";
        }
        if (i > 0 && spans[i].from < spans[i - 1].end) {
            return "spans are out of order";
        }
        *positions += spans[i].end - spans[i].from;
    }
    return NULL;
}

const char *model_sync(model *m, const sa_span *spans, int32_t n) {
    cursor c = {spans, n, 0, 0};
    uint64_t positions, shift = 0;
    const char *why = check_order(m, spans, n, &positions);
    int64_t i;
    for (i = 0; i < m->n && !why; i++) {
        item *t = m->items + i;
        uint64_t from = t->from;
        if (t->state == ITEM_CLOSED) {
            shift += t->end - t->from;
        }
        if (!in_span(t)) {
            continue;
        }
        from = missing_to(&c, t);
        if (from > t->from && !may_go(m, t, from - 1, (int64_t)shift)) {
            return t->state == ITEM_HELD ? "a token is held no more that should be" : "a masked span is missing";
        }
        if (from > t->from && from < t->end) {
            model_split(m, from); /* a masked run has gone in part */
            t = m->items + i;
        }
        if (from > t->from) {
            t->was_evicted = t->state == ITEM_MASKED && from > m->floor;
            t->state = t->state == ITEM_HELD ? ITEM_EVICTED : ITEM_LOST;
            continue;
        }
        why = compare_item(&c, t, from, shift);
    }
    return why ? why : c.positions != positions ? "a span has positions that should not be there" : NULL;
}
