/* The keys of a node's path, put where they would lie had they been appended.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include "gather.h"

#include <string.h>

#include "store.h"

/* The stream's newest tile, if it is not full, with what is in it. */
static void gather_copy_tile(const sai_state *s, const sai_tiles *t, uint64_t number, int32_t kv_head,
                             const sai_run *run) {
    if (s->spans->seen % 16 == 0 || !sai_tiles_has(t, number)) return;
    sai_run from = sai_run_of(t->block, t->arena, kv_head, sai_tiles_map(t, number), number);
    memcpy((char *)(uintptr_t)sai_run_key(run, 16 * number), sai_run_key(&from, 16 * number), run->k_tile);
    memcpy((char *)(uintptr_t)sai_run_value(run, 16 * number), sai_run_value(&from, 16 * number), run->v_tile);
}

void sai_gather_begin(const sai_unit *u, const sai_part *part, const sai_scratch *s, sai_run *run) {
    const sai_state *state = &u->job->state;
    const sai_layer *l = state->layer;
    uint64_t first = part->tail / 16, newest = state->spans->seen / 16;
    for (uint64_t number = first; number < newest; number++)
        s->path_map[number - first] = number < part->map_first ? 0 : part->map[number - part->map_first];
    for (int32_t i = 0; i < l->path_tiles; i++)
        s->path_map[newest - first + (uint64_t)i] = part->arena->n_tiles + (uint32_t)(s->worker * l->path_tiles + i);
    for (int32_t i = 0; i < sai_most_depth(l->max_draft, state->pool->max_append); i++) s->path[i] = -1;
    *run = sai_run_of(sai_block_of(state->pool), part->arena, u->kv_head, s->path_map, first);
    int32_t store = part->extent == SAI_PART_NEWEST ? SAI_STORE_RECENT : SAI_STORE_MAIN;
    gather_copy_tile(state, &state->tiles[store], newest, u->kv_head, run);
}

void sai_gather_path(const sai_unit *u, const sai_part *part, int32_t node, const sai_scratch *s, const sai_run *run) {
    const sai_state *state = &u->job->state;
    int32_t store = part->extent == SAI_PART_NEWEST ? SAI_NODES_RECENT : SAI_NODES_MAIN;
    sai_tiles t = sai_nodes_tiles(sai_block_of(state->pool), state->layer, state->nodes, store);
    sai_run nodes = sai_run_of(t.block, t.arena, u->kv_head, sai_tiles_map(&t, 0), 0);
    const int32_t *parents = sai_nodes_parents(state->nodes), *depths = sai_nodes_depths(state->nodes);
    for (; node >= 0; node = parents[node]) {
        if (s->path[depths[node]] == node) continue;
        s->path[depths[node]] = node;
        sai_store_copy(state->layer, &nodes, (uint64_t)node, run, state->spans->seen + (uint64_t)depths[node]);
    }
}
