/* Takes the host's keys and values in: to f32, rotated to their position, stored.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_APPEND_H
#define SAI_APPEND_H

#include "cache.h"
#include "panel.h"

static inline char *sai_row_at(const sai_view *v, int64_t token, int64_t head) {
    return v->data + token * v->token_stride + head * v->head_stride;
}

/* n tokens to append to a layer, from token `from` of the views on; the first has position `first`. */
typedef struct sai_tokens {
    const sa_cache *cache;
    const sai_layer *layer;
    sai_view k, v;
    int64_t from;
    int32_t n;
    uint64_t first;
} sai_tokens;

/* Counts n <= max_append tokens into the stream, which the caller has checked. After that, every kv head's rows must be
 * stored, by any thread with a scratch of its own, before they are read. */
sai_tokens sai_append_begin(sa_cache *cache, sai_layer *layer, int64_t from, int32_t n, const sai_view *k,
                            const sai_view *v);
void sai_append_head(const sai_tokens *tokens, int32_t kv_head, const sai_scratch *scratch);

/* Prefetches the lines that a kv head's first token goes to. */
void sai_append_prefetch(const sai_tokens *tokens, int32_t kv_head);

/* Stores tokens, many of them with all threads. */
void sai_store_tokens(const sai_tokens *tokens);

/* The same in the calling thread. */
void sai_store_tokens_here(const sai_tokens *tokens);

/* Fills the learned sink rows. */
void sai_append_learned(sa_cache *cache, sai_layer *layer, const sai_view *k, const sai_view *v);

#endif
