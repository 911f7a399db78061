/*
 * One long cache, split over ranks by position.
 *
 * SPDX-License-Identifier: MIT
 *
 * The stream is cut into PIECES of equal length, and each rank holds some that lie side by side. A query goes to all
 * ranks; each piece gives its un-normalised state (max, sum, values), and the states are merged into the result of
 * attention over all keys. The pieces, not the ranks, decide what is added to what: the same bits for any number of
 * ranks. With MPI_Op_create each rank first merges its own, and MPI the rest, in a tree of its choice: one small
 * message a rank, and bits that may depend on their number.
 */
#include "mpi_example.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    PIECES = 16,
    MOST_WHOLE = 65536,             /* keys that rank 0 also keeps in one cache, to compare */
    NEW_TOKENS = 16,                /* that are generated behind the long prompt; the last piece has room for them */
    STATE = HEADS * (2 + HEAD_DIM), /* floats of a state: max and sum (heads), values (heads, head_dim) */
    STREAM = 1
};

/* The pieces of one rank, as sequences of one pool, and what a query leaves in each. */
typedef struct part {
    int first, count; /* pieces */
    int piece_tokens;
    sa_pool *pool;
    sa_cache **caches;   /* (count) */
    sa_step_args *args;  /* (count) */
    sa_step_args **each; /* (count) */
    float *states;       /* (count, STATE) */
} part;

static int first_piece(int rank, int ranks) { return rank * PIECES / ranks; }

static sa_pool *open_pool(int tokens, int sequences) {
    sa_config config = {.struct_size = sizeof config,
                        .n_layers = 1,
                        .n_heads = HEADS,
                        .n_kv_heads = KV_HEADS,
                        .head_dim = HEAD_DIM,
                        .policy = SA_POLICY_DENSE,
                        .window = tokens + NEW_TOKENS,
                        .k_dtype = SA_F16,
                        .v_dtype = SA_F16,
                        .position = SA_POSITION_ROPE,
                        .n_sequences = sequences};
    sa_pool *pool = NULL;
    const char *why = "";
    sa_config_check(&config, &why, NULL);
    expect(sa_pool_create(&config, NULL, &pool), why);
    return pool;
}

static void open_part(part *p) {
    p->pool = open_pool(p->piece_tokens, p->count);
    p->caches = need((size_t)p->count, sizeof *p->caches);
    p->args = need((size_t)p->count, sizeof *p->args);
    p->each = need((size_t)p->count, sizeof *p->each);
    p->states = need((size_t)p->count * STATE, sizeof *p->states);
}

static void append(sa_cache *cache, uint64_t position) {
    token t;
    make_token(&t, STREAM, position);
    expect(sa_append_kv(cache, 0, 1, t.k, t.v), sa_cache_error(cache));
}

static void fill(sa_cache *cache, uint64_t from, uint64_t end) {
    for (uint64_t position = from; position < end; position++) {
        append(cache, position);
    }
}

/* A piece begins where the one before ends: its keys are rotated to their places in the whole stream. */
static void fill_part(part *p) {
    for (int i = 0; i < p->count; i++) {
        uint64_t from = (uint64_t)(p->first + i) * (uint64_t)p->piece_tokens;
        expect(sa_pool_open(p->pool, &p->caches[i]), sa_pool_error(p->pool));
        expect(sa_cache_seek(p->caches[i], 0, from), sa_cache_error(p->caches[i]));
        fill(p->caches[i], from, from + (uint64_t)p->piece_tokens);
    }
}

static void close_part(part *p) {
    sa_pool_destroy(p->pool);
    free(p->caches);
    free(p->args);
    free(p->each);
    free(p->states);
}

static int64_t tokens_seen(const sa_cache *cache) {
    sa_cache_facts facts = {.struct_size = sizeof facts};
    expect(sa_cache_info(cache, 0, &facts), "sa_cache_info");
    return (int64_t)facts.tokens_seen;
}

/* The states of this rank's pieces for a query at `position`, all of them in one call. */
static void query_part(part *p, float *q, uint64_t position) {
    for (int i = 0; i < p->count; i++) {
        float *state = p->states + (size_t)i * STATE;
        p->args[i] = (sa_step_args){.struct_size = sizeof(sa_step_args),
                                    .n_tokens = 1,
                                    .q = {.data = q},
                                    .out = {.data = state + 2 * HEADS},
                                    .q_offset = (int64_t)position - tokens_seen(p->caches[i]),
                                    .partial_max = state,
                                    .partial_sum = state + HEADS};
        p->each[i] = &p->args[i];
    }
    expect(sa_batch(p->pool, p->count, p->caches, (const sa_step_args *const *)p->each, NULL), sa_pool_error(p->pool));
}

/* a becomes the state of the keys of a and of b. */
static void merge_states(float *a, const float *b) {
    expect(sa_merge_partial(HEADS, HEAD_DIM, a, a + HEADS, a + 2 * HEADS, b, b + HEADS, b + 2 * HEADS), "merge");
}

/* Merges states that lie side by side into the first of them, from the first to the last. */
static void merge_in_order(float *states, int count) {
    for (int i = 1; i < count; i++) {
        merge_states(states, states + (size_t)i * STATE);
    }
}

/* All pieces' states to rank 0, which merges them in the order of the stream. */
static void gather_in_order(const part *p, ranks r, float *all) {
    int counts[PIECES], places[PIECES];
    for (int i = 0; i < r.count; i++) {
        places[i] = first_piece(i, r.count) * STATE;
        counts[i] = first_piece(i + 1, r.count) * STATE - places[i];
    }
    MPI_Gatherv(p->states, p->count * STATE, MPI_FLOAT, all, counts, places, MPI_FLOAT, 0, MPI_COMM_WORLD);
    if (r.rank == 0) {
        merge_in_order(all, PIECES);
    }
}

/* As MPI_Op_create wants it: `both` becomes the state of the keys of `in` and of `both`. */
static void merge_operation(void *in, void *both, int *count, MPI_Datatype *type) {
    (void)type;
    for (int i = 0; i < *count; i++) {
        merge_states((float *)both + (size_t)i * STATE, (const float *)in + (size_t)i * STATE);
    }
}

/* What merges states by MPI_Reduce. */
typedef struct reduction {
    MPI_Datatype type;
    MPI_Op operation;
} reduction;

static reduction reduction_open(void) {
    reduction d;
    MPI_Type_contiguous(STATE, MPI_FLOAT, &d.type);
    MPI_Type_commit(&d.type);
    MPI_Op_create(merge_operation, 1, &d.operation); /* 1: a and b may change places */
    return d;
}

static void reduction_close(reduction *d) {
    MPI_Op_free(&d->operation);
    MPI_Type_free(&d->type);
}

static void reduce(part *p, const reduction *d, float *whole) {
    merge_in_order(p->states, p->count);
    MPI_Reduce(p->states, whole, 1, d->type, d->operation, 0, MPI_COMM_WORLD);
}

/* State to result, in place; returns where the results begin. */
static float *finish(float *state) {
    expect(sa_finish_partial(HEADS, HEAD_DIM, state, state + HEADS, state + 2 * HEADS, NULL), "finish");
    return state + 2 * HEADS;
}

static double largest_difference(const float *a, const float *b) {
    double largest = 0;
    for (int i = 0; i < Q_SIZE; i++) {
        largest = fmax(largest, fabs((double)a[i] - b[i]));
    }
    return largest;
}

/* What the new tokens came to. */
typedef struct results {
    uint64_t digest;   /* merged in order */
    double difference; /* the largest between both ways of merging */
    double from_whole; /* the largest from one cache that has all keys */
    double seconds[2]; /* all queries: attention and messages, merged in order; merged by MPI_Reduce */
    double attention;  /* processor time of the attention of one way, of the slowest rank */
    float out[Q_SIZE]; /* the newest token's, merged in order */
} results;

/* A token more: the rank that has the last piece appends it, all take part in its attention, in both ways. */
static void one_token(part *p, ranks r, const reduction *d, uint64_t position, results *sums) {
    static float all[PIECES * STATE], whole[STATE];
    token t;
    make_token(&t, STREAM, position); /* where a real host broadcasts the query */
    if (r.rank == r.count - 1) {
        append(p->caches[p->count - 1], position);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    double start = MPI_Wtime();
    clock_t began = clock();
    query_part(p, t.q, position);
    sums->attention += (double)(clock() - began) / CLOCKS_PER_SEC;
    double attended = MPI_Wtime();
    gather_in_order(p, r, all);
    double gathered = MPI_Wtime();
    reduce(p, d, whole); /* after the other way, since it merges in place */
    sums->seconds[0] += gathered - start;
    sums->seconds[1] += attended - start + (MPI_Wtime() - gathered);
    if (r.rank == 0) {
        memcpy(sums->out, finish(all), sizeof sums->out);
        sums->digest = digest_add(sums->digest, sums->out, Q_SIZE);
        sums->difference = fmax(sums->difference, largest_difference(sums->out, finish(whole)));
    }
}

/* The same token in a cache that has all keys, which merges them in pieces of its own. */
static void compare_with_whole(sa_cache *whole, uint64_t position, results *sums) {
    token t;
    float out[Q_SIZE];
    make_token(&t, STREAM, position);
    expect(sa_append_attend(whole, 0, 1, t.q, t.k, t.v, out), sa_cache_error(whole));
    sums->from_whole = fmax(sums->from_whole, largest_difference(sums->out, out));
}

static void report(const results *sums, uint64_t prompt, ranks r, int with_whole) {
    double us = 1e6 / NEW_TOKENS;
    printf("split digest %016llx\n", (unsigned long long)sums->digest);
    printf("split: MPI_Reduce differs by %.1e at most\n", sums->difference);
    if (with_whole) {
        printf("split: one cache of all keys differs by %.1e at most\n", sums->from_whole);
    }
    printf("split: %llu keys, %d ranks: %.0f us a token merged in order, %.0f by MPI_Reduce; "
           "attention takes %.0f of a processor\n",
           (unsigned long long)prompt, r.count, sums->seconds[0] * us, sums->seconds[1] * us, sums->attention * us);
}

void run_split(ranks r, int piece_tokens) {
    part p = {.first = first_piece(r.rank, r.count), .piece_tokens = piece_tokens};
    p.count = first_piece(r.rank + 1, r.count) - p.first;
    open_part(&p);
    fill_part(&p);
    uint64_t prompt = (uint64_t)PIECES * (uint64_t)piece_tokens;
    sa_pool *whole = r.rank == 0 && prompt <= MOST_WHOLE ? open_pool((int)prompt, 1) : NULL;
    sa_cache *cache = NULL;
    if (whole != NULL) {
        expect(sa_pool_open(whole, &cache), sa_pool_error(whole));
        fill(cache, 0, prompt);
    }
    reduction d = reduction_open();
    results sums = {.digest = digest_begin()};
    for (uint64_t i = 0; i < NEW_TOKENS; i++) {
        one_token(&p, r, &d, prompt + i, &sums);
        if (cache != NULL) {
            compare_with_whole(cache, prompt + i, &sums);
        }
    }
    MPI_Reduce(r.rank == 0 ? MPI_IN_PLACE : &sums.attention, &sums.attention, 1, MPI_DOUBLE, MPI_MAX, 0,
               MPI_COMM_WORLD);
    reduction_close(&d);
    sa_pool_destroy(whole);
    close_part(&p);
    if (r.rank == 0) {
        report(&sums, prompt, r, whole != NULL);
    }
}
