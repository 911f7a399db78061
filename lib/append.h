/* Takes the host's keys and values in: to f32, turned to their position, stored.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_APPEND_H
#define SAI_APPEND_H

#include "cache.h"

static inline char *sai_row_at(const sai_view *v, int64_t token, int64_t head) {
    return v->data + token * v->token_stride + head * v->head_stride;
}

/* Appends n <= max_append tokens from token `from` of the views on; the caller has checked that it may. */
void sai_append(sa_cache *cache, sai_layer *layer, int64_t from, int32_t n, const sai_view *k, const sai_view *v);

/* Fills the learned sink rows. */
void sai_append_learned(sa_cache *cache, sai_layer *layer, const sai_view *k, const sai_view *v);

#endif
