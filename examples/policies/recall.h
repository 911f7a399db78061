/*
 * Recall: facts in a novel, and the questions about them a given number of tokens later.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef RECALL_H
#define RECALL_H

#include "../stream/score.h"
#include "../stream/tokenizer.h"
#include "policy.h"

enum { RECALL_APART = 100 }; /* tokens from one fact of a trial to the next */

typedef struct recall {
    tokenizer *t;
    const id_list *text; /* what stands between facts and questions */
    int32_t distance;    /* tokens from a fact to its question */
    int32_t facts;       /* of a trial */
    int32_t trials;      /* streams, each begun anew, with facts and text of its own */
    int64_t asked, right;
    tally said; /* of the answers' tokens */
} recall;

/* Tokens of a trial, at most. */
int32_t recall_tokens(const recall *r);

/* A question counts as right if each token of the answer is the likeliest one behind those before it. */
bool recall_run(recall *r, policy_run *run, failure *why);

#endif
