/* Rows times one chunk of keys: scores, softmax, value sums.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_PANEL_H
#define SAI_PANEL_H

#include "cache.h"
#include "kernels/kernel.h"
#include "store.h"

/* Partial states of some rows: sum of exp(logit - max), and of that times v. */
typedef struct sai_states {
    float *max, *sum, *acc; /* (rows), (rows), (rows, dv_pad) */
} sai_states;

/* A worker's scratch, cut for a layer. */
typedef struct sai_scratch {
    float *q, *q_sinks;        /* (rows, dk): rotated for the window, and for the sinks */
    float *rotated, *q_packed; /* (dk), (rows, words): that for the window, where its keys are integers */
    float *scores;             /* (8, 256): of the rows that a kernel takes at a time */
    float *keep;               /* (8) */
    float *chain;              /* (8, dv_pad): value sums of one chunk */
    float *wide_k;             /* (sai_wide_keys, dk): keys as f32, where many rows use them */
    float *wide_v;             /* (sai_wide_values, dv_pad): values as f32 */
    float *weights;            /* (8, sai_weight_words): weights as integers, where the window's values are */
    sai_states block, total, sinks;
} sai_scratch;

/* What is the same for all chunks of a panel. */
typedef struct sai_panel {
    const sai_kernels *kernels;
    const sai_layer *layer;
    sai_tiles tiles;
    const float *q; /* (n_rows, q_stride), packed for keys of integers */
    size_t q_stride;
    int32_t n_rows;
    const sai_range *visible;    /* (n_rows) */
    uint64_t end;                /* of what some row sees of the span, also beyond `visible` */
    const float *slopes;         /* (n_rows) ALiBi, or NULL */
    const int64_t *query_places; /* (n_rows) with slopes: where the row stands ... */
    int64_t key_place;           /* ... and where key 0 of the span does */
    int key_step;                /* 1, or 0 where all keys of the span stand at one place */
    const sai_scratch *scratch;
    const char *next_k, *next_v; /* what to prefetch after this span: keys and values that are read next */
} sai_panel;

/* Adds the keys of the chunk [base, base + 256) that each row sees to the states of all rows. Their max is that of
 * the kernels' softmax, until sai_panel_end. */
void sai_panel_chunk(const sai_panel *panel, uint64_t base, sai_states *states);

/* How many keys and values are converted to f32 at a time where so many rows use them: a chunk of them, or none. */
uint64_t sai_wide_keys(const sai_layer *layer, uint64_t rows);
uint64_t sai_wide_values(const sai_layer *layer, uint64_t rows);

/* After the last chunk: every max becomes a logit. */
void sai_panel_end(const sai_panel *panel, sai_states *states);

#endif
