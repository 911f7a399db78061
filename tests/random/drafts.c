/*
 * Appends by a draft: the tokens are a path among other nodes, and the path is accepted. Nothing but how it came about
 * may differ from an append.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdlib.h>
#include <string.h>

#include "random.h"

enum { MOST_PATH = RANDOM_DRAFT / 3 };

/* Nodes: those of the path, each with up to two others behind it, whose keys and values are those of any token of the
 * call. */
typedef struct draft {
    int n, n_path;
    int32_t parents[RANDOM_DRAFT], depths[RANDOM_DRAFT], path[MOST_PATH];
    int64_t tokens[RANDOM_DRAFT]; /* of the call */
} draft;

static void draft_add(draft *d, int32_t parent, int64_t token) {
    d->parents[d->n] = parent;
    d->depths[d->n] = parent < 0 ? 0 : d->depths[parent] + 1;
    d->tokens[d->n++] = token;
}

/* No other node is deeper than the path: it would not have room in every layer. */
static void draft_draw(draft *d, test_rng *rng, const step *call, int64_t at, int n) {
    int i, others;
    memset(d, 0, sizeof *d);
    for (i = 0; i < n; i++) {
        d->path[d->n_path++] = d->n;
        draft_add(d, i ? d->path[i - 1] : -1, at + i);
        for (others = (int)rng_in(rng, 0, 2); others > 0; others--) {
            int32_t parent = (int32_t)rng_in(rng, -1, d->n - 1);
            while (parent >= 0 && d->depths[parent] + 1 >= n) {
                parent = d->parents[parent];
            }
            draft_add(d, parent, rng_in(rng, 0, call->n - 1));
        }
    }
}

/* The rows of all nodes, and their results. */
typedef struct rows {
    float *q, *k, *v, *out, *lse, *mass;
} rows;

static void copy_rows(float *to, const float *from, int64_t to_row, int64_t from_row, int64_t size) {
    memcpy(to + to_row * size, from + from_row * size, (size_t)size * sizeof *to);
}

static rows rows_take(const draft *d, const setup *s, const step *call) {
    const oracle_layer *l = &s->layers[call->layer]->layer;
    size_t n = (size_t)d->n * sizeof(float), heads = (size_t)l->n_heads, kv = (size_t)l->n_kv_heads;
    rows r = {test_take(n * heads * (size_t)l->head_dim),
              test_take(n * kv * (size_t)l->head_dim),
              test_take(n * kv * (size_t)l->v_head_dim),
              test_take(n * heads * (size_t)l->v_head_dim),
              test_take(n * heads),
              test_take(n * heads)};
    int i;
    for (i = 0; i < d->n; i++) {
        copy_rows(r.q, call->in.q, i, d->tokens[i], l->n_heads * l->head_dim);
        copy_rows(r.k, call->in.k, i, d->tokens[i], l->n_kv_heads * l->head_dim);
        copy_rows(r.v, call->in.v, i, d->tokens[i], l->n_kv_heads * l->v_head_dim);
    }
    return r;
}

static void rows_free(rows *r) {
    free(r->q);
    free(r->k);
    free(r->v);
    free(r->out);
    free(r->lse);
    free(r->mass);
}

static void set_queries(sa_step_args *a, const rows *r, view v) {
    a->q.data = r->q;
    a->out.data = r->out;
    a->lse = r->lse;
    a->sink_mass = r->mass;
    a->view_window = v.window;
    a->view_sinks = v.sinks;
}

static sa_step_args draft_args(const step *call, const draft *d, const rows *r) {
    sa_step_args a;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.layer = call->layer;
    a.n_tokens = d->n;
    a.k.data = r->k;
    a.v.data = r->v;
    a.parents = d->parents;
    return a;
}

/* Drafts, with queries or without; those may come later. */
static sa_status draft_step(world *w, const setup *s, const step *call, const draft *d, const rows *r) {
    int later = d->n <= s->max_append && rng_chance(&w->rng, 40);
    sa_step_args a = draft_args(call, d, r);
    sa_status status;
    if (call->with_q && !later) {
        set_queries(&a, r, call->view);
    }
    status = w->by_parts && d->n <= s->max_append ? step_by_parts(w, call, &a) : sa_step(w->caches[call->sequence], &a);
    if (status != SA_SUCCESS || !call->with_q || !later) {
        return status;
    }
    a.k.data = a.v.data = NULL;
    a.parents = NULL;
    a.flags = SA_STEP_NODES;
    set_queries(&a, r, call->view);
    return sa_step(w->caches[call->sequence], &a);
}

int draft_can(const world *w, const setup *s, const step *call, int64_t n) {
    return w->config.max_draft && call->with_kv && !(call->with_q && call->weighs) && n > 0 && n <= MOST_PATH &&
           n <= s->max_append;
}

/* The path's results go to tokens `at` and further on; then the path is what was appended. */
static sa_status draft_end(world *w, const setup *s, const step *call, int64_t at, const draft *d, const rows *r,
                           const results *to) {
    const oracle_layer *l = &s->layers[call->layer]->layer;
    int i;
    for (i = 0; i < d->n_path && call->with_q; i++) {
        copy_rows(to->out, r->out, at + i, d->path[i], (int64_t)l->n_heads * l->v_head_dim);
        copy_rows(to->lse, r->lse, at + i, d->path[i], l->n_heads);
        copy_rows(to->mass, r->mass, at + i, d->path[i], l->n_heads);
    }
    return sa_draft_accept(w->caches[call->sequence], call->layer, d->n_path, d->path);
}

sa_status step_by_draft(world *w, const setup *s, const step *call, int64_t at, int64_t n, const results *to) {
    draft d;
    rows r;
    sa_status status;
    draft_draw(&d, &w->rng, call, at, (int)n);
    r = rows_take(&d, s, call);
    status = draft_step(w, s, call, &d, &r);
    if (status == SA_SUCCESS) {
        status = draft_end(w, s, call, at, &d, &r, to);
    }
    rows_free(&r);
    return status;
}

/* ---------------------------------- batches -------------------------------- */

/* All sinks have come by then. */
enum { SINKS_HAVE_COME = 64, COUNT_BATCHED = 23 };

static int drafts_in_batch(const world *w, const setup *s, const step *call) {
    return call->first >= SINKS_HAVE_COME && draft_can(w, s, call, call->n);
}

int batch_can_draft(const world *w, const setup *s, int n, const step *calls) {
    int i, can = 0;
    for (i = 0; i < n; i++) {
        can = can || drafts_in_batch(w, s, calls + i);
    }
    for (i = 0; i < n; i++) {
        can = can && !calls[i].weighs; /* nodes are more tokens than may be weighed together */
    }
    return can;
}

sa_status batch_by_drafts(world *w, const setup *s, int n, const step *calls, const results *to, int *failed) {
    draft d[RANDOM_SEQUENCES];
    rows r[RANDOM_SEQUENCES];
    sa_step_args args[RANDOM_SEQUENCES];
    const sa_step_args *pointers[RANDOM_SEQUENCES];
    sa_cache *caches[RANDOM_SEQUENCES];
    sa_status status;
    int drafted[RANDOM_SEQUENCES], i;
    memset(pointers, 0, sizeof pointers);
    memset(caches, 0, sizeof caches);
    for (i = 0; i < n; i++) {
        drafted[i] = drafts_in_batch(w, s, calls + i) && rng_chance(&w->rng, 70);
        args[i] = step_args(s, calls + i, 0, calls[i].n, to + i);
        caches[i] = w->caches[calls[i].sequence];
        pointers[i] = args + i;
        if (drafted[i]) {
            draft_draw(&d[i], &w->rng, calls + i, 0, (int)calls[i].n);
            r[i] = rows_take(&d[i], s, calls + i);
            args[i] = draft_args(calls + i, &d[i], &r[i]);
        }
        if (drafted[i] && calls[i].with_q) {
            set_queries(&args[i], &r[i], calls[i].view);
        }
    }
    status = sa_batch(w->pool, n, caches, pointers, failed);
    found.counts[COUNT_BATCHED] += status == SA_SUCCESS;
    for (i = 0; i < n; i++) {
        if (drafted[i] && status == SA_SUCCESS) {
            status = draft_end(w, s, calls + i, 0, &d[i], &r[i], to + i);
            *failed = status == SA_SUCCESS ? -1 : i;
        }
        if (drafted[i]) {
            rows_free(&r[i]);
        }
    }
    return status;
}
