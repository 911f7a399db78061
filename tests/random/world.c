/*
 * A pool and its sequences, called in one of the ways that must not change a bit.
 *
 * SPDX-License-Identifier: MIT
 */
#define _POSIX_C_SOURCE 200112L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"

#define GUARD 64 /* bytes behind a host's block that nobody may write */

/* ---------------------------------- memory --------------------------------- */

static void *counted_alloc(void *user, size_t size, size_t alignment) {
    counted *c = user;
    void *memory = NULL;
    if (posix_memalign(&memory, alignment < sizeof(void *) ? sizeof(void *) : alignment, size)) {
        return NULL;
    }
    memset(memory, 0xA5, size);
    c->size += size;
    c->blocks++;
    c->most = c->size > c->most ? c->size : c->most;
    return memory;
}

static void counted_free(void *user, void *memory, size_t size) {
    counted *c = user;
    c->size -= size;
    c->blocks--;
    free(memory);
}

/* ---------------------------------- drawing -------------------------------- */

/* Tasks one after the other, from any of them on, up or down. */
static void simulated_for(void *context, int32_t n_tasks, sa_task task, void *task_context) {
    world *w = context;
    int32_t first = (int32_t)rng_in(&w->rng, 0, n_tasks - 1), i;
    int down = rng_chance(&w->rng, 50);
    for (i = 0; i < n_tasks; i++) {
        int32_t at = (first + i) % n_tasks;
        task(task_context, down ? n_tasks - 1 - at : at);
    }
}

static int draw_isa(source *from, int index) {
    int isas[32], n = 0, isa;
    for (isa = SA_ISA_PLAIN; isa < 32; isa++) {
        if (sa_isa_available(isa) && isa != SA_ISA_PLAIN_NOFMA && isa != SA_ISA_WASM) {
            isas[n++] = isa;
        }
    }
    if (n == 0 || (index == 0 && source_chance(from, 50))) {
        return SA_ISA_AUTO;
    }
    return isas[source_in(from, 0, n - 1)];
}

static void draw_threads(world *w, source *from) {
    if (!source_chance(from, 40)) {
        return;
    }
    w->config.n_threads = (int32_t)source_in(from, 2, 3);
    if (source_chance(from, 30)) {
        w->by_parts = 1;
        w->config.flags |= SA_CONFIG_COOPERATIVE;
        return;
    }
    w->threads.n_threads = w->config.n_threads;
    w->simulated = !source_chance(from, 8); /* real threads take long to start */
    w->config.parallel_for = w->simulated ? simulated_for : test_parallel_for;
    w->config.parallel_context = w->simulated ? (void *)w : (void *)&w->threads;
}

void world_draw(world *w, const setup *s, source *from, int index) {
    memset(w, 0, sizeof *w);
    w->config = s->config;
    w->config.isa = draw_isa(from, index);
    w->rng.state = source_seed(from);
    draw_threads(w, from);
    if (index > 0) {
        w->config.pool_tokens = 0; /* what the first world can hold, this one can */
        w->cuts = source_chance(from, 60);
        w->splits = source_chance(from, 60);
        w->replays = source_chance(from, 40);
        w->config.max_draft = source_chance(from, 40) ? RANDOM_DRAFT : w->config.max_draft;
    }
}

const char *world_text(const world *w) {
    static char text[200];
    snprintf(text, sizeof text, "isa=%s threads=%d%s%s%s%s%s%s", sa_isa_name(w->config.isa), (int)w->config.n_threads,
             w->simulated ? " simulated" : "", w->by_parts ? " by parts" : "", w->cuts ? " cuts" : "",
             w->splits ? " splits" : "", w->replays ? " replays" : "", w->config.max_draft ? " drafts" : "");
    return text;
}

/* ---------------------------------- lifetime ------------------------------- */

const char *world_open_pool(world *w, const setup *s) {
    sa_allocator allocator = {sizeof allocator, 0, counted_alloc, counted_free, &w->memory_use};
    const char *why = "";
    int32_t layer = -1;
    size_t alignment;
    (void)s;
    if (sa_config_check(&w->config, &why, &layer) != SA_SUCCESS) {
        return why;
    }
    if (sa_pool_size(&w->config, &w->size, &alignment) != SA_SUCCESS) {
        return "sa_pool_size";
    }
    if (rng_chance(&w->rng, 30)) {
        w->memory = counted_alloc(&w->memory_use, w->size + GUARD, alignment);
        return w->memory && sa_pool_init(w->memory, w->size, &w->config, &w->pool) == SA_SUCCESS ? NULL
                                                                                                 : "sa_pool_init";
    }
    if (sa_pool_create(&w->config, &allocator, &w->pool) != SA_SUCCESS) {
        return "sa_pool_create";
    }
    return w->memory_use.blocks != 1 || w->memory_use.most != w->size ? "memory is not what sa_pool_size says" : NULL;
}

const char *world_close_pool(world *w) {
    const unsigned char *guard = w->memory ? (const unsigned char *)w->memory + w->size : NULL;
    const char *why = NULL;
    int i;
    if (!w->memory && (w->memory_use.most > w->size || w->memory_use.blocks > 1)) {
        why = "more memory than sa_pool_size says";
    }
    for (i = 0; guard && i < GUARD; i++) {
        why = guard[i] != 0xA5 ? "memory behind the pool's block was written" : why;
    }
    if (w->pool) {
        sa_pool_destroy(w->pool);
    }
    if (w->memory) {
        counted_free(&w->memory_use, w->memory, w->size + GUARD);
    }
    w->pool = NULL;
    return why ? why : w->memory_use.blocks ? "memory is left" : NULL;
}

sa_status world_open(world *w, const setup *s, int sequence) {
    sa_status status = sa_pool_open(w->pool, &w->caches[sequence]);
    int l;
    for (l = 0; l < s->config.n_layers && status == SA_SUCCESS; l++) {
        if (setup_layer(s, l)->n_sink_kv > 0) {
            status = sa_set_sink_kv(w->caches[sequence], l, s->sink_k[l], s->sink_v[l]);
        }
    }
    return status;
}

void world_close(world *w, int sequence) {
    sa_cache_destroy(w->caches[sequence]);
    w->caches[sequence] = NULL;
}

int world_facts(const world *w, int layer, int kv_head, pool_facts *facts) {
    sa_pool_facts info;
    sa_status status;
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    status = sa_pool_info(w->pool, layer, kv_head, &info);
    facts->n_sequences = info.n_sequences;
    facts->n_open = info.n_open;
    facts->pool_size = info.pool_size;
    facts->tiles = info.tiles;
    facts->tiles_free = info.tiles_free;
    return status == SA_SUCCESS;
}

/* ----------------------------------- steps --------------------------------- */

void results_take(results *r, arena *a, const setup *s, const step *call) {
    const oracle_layer *l = &s->layers[call->layer]->layer;
    r->rows = (size_t)call->n * (size_t)l->n_heads;
    r->dims = (size_t)l->v_head_dim;
    r->out = arena_take(a, r->rows * r->dims * sizeof(float));
    r->lse = arena_take(a, r->rows * sizeof(float));
    r->mass = arena_take(a, r->rows * sizeof(float));
    memset(r->out, 0xFF, r->rows * r->dims * sizeof(float));
    memset(r->lse, 0xFF, r->rows * sizeof(float));
    memset(r->mass, 0xFF, r->rows * sizeof(float));
    masses_take(r, a, s, call);
}

/* A part of a call, n tokens from token `at` on. */
sa_step_args step_args(const setup *s, const step *call, int64_t at, int64_t n, const results *r) {
    const oracle_layer *l = &s->layers[call->layer]->layer;
    sa_step_args a;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.layer = call->layer;
    a.n_tokens = (int32_t)n;
    a.view_window = call->view.window;
    a.view_sinks = call->view.sinks;
    if (call->with_kv) {
        a.k.data = (void *)(uintptr_t)(call->in.k + at * l->n_kv_heads * l->head_dim);
        a.v.data = (void *)(uintptr_t)(call->in.v + at * l->n_kv_heads * l->v_head_dim);
    }
    if (call->with_q) {
        a.q.data = (void *)(uintptr_t)(call->in.q + at * l->n_heads * l->head_dim);
        a.out.data = r->out + at * l->n_heads * l->v_head_dim;
        a.lse = r->lse + at * l->n_heads;
        a.sink_mass = r->mass + at * l->n_heads;
        a.q_offset = call->with_kv ? 0 : call->offset + at;
        masses_ask(&a, call, r);
    }
    return a;
}

sa_status step_by_parts(world *w, const step *call, const sa_step_args *a) {
    int32_t n_phases = 0, phase, i, n = w->config.n_threads;
    sa_status status = sa_step_begin(w->caches[call->sequence], a, &n_phases);
    for (phase = 0; phase < n_phases && status == SA_SUCCESS; phase++) {
        for (i = n - 1; i >= 0 && status == SA_SUCCESS; i--) {
            status = sa_step_part(w->caches[call->sequence], phase, i, n);
        }
    }
    return status;
}

static sa_status step_whole(world *w, const setup *s, const step *call, int64_t at, int64_t n, const results *r) {
    sa_step_args a = step_args(s, call, at, n, r);
    if (w->by_parts && n <= s->max_append) {
        return step_by_parts(w, call, &a);
    }
    return sa_step(w->caches[call->sequence], &a);
}

/* Appends alone, by a draft or not. */
static sa_status step_append(world *w, const setup *s, const step *call, int64_t at, int64_t n, const results *r) {
    sa_status status = SA_ERR_STATE;
    if (draft_can(w, s, call, n) && rng_chance(&w->rng, 60)) {
        status = step_by_draft(w, s, call, at, n, r);
    }
    return status == SA_ERR_STATE ? step_whole(w, s, call, at, n, r) : status;
}

/* Appends, and attends by a call of its own. */
static sa_status step_in_two(world *w, const setup *s, const step *call, int64_t at, int64_t n, const results *r) {
    step append = *call, attend = *call;
    sa_status status;
    append.with_q = attend.with_kv = 0;
    memset(&append.view, 0, sizeof append.view);
    attend.offset = -n - at; /* the part's own place comes on top */
    status = step_append(w, s, &append, at, n, r);
    return status == SA_SUCCESS ? step_whole(w, s, &attend, at, n, r) : status;
}

static sa_status step_part(world *w, const setup *s, const step *call, int64_t at, int64_t n, const results *r) {
    if (draft_can(w, s, call, n) && rng_chance(&w->rng, 60)) {
        sa_status status = step_by_draft(w, s, call, at, n, r);
        if (status != SA_ERR_STATE) { /* sinks are still to come: nothing has changed */
            return status;
        }
    }
    if (call->with_kv && call->with_q && n <= s->max_append && !call->keeps_together && rng_chance(&w->rng, 30)) {
        return step_in_two(w, s, call, at, n, r);
    }
    return step_whole(w, s, call, at, n, r);
}

sa_status world_step(world *w, const setup *s, const step *call, results *r, int may_cut) {
    sa_status status = SA_SUCCESS;
    int64_t at = 0, n;
    if ((!w->cuts && !w->config.max_draft) || !may_cut || call->n < 1 || (call->keeps_together && !call->with_kv)) {
        return step_whole(w, s, call, 0, call->n, r);
    }
    for (; at < call->n && status == SA_SUCCESS; at += n) {
        n = w->cuts && !call->weighs ? rng_in(&w->rng, 1, call->n - at) : call->n;
        status = step_part(w, s, call, at, n, r);
    }
    return status;
}

/* ---------------------------------- batches -------------------------------- */

static sa_status batch_by_parts(world *w, int n, sa_cache *const *caches, const sa_step_args *const *args,
                                int *failed) {
    int32_t n_phases = 0, phase, i, n_parts = w->config.n_threads;
    sa_status status = sa_batch_begin(w->pool, n, caches, args, &n_phases, failed);
    for (phase = 0; phase < n_phases && status == SA_SUCCESS; phase++) {
        for (i = n_parts - 1; i >= 0 && status == SA_SUCCESS; i--) {
            status = sa_batch_part(w->pool, phase, i, n_parts);
        }
    }
    return status;
}

static sa_status batch_of_all(world *w, const setup *s, int n, const step *calls, results *r, int *failed) {
    sa_step_args args[RANDOM_SEQUENCES];
    const sa_step_args *pointers[RANDOM_SEQUENCES];
    sa_cache *caches[RANDOM_SEQUENCES];
    int64_t most = s->max_append > s->config.n_sequences ? s->max_append : s->config.n_sequences, tokens = 0;
    int i;
    for (i = 0; i < n; i++) {
        args[i] = step_args(s, calls + i, 0, calls[i].n, r + i);
        pointers[i] = args + i;
        caches[i] = w->caches[calls[i].sequence];
        tokens += calls[i].n <= s->max_append ? calls[i].n : most + 1;
    }
    if (w->by_parts && tokens <= most) {
        return batch_by_parts(w, n, caches, pointers, failed);
    }
    return sa_batch(w->pool, n, caches, pointers, failed);
}

sa_status world_batch(world *w, const setup *s, int n, const step *calls, results *r, int may_cut, int *failed) {
    sa_status status = SA_SUCCESS;
    int i;
    *failed = -1;
    if (may_cut && batch_can_draft(w, s, n, calls) && rng_chance(&w->rng, 60)) {
        return batch_by_drafts(w, s, n, calls, r, failed);
    }
    if (!w->splits || !may_cut) {
        return batch_of_all(w, s, n, calls, r, failed);
    }
    for (i = 0; i < n && status == SA_SUCCESS; i++) {
        status = world_step(w, s, calls + i, r + i, may_cut);
        *failed = status == SA_SUCCESS ? -1 : i;
    }
    return status;
}

/* ---------------------------------- changes -------------------------------- */

sa_status change_call(const setup *s, sa_cache *cache, const change *c) {
    switch (c->kind) {
    case CHANGE_NODES:
        return nodes_call(s, cache, c->layer, c->nodes);
    case CHANGE_ACCEPT:
        return sa_draft_accept(cache, c->layer, c->n_path, c->path);
    case CHANGE_ROWS:
        return rows_call(s, cache, c->layer, c->rows);
    case CHANGE_ROLLBACK:
        return sa_cache_rollback(cache, c->layer, (int64_t)c->from);
    case CHANGE_SEEK:
        return sa_cache_seek(cache, c->layer, c->from);
    case CHANGE_RESET:
        return sa_cache_reset(cache, c->layer);
    case CHANGE_REMOVE:
        return sa_cache_remove(cache, c->layer, c->from, c->end, c->gap);
    case CHANGE_PIN:
        return sa_cache_pin(cache, c->layer, c->from, c->end);
    case CHANGE_UNPIN:
        return sa_cache_unpin(cache, c->layer, c->from, c->end);
    default:
        return sa_cache_anchor(cache, c->layer, c->from, c->end);
    }
}

const char *change_text(const change *c) {
    static const char *const names[] = {"append", "rollback", "seek", "reset", "remove", "pin",
                                        "unpin",  "anchor",   "rows", "draft", "accept"};
    static char text[128];
    snprintf(text, sizeof text, "%s layer %d, %llu .. %llu%s", names[c->kind], c->layer, (unsigned long long)c->from,
             (unsigned long long)c->end,
             c->kind != CHANGE_REMOVE ? ""
             : c->gap == SA_GAP_KEEP  ? " keep"
                                      : " close");
    return text;
}
