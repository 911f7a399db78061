/*
 * Batches: the bits of single calls, whatever the lengths, what each step wants, and who works it.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "compare.h"
#include "streams.h"
#include "support.h"
#include "test.h"

enum { N = 7, MOST = 40, ROUNDS = 6 };
enum { APPENDS = 1, ATTENDS = 2, BOTH = 3 };

#define DONE(call) CHECK((call) == SA_SUCCESS, "%s", #call)
#define IS(status, call) CHECK((call) == (status), "%s", #call)

/* How much of what each sequence does in a round. */
typedef struct plan {
    int n[N], what[N], first[N];
    int64_t q_offset[N];
    int32_t view_window[N];
} plan;

typedef struct outputs {
    float out[N][MOST * STREAM_Q], lse[N][MOST * STREAM_HEADS], mass[N][MOST * STREAM_HEADS];
} outputs;

static sa_step_args args_of(const plan *p, int i, int layer, outputs *to) {
    sa_step_args a;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.layer = layer;
    a.n_tokens = p->n[i];
    if (p->what[i] & APPENDS) {
        a.k.data = stream_k + p->first[i] * STREAM_K;
        a.v.data = stream_v + p->first[i] * STREAM_K;
    }
    if (p->what[i] & ATTENDS) {
        a.q.data = stream_q + p->first[i] * STREAM_Q;
        a.out.data = to->out[i];
        a.lse = to->lse[i];
        a.sink_mass = to->mass[i];
        a.view_window = p->view_window[i];
        a.q_offset = p->q_offset[i];
    }
    return a;
}

/* Of at most `room` tokens together. */
static plan draw(test_rng *rng, int room) {
    static const int lengths[] = {0, 1, 1, 1, 2, 5, 8, 9, 17, 33};
    plan p;
    memset(&p, 0, sizeof p);
    for (int i = 0; i < N; i++) {
        p.n[i] = lengths[rng_in(rng, 0, 9)];
        p.what[i] = rng_chance(rng, 60) ? BOTH : (int)rng_in(rng, APPENDS, ATTENDS);
        p.first[i] = (int)rng_in(rng, 0, STREAM_IDS - MOST);
        if (p.what[i] == ATTENDS && p.n[i] > 8) p.n[i] = 8;
        if (p.n[i] > room) p.n[i] = room;
        room -= p.n[i];
        if (p.what[i] == ATTENDS && rng_chance(rng, 50)) p.q_offset[i] = -p.n[i];
        if (p.what[i] != APPENDS && rng_chance(rng, 20)) p.view_window[i] = (int32_t)rng_in(rng, 1, 20);
    }
    return p;
}

typedef struct world {
    sa_pool *pool;
    sa_cache *caches[N], *alone[N];
} world;

/* Sequences that have come as far as they are numbered, twice: in a pool, and each alone with one worker. */
static void open_world(world *w, const sa_config *config, int tokens_each) {
    sa_config g = *config;
    g.n_sequences = N + 1;
    CHECK(sa_pool_create(&g, NULL, &w->pool) == SA_SUCCESS, "create");
    g.n_threads = 1;
    g.parallel_for = NULL;
    g.parallel_context = NULL;
    g.flags = 0;
    for (int i = 0; i < N; i++) {
        CHECK(sa_pool_open(w->pool, &w->caches[i]) == SA_SUCCESS, "open");
        w->alone[i] = stream_open(&g);
        for (int left = i * tokens_each; left > 0; left -= 200) {
            int n = left < 200 ? left : 200;
            DONE(stream_feed(w->caches[i], i, n, NULL));
            DONE(stream_feed(w->alone[i], i, n, NULL));
        }
    }
}

static void close_world(world *w) {
    for (int i = 0; i < N; i++) {
        sa_cache_destroy(w->caches[i]);
        sa_cache_destroy(w->alone[i]);
    }
    sa_pool_facts facts = stream_facts(w->pool);
    CHECK(facts.tiles_free == facts.tiles && facts.n_open == 0, "%d of %d tiles are free", (int)facts.tiles_free,
          (int)facts.tiles);
    sa_pool_destroy(w->pool);
}

static void check_outputs(const plan *p, const outputs *got, const outputs *expected, const char *what) {
    for (int i = 0; i < N; i++) {
        int64_t rows = (int64_t)p->n[i] * STREAM_HEADS;
        if (!(p->what[i] & ATTENDS)) continue;
        CHECK(compare_bits(got->out[i], rows * STREAM_DIM, expected->out[i], rows * STREAM_DIM) < 0 &&
                  compare_bits(got->lse[i], rows, expected->lse[i], rows) < 0 &&
                  compare_bits(got->mass[i], rows, expected->mass[i], rows) < 0,
              "%s: step %d of %d tokens, kind %d, differs", what, i, p->n[i], p->what[i]);
    }
}

static int phases_met[4];

/* `count` parts of each phase, taken forwards or backwards. */
static sa_status work_together(world *w, sa_cache *const *caches, const sa_step_args *const *args, int32_t count,
                               int backwards) {
    int32_t phases = 0, failed = 0;
    sa_status status = sa_batch_begin(w->pool, N, caches, args, &phases, &failed);
    for (int32_t p = 0; p < 3 && !status; p++)
        for (int32_t i = 0; i < count && !status; i++)
            status = sa_batch_part(w->pool, p, backwards ? count - 1 - i : i, count);
    CHECK(phases >= 0 && phases <= 3 && failed == -1, "%d phases, failed %d", (int)phases, (int)failed);
    if (phases >= 0 && phases <= 3) phases_met[phases]++;
    return status;
}

/* Rounds of steps; parts > 0: by the host's own threads. */
static void rounds(const sa_config *config, int tokens_each, int parts, test_rng *rng, const char *what) {
    static outputs got, expected;
    world w;
    open_world(&w, config, tokens_each);
    for (int round = 0; round < (test_is_quick ? 3 : ROUNDS) * STREAM_LAYERS; round++) {
        int most = config->max_append > N + 1 ? config->max_append : N + 1, room = parts ? most : N * MOST;
        plan p = draw(rng, room);
        sa_step_args own[N];
        const sa_step_args *args[N];
        sa_cache *caches[N];
        int32_t failed = 7;
        compare_forget(&got, sizeof got);
        compare_forget(&expected, sizeof expected);
        for (int i = 0; i < N; i++) {
            sa_step_args a = args_of(&p, i, round % STREAM_LAYERS, &expected);
            sa_cache_facts info;
            info.struct_size = sizeof info;
            DONE(sa_cache_info(w.alone[i], round % STREAM_LAYERS, &info));
            if (p.q_offset[i] < -(int64_t)info.tokens_seen) a.q_offset = p.q_offset[i] = 0;
            CHECK(sa_step(w.alone[i], &a) == SA_SUCCESS, "%s: %s", what, sa_cache_error(w.alone[i]));
            int at = round % 2 ? N - 1 - i : i; /* in another order, too */
            own[at] = args_of(&p, i, round % STREAM_LAYERS, &got);
            args[at] = &own[at];
            caches[at] = w.caches[i];
        }
        sa_status status =
            parts ? work_together(&w, caches, args, parts, round % 3 == 0) : sa_batch(w.pool, N, caches, args, &failed);
        CHECK(status == SA_SUCCESS && (parts || failed == -1), "%s: %s", what, sa_pool_error(w.pool));
        check_outputs(&p, &got, &expected, what);
    }
    close_world(&w);
}

static void all_workers(const sa_config *config, int tokens_each, test_rng *rng, const char *what) {
    for (int threads = 1; threads <= 4; threads++) {
        if (test_is_quick && threads % 3) continue;
        test_pool workers = {threads, threads % 2};
        sa_config g = *config;
        g.n_threads = threads;
        g.parallel_for = threads > 1 ? test_parallel_for : NULL;
        g.parallel_context = threads > 1 ? &workers : NULL;
        rounds(&g, tokens_each, 0, rng, what);
    }
    for (int parts = 1; parts <= 5; parts += 2) {
        if (test_is_quick && parts != 3) continue;
        sa_config g = *config;
        g.n_threads = 3;
        g.flags = SA_CONFIG_COOPERATIVE;
        rounds(&g, tokens_each, parts, rng, what);
    }
}

/* ------------------------------- what is refused ---------------------------- */

/* One step is wrong: none runs, not even the others. */
static void all_or_none(void) {
    static outputs got, before;
    sa_config g = stream_config();
    world w;
    plan p;
    sa_step_args own[N];
    const sa_step_args *args[N];
    int32_t failed = -5, phases = 5;
    memset(&p, 0, sizeof p);
    open_world(&w, &g, 6);
    compare_forget(&got, sizeof got);
    before = got;
    for (int i = 0; i < N; i++) {
        p.n[i] = 1;
        p.what[i] = BOTH;
        own[i] = args_of(&p, i, 1, &got);
        args[i] = &own[i];
    }
    for (int wrong = 0; wrong < N; wrong++) {
        own[wrong].n_tokens = -1;
        IS(SA_ERR_ARGUMENT, sa_batch(w.pool, N, w.caches, args, &failed));
        CHECK(failed == wrong, "step %d, not %d", (int)failed, wrong);
        IS(SA_ERR_ARGUMENT, sa_batch(w.pool, N, w.caches, args, NULL));
        IS(SA_ERR_ARGUMENT, sa_batch_begin(w.pool, N, w.caches, args, &phases, &failed));
        CHECK(failed == wrong && phases == 0, "step %d, not %d; %d phases", (int)failed, wrong, (int)phases);
        IS(SA_ERR_STATE, sa_batch_part(w.pool, 0, 0, 1));
        own[wrong].n_tokens = 1;
    }
    CHECK(memcmp(&got, &before, sizeof got) == 0, "results were written");
    for (int i = 0; i < N; i++) {
        sa_cache_facts info;
        info.struct_size = sizeof info;
        DONE(sa_cache_info(w.caches[i], 1, &info));
        CHECK(info.tokens_seen == (uint64_t)i * 6, "sequence %d has seen %d", i, (int)info.tokens_seen);
    }
    /* Not a sequence of the pool. It is seen before the steps are, of which the second has another layer. */
    sa_cache *others[2] = {w.caches[0], w.alone[0]};
    own[1].layer = 0;
    for (int inside = 0; inside < 2; inside++) {
        IS(SA_ERR_ARGUMENT, sa_batch(w.pool, 2, others, args, &failed));
        CHECK(failed == -1, "step %d", (int)failed);
        others[1] = (sa_cache *)(void *)((char *)w.caches[0] + 64);
    }
    own[1].layer = 1;
    sa_cache_destroy(w.caches[3]);
    IS(SA_ERR_STATE, sa_batch(w.pool, N, w.caches, args, &failed));
    CHECK(failed == 3, "step %d is of a closed sequence", (int)failed);
    close_world(&w);
}

static void empty_batches(void) {
    sa_config g = stream_config();
    world w;
    int32_t failed = -5, phases = 5;
    open_world(&w, &g, 3);
    DONE(sa_batch(w.pool, 0, NULL, NULL, &failed));
    CHECK(failed == -1, "step %d", (int)failed);
    DONE(sa_batch_begin(w.pool, 0, NULL, NULL, &phases, &failed));
    CHECK(phases == 0 && failed == -1, "%d phases", (int)phases);
    close_world(&w);
}

/* A step that has begun is over when another call comes. */
static void begun_and_left(void) {
    static outputs got;
    sa_config g = stream_config();
    world w;
    plan p;
    const sa_step_args *args[1];
    int32_t phases = 0, failed = 0;
    memset(&p, 0, sizeof p);
    p.n[0] = 1;
    p.what[0] = BOTH;
    g.flags = SA_CONFIG_COOPERATIVE;
    g.n_spans = g.n_pin = 4;
    open_world(&w, &g, 3);
    sa_step_args a = args_of(&p, 0, 0, &got);
    args[0] = &a;
    for (int call = 0; call < 9; call++) {
        DONE(sa_batch_begin(w.pool, 1, w.caches, args, &phases, &failed));
        DONE(sa_batch_part(w.pool, 0, 0, 1));
        if (call == 0) DONE(sa_batch(w.pool, 0, NULL, NULL, NULL));
        if (call == 1) DONE(sa_step(w.caches[2], &a));
        if (call == 2) DONE(sa_cache_rollback(w.caches[0], 0, 1));
        if (call == 3) {
            sa_cache *more = NULL;
            DONE(sa_pool_open(w.pool, &more));
            sa_cache_destroy(more);
        }
        if (call == 4) DONE(sa_cache_remove(w.caches[0], 0, 1, 2, SA_GAP_CLOSE));
        if (call == 5) DONE(sa_cache_pin(w.caches[0], 0, 3, 4));
        if (call == 6) DONE(sa_cache_unpin(w.caches[0], 0, 3, 4));
        if (call == 7) DONE(sa_cache_anchor(w.caches[0], 0, 3, 4));
        if (call == 8) DONE(sa_cache_seek(w.caches[0], 0, 100));
        IS(SA_ERR_STATE, sa_batch_part(w.pool, 0, 0, 1));
    }
    IS(SA_ERR_ARGUMENT, sa_batch_part(NULL, 0, 0, 1));
    IS(SA_ERR_ARGUMENT, sa_batch_part(w.pool, 3, 0, 1));
    IS(SA_ERR_ARGUMENT, sa_batch_part(w.pool, -1, 0, 1));
    IS(SA_ERR_ARGUMENT, sa_batch_part(w.pool, 0, 1, 1));
    IS(SA_ERR_ARGUMENT, sa_batch_part(w.pool, 0, -1, 1));
    close_world(&w);
}

int main(int argc, char **argv) {
    uint64_t seed = 31;
    long count = 3;
    test_begin("test_batch", argc, argv, &seed, &count);
    test_rng rng = {seed};
    stream_begin();
    sa_config small = stream_config(), integers = small, large = small;
    integers.k_dtype = SA_I8;
    integers.v_dtype = SA_I4;
    integers.n_recent = 6;
    integers.position = SA_POSITION_ALIBI;
    integers.position_mode = SA_IN_STREAM;
    large.window = 2500; /* keys of a row are shared out */
    large.max_append = 64;
    for (long i = 0; i < count; i++) {
        all_workers(&small, 9, &rng, "small");
        all_workers(&integers, 13, &rng, "integers");
    }
    if (!test_is_quick) all_workers(&large, 450, &rng, "large");
    CHECK(test_is_quick || (phases_met[1] > 0 && phases_met[2] > 0), "%d batches of one phase, %d of two",
          phases_met[1], phases_met[2]);
    all_or_none();
    empty_batches();
    begun_and_left();
    return test_end();
}
