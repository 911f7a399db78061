/* Drafts of a sequence: checked, drafted, accepted.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include "draft.h"

#include "store.h"

/* ---------------------------------- checks -------------------------------- */

/* Whether so many tokens could be appended in one piece. */
static sai_error draft_check_depth(const sai_state *s, int32_t tokens) {
    if (tokens > s->pool->max_append) return SAI_ERROR_NODE_DEPTH;
    switch (sai_spans_can_append(&s->layer->rules, s->spans, (uint64_t)tokens)) {
    case SA_SUCCESS:
        return SAI_ERROR_NONE;
    case SA_ERR_FULL:
        return SAI_ERROR_FULL;
    default:
        return SAI_ERROR_STREAM_END;
    }
}

sai_error sai_draft_check(const sai_state *s, const int32_t *parents, sai_call *call) {
    if (!s->nodes) return SAI_ERROR_NO_DRAFT;
    if (s->spans->seen < s->spans->sink_end) return SAI_ERROR_DRAFT_SINKS;
    if (call->n > s->nodes->most - s->nodes->n) return SAI_ERROR_DRAFT_FULL;
    int32_t *depths = sai_nodes_depths(s->nodes), deepest = 0;
    call->node = s->nodes->n;
    for (int32_t i = 0, node = call->node; i < call->n; i++, node++) {
        if (parents[i] < -1 || parents[i] >= node) return SAI_ERROR_PARENT;
        sai_nodes_parents(s->nodes)[node] = parents[i];
        depths[node] = parents[i] < 0 ? 0 : depths[parents[i]] + 1;
        if (depths[node] > deepest) deepest = depths[node];
    }
    return draft_check_depth(s, deepest + 1);
}

sai_error sai_draft_check_queries(const sai_state *s, int64_t node, sai_call *call) {
    if (!s->nodes) return SAI_ERROR_NO_DRAFT;
    if (node < 0 || node > s->nodes->n - call->n) return SAI_ERROR_NODES;
    call->node = (int32_t)node;
    return SAI_ERROR_NONE;
}

sai_error sai_draft_check_path(const sai_state *s, int32_t n, const int32_t *path) {
    int64_t claimed = 0;
    if (n && !sai_draft_is_open(s)) return SAI_ERROR_PATH;
    for (int32_t i = 0; i < n; i++) {
        if (path[i] < 0 || path[i] >= s->nodes->n) return SAI_ERROR_PATH;
        if (sai_nodes_parents(s->nodes)[path[i]] != (i ? path[i - 1] : -1)) return SAI_ERROR_PATH;
    }
    return sai_state_can_append(s, (uint64_t)n, (uint64_t)n, &claimed) ? SAI_ERROR_NO_TILE : SAI_ERROR_NONE;
}

/* --------------------------------- changes -------------------------------- */

void sai_draft_step(const sai_state *s, const sai_call *call) {
    if (call->appends) sai_nodes_add(sai_block_of(s->pool), s->layer, s->nodes, call->n);
}

/* Copies the nodes of a path from a store of the draft to positions from `first` on, which have tiles. */
static void draft_copy(const sai_state *s, int32_t n, const int32_t *path, uint64_t first, int32_t from, int32_t to) {
    char *block = (char *)sai_block_of(s->pool);
    const sai_tiles nodes = sai_nodes_tiles(block, s->layer, s->nodes, from), *tokens = &s->tiles[to];
    const uint32_t *node_map = sai_tiles_map(&nodes, 0), *token_map = sai_tiles_map(tokens, first / 16);
    for (int32_t h = 0; h < s->layer->n_kv_heads; h++) {
        sai_run a = sai_run_of(block, nodes.arena, h, node_map, 0);
        sai_run b = sai_run_of(block, tokens->arena, h, token_map, first / 16);
        for (int32_t i = 0; i < n; i++) sai_store_copy(s->layer, &a, (uint64_t)path[i], &b, first + (uint64_t)i);
    }
}

void sai_draft_accept(const sai_state *s, int32_t n, const int32_t *path) {
    uint64_t first = s->spans->seen;
    if (n) {
        sai_state_append(s, (uint64_t)n);
        draft_copy(s, n, path, first, SAI_NODES_MAIN, SAI_STORE_MAIN);
        if (s->layer->rules.recent) draft_copy(s, n, path, first, SAI_NODES_RECENT, SAI_STORE_RECENT);
    }
    sai_state_drop_draft(s);
}
