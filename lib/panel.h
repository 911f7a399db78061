/* Rows times one chunk of keys: scores, softmax, value sums.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_PANEL_H
#define SAI_PANEL_H

#include "integers.h"
#include "kernels/kernel.h"
#include "rows.h"
#include "workspace.h"

/* What keys weigh in softmaxes that are finished, summed over rows: that of row r at position u is added to
 * to[(head + r) % heads * stride + u - first]. */
typedef struct sai_weighing {
    const float *max, *inverse; /* (n_rows): of exp(logit - max) * inverse */
    float *to;
    int64_t stride;
    uint64_t first; /* modulo 2^64 */
    int32_t head, heads;
} sai_weighing;

/* What is the same for all chunks of a panel. */
typedef struct sai_panel {
    const sai_kernels *kernels;
    const sai_layer *layer;
    sai_run tiles;
    const float *q; /* (n_rows, q_stride), packed for keys of integers */
    size_t q_stride;
    int32_t n_rows;
    const sai_range *visible;    /* (n_rows) */
    uint64_t end;                /* of what some row sees of the span, also beyond `visible` */
    const float *slopes;         /* (n_rows) ALiBi, or NULL */
    const int64_t *query_places; /* (n_rows) with slopes: where the row stands ... */
    int64_t key_place;           /* ... and where key 0 of the span does */
    int key_step;                /* 1, or 0 where all keys of the span stand at one place */
    const sai_row_facts *facts;  /* of the tiles of rows of the host, and their kind; NULL: keys of tokens */
    int kind;
    const sai_scratch *scratch;
    const sai_weighing *weighing; /* NULL, or in place of states: what the keys weigh; values are not looked at */
    const char *next_k, *next_v;  /* what to prefetch after this span: keys and values that are read next */
} sai_panel;

/* Adds the keys of the chunk [base, base + 256) that each row sees to the states of all rows. Their max is that of
 * the kernels' softmax, until sai_panel_end. With panel->weighing, states may be NULL. */
void sai_panel_chunk(const sai_panel *panel, uint64_t base, sai_states *states);

/* Whether stored keys or values are converted to f32, once for so many rows, by kernels that widen; there is room for
 * it with all kernels. Integers are multiplied by integers. */
static inline int sai_panel_widens(int32_t dtype, uint64_t rows) {
    return rows >= SAI_WIDEN_ROWS && dtype != SA_F32 && !sai_is_integer(dtype);
}

/* After the last chunk: every max becomes a logit. */
void sai_panel_end(const sai_panel *panel, sai_states *states);

#endif
