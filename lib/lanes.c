/* Which kv heads of a layer keep the same tokens.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include "lanes.h"

/* What decides which tokens a kv head keeps. */
typedef struct lanes_rule {
    int32_t policy, n_sink, window;
} lanes_rule;

static lanes_rule lanes_rule_of(const sa_config *c, int32_t head) {
    int32_t window = c->head_windows ? c->head_windows[head] : 0, sinks = c->head_sinks ? c->head_sinks[head] : 0;
    lanes_rule r = {c->policy, c->n_sink, c->window};
    if (sinks) r.n_sink = sinks < 0 ? 0 : sinks;
    if (!window) return r;
    r.window = window;
    /* A head of a dense layer that has a window streams. */
    if (r.policy == SA_POLICY_DENSE) r.policy = SA_POLICY_SINK_WINDOW;
    return r;
}

static int lanes_are_equal(const sa_config *c, int32_t a, int32_t b) {
    lanes_rule x = lanes_rule_of(c, a), y = lanes_rule_of(c, b);
    return x.policy == y.policy && x.n_sink == y.n_sink && x.window == y.window;
}

sai_lanes sai_lanes_of(const sa_config *c) {
    sai_lanes lanes;
    lanes.n = 1;
    lanes.heads[0] = 0;
    for (int32_t h = 1; (c->head_sinks || c->head_windows) && h < c->n_kv_heads; h++) {
        int32_t i = 0;
        while (i < lanes.n && !lanes_are_equal(c, lanes.heads[i], h)) i++;
        if (i < lanes.n) continue;
        if (lanes.n++ == SAI_MOST_LANES) return lanes;
        lanes.heads[i] = h;
    }
    return lanes;
}

sa_config sai_lanes_config(const sa_config *c, const sai_lanes *lanes, int32_t lane) {
    sa_config own = *c;
    lanes_rule rule = lanes_rule_of(c, lanes->heads[lane]);
    int32_t n = lanes->n == 1 ? c->n_kv_heads : 0;
    for (int32_t h = 0; lanes->n > 1 && h < c->n_kv_heads; h++) n += lanes_are_equal(c, lanes->heads[lane], h);
    own.policy = rule.policy;
    own.n_sink = rule.n_sink;
    own.window = rule.window;
    if (own.n_recent > own.window) own.n_recent = own.window;
    own.n_kv_heads = n;
    own.n_heads = c->n_heads / c->n_kv_heads * n;
    return own;
}

void sai_lanes_heads(const sa_config *c, const sai_lanes *lanes, int32_t lane, int32_t *heads) {
    int32_t n = 0;
    for (int32_t h = 0; h < c->n_kv_heads; h++)
        if (lanes_are_equal(c, lanes->heads[lane], h)) heads[n++] = h;
}
