/*
 * Operations that change sequences without attending: opening, closing, forking, going back, removing, pinning.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"

static int n_layers(const episode *e) { return e->setup.config.n_layers; }

uint64_t layer_seen(const episode *e, int sequence, int layer) { return e->models[sequence][layer][0].seen; }

void verdict_add(verdict *v, unsigned may) {
    v->all &= may;
    v->refusals |= may & ~MAY(SA_SUCCESS);
}

unsigned verdict_may(const verdict *v) { return v->all | v->refusals; }

/* --------------------------------- histories ------------------------------- */

void history_add(episode *e, int sequence, const change *c) {
    history *h = &e->histories[sequence];
    change *kept = arena_take(&e->arena, sizeof *kept);
    *kept = *c;
    if (h->n == h->room) {
        h->room = 2 * h->room + 16;
        h->list = realloc(h->list, (size_t)h->room * sizeof *h->list);
        if (!h->list) {
            abort();
        }
    }
    h->list[h->n++] = kept;
}

static void history_copy(history *to, const history *from) {
    int i;
    free(to->list);
    to->n = to->room = from->n;
    to->list = test_take((size_t)(from->n + 1) * sizeof *to->list);
    for (i = 0; i < from->n; i++) {
        to->list[i] = from->list[i];
    }
}

/* --------------------------- opening and closing --------------------------- */

static int count_open(const episode *e) {
    int i, n = 0;
    for (i = 0; i < RANDOM_SEQUENCES; i++) {
        n += e->is_open[i];
    }
    return n;
}

int sequence_any(episode *e) {
    int n = (int)source_in(e->from, 0, count_open(e) - 1), i;
    for (i = 0; i < RANDOM_SEQUENCES; i++) {
        if (e->is_open[i] && n-- == 0) {
            return i;
        }
    }
    return -1;
}

static int sequence_free(const episode *e) {
    int i;
    for (i = 0; i < RANDOM_SEQUENCES - 1 && e->is_open[i]; i++) {
    }
    return i;
}

static unsigned may_open(const episode *e) {
    return count_open(e) < e->setup.config.n_sequences ? MAY(SA_SUCCESS) : MAY(SA_ERR_POOL);
}

static void begin_sequence(episode *e, int sequence) {
    int l, i;
    e->is_open[sequence] = 1;
    e->histories[sequence].n = 0;
    for (l = 0; l < n_layers(e); l++) {
        for (i = 0; i < e->setup.n_lanes[l]; i++) {
            model_make(&e->models[sequence][l][i], &e->setup, l, i, &e->rows[sequence][l]);
        }
        memset(&e->rows[sequence][l], 0, sizeof e->rows[sequence][l]);
        e->trees[sequence][l].n = 0;
    }
}

/* In a pool that is full already, the handle must come back NULL. */
static int refuse_to_open(episode *e) {
    int w;
    for (w = 0; w < e->n_worlds; w++) {
        sa_cache *none = (sa_cache *)(void *)e;
        if (!check_status(e, sa_pool_open(e->worlds[w].pool, &none), MAY(SA_ERR_POOL))) {
            return 0;
        }
        if (none) {
            return say_wrong(e, "sa_pool_open without a free sequence gives a handle");
        }
    }
    return 1;
}

int do_open(episode *e) {
    int sequence = sequence_free(e), w;
    snprintf(e->text, sizeof e->text, "open sequence %d", sequence);
    if (!(may_open(e) & MAY(SA_SUCCESS))) {
        return refuse_to_open(e);
    }
    for (w = 0; w < e->n_worlds; w++) {
        if (!check_status(e, world_open(&e->worlds[w], &e->setup, sequence), MAY(SA_SUCCESS))) {
            return 0;
        }
    }
    begin_sequence(e, sequence);
    return check_state(e, sequence);
}

int close_sequence(episode *e, int sequence) {
    int w, l, i;
    for (w = 0; w < e->n_worlds; w++) {
        world_close(&e->worlds[w], sequence);
    }
    for (l = 0; l < n_layers(e); l++) {
        for (i = 0; i < e->setup.n_lanes[l]; i++) {
            model_free(&e->models[sequence][l][i]);
        }
    }
    e->is_open[sequence] = 0;
    return 1;
}

/* The handle of a sequence that was closed, and whose place nobody has taken, is refused. */
static int check_closed(episode *e, sa_cache *closed) {
    sa_cache *fork = NULL;
    return check_status(e, sa_cache_reset(closed, SA_ALL_LAYERS), MAY(SA_ERR_STATE)) &&
           check_status(e, sa_cache_fork(closed, &fork), MAY(SA_ERR_STATE));
}

int do_close(episode *e) {
    int sequence = sequence_any(e);
    sa_cache *closed = e->worlds[0].caches[sequence];
    snprintf(e->text, sizeof e->text, "close sequence %d", sequence);
    return close_sequence(e, sequence) && check_pool(e) && check_closed(e, closed);
}

/* ----------------------------------- forks --------------------------------- */

/* A new sequence to which everything happens again that has happened to another. */
static sa_status replay(episode *e, world *w, const history *h, int to) {
    sa_status status = world_open(w, &e->setup, to);
    int i;
    for (i = 0; i < h->n && status == SA_SUCCESS; i++) {
        if (h->list[i]->kind == CHANGE_APPEND) {
            step again = h->list[i]->append;
            again.sequence = to;
            again.with_q = 0;
            memset(&again.view, 0, sizeof again.view);
            status = world_step(w, &e->setup, &again, NULL, 0);
        } else {
            status = change_call(&e->setup, w->caches[to], h->list[i]);
        }
    }
    return status;
}

static int fork_worlds(episode *e, int from, int to) {
    int i;
    for (i = 0; i < e->n_worlds; i++) {
        world *w = &e->worlds[i];
        sa_status status =
            w->replays ? replay(e, w, &e->histories[from], to) : sa_cache_fork(w->caches[from], &w->caches[to]);
        if (!check_status(e, status, MAY(SA_SUCCESS))) {
            return 0;
        }
    }
    return 1;
}

static int refuse_to_fork(episode *e, int from) {
    sa_cache *none = (sa_cache *)(void *)e;
    if (!check_status(e, sa_cache_fork(e->worlds[0].caches[from], &none), MAY(SA_ERR_POOL))) {
        return 0;
    }
    return !none ? 1 : say_wrong(e, "sa_cache_fork without a free sequence gives a handle");
}

static void fork_models(episode *e, int from, int to) {
    int l, i;
    for (l = 0; l < n_layers(e); l++) {
        for (i = 0; i < e->setup.n_lanes[l]; i++) {
            model_copy(&e->models[to][l][i], &e->models[from][l][i]);
            e->models[to][l][i].rows = &e->rows[to][l];
        }
        e->rows[to][l] = e->rows[from][l];
        e->trees[to][l] = e->trees[from][l];
    }
}

int do_fork(episode *e) {
    int from = sequence_any(e), to = sequence_free(e);
    snprintf(e->text, sizeof e->text, "fork sequence %d to %d", from, to);
    if (!(may_open(e) & MAY(SA_SUCCESS))) {
        return refuse_to_fork(e, from);
    }
    if (!fork_worlds(e, from, to)) {
        return 0;
    }
    e->is_open[to] = 1;
    history_copy(&e->histories[to], &e->histories[from]);
    fork_models(e, from, to);
    return check_state(e, to) && check_state(e, from);
}

/* ---------------------------------- changes -------------------------------- */

static uint64_t longest(const episode *e, int sequence) {
    uint64_t most = 0;
    int l;
    for (l = 0; l < n_layers(e); l++) {
        most = layer_seen(e, sequence, l) > most ? layer_seen(e, sequence, l) : most;
    }
    return most;
}

/* Where a rollback of n tokens leads in a layer. */
static uint64_t target_of(const episode *e, int sequence, const change *c, int layer) {
    uint64_t seen = c->layer < 0 ? longest(e, sequence) : layer_seen(e, sequence, layer);
    return seen - c->from;
}

static uint64_t end_of(const change *c, const model *m) { return c->end == SA_END ? m->seen : c->end; }

static unsigned may_in_lane(const episode *e, int sequence, const change *c, const model *m) {
    switch (c->kind) {
    case CHANGE_ROLLBACK:
        return model_may_rollback(m, target_of(e, sequence, c, m->layer));
    case CHANGE_REMOVE:
        return model_may_remove(m, c->from, end_of(c, m), c->gap == SA_GAP_KEEP);
    case CHANGE_PIN:
        return model_may_pin(m, c->from, end_of(c, m));
    case CHANGE_UNPIN:
        return model_may_unpin(m, c->from, end_of(c, m));
    case CHANGE_ANCHOR:
        return model_may_anchor(m, c->from, end_of(c, m));
    case CHANGE_SEEK:
        return MAY(SA_SUCCESS) | (m->seen < m->sink_end ? MAY(SA_ERR_FULL) : 0);
    default:
        return MAY(SA_SUCCESS);
    }
}

static int meets_draft(const episode *e, int sequence, const change *c) {
    int l, meets = 0;
    for (l = 0; l < n_layers(e); l++) {
        meets = meets || ((c->layer < 0 || c->layer == l) && tree_is_open(e, sequence, l));
    }
    return meets;
}

/* One lane that refuses is enough. */
static unsigned may_change(const episode *e, int sequence, const change *c) {
    verdict v = {MAY(SA_SUCCESS), 0};
    uint64_t seen = c->layer < 0 ? longest(e, sequence) : layer_seen(e, sequence, c->layer);
    int l, i;
    if ((c->kind == CHANGE_ROLLBACK || c->kind == CHANGE_SEEK) && meets_draft(e, sequence, c)) {
        return MAY(SA_ERR_STATE);
    }
    if ((c->kind == CHANGE_ROLLBACK && c->from > seen) || (c->kind == CHANGE_SEEK && c->from < seen)) {
        return MAY(SA_ERR_ARGUMENT);
    }
    for (l = 0; l < n_layers(e); l++) {
        for (i = 0; (c->layer < 0 || c->layer == l) && i < e->setup.n_lanes[l]; i++) {
            verdict_add(&v, may_in_lane(e, sequence, c, &e->models[sequence][l][i]));
        }
    }
    return verdict_may(&v);
}

static void change_lane(model *m, const change *c, uint64_t target) {
    switch (c->kind) {
    case CHANGE_ROLLBACK:
        model_rollback(m, target);
        break;
    case CHANGE_SEEK:
        model_seek(m, c->from);
        break;
    case CHANGE_RESET:
        model_reset(m);
        break;
    case CHANGE_REMOVE:
        model_remove(m, c->from, end_of(c, m), c->gap == SA_GAP_KEEP);
        break;
    case CHANGE_PIN:
        model_pin(m, c->from, end_of(c, m));
        break;
    case CHANGE_UNPIN:
        model_unpin(m, c->from, end_of(c, m));
        break;
    default:
        model_anchor(m, c->from, end_of(c, m));
        break;
    }
}

static void change_models(episode *e, int sequence, const change *c) {
    uint64_t targets[RANDOM_LAYERS];
    int l, i;
    for (l = 0; l < n_layers(e); l++) {
        targets[l] = target_of(e, sequence, c, l); /* before any layer has changed */
    }
    for (l = 0; l < n_layers(e); l++) {
        for (i = 0; (c->layer < 0 || c->layer == l) && i < e->setup.n_lanes[l]; i++) {
            change_lane(&e->models[sequence][l][i], c, targets[l]);
        }
        if (c->kind == CHANGE_RESET && (c->layer < 0 || c->layer == l)) {
            memset(&e->rows[sequence][l], 0, sizeof e->rows[sequence][l]);
            e->trees[sequence][l].n = 0;
        }
    }
}

int do_change(episode *e, int sequence, const change *c) {
    unsigned may = may_change(e, sequence, c);
    sa_status status = change_call(&e->setup, e->worlds[0].caches[sequence], c), other;
    int w;
    snprintf(e->text, sizeof e->text, "sequence %d: %s", sequence, change_text(c));
    if (!check_status(e, status, may)) {
        return 0;
    }
    for (w = 1; w < e->n_worlds; w++) {
        other = change_call(&e->setup, e->worlds[w].caches[sequence], c);
        if (other != status) {
            return say_differ(e, w, "status %d, %d", status, other);
        }
    }
    found.counts[c->kind] += status == SA_SUCCESS;
    found.refused[c->kind] += status != SA_SUCCESS;
    if (status == SA_SUCCESS) {
        change_models(e, sequence, c);
        history_add(e, sequence, c);
    }
    return check_state(e, sequence);
}
