/* Checks the arguments of a step, and looks up what they mean.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_ARGUMENTS_H
#define SAI_ARGUMENTS_H

#include "error.h"
#include "plan.h"

/* What a call says of a tensor, and of its size. `first_error` is the first of its SAI_TENSOR_ERRORS. */
typedef struct sai_tensor_check {
    const sa_tensor *tensor;
    int32_t first_error, n, heads, dim;
} sai_tensor_check;

/* Completes and checks a host tensor of (tokens, heads, dim). */
sai_error sai_arguments_view(const sa_pool *pool, const sai_tensor_check *tensor, sai_view *out);

/* Whether any two rows of a checked tensor share a byte. */
int sai_arguments_overlaps(const sai_tensor_check *tensor, const sai_view *view);

/* Checks an array of n numbers of a size, or NULL. `address_error` is followed by the error of its extent. */
sai_error sai_arguments_array(uint64_t n, size_t size, const void *array, sai_error address_error);

/* The kv heads of a layer that a call is about: n of them from `kv_head` on; 0: all from that one on. */
sai_error sai_arguments_heads(const sa_pool *pool, int32_t layer, int32_t kv_head, int32_t n, sai_heads *heads);

/* Copies the args of a host that may be older or newer. */
sai_error sai_arguments_read(const sa_step_args *args, sa_step_args *own);

/* What the steps of one call take of a pool together. */
typedef struct sai_claim {
    int64_t *tiles; /* (lanes of the layer): those that steps checked before will take; in the workspace */
    int32_t piece;  /* tokens that are processed at once, where that is less than usual; else 0 */
} sai_claim;

/* Of no steps yet. */
sai_claim sai_arguments_claim(const sa_pool *pool, int32_t piece);

/* Checks all of a step against its sequence, in every lane of the layer; *state receives the first of them. */
sai_error sai_arguments_check(const sa_cache *cache, const sa_step_args *args, sai_call *call, sai_state *state,
                              const sai_claim *claim);

/* Whether a layer of the sequence takes n tokens more, beside those of the claim, which grows by them. */
sai_error sai_arguments_check_room(const sa_cache *cache, int32_t layer, int32_t n, const sai_claim *claim);

/* Tokens that are processed at once: as many as the scratch allows, and few enough that rows are counted in 32 bits. */
int32_t sai_arguments_piece(const sa_pool *pool, const sai_layer *layer);

#endif
