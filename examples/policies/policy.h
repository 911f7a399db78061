/*
 * A policy: which keys and values a layer keeps, on the model code of examples/stream.
 *
 * SPDX-License-Identifier: MIT
 *
 * Each policy is one file on the public header and this one, and a line of the table in policies.c. All get the same
 * number of tokens to hold, and are measured on the same text and the same questions.
 */
#ifndef POLICY_H
#define POLICY_H

#include "../stream/forward.h"

enum { POLICY_SINKS = 4, POLICY_CHUNK = 64, POLICY_OWNED = 16 };

typedef struct policy_run {
    const struct policy *policy;
    const model *m;
    int32_t budget;            /* tokens whose keys and values a layer may hold, sinks, rows and window together */
    int32_t longest;           /* tokens of the longest stream that will be fed */
    int32_t n_layers;          /* of the cache: the model's, or more (heads.h) */
    stream s;                  /* its cache, and q, k, v and attention of the tokens that are being fed */
    void *state;               /* the policy's own, made by begin */
    uint64_t own_bytes;        /* keys and values that the policy keeps outside of the cache */
    void *owned[POLICY_OWNED]; /* what policy_allocate gave */
    int32_t n_owned;
} policy_run;

/* Every function may be NULL; `context` is the policy_run. */
typedef struct policy {
    const char *name;
    /* Makes state by policy_allocate, before the cache is made. */
    bool (*begin)(policy_run *run, failure *why);
    /* Changes the configuration: it is POLICY_SINKS sinks and a window that fill the budget. */
    void (*configure)(void *context, sa_config *config);
    /* In place of sa_append_attend: appends run->s.k and run->s.v of run->s.fed tokens to a layer, and attends with
     * run->s.q into run->s.attention. It may do so token by token. */
    sa_status (*attend)(void *context, int32_t layer);
    /* A new stream begins; the cache is empty. */
    void (*reset)(policy_run *run);
} policy;

extern const policy policy_dense, policy_window, policy_sinks, policy_mean, policy_h2o, policy_snapkv, policy_memory,
    policy_duo;

/* Zeroed memory that lives as long as the run; NULL with a sentence in `why`, also if it was so the last time: only the
 * last of several calls has to be checked. */
void *policy_allocate(policy_run *run, uint64_t count, size_t size, failure *why);

/* Bytes of keys and values, those of the policy included. */
uint64_t policy_bytes(const policy_run *run);

#endif
