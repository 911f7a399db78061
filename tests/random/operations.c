/*
 * Draws one operation after the other.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>

#include "random.h"

static const sa_config *layer_config(const episode *e, int layer) { return setup_layer(&e->setup, layer); }

static int any_layer(episode *e) { return (int)source_in(e->from, 0, e->setup.config.n_layers - 1); }

/* Of any lane of a layer. */
static const model *any_model(episode *e, int sequence, int layer) {
    return &e->models[sequence][layer][source_in(e->from, 0, e->setup.n_lanes[layer] - 1)];
}

/* ----------------------------------- steps --------------------------------- */

static int64_t draw_length(episode *e, const model *m) {
    const lane *c = m->rules;
    int64_t room = c->window - model_count_held(m), n;
    if (source_chance(e->from, 50)) {
        n = source_in(e->from, 1, 4);
    } else if (source_chance(e->from, 60)) {
        n = source_in(e->from, 0, e->setup.max_append);
    } else {
        n = source_in(e->from, 1, source_chance(e->from, 80) ? 2 * c->window + 10 : 4 * e->setup.max_append + 100);
    }
    if (c->is_dense && n > room && !source_chance(e->from, 15)) {
        n = room;
    }
    return n < 0 ? 0 : n;
}

view draw_view(episode *e, int layer) {
    view v = {0, 0};
    if (source_chance(e->from, 15)) {
        v.window = (int32_t)source_in(e->from, 0, layer_config(e, layer)->window);
        v.sinks = (int32_t)source_in(e->from, -1, 4);
    }
    return v;
}

/* Where a call that attends alone looks from: the newest tokens, older ones, or beyond. */
static int64_t draw_offset(episode *e, const model *m, int64_t n) {
    int64_t seen = (int64_t)m->seen, back;
    if (source_chance(e->from, 40)) {
        back = n;
    } else if (source_chance(e->from, 50)) {
        back = n + source_in(e->from, 0, 30);
    } else {
        back = -source_in(e->from, 0, source_chance(e->from, 80) ? 20 : 2000);
    }
    return back > seen ? -seen : -back;
}

/* The lane that may be full, if there is one. */
static const model *fullest(const episode *e, int sequence, int layer) {
    int i;
    for (i = e->setup.n_lanes[layer] - 1; i > 0 && !e->setup.lanes[layer][i].is_dense; i--) {
    }
    return &e->models[sequence][layer][i];
}

static step draw_step(episode *e, int sequence, int layer) {
    const model *m = fullest(e, sequence, layer);
    step call;
    memset(&call, 0, sizeof call);
    call.sequence = sequence;
    call.layer = layer;
    call.with_kv = source_chance(e->from, tree_is_open(e, sequence, layer) ? 10 : 75);
    call.with_q = !call.with_kv || source_chance(e->from, 70);
    call.n = draw_length(e, m);
    call.first = m->seen;
    if (call.with_q) {
        call.view = draw_view(e, layer);
    }
    if (!call.with_kv) {
        call.n = call.n > e->setup.max_append && !source_chance(e->from, 5) ? e->setup.max_append : call.n;
        call.offset = draw_offset(e, m, call.n);
        call.first = m->seen + (uint64_t)call.offset;
    }
    call.in = setup_inputs(&e->setup, &e->arena, source_seed(e->from), layer, call.first, call.n);
    draw_weighing(e, &call);
    return call;
}

/* As a model runs: the same number of tokens through every layer. */
static int step_all_layers(episode *e) {
    int sequence = sequence_any(e), l, n_layers = e->setup.config.n_layers;
    step first = draw_step(e, sequence, 0);
    for (l = 0; l < n_layers; l++) {
        uint64_t seen = layer_seen(e, sequence, l);
        step call = first;
        call.layer = l;
        call.first = seen + (uint64_t)(call.with_kv ? 0 : call.offset);
        call.view.window = 0;
        if (!call.with_kv && (uint64_t)-call.offset > seen && call.offset < 0) {
            continue;
        }
        call.in = setup_inputs(&e->setup, &e->arena, source_seed(e->from), l, call.first, call.n);
        draw_weighing(e, &call);
        if (!do_step(e, &call)) {
            return 0;
        }
    }
    return 1;
}

static int step_one(episode *e) {
    step call = draw_step(e, sequence_any(e), any_layer(e));
    return do_step(e, &call);
}

static int batch(episode *e) {
    step calls[RANDOM_SEQUENCES];
    int layer = any_layer(e), n = 0, i;
    for (i = 0; i < RANDOM_SEQUENCES; i++) {
        if (e->is_open[i] && source_chance(e->from, 80)) {
            calls[n++] = draw_step(e, i, layer);
        }
    }
    for (i = n - 1; i > 0; i--) { /* in any order */
        int other = (int)source_in(e->from, 0, i);
        step kept = calls[i];
        calls[i] = calls[other];
        calls[other] = kept;
    }
    return n > 0 ? do_batch(e, calls, n) : 1;
}

/* ---------------------------------- changes -------------------------------- */

static int roll_back(episode *e) {
    int sequence = sequence_any(e), l;
    change c = {.kind = CHANGE_ROLLBACK, .layer = source_chance(e->from, 50) ? SA_ALL_LAYERS : any_layer(e)};
    uint64_t seen = 0;
    for (l = 0; l < e->setup.config.n_layers; l++) {
        uint64_t its = layer_seen(e, sequence, l);
        seen = (c.layer < 0 || c.layer == l) && its > seen ? its : seen;
    }
    c.from = (uint64_t)source_in(e->from, 0, source_chance(e->from, 60) ? 8 : 60);
    c.from = c.from > seen && !source_chance(e->from, 5) ? seen : c.from;
    return do_change(e, sequence, &c);
}

static int seek(episode *e) {
    int sequence = sequence_any(e), l;
    change c = {.kind = CHANGE_SEEK, .layer = source_chance(e->from, 50) ? SA_ALL_LAYERS : any_layer(e)};
    uint64_t seen = 0;
    for (l = 0; l < e->setup.config.n_layers; l++) {
        uint64_t its = layer_seen(e, sequence, l);
        seen = (c.layer < 0 || c.layer == l) && its > seen ? its : seen;
    }
    if (seen > (uint64_t)1 << 45) {
        return 1; /* beyond, doubles do not hold an angle as well as the library does */
    }
    c.from = seen + (uint64_t)source_in(e->from, 0, source_chance(e->from, 60) ? 40 : e->setup.farthest);
    c.from -= c.from > 0 && source_chance(e->from, 3) ? 1 : 0;
    return do_change(e, sequence, &c);
}

static int reset(episode *e) {
    change c = {.kind = CHANGE_RESET, .layer = source_chance(e->from, 50) ? SA_ALL_LAYERS : any_layer(e)};
    return do_change(e, sequence_any(e), &c);
}

/* A position that an item begins at: among the first few, or the newest. */
static uint64_t draw_position(episode *e, const model *m) {
    int64_t last = m->n - 1, i;
    if (source_chance(e->from, 25)) {
        i = source_in(e->from, 0, last < 12 ? last : 12);
    } else {
        i = last - source_in(e->from, 0, last < 60 ? last : 60);
    }
    return m->items[i].from;
}

static void draw_range(episode *e, const model *m, change *c) {
    c->from = draw_position(e, m);
    c->end = c->from + (uint64_t)source_in(e->from, 1, source_chance(e->from, 70) ? 8 : 40);
    if (source_chance(e->from, 20)) {
        c->end = (c->from / 16 + 1) * 16;
    }
    if (c->end > m->seen && !source_chance(e->from, 3)) {
        c->end = m->seen;
    }
}

/* As far as tokens are held, mostly. */
static void shorten_to_held(episode *e, const model *m, change *c) {
    uint64_t p = c->from;
    while (p < c->end && model_at(m, p) && model_at(m, p)->state == ITEM_HELD) {
        p++;
    }
    if (p > c->from && !source_chance(e->from, 10)) {
        c->end = p;
    }
}

static int change_range(episode *e, int kind) {
    int sequence = sequence_any(e);
    change c = {.kind = kind, .layer = any_layer(e)};
    const model *m = any_model(e, sequence, c.layer);
    c.layer = e->setup.config.n_layers > 1 && source_chance(e->from, 30) ? SA_ALL_LAYERS : c.layer;
    if (m->n == 0) {
        return 1;
    }
    draw_range(e, m, &c);
    if (kind == CHANGE_REMOVE) {
        c.gap = source_chance(e->from, 50) ? SA_GAP_KEEP : SA_GAP_CLOSE;
    } else if (kind != CHANGE_UNPIN) {
        shorten_to_held(e, m, &c);
    }
    if (c.end == m->seen && source_chance(e->from, 30)) {
        c.end = SA_END;
    }
    if (kind == CHANGE_ANCHOR && source_chance(e->from, 15)) {
        c.end = c.from;
    }
    return do_change(e, sequence, &c);
}

/* ----------------------------------- facts --------------------------------- */

static int ask_facts(episode *e) {
    int sequence = sequence_any(e), layer = any_layer(e);
    snprintf(e->text, sizeof e->text, "facts of sequence %d layer %d", sequence, layer);
    return check_info(e, sequence, layer) && check_pool(e);
}

/* ---------------------------------- choice --------------------------------- */

enum {
    OPEN,
    CLOSE,
    FORK,
    STEP,
    STEP_ALL,
    BATCH,
    ROLLBACK,
    SEEK,
    RESET,
    REMOVE,
    PIN,
    UNPIN,
    ANCHOR,
    FACTS,
    TRAVEL,
    ROWS,
    READ,
    DRAFT,
    ASK,
    ACCEPT,
    KINDS
};
static const int weights[] = {3, 3, 6, 24, 12, 10, 10, 2, 1, 11, 7, 4, 2, 5, 4, 6, 5, 7, 5, 5};

static int draw_kind(episode *e) {
    int i, all = 0, at;
    for (i = 0; i < KINDS; i++) {
        all += weights[i];
    }
    at = (int)source_in(e->from, 0, all - 1);
    for (i = 0; at >= weights[i]; i++) {
        at -= weights[i];
    }
    return i;
}

static int none_open(const episode *e) {
    int i;
    for (i = 0; i < RANDOM_SEQUENCES && !e->is_open[i]; i++) {
    }
    return i == RANDOM_SEQUENCES;
}

int operation_run(episode *e) {
    int kind = draw_kind(e);
    kind = kind >= DRAFT && kind <= ACCEPT && !e->setup.config.max_draft ? FACTS : kind;
    if (none_open(e)) {
        return do_open(e);
    }
    switch (kind) {
    case OPEN:
        return do_open(e);
    case CLOSE:
        return do_close(e);
    case FORK:
        return do_fork(e);
    case STEP:
        return step_one(e);
    case STEP_ALL:
        return step_all_layers(e);
    case BATCH:
        return batch(e);
    case ROLLBACK:
        return roll_back(e);
    case SEEK:
        return seek(e);
    case RESET:
        return reset(e);
    case REMOVE:
        return change_range(e, CHANGE_REMOVE);
    case PIN:
        return change_range(e, CHANGE_PIN);
    case UNPIN:
        return change_range(e, CHANGE_UNPIN);
    case ANCHOR:
        return change_range(e, CHANGE_ANCHOR);
    case TRAVEL:
        return do_travel(e);
    case DRAFT:
        return do_draft(e);
    case ASK:
        return do_ask(e);
    case ACCEPT:
        return do_accept(e);
    case READ:
        return do_read(e);
    case ROWS:
        return do_rows(e);
    default:
        return ask_facts(e);
    }
}
