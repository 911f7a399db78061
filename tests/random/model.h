/*
 * The naive model of a sequence: a list of every token that ever came, and the written rules.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SA_TESTS_RANDOM_MODEL_H
#define SA_TESTS_RANDOM_MODEL_H

#include "setup.h"

/* What has become of a position. */
enum {
    ITEM_HELD,    /* a token, there */
    ITEM_EVICTED, /* a token that the library has let go; its position counts */
    ITEM_MASKED,  /* positions in a span that hold no token */
    ITEM_LOST,    /* positions in no span that count and hold no token */
    ITEM_CLOSED   /* positions that count no more */
};

/* A token (one position), or a run of positions without one. */
typedef struct item {
    uint64_t from, end;
    int32_t kind; /* SA_SPAN_* */
    int32_t state;
    int32_t is_apart;    /* stored among the sinks */
    int32_t copy_may_go; /* its copy among the newest tokens may have been let go */
    int32_t copy_left;   /* it was let go when a gap was closed */
    int32_t was_evicted; /* of ITEM_LOST: the library may take it for evicted */
    const double *k, *v; /* as stored: (n_kv_heads, head_dim), (n_kv_heads, v_head_dim) */
    const double *k_recent, *v_recent;
    int64_t base, base_recent; /* k, k_recent have been rotated to this position */
} item;

/* A row of the host, as one kv head has it. */
typedef struct host_row {
    int is_there, at_distance;
    int64_t place; /* in front; or the distance */
    double bias;
    const double *k, *v; /* as stored: (head_dim), (v_head_dim) */
    int64_t base;        /* k has been rotated to this place */
} host_row;

/* Those of a layer of a sequence. */
typedef struct host_rows {
    host_row list[RANDOM_ROWS][RANDOM_KV];
} host_rows;

/* One lane of a layer of a sequence. */
typedef struct model {
    setup *setup;
    int layer;
    const lane *rules;
    const host_rows *rows;
    uint64_t seen, floor; /* the next token's position; where the last jump went */
    uint64_t sink_end;    /* tokens that come below become sinks */
    /* A gap was closed when the window had left tokens below `left`, and copies below `left_copy`: they are gone, and
     * queries from there on do not miss them. */
    uint64_t left, left_copy;
    int64_t n, room;
    item *items; /* in the order of their positions, all of [0, seen) */
} model;

/* Sets of statuses that a call may return. */
#define MAY(status) (1u << -(status))

void model_make(model *m, setup *s, int layer, int lane, const host_rows *rows);
void model_copy(model *to, const model *from);
void model_free(model *m);
void model_reset(model *m);
void model_append(model *m, arena *a, const inputs *in);
void model_rollback(model *m, uint64_t target);
void model_seek(model *m, uint64_t position);
void model_remove(model *m, uint64_t from, uint64_t end, int keep);
void model_pin(model *m, uint64_t from, uint64_t end);
void model_unpin(model *m, uint64_t from, uint64_t end);
void model_anchor(model *m, uint64_t from, uint64_t end);

unsigned model_may_append(const model *m, int64_t n);
unsigned model_may_rollback(const model *m, uint64_t target);

/* Whether the library cannot know which positions around p were removed with their gap closed. */
int model_is_vague(const model *m, uint64_t p);
unsigned model_may_remove(const model *m, uint64_t from, uint64_t end, int keep);
unsigned model_may_pin(const model *m, uint64_t from, uint64_t end);
unsigned model_may_unpin(const model *m, uint64_t from, uint64_t end);
unsigned model_may_anchor(const model *m, uint64_t from, uint64_t end);

/* position - logical position of p; of the next token if p is beyond. */
uint64_t model_shift(const model *m, uint64_t p);
const item *model_at(const model *m, uint64_t p);
int64_t model_count_held(const model *m);
int64_t model_count_tiles(const model *m); /* of 16 positions, that hold a token that is not stored among the sinks */

/* x as a dtype that is no integer's stores it. */
double model_rounded(int dtype, double x);

/* Makes p the beginning of an item; returns which. */
int64_t model_split(model *m, uint64_t p);

/* Learns from the library's list of spans what has been evicted; returns NULL, or what is wrong with the list. */
const char *model_sync(model *m, const sa_span *spans, int32_t n);

/* A narrower view of one call; 0: the layer's own. */
typedef struct view {
    int32_t window, sinks;
} view;

/* A token that a query sees. */
typedef struct seen_token {
    const item *item;
    int64_t distance; /* of positional information */
    int is_sink, is_recent;
} seen_token;

/* What a query sees. */
typedef struct sight {
    uint64_t t;
    int64_t logical;
    int64_t place; /* of the query behind the learned rows */
    int misses;    /* a token would be seen that has been evicted, or its copy may have been */
    int is_vague;  /* a copy may be gone, and the token be read as the window stores it */
    int must_fail; /* and no closed gap lies behind it that could have brought it back into the window */
    int n, room;
    seen_token *list;
} sight;

void model_look(const model *m, uint64_t t, view v, sight *s);

/* logits, if not NULL, receives those of the sink logit, learned rows, the config's rows of the host (-infinity: not
 * there), and tokens. */
void model_attend(const model *m, const sight *s, int head, const float *q, oracle_row *row, double *logits);
int64_t model_visible_to_newest(const model *m);
void model_rotate(const oracle_layer *l, int64_t amount, double *x);
void model_forget_phases(void); /* between episodes: frequencies change */

#endif
