/*
 * The three policies that need no code but a configuration: all tokens, a window, sinks and a window.
 *
 * SPDX-License-Identifier: MIT
 */
#include "policy.h"

static void keep_all(void *context, sa_config *config) {
    const policy_run *run = context;
    config->policy = SA_POLICY_DENSE;
    config->n_sink = 0;
    config->position_mode = 0;
    config->window = run->longest;
}

static void keep_newest(void *context, sa_config *config) {
    const policy_run *run = context;
    config->policy = SA_POLICY_WINDOW;
    config->n_sink = 0;
    config->position_mode = 0;
    config->window = run->budget;
}

const policy policy_dense = {.name = "dense", .configure = keep_all};
const policy policy_window = {.name = "window", .configure = keep_newest};
const policy policy_sinks = {.name = "sinks"};
