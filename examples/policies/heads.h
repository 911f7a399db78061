/*
 * Policies that choose by kv head: each kv head of the model is a layer of the cache.
 *
 * SPDX-License-Identifier: MIT
 *
 * A cache whose layers have one kv head each takes no more bytes than one whose layers have all of them, and lets each
 * head go its own way, one after the other. (Rows alone can differ without it: sa_set_rows takes a range of kv heads.)
 */
#ifndef HEADS_H
#define HEADS_H

#include "policy.h"

/* Half of the budget, in whole tiles: for rows of the host. */
int32_t heads_half(const policy_run *run);

/* The window that n_rows rows of the host and the sinks leave. */
int32_t heads_window(const policy_run *run, int32_t n_rows);

/* A cache of such layers. */
void heads_configure(policy_run *run, sa_config *config, int32_t n_rows);

/* Runs the task for each kv head of a layer and each of the tokens that are being fed. */
typedef sa_status heads_task(policy_run *run, int32_t cache_layer, int32_t token);
sa_status heads_each(policy_run *run, int32_t layer, heads_task *task);

/* Appends one of the tokens that are being fed to a layer of the cache, and attends; args has the rest of the step. */
sa_status heads_step(const policy_run *run, int32_t cache_layer, int32_t token, sa_step_args *args);

/* Key, unrotated, and value of n tokens from a position on: (n, head_dim) and (n, v_head_dim); at most POLICY_CHUNK. */
sa_status heads_read(const policy_run *run, int32_t cache_layer, int64_t from, int32_t n, float *k, float *v);

/* Puts in a row of the host. It stands where the window leaves its tokens. */
sa_status heads_set_row(const policy_run *run, int32_t cache_layer, int32_t row, float *k, float *v, float bias);

#endif
