/*
 * Appending and attending, by one call or by a batch of several sequences.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>

#include "random.h"

/* What attending may answer at positions that have come or are beyond. */
static unsigned may_attend(episode *e, const step *call, const model *m) {
    unsigned may = MAY(SA_SUCCESS);
    int64_t i;
    for (i = 0; i < call->n; i++) {
        uint64_t t = call->first + (uint64_t)i;
        const item *own = model_at(m, t);
        if (t < m->seen && (t < m->floor || !own || own->state != ITEM_HELD)) {
            return MAY(SA_ERR_DEPTH);
        }
        model_look(m, t, call->view, &e->sight);
        if (e->sight.must_fail) {
            return MAY(SA_ERR_DEPTH);
        }
        may |= e->sight.misses ? MAY(SA_ERR_DEPTH) : 0;
    }
    return may;
}

static unsigned may_weigh(const episode *e, const step *call) {
    if (call->lacks_room || call->n > e->setup.max_append) {
        return MAY(SA_ERR_ARGUMENT);
    }
    return MAY(SA_SUCCESS) | (call->is_crowded ? MAY(SA_ERR_ARGUMENT) : 0);
}

static unsigned may_step(episode *e, const step *call) {
    verdict v = {MAY(SA_SUCCESS), 0};
    int i;
    if (!call->with_kv && call->n > e->setup.max_append) {
        return MAY(SA_ERR_ARGUMENT);
    }
    for (i = 0; i < e->setup.n_lanes[call->layer]; i++) {
        const model *m = &e->models[call->sequence][call->layer][i];
        verdict_add(&v, call->with_kv ? model_may_append(m, call->n) : may_attend(e, call, m));
    }
    if (call->with_kv && call->n > 0 && tree_is_open(e, call->sequence, call->layer)) {
        verdict_add(&v, MAY(SA_ERR_STATE));
    }
    if (call->weighs && call->n > 0) {
        verdict_add(&v, may_weigh(e, call));
    }
    return verdict_may(&v);
}

/* A call that needs no more tiles than are free cannot be refused for them: one for every 16 tokens, one at each end,
 * and one that a fork shares. */
unsigned may_lack_tiles(episode *e, const step *calls, int n) {
    uint64_t need = 0;
    pool_facts facts;
    int i, layer = calls[0].layer, lacks = 0;
    for (i = 0; i < n; i++) {
        need += calls[i].with_kv ? (uint64_t)calls[i].n / 16 + 3 : 0;
    }
    for (i = 0; i < e->setup.n_lanes[layer] && e->setup.config.pool_tokens; i++) {
        lacks = lacks || (world_facts(&e->worlds[0], layer, e->setup.lanes[layer][i].heads[0], &facts) &&
                          facts.tiles_free < need);
    }
    return lacks ? MAY(SA_ERR_POOL) : 0;
}

static void apply(episode *e, const step *call) {
    change c;
    int i;
    memset(&c, 0, sizeof c);
    if (!call->with_kv) {
        return;
    }
    c.kind = CHANGE_APPEND;
    c.layer = call->layer;
    c.append = *call;
    for (i = 0; i < e->setup.n_lanes[call->layer]; i++) {
        model_append(&e->models[call->sequence][call->layer][i], &e->arena, &call->in);
    }
    history_add(e, call->sequence, &c);
}

static void say_step(episode *e, const char *what, const step *call) {
    snprintf(e->text, sizeof e->text, "%s sequence %d layer %d: %s%s%s %lld at %llu, view %d %d", what, call->sequence,
             call->layer, call->with_kv ? "append " : "", call->with_q ? "attend" : "", call->weighs ? " weigh" : "",
             (long long)call->n, (unsigned long long)call->first, call->view.window, call->view.sinks);
}

/* The other worlds do the same; they can hold what the first could not. */
static int step_twins(episode *e, const step *call, sa_status status, const results *r) {
    int w;
    for (w = 1; w < e->n_worlds && status != SA_ERR_POOL; w++) {
        results twin;
        sa_status other;
        results_take(&twin, &e->arena, &e->setup, call);
        other = world_step(&e->worlds[w], &e->setup, call, &twin, status == SA_SUCCESS);
        if (other != status) {
            return say_differ(e, w, "status %d, %d", status, other);
        }
        if (!check_twin(e, w, r, &twin)) {
            return 0;
        }
    }
    return 1;
}

enum { COUNT_STEP = 16, COUNT_BATCH, COUNT_POOL };

static void count(const step *call, sa_status status) {
    int kind = COUNT_STEP + 4 * call->with_kv + 2 * call->with_q;
    found.counts[kind] += status == SA_SUCCESS;
    found.refused[kind] += status != SA_SUCCESS;
    found.counts[15] += status == SA_ERR_POOL;
}

/* Where tokens that would be seen have been evicted, the parts of a call may be refused that succeed as a whole. */
static void note_missing(episode *e, step *call) {
    int64_t i, n = call->with_q ? call->with_kv ? 1 : call->n : 0;
    int lane;
    call->keeps_together = 0;
    for (lane = 0; lane < e->setup.n_lanes[call->layer]; lane++) {
        for (i = 0; i < n && !call->keeps_together; i++) {
            model_look(&e->models[call->sequence][call->layer][lane], call->first + (uint64_t)i, call->view, &e->sight);
            call->keeps_together = e->sight.misses;
        }
    }
}

int do_step(episode *e, step *call) {
    unsigned may = may_step(e, call) | may_lack_tiles(e, call, 1);
    results r;
    sa_status status;
    say_step(e, "step", call);
    note_missing(e, call);
    results_take(&r, &e->arena, &e->setup, call);
    status = world_step(&e->worlds[0], &e->setup, call, &r, 0);
    count(call, status);
    if (!check_status(e, status, may) || !step_twins(e, call, status, &r)) {
        return 0;
    }
    if (status != SA_SUCCESS) {
        return check_untouched(e, &r) && check_state(e, call->sequence);
    }
    apply(e, call);
    if (call->with_q && !check_results(e, call, &r)) {
        return 0;
    }
    return check_state(e, call->sequence);
}

/* ----------------------------------- batch --------------------------------- */

/* Whether the call that a refusal names may be refused so. */
static int check_failed(episode *e, sa_status status, int failed, const step *calls, int n) {
    if (status == SA_SUCCESS) {
        return failed == -1 ? 1 : say_wrong(e, "failed_out %d after success", failed);
    }
    if (failed < 0 || failed >= n) {
        return say_wrong(e, "status %d, failed_out %d of %d calls", status, failed, n);
    }
    if (status != SA_ERR_POOL && !(may_step(e, calls + failed) & MAY(status))) {
        return say_wrong(e, "status %d of call %d, may be %#x", status, failed, may_step(e, calls + failed));
    }
    return 1;
}

static unsigned may_batch(episode *e, const step *calls, int n) {
    unsigned may = MAY(SA_SUCCESS), refusals = may_lack_tiles(e, calls, n);
    int i;
    for (i = 0; i < n; i++) {
        unsigned one = may_step(e, calls + i);
        may &= one;
        refusals |= one & ~MAY(SA_SUCCESS);
    }
    return may | refusals;
}

static int batch_twins(episode *e, const step *calls, int n, sa_status status, int failed, const results *r) {
    int w, i, other_failed = -1;
    for (w = 1; w < e->n_worlds && status != SA_ERR_POOL; w++) {
        results twins[RANDOM_SEQUENCES];
        sa_status other;
        for (i = 0; i < n; i++) {
            results_take(&twins[i], &e->arena, &e->setup, calls + i);
        }
        other = world_batch(&e->worlds[w], &e->setup, n, calls, twins, status == SA_SUCCESS, &other_failed);
        if (other != status || other_failed != failed) {
            return say_differ(e, w, "status %d of call %d, %d of call %d", status, failed, other, other_failed);
        }
        for (i = 0; i < n; i++) {
            if (!check_twin(e, w, r + i, twins + i)) {
                return 0;
            }
        }
    }
    return 1;
}

static int batch_is_right(episode *e, const step *calls, int n, sa_status status, const results *r) {
    int i;
    for (i = 0; i < n; i++) {
        say_step(e, "batch", calls + i);
        if (status != SA_SUCCESS && !check_untouched(e, r + i)) {
            return 0;
        }
        if (status == SA_SUCCESS) {
            apply(e, calls + i);
            if (calls[i].with_q && !check_results(e, calls + i, r + i)) {
                return 0;
            }
        }
        if (!check_state(e, calls[i].sequence)) {
            return 0;
        }
    }
    return 1;
}

/* Notes whether a batch has more tokens than can be processed at once. */
static void note_crowd(const episode *e, step *calls, int n) {
    int64_t tokens = 0, most = e->setup.max_append;
    int i;
    most = most > e->setup.config.n_sequences ? most : e->setup.config.n_sequences;
    for (i = 0; i < n; i++) {
        tokens += calls[i].n;
    }
    for (i = 0; i < n; i++) {
        calls[i].is_crowded = tokens > most;
    }
}

/* Steps that attend alone make the pieces of a batch smaller, which may take another tile for a while. */
static int all_append(const step *calls, int n) {
    int i;
    for (i = 0; i < n && (calls[i].with_kv || calls[i].n == 0); i++) {
    }
    return i == n;
}

/* What the pool says of room for the tokens of a batch, in all layers. */
static sa_status ask_room(const episode *e, const step *calls, int n) {
    sa_cache *caches[RANDOM_SEQUENCES];
    int32_t tokens[RANDOM_SEQUENCES], failed;
    int i;
    memset(caches, 0, sizeof caches);
    memset(tokens, 0, sizeof tokens);
    for (i = 0; i < n; i++) {
        caches[i] = e->worlds[0].caches[calls[i].sequence];
        tokens[i] = calls[i].with_kv ? (int32_t)calls[i].n : 0;
    }
    return sa_pool_can_append(e->worlds[0].pool, n, caches, tokens, &failed);
}

/* What it has room for, a layer takes; and with one layer, what is taken, it had room for. */
static int check_room(episode *e, const step *calls, int n, sa_status room, sa_status status) {
    int lacks = status == SA_ERR_POOL || status == SA_ERR_FULL || status == SA_ERR_STATE;
    if (!all_append(calls, n)) {
        return 1;
    }
    if ((room == SA_SUCCESS && lacks) ||
        (room != SA_SUCCESS && status == SA_SUCCESS && e->setup.config.n_layers == 1)) {
        return say_wrong(e, "status %d, but room: %d", status, room);
    }
    return 1;
}

int do_batch(episode *e, step *calls, int n) {
    unsigned may;
    results r[RANDOM_SEQUENCES];
    int i, failed = -1;
    sa_status status, room = ask_room(e, calls, n);
    note_crowd(e, calls, n);
    may = may_batch(e, calls, n);
    for (i = 0; i < n; i++) {
        note_missing(e, calls + i);
        results_take(&r[i], &e->arena, &e->setup, calls + i);
    }
    for (i = 0; i < n && found.trace; i++) {
        say_step(e, "in a batch:", calls + i);
        printf("  %s, may be %#x\n", e->text, may_step(e, calls + i));
    }
    say_step(e, "batch from", calls);
    status = world_batch(&e->worlds[0], &e->setup, n, calls, r, 0, &failed);
    found.counts[COUNT_BATCH] += status == SA_SUCCESS;
    found.refused[COUNT_BATCH] += status != SA_SUCCESS;
    if (found.trace && failed >= 0) {
        printf("  call %d failed\n", failed);
    }
    if (!check_status(e, status, may) || !check_failed(e, status, failed, calls, n) ||
        !check_room(e, calls, n, room, status)) {
        return 0;
    }
    return batch_twins(e, calls, n, status, failed, r) && batch_is_right(e, calls, n, status, r);
}
