/* Attention of some queries over a layer: cut into units, run, merged, written out.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_ATTEND_H
#define SAI_ATTEND_H

#include "append.h"
#include "cache.h"
#include "panel.h"

/* The caller has checked that all keys are there, or will be when `tokens`, if not NULL, are stored: that is done
 * first, by the same threads. */
void sai_attend(sa_cache *cache, const sai_layer *layer, const sai_queries *queries, const sai_tokens *tokens);

/* The same by threads of the host. One of them begins, and gets the number of phases; then, in each phase, each of
 * n_workers <= n_threads does its part. No thread may begin a phase before all have ended the one before. */
int32_t sai_attend_begin(sa_cache *cache, const sai_layer *layer, const sai_queries *queries);
void sai_attend_part(const sa_cache *cache, const sai_layer *layer, const sai_queries *queries, int32_t phase,
                     int32_t worker, int32_t n_workers);

/* The scratch of worker w. */
sai_scratch sai_worker_scratch(const sa_cache *cache, const sai_layer *layer, int32_t w);

#endif
