/* What calls need beside keys and values: one for a whole pool, since one call runs at a time.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_WORKSPACE_H
#define SAI_WORKSPACE_H

#include "config.h"
#include "model.h"

/* Rotations that were worked out: rows of cos and sin for positions first, first + step, ... (modulo 2^64). Layers run
 * one after the other over the same tokens, so most find theirs ready. */
typedef struct sai_rotations_key {
    uint64_t first;
    int32_t rope_id, n, step; /* step 1, 0 (then n is 1) or -1 */
    int32_t row;
    uint32_t filled; /* 0, or the number of the filling of the table that this is of */
} sai_rotations_key;

enum { SAI_ROTATION_KEYS = 512 }; /* a power of two */

typedef struct sai_workspace {
    size_t rotations_at;   /* float[rotation_rows][rotation_stride] */
    size_t keys_at;        /* sai_rotations_key[SAI_ROTATION_KEYS] */
    int32_t rotation_rows; /* of the table, and how many are in use */
    int32_t rotation_used;
    int32_t rotation_stride; /* floats */
    uint32_t rotation_filling;
    size_t workers_at, worker_size; /* n_threads times scratch of a worker */
    size_t splits_at;               /* states of key blocks that are worked by several threads */
    uint64_t split_floats;
    size_t calls_at;              /* sai_batch_call[n_sequences] */
    size_t jobs_at;               /* sai_job[n_sequences * most_lanes]: what runs */
    size_t parts_at;              /* sai_part[]: what the jobs look at */
    size_t views_at;              /* sai_span[]: the spans of narrowed views */
    size_t claims_at;             /* int64_t[most_lanes]: tiles that the steps of a call take, while they are checked */
    int32_t most_lanes, reserved; /* of a layer */
    int32_t most_parts, most_view_spans;
    int32_t begun_layer; /* of the step that the host's threads work together; -1: none */
    int32_t begun_jobs, begun_phases, reserved2;
} sai_workspace;

/* A partial softmax of some rows: sum of exp(logit - max), and of that times v. */
typedef struct sai_states {
    float *max, *sum, *acc; /* (rows), (rows), (rows, dv_pad) */
} sai_states;

/* A worker's scratch, cut for a layer. */
typedef struct sai_scratch {
    float *raw;         /* (rows, dk): queries as the host gave them */
    float *q;           /* (rows, dk): rotated for the span that is processed */
    float *packed;      /* (rows, words): the same for integer keys */
    float *hadamard;    /* (dk) */
    float *rotation;    /* (2 pairs): a row that the workspace does not have */
    float *scores;      /* (8, 256): of the rows that a kernel takes at a time */
    float *keep;        /* (8) */
    float *chain;       /* (8, dv_pad): value sums of one chunk */
    float *wide_k;      /* (256, dk): keys as f32, where many rows use them */
    float *wide_v;      /* (256, dv_pad): values as f32 */
    float *weights;     /* (8, sai_weight_words): weights as integers, where values are */
    uint32_t *path_map; /* (16 + path_tiles): tiles from the chunk of the newest token on, and */
    int32_t *path;      /* (sai_most_depth): nodes, those of the path that lies in a worker's tiles */
    int32_t worker;
    sai_states block, total; /* of a block of keys, of all before */
    sai_states sinks;        /* max and sum alone: of the sinks */
} sai_scratch;

/* Floats of a worker's scratch for a layer. */
uint64_t sai_scratch_floats(const sai_layer *layer, int32_t max_append);

/* The scratch of worker w. */
sai_scratch sai_scratch_of(const struct sa_pool *pool, const sai_layer *layer, int32_t w);

#endif
