/*
 * H2O (Zhang et al. 2023, arXiv 2306.14048): heavy hitters, the tokens with the most attention since they came.
 *
 * SPDX-License-Identifier: MIT
 *
 * Half of the budget is for heavy hitters, half for the newest tokens, each kv head for itself.
 */
#include "kept.h"

static bool begin(policy_run *run, failure *why) { return kept_begin(run, (kept_rule){.decay = 1.0f, .near = 0}, why); }

const policy policy_h2o = {
    .name = "h2o", .begin = begin, .configure = kept_configure, .attend = kept_attend, .reset = kept_reset};
