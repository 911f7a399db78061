/*
 * SnapKV (Li et al. 2024, arXiv 2404.14469), streaming: the tokens that the newest queries look at, with their
 * neighbours.
 *
 * SPDX-License-Identifier: MIT
 *
 * The paper's chooses once, at the end of a prompt: by the attention of the last 32 queries or so, after the scores
 * were pooled over 7 neighbouring tokens. A stream has no such end. So the choice is made anew for each token that
 * leaves the window, and a query counts less with each that comes after it: 32 in all.
 */
#include "kept.h"

static bool begin(policy_run *run, failure *why) {
    return kept_begin(run, (kept_rule){.decay = 1.0f - 1.0f / 32.0f, .near = 3}, why);
}

const policy policy_snapkv = {
    .name = "snapkv", .begin = begin, .configure = kept_configure, .attend = kept_attend, .reset = kept_reset};
