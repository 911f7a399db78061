/* Attention of some queries over a layer: cut into units, run, merged, written out.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_ATTEND_H
#define SAI_ATTEND_H

#include "append.h"
#include "cache.h"
#include "panel.h"

/* What a call wants; every pointer but q and out may be NULL. Row (i, h) of the (tokens, heads)
 * arrays belongs to token i of the views. */
typedef struct sai_queries {
    sai_view q, out;
    int64_t from;   /* the first token of the views that is worked */
    int32_t n;      /* tokens, <= max_append */
    uint64_t first; /* stream position of token `from` */
    float *lse, *sink_mass, *partial_max, *partial_sum;
} sai_queries;

/* The caller has checked that all keys are there. */
void sai_attend(sa_cache *cache, const sai_layer *layer, const sai_queries *queries);

/* The scratch of worker w. */
sai_scratch sai_worker_scratch(const sa_cache *cache, const sai_layer *layer, int32_t w);

#endif
