/*
 * Drafts that stay open while other things happen: nodes added, asked again, and a path accepted.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>

#include "random.h"

enum { COUNT_NODES = 29, COUNT_ASKED, COUNT_ACCEPTED };

static tree *tree_of(episode *e, int sequence, int layer) { return &e->trees[sequence][layer]; }

int tree_is_open(const episode *e, int sequence, int layer) { return e->trees[sequence][layer].n > 0; }

static void copy_token(float *to, const float *from, int64_t token, int64_t size) {
    memcpy(to + token * size, from, (size_t)size * sizeof *to);
}

/* The keys and values of nodes, or their queries, one after the other. */
static inputs gather(episode *e, int layer, const tree *t, int n, const int32_t *nodes) {
    const oracle_layer *l = &e->setup.layers[layer]->layer;
    size_t count = (size_t)n + 1;
    int64_t q_size = (int64_t)l->n_heads * l->head_dim, k_size = (int64_t)l->n_kv_heads * l->head_dim;
    int64_t v_size = (int64_t)l->n_kv_heads * l->v_head_dim;
    float *q = arena_take(&e->arena, count * (size_t)q_size * sizeof *q);
    float *k = arena_take(&e->arena, count * (size_t)k_size * sizeof *k);
    float *v = arena_take(&e->arena, count * (size_t)v_size * sizeof *v);
    inputs in = {n, q, k, v};
    int i;
    for (i = 0; i < n; i++) {
        copy_token(q, t->nodes[nodes[i]].in.q, i, q_size);
        copy_token(k, t->nodes[nodes[i]].in.k, i, k_size);
        copy_token(v, t->nodes[nodes[i]].in.v, i, v_size);
    }
    return in;
}

/* From the stream's newest token to a node, which is the last; returns how many. */
static int path_to(const tree *t, int32_t node, int32_t *path) {
    int n = t->nodes[node].depth + 1, i;
    for (i = n - 1; i >= 0; i--, node = t->nodes[node].parent) {
        path[i] = node;
    }
    return n;
}

/* ---------------------------------- drawing -------------------------------- */

static void draw_parents(episode *e, const tree *before, nodes_given *g, int most_depth) {
    tree t = *before;
    int i;
    for (i = 0; i < g->n; i++) {
        int32_t node = t.n + i, parent = (int32_t)source_in(e->from, -1, node - 1);
        while (parent >= 0 && t.nodes[parent].depth + 1 >= most_depth && !source_chance(e->from, 1)) {
            parent = t.nodes[parent].parent;
        }
        g->parents[i] = source_chance(e->from, 1) ? node : parent; /* none is its own */
        if (node < RANDOM_DRAFT) {
            t.nodes[node].parent = parent;
            t.nodes[node].depth = parent < 0 ? 0 : t.nodes[parent].depth + 1;
        }
    }
}

static nodes_given *draw_nodes(episode *e, int sequence, int layer) {
    const tree *t = tree_of(e, sequence, layer);
    nodes_given *g = arena_take(&e->arena, sizeof *g);
    int room = RANDOM_DRAFT - t->n;
    g->first = t->n;
    g->n = (int)source_in(e->from, 1, source_chance(e->from, 70) ? 4 : 12);
    g->n = g->n > room && !source_chance(e->from, 10) ? room : g->n;
    g->with_q = source_chance(e->from, 75);
    g->view = draw_view(e, layer);
    draw_parents(e, t, g, (int)e->setup.max_append);
    return g;
}

/* Adds the nodes to `t`, as far as there is room, with numbers of their own; returns the greatest depth. */
static int add_nodes(episode *e, int sequence, int layer, const nodes_given *g, tree *t) {
    int i, deepest = 0;
    for (i = 0; i < g->n && t->n < RANDOM_DRAFT; i++) {
        tree_node *node = &t->nodes[t->n++];
        node->parent = g->parents[i] < g->first + i ? g->parents[i] : -1;
        node->depth = node->parent < 0 ? 0 : t->nodes[node->parent].depth + 1;
        deepest = node->depth > deepest ? node->depth : deepest;
        node->in = setup_inputs(&e->setup, &e->arena, source_seed(e->from), layer,
                                layer_seen(e, sequence, layer) + (uint64_t)node->depth, 1);
    }
    return deepest;
}

static unsigned may_draft(const episode *e, int sequence, int layer, const nodes_given *g, int deepest) {
    unsigned refusals = 0;
    int i;
    refusals |= g->n > RANDOM_DRAFT - g->first ? MAY(SA_ERR_FULL) : 0;
    refusals |= deepest + 1 > e->setup.max_append ? MAY(SA_ERR_ARGUMENT) : 0;
    for (i = 0; i < g->n; i++) {
        refusals |= g->parents[i] >= g->first + i ? MAY(SA_ERR_ARGUMENT) : 0;
    }
    for (i = 0; i < e->setup.n_lanes[layer]; i++) {
        const model *m = &e->models[sequence][layer][i];
        refusals |= m->seen < m->sink_end ? MAY(SA_ERR_STATE) : 0;
        refusals |= model_may_append(m, deepest + 1) & ~MAY(SA_SUCCESS);
    }
    return refusals ? refusals : MAY(SA_SUCCESS);
}

/* ----------------------------------- calls --------------------------------- */

static sa_step_args args_of(const setup *s, int layer, const nodes_given *g, int at, int n) {
    const oracle_layer *l = &s->layers[layer]->layer;
    sa_step_args a;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.layer = layer;
    a.n_tokens = n;
    a.parents = g->parents + at;
    a.k.data = (void *)(uintptr_t)(g->in.k + (int64_t)at * l->n_kv_heads * l->head_dim);
    a.v.data = (void *)(uintptr_t)(g->in.v + (int64_t)at * l->n_kv_heads * l->v_head_dim);
    return a;
}

static void ask(sa_step_args *a, const setup *s, const nodes_given *g, int at, const results *r) {
    const oracle_layer *l = &s->layers[a->layer]->layer;
    int64_t rows = (int64_t)at * l->n_heads;
    a->q.data = (void *)(uintptr_t)(g->in.q + rows * l->head_dim);
    a->out.data = r->out + rows * l->v_head_dim;
    a->lse = r->lse + rows;
    a->sink_mass = r->mass + rows;
    a->view_window = g->view.window;
    a->view_sinks = g->view.sinks;
}

static void ask_later(sa_step_args *a, const setup *s, const nodes_given *g, int at, const results *r) {
    a->flags = SA_STEP_NODES;
    a->parents = NULL;
    a->k.data = a->v.data = NULL;
    a->q_offset = g->first + at;
    ask(a, s, g, at, r);
}

static sa_status run(world *w, const setup *s, int sequence, const sa_step_args *a) {
    step call;
    memset(&call, 0, sizeof call);
    call.sequence = sequence;
    return w->by_parts && a->n_tokens <= s->max_append ? step_by_parts(w, &call, a) : sa_step(w->caches[sequence], a);
}

sa_status nodes_call(const setup *s, sa_cache *cache, int layer, const nodes_given *g) {
    sa_step_args a = args_of(s, layer, g, 0, g->n);
    return sa_step(cache, &a);
}

/* In pieces, with the queries at once or afterwards. */
static sa_status world_nodes(world *w, const setup *s, int sequence, int layer, const nodes_given *g, const results *r,
                             int may_cut) {
    sa_status status = SA_SUCCESS;
    int at, n;
    for (at = 0; at < g->n && status == SA_SUCCESS; at += n) {
        sa_step_args a;
        int later;
        n = w->cuts && may_cut ? (int)rng_in(&w->rng, 1, g->n - at) : g->n;
        later = n <= s->max_append && may_cut && rng_chance(&w->rng, 40);
        a = args_of(s, layer, g, at, n);
        if (g->with_q && !later) {
            ask(&a, s, g, at, r);
        }
        status = run(w, s, sequence, &a);
        if (g->with_q && later && status == SA_SUCCESS) {
            ask_later(&a, s, g, at, r);
            status = run(w, s, sequence, &a);
        }
    }
    return status;
}

static sa_status world_ask(world *w, const setup *s, int sequence, int layer, const nodes_given *g, const results *r) {
    sa_step_args a = args_of(s, layer, g, 0, g->n);
    ask_later(&a, s, g, 0, r);
    return run(w, s, sequence, &a);
}

/* ----------------------------------- model --------------------------------- */

/* A node's query gives what it would give had its path been appended. */
static int check_node(episode *e, int sequence, int layer, const nodes_given *g, const results *r, int i) {
    const oracle_layer *l = &e->setup.layers[layer]->layer;
    const tree *t = tree_of(e, sequence, layer);
    int head = (int)rng_in(&e->rng, 0, l->n_heads - 1), kv_head = head / (l->n_heads / l->n_kv_heads);
    int32_t path[RANDOM_DRAFT];
    inputs in = gather(e, layer, t, path_to(t, g->first + i, path), path);
    int64_t at = (int64_t)i * l->n_heads + head;
    model after;
    int holds;
    model_copy(&after, &e->models[sequence][layer][setup_lane(&e->setup, layer, kv_head)]);
    model_append(&after, &e->arena, &in);
    model_look(&after, after.seen - 1, g->view, &e->sight);
    holds = e->sight.misses || check_row(e, &after, head, g->in.q + at * l->head_dim, r, at);
    model_free(&after);
    return holds;
}

static int check_nodes(episode *e, int sequence, int layer, const nodes_given *g, const results *r) {
    int i;
    for (i = 0; i < 4; i++) {
        if (!check_node(e, sequence, layer, g, r, (int)rng_in(&e->rng, 0, g->n - 1))) {
            return 0;
        }
    }
    return 1;
}

/* --------------------------------- operations ------------------------------ */

static results take_results(episode *e, int layer, int n) {
    step call;
    results r;
    memset(&call, 0, sizeof call);
    call.layer = layer;
    call.n = n;
    results_take(&r, &e->arena, &e->setup, &call);
    return r;
}

static int twins_of_nodes(episode *e, int sequence, int layer, const nodes_given *g, sa_status status,
                          const results *r) {
    int w;
    for (w = 1; w < e->n_worlds; w++) {
        results twin = take_results(e, layer, g->n);
        sa_status other = world_nodes(&e->worlds[w], &e->setup, sequence, layer, g, &twin, status == SA_SUCCESS);
        if (other != status) {
            return say_differ(e, w, "status %d, %d", status, other);
        }
        if (!check_twin(e, w, r, &twin)) {
            return 0;
        }
    }
    return 1;
}

static int draft_in(episode *e, int sequence, int layer, nodes_given *g) {
    tree *t = tree_of(e, sequence, layer), after = *t;
    change c = {.kind = CHANGE_NODES, .layer = layer, .nodes = g};
    int32_t all[RANDOM_DRAFT];
    int deepest = add_nodes(e, sequence, layer, g, &after), i;
    results r = take_results(e, layer, g->n);
    sa_status status;
    for (i = 0; i < g->n; i++) {
        all[i] = g->first + i < after.n ? g->first + i : 0; /* without room, any numbers do */
    }
    g->in = gather(e, layer, &after, g->n, all);
    status = world_nodes(&e->worlds[0], &e->setup, sequence, layer, g, &r, 0);
    found.counts[COUNT_NODES] += status == SA_SUCCESS;
    found.refused[COUNT_NODES] += status != SA_SUCCESS;
    if (!check_status(e, status, may_draft(e, sequence, layer, g, deepest)) ||
        !twins_of_nodes(e, sequence, layer, g, status, &r)) {
        return 0;
    }
    if (status != SA_SUCCESS) {
        return check_untouched(e, &r) && check_state(e, sequence);
    }
    *t = after;
    history_add(e, sequence, &c);
    return (!g->with_q || check_nodes(e, sequence, layer, g, &r)) && check_info(e, sequence, layer) &&
           check_state(e, sequence);
}

/* The same nodes in all layers, if those have as many so far, or some in one. */
int do_draft(episode *e) {
    int sequence = sequence_any(e), layer = (int)source_in(e->from, 0, e->setup.config.n_layers - 1), l;
    int of_all = source_chance(e->from, 50);
    nodes_given *g = draw_nodes(e, sequence, layer), *own;
    for (l = 0; l < e->setup.config.n_layers; l++) {
        snprintf(e->text, sizeof e->text, "sequence %d layer %d: draft %d nodes from %d on%s, view %d %d", sequence, l,
                 g->n, g->first, g->with_q ? ", attend" : "", g->view.window, g->view.sinks);
        if (l != layer && !(of_all && e->trees[sequence][l].n == g->first)) {
            continue;
        }
        own = arena_take(&e->arena, sizeof *own);
        *own = *g;
        own->view.window = l == layer ? g->view.window : 0; /* the other layers' windows may be narrower */
        if (!draft_in(e, sequence, l, own)) {
            return 0;
        }
    }
    return 1;
}

/* Nodes that were drafted before, after whatever has happened since. */
int do_ask(episode *e) {
    int sequence = sequence_any(e), layer = (int)source_in(e->from, 0, e->setup.config.n_layers - 1), w, i;
    const tree *t = tree_of(e, sequence, layer);
    nodes_given *g = arena_take(&e->arena, sizeof *g);
    int32_t nodes[RANDOM_DRAFT];
    results r;
    if (t->n == 0) {
        return 1;
    }
    g->first = (int)source_in(e->from, 0, t->n - 1);
    g->n = (int)source_in(e->from, 1, t->n - g->first);
    g->n = g->n > e->setup.max_append ? (int)e->setup.max_append : g->n;
    g->view = draw_view(e, layer);
    for (i = 0; i < g->n; i++) {
        nodes[i] = g->first + i;
    }
    g->in = gather(e, layer, t, g->n, nodes);
    snprintf(e->text, sizeof e->text, "sequence %d layer %d: ask nodes %d .. %d, view %d %d", sequence, layer, g->first,
             g->first + g->n, g->view.window, g->view.sinks);
    for (w = 0; w < e->n_worlds; w++) {
        results twin = take_results(e, layer, g->n);
        if (!check_status(e, world_ask(&e->worlds[w], &e->setup, sequence, layer, g, &twin), MAY(SA_SUCCESS)) ||
            (w && !check_twin(e, w, &r, &twin))) {
            return 0;
        }
        r = w ? r : twin;
    }
    found.counts[COUNT_ASKED]++;
    return check_nodes(e, sequence, layer, g, &r) && check_state(e, sequence);
}

/* --------------------------------- accepting ------------------------------- */

static int is_meant(const change *c, int layer) { return c->layer < 0 || c->layer == layer; }

static int is_path(const tree *t, int n, const int32_t *path) {
    int i;
    for (i = 0; i < n; i++) {
        if (path[i] < 0 || path[i] >= t->n || t->nodes[path[i]].parent != (i ? path[i - 1] : -1)) {
            return 0;
        }
    }
    return 1;
}

static unsigned may_accept(episode *e, int sequence, const change *c) {
    unsigned refusals = c->n_path > e->setup.max_append ? MAY(SA_ERR_ARGUMENT) : 0, lacks = 0;
    step needs;
    int l;
    memset(&needs, 0, sizeof needs);
    needs.with_kv = 1;
    needs.n = c->n_path;
    for (l = 0; l < e->setup.config.n_layers; l++) {
        needs.layer = l;
        refusals |= is_meant(c, l) && !is_path(tree_of(e, sequence, l), c->n_path, c->path) ? MAY(SA_ERR_ARGUMENT) : 0;
        lacks |= is_meant(c, l) && c->n_path ? may_lack_tiles(e, &needs, 1) : 0;
    }
    return (refusals ? refusals : MAY(SA_SUCCESS)) | lacks;
}

static void accept_models(episode *e, int sequence, const change *c) {
    int l, i;
    for (l = 0; l < e->setup.config.n_layers; l++) {
        inputs in;
        if (!is_meant(c, l)) {
            continue;
        }
        in = gather(e, l, tree_of(e, sequence, l), c->n_path, c->path);
        for (i = 0; i < e->setup.n_lanes[l] && c->n_path; i++) {
            model_append(&e->models[sequence][l][i], &e->arena, &in);
        }
        tree_of(e, sequence, l)->n = 0;
    }
    history_add(e, sequence, c);
}

static int accept(episode *e, int sequence, const change *c) {
    sa_status status = change_call(&e->setup, e->worlds[0].caches[sequence], c), other;
    int w;
    if (!check_status(e, status, may_accept(e, sequence, c))) {
        return 0;
    }
    for (w = 1; w < e->n_worlds && status != SA_ERR_POOL; w++) {
        other = change_call(&e->setup, e->worlds[w].caches[sequence], c);
        if (other != status) {
            return say_differ(e, w, "status %d, %d", status, other);
        }
    }
    if (status == SA_SUCCESS) {
        accept_models(e, sequence, c);
    }
    found.counts[COUNT_ACCEPTED] += status == SA_SUCCESS;
    found.refused[COUNT_ACCEPTED] += status != SA_SUCCESS;
    return check_state(e, sequence);
}

int do_accept(episode *e) {
    int sequence = sequence_any(e), layer = (int)source_in(e->from, 0, e->setup.config.n_layers - 1);
    const tree *t = tree_of(e, sequence, layer);
    change c = {.kind = CHANGE_ACCEPT, .layer = source_chance(e->from, 60) ? SA_ALL_LAYERS : layer};
    if (t->n && source_chance(e->from, 80)) {
        c.n_path = path_to(t, (int32_t)source_in(e->from, 0, t->n - 1), c.path);
        c.n_path -= source_chance(e->from, 20) && c.n_path > 1 ? 1 : 0;
        c.path[c.n_path - 1] += source_chance(e->from, 10) ? 1 : 0;
    }
    snprintf(e->text, sizeof e->text, "sequence %d: accept %d nodes of layer %d", sequence, c.n_path, c.layer);
    return accept(e, sequence, &c);
}

int drop_drafts(episode *e, int sequence) {
    change c = {.kind = CHANGE_ACCEPT, .layer = SA_ALL_LAYERS};
    return accept(e, sequence, &c);
}
