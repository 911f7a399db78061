/*
 * The stateful random test of pools and sequences: what its files share.
 *
 * Random operations run on several pools at once (worlds), which differ in what must not change a bit, and on a
 * naive model of every sequence that keeps each token in a list and computes attention in double. The model shares
 * no code with the library; of the other tests it takes the oracle's rounding, coding and angles.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SA_TESTS_RANDOM_H
#define SA_TESTS_RANDOM_H

#include "model.h"

/* ----------------------------------- worlds -------------------------------- */

/* Memory as the library is given it, counted. */
typedef struct counted {
    size_t size, blocks, most;
} counted;

/* A pool and its sequences. The first world is compared with the model, the others with the first. */
typedef struct world {
    sa_config config;
    sa_pool *pool;
    void *memory; /* the host's block, if it owns it */
    size_t size;  /* sa_pool_size */
    sa_cache *caches[RANDOM_SEQUENCES];
    int cuts;      /* calls are cut in pieces */
    int splits;    /* batches become single calls */
    int replays;   /* a fork becomes a new sequence to which all of its operations happen again */
    int by_parts;  /* steps and batches are worked by sa_step_part, sa_batch_part */
    int simulated; /* tasks run in this thread, in an order of their own */
    test_pool threads;
    test_rng rng;
    counted memory_use;
} world;

/* What a call asks of the keys. */
enum { WEIGH_KEYS = 1, WEIGH_NORMS = 2, WEIGH_PER_HEAD = 4 };

/* One call on one layer of one sequence. */
typedef struct step {
    int sequence, layer;
    uint64_t first; /* position of its first token */
    int64_t n;
    int with_kv, with_q;
    int64_t offset; /* with_q alone */
    int weighs;     /* WEIGH_*: what is asked of the keys */
    int lacks_room; /* for that */
    int is_crowded; /* in a batch of so many tokens that keys cannot be weighed, or may not */
    int64_t key_stride;
    int keeps_together; /* attending is not cut in parts, nor parted from appending */
    view view;
    inputs in;
} step;

/* A step's results. */
typedef struct results {
    size_t rows, dims, n_keys, n_norms;
    float *out, *lse, *mass, *keys, *norms;
} results;

void world_draw(world *w, const setup *s, source *from, int index);
const char *world_open_pool(world *w, const setup *s); /* NULL, or what is wrong */
const char *world_close_pool(world *w);
const char *world_text(const world *w);

/* What the pool says of a kv head's lane; 0 if it refuses to. */
typedef struct pool_facts {
    int n_sequences, n_open;
    uint64_t pool_size, tiles, tiles_free;
} pool_facts;
int world_facts(const world *w, int layer, int kv_head, pool_facts *facts);
sa_status world_open(world *w, const setup *s, int sequence);
void world_close(world *w, int sequence);
sa_status world_step(world *w, const setup *s, const step *call, results *r, int may_cut);
sa_status step_by_parts(world *w, const step *call, const sa_step_args *a);

/* Whether n tokens can be appended by a draft with other nodes, and that. SA_ERR_STATE: nothing has changed. */
int draft_can(const world *w, const setup *s, const step *call, int64_t n);
sa_step_args step_args(const setup *s, const step *call, int64_t at, int64_t n, const results *r);
int batch_can_draft(const world *w, const setup *s, int n, const step *calls);
sa_status batch_by_drafts(world *w, const setup *s, int n, const step *calls, const results *to, int *failed);
sa_status step_by_draft(world *w, const setup *s, const step *call, int64_t at, int64_t n, const results *to);
sa_status world_batch(world *w, const setup *s, int n, const step *calls, results *r, int may_cut, int *failed);
void masses_take(results *r, arena *a, const setup *s, const step *call);
void masses_ask(sa_step_args *a, const step *call, const results *r);
void results_take(results *r, arena *a, const setup *s, const step *call);

/* ---------------------------------- changes -------------------------------- */

/* A node of a draft, and a draft. */
typedef struct tree_node {
    int32_t parent, depth;
    inputs in; /* one token */
} tree_node;
typedef struct tree {
    int n;
    tree_node nodes[RANDOM_DRAFT];
} tree;

/* Nodes as they are handed in. */
typedef struct nodes_given {
    int first, n; /* their numbers */
    int with_q;
    view view;
    int32_t parents[RANDOM_DRAFT];
    inputs in;
} nodes_given;

/* An operation that changes a sequence, kept so that it can happen again. */
enum {
    CHANGE_APPEND,
    CHANGE_ROLLBACK,
    CHANGE_SEEK,
    CHANGE_RESET,
    CHANGE_REMOVE,
    CHANGE_PIN,
    CHANGE_UNPIN,
    CHANGE_ANCHOR,
    CHANGE_ROWS,
    CHANGE_NODES,
    CHANGE_ACCEPT
};

/* Rows of the host as it hands them in, for all kv heads; k NULL: they are taken away. */
typedef struct rows_given {
    int first, n, at_distance;
    float *k, *v;    /* (n, n_kv_heads, dim) */
    int64_t *places; /* (n, n_kv_heads), or NULL */
    float *biases;   /* likewise */
} rows_given;

typedef struct change {
    int kind, layer; /* SA_ALL_LAYERS too, where the call takes it */
    uint64_t from, end;
    int gap;
    step append;
    const rows_given *rows;
    const nodes_given *nodes;
    int n_path;
    int32_t path[RANDOM_DRAFT];
} change;

sa_status change_call(const setup *s, sa_cache *cache, const change *c);
const char *change_text(const change *c);

/* ---------------------------------- episodes ------------------------------- */

/* All that happened to a sequence. */
typedef struct history {
    int n, room;
    change **list;
} history;

typedef struct episode {
    setup setup;
    source *from;
    arena arena;
    int n_worlds;
    world worlds[RANDOM_WORLDS];
    int is_open[RANDOM_SEQUENCES];
    model models[RANDOM_SEQUENCES][RANDOM_LAYERS][RANDOM_KV];
    host_rows rows[RANDOM_SEQUENCES][RANDOM_LAYERS];
    tree trees[RANDOM_SEQUENCES][RANDOM_LAYERS];
    history histories[RANDOM_SEQUENCES];
    sight sight;
    test_rng rng; /* which rows are compared */
    long operation;
    char text[256]; /* of the operation */
} episode;

/* What a run has found. */
typedef struct findings {
    uint64_t seed;
    long operations, episode, wrong, differ, leaked;
    long counts[32]; /* of operations by kind that succeeded */
    long refused[32];
    long rows, far_rows;
    double worst[8]; /* by kind of bars.h */
    int trace;
} findings;
extern findings found;

/* Each prints the first findings of its kind and returns 0. */
int say_wrong(episode *e, const char *format, ...);
int say_differ(episode *e, int world, const char *format, ...);

/* Runs at most `most` operations; returns how many. */
long episode_run(source *from, long most);

/* One operation; 0 if something was found, which ends the episode. So do all that follow. */
int operation_run(episode *e);
int do_open(episode *e);
int do_close(episode *e);
int do_fork(episode *e);
int do_change(episode *e, int sequence, const change *c);
int do_step(episode *e, step *call);
int do_travel(episode *e);
void draw_weighing(episode *e, step *call);
int do_rows(episode *e);
int do_read(episode *e);
int do_draft(episode *e);
int do_ask(episode *e);
int do_accept(episode *e);
int drop_drafts(episode *e, int sequence); /* in all layers */
int tree_is_open(const episode *e, int sequence, int layer);
sa_status nodes_call(const setup *s, sa_cache *cache, int layer, const nodes_given *g);
view draw_view(episode *e, int layer);
unsigned may_lack_tiles(episode *e, const step *calls, int n); /* of one layer */
sa_status rows_call(const setup *s, sa_cache *cache, int layer, const rows_given *g);
void rows_spoil(episode *e, world *w, sa_cache *cache, int layer); /* puts others there */
int rows_used(const host_rows *rows);
int do_batch(episode *e, step *calls, int n);
int close_sequence(episode *e, int sequence);
int sequence_any(episode *e); /* one that is open */

/* The next position of a layer, which is that of all its lanes. */
uint64_t layer_seen(const episode *e, int sequence, int layer);

/* What a call may answer that asks one lane after the other: all must agree, and any may refuse. */
typedef struct verdict {
    unsigned all, refusals;
} verdict;
void verdict_add(verdict *v, unsigned may);
unsigned verdict_may(const verdict *v);
void history_add(episode *e, int sequence, const change *c);

/* Compares the first world with the model after a call: counters and spans of all layers of a sequence. */
int check_state(episode *e, int sequence);
int check_results(episode *e, const step *call, const results *r);
const model *model_of(const episode *e, const step *call, int kv_head); /* that a call meets */
/* A row of what model_look has looked at last; q (head_dim), row `at` of the results. */
int check_row(episode *e, const model *m, int head, const float *q, const results *r, int64_t at);
int check_masses(episode *e, const step *call, const results *r);
double share_bar(const oracle_layer *l, const oracle_row *row); /* of a part of a row's softmax */
int check_info(episode *e, int sequence, int layer);
int check_pool(episode *e);
int check_tiles_of_all(episode *e);
int check_status(episode *e, sa_status status, unsigned may);
int check_untouched(episode *e, const results *r);
int check_twin(episode *e, int world, const results *a, const results *b);

#endif
