/* Calls of one sequence or of many, cut into units of work.
 *
 * SPDX-License-Identifier: MIT
 *
 * The keys that a call sees are a list of parts: learned sink rows, rows of the host, then the spans of the sequence;
 * where newest tokens are stored a second time, a span is two parts. Each part is cut into blocks at multiples of
 * 2^block_bits. A row's state over a block is the merge, in order, of its states over the block's chunks; its result
 * the merge, in order, of the states of all blocks. That order is all that decides the bits. Who works a block, and
 * beside which other rows, is free: a unit is some rows of a kv head times all blocks or some (Flash-Decoding's split,
 * fixed by position).
 */
#ifndef SAI_PLAN_H
#define SAI_PLAN_H

#include "kernels/kernel.h"
#include "rotations.h"
#include "sequence.h"

/* What a host wants of one layer of a sequence, or of one lane of it; every pointer but those of the views in use may
 * be NULL. Row (i, h) of the (tokens, heads) arrays belongs to token i of the views. */
typedef struct sai_call {
    sai_view k, v, q, out;
    float *lse, *sink_mass, *partial_max, *partial_sum;
    float *key_mass, *value_norms; /* (heads, key_stride) and (n_kv_heads, key_stride) */
    int64_t key_stride;
    int32_t mass_per_head; /* heads: the query heads, not the kv heads */
    int32_t wants_keys;    /* either array is wanted */
    int64_t from;          /* the first token of the views that is worked now */
    int32_t n;             /* tokens, <= max_append */
    int32_t appends, attends;
    uint64_t first;     /* stream position of token `from` */
    uint64_t window;    /* of a narrower view; 0: the lane's */
    int64_t view_sinks; /* sink tokens of a narrower view; -1: the lane's */
    int32_t is_draft;   /* the tokens are nodes of a draft, */
    int32_t node;       /* from this one on */
} sai_call;

/* A call of a batch, the first lane that it is about, and how many of its tokens have become jobs. */
typedef struct sai_batch_call {
    const sa_cache *cache;
    sai_state state;
    sai_call call;
    int64_t done;
} sai_batch_call;

enum { SAI_PART_WHOLE, SAI_PART_OLD, SAI_PART_NEWEST };

/* Learned sink rows, and those of the host: these are listed in the order of their kinds (rows.h). */
enum { SAI_PART_LEARNED = -1, SAI_PART_IN_FRONT = -2, SAI_PART_AT_DISTANCE = -3 };
static inline int32_t sai_part_kind(int32_t span) { return SAI_PART_IN_FRONT - span; }

typedef struct sai_part {
    int32_t span;   /* of the sight, or one of the SAI_PART_* below 0, which are no tokens */
    int32_t extent; /* SAI_PART_* */
    int32_t is_sink;
    int32_t n_blocks;
    uint64_t first_block; /* in blocks of positions */
    sai_range reach;      /* what the rows see together: from that of the first to that of the last */
    uint64_t place[2]; /* of the first token's queries and the last one's: the distance to a key is place - position */
    const sai_arena *arena;
    const uint32_t *map; /* tiles, from that of number map_first on */
    uint64_t map_first;
    int32_t row, row_step; /* of the pool's rotations: that of token i is row + i * row_step */
    uint64_t tail;         /* keys from this multiple of 256 on differ from node to node; UINT64_MAX: none do */
} sai_part;

/* A part's row, if queries are not rotated for it; and if each worker works the rotations out for itself. */
enum { SAI_ROW_NONE = -1, SAI_ROW_UNEVEN = -2 };

typedef struct sai_job {
    sai_call call;
    sai_state state;
    const sai_kernels *kernels;
    sai_sight sight;
    sai_place places[2];   /* of the first token and the last; of nodes, the least deep and the deepest */
    int32_t apart;         /* positions between the two */
    int32_t least;         /* depth of the least deep node */
    const int32_t *depths; /* (n) of nodes; NULL: tokens stand one after the other */
    sai_part *parts;
    int32_t n_parts, all_blocks;
    int32_t rows;                /* of a kv head: tokens times group */
    int32_t panel, n_panels;     /* rows of a panel, panels of a kv head */
    int32_t segment, n_segments; /* blocks of a segment, segments; 1 segment: not split */
    int32_t stores_by_head;      /* the units store the tokens, each those of its kv head */
    int32_t keys_row;            /* of the pool's rotations: that of the first token's key, or -1 */
    uint64_t split_at;           /* floats: where its split states begin */
    uint64_t kept_at;            /* floats: where the ends of its rows' softmaxes are kept for a second pass */
} sai_job;

/* Rows [row, row + n) of a kv head of a job, over the blocks [block, block_end) of all. */
typedef struct sai_unit {
    sai_job *job;
    const sai_job *next; /* what is read after it, with its kv head; NULL: nothing is known */
    int32_t next_head;
    int32_t kv_head, row, n;
    int32_t block, block_end;
    int32_t host_head; /* the kv head's number in the host's tensors */
} sai_unit;

/* Most rows of a call whose keys are split over threads, and most blocks that a row of it sees. */
uint64_t sai_split_rows(int32_t n_threads);
uint64_t sai_most_blocks(const sai_layer *layer);

/* The window of a call's narrower view, in a lane whose own may be narrower still; 0: the lane's. */
static inline uint64_t sai_view_window(const sai_call *call, const sai_rules *rules) {
    return call->window < rules->window || rules->is_dense ? call->window : rules->window;
}

/* Narrows a sight to the call's view, if it has one; as sai_sight_narrow. */
void sai_view_narrow(const sai_call *call, const sai_rules *rules, sai_sight *sight, sai_span *room);

/* Jobs of the pool's workspace. */
static inline sai_job *sai_jobs(const sa_pool *pool) { return (sai_job *)sai_at(pool, pool->work.jobs_at); }

/* Plans job `index` of the pool's workspace, whose state and call are set; its tokens, if it appends, are in the spans
 * already. */
void sai_plan_job(sa_pool *pool, int32_t index);

/* Cuts the workspace's first n jobs into units, and works out the rotations that they need. */
void sai_plan_cut(sa_pool *pool, int32_t n_jobs);

/* How many units there are, and phases: 1, 2 where states are merged at the end, or 3 where keys are weighed then. */
int64_t sai_plan_units(const sa_pool *pool, int32_t n_jobs);
int32_t sai_plan_phases(const sa_pool *pool, int32_t n_jobs);

/* Unit `index` of a job. */
sai_unit sai_plan_unit(const sa_pool *pool, int32_t n_jobs, int32_t job, int32_t index);

/* What a job's first units cost, in multiplications: all of it with index = its number of units. */
static inline int32_t sai_job_units(const sai_job *job) {
    return job->call.attends ? job->state.layer->n_kv_heads * job->n_panels * job->n_segments : 0;
}
double sai_plan_cost(const sai_job *job, int32_t index);

/* ---------------------------------- rows ---------------------------------- */

/* The token of a row of a kv head, and its query head in the host's tensors: without a division for a single token. */
static inline int32_t sai_row_token(const sai_job *job, int32_t row) {
    return job->call.n == 1 ? 0 : row / job->state.layer->group;
}
static inline int32_t sai_row_head(const sai_unit *unit, int32_t row) {
    int32_t group = unit->job->state.layer->group;
    return unit->host_head * group + (unit->job->call.n == 1 ? row : row % group);
}
/* How far behind call.first it stands. */
static inline int32_t sai_token_step(const sai_job *job, int32_t token) {
    return job->depths ? job->depths[token] - job->least : token;
}
static inline sai_place sai_token_place(const sai_job *job, int32_t token) {
    return sai_place_of(&job->sight, job->call.first + (uint64_t)sai_token_step(job, token));
}

/* What a query there sees of a part. */
sai_range sai_part_visible(const sai_job *job, const sai_part *part, sai_place at);

/* The place of the query for the part's keys: their distance is place - position. */
uint64_t sai_part_place(const sai_job *job, const sai_part *part, sai_place at);

#endif
