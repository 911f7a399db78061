/*
 * Tokens that stay when the window leaves them, because queries look at them: what H2O and SnapKV have in common.
 *
 * SPDX-License-Identifier: MIT
 *
 * Each kv head has half of the budget for tokens of its own choice, and a window in the rest. A token's score is the
 * attention that it gets, summed over queries; queries of long ago may count less. A token that leaves the window takes
 * the place of the kept one with the lowest score, if its own is higher.
 */
#ifndef KEPT_H
#define KEPT_H

#include "heads.h"

typedef struct kept_rule {
    float decay;  /* how much of a score is left at the next query */
    int32_t near; /* a token that leaves has the highest score of those within so many positions */
} kept_rule;

bool kept_begin(policy_run *run, kept_rule rule, failure *why);
void kept_configure(void *context, sa_config *config);
sa_status kept_attend(void *context, int32_t layer);
void kept_reset(policy_run *run);

#endif
