/* The nodes of a draft: parents, depths and tiles.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include "nodes.h"

#include <string.h>

static uint64_t nodes_lists(int32_t most) {
    return (sizeof(sai_nodes) + 2 * (uint64_t)most * sizeof(int32_t) + 7) / 8 * 8;
}

uint64_t sai_nodes_size(int32_t most) {
    uint64_t entries = SAI_NODE_STORES * sai_nodes_most_tiles(most);
    return nodes_lists(most) + entries * (sizeof(uint64_t) + sizeof(uint32_t));
}

void sai_nodes_build(sai_nodes *nodes, const sai_layer *l, int32_t index) {
    size_t capacity = (size_t)sai_nodes_most_tiles(l->max_draft), at = (size_t)nodes_lists(l->max_draft);
    nodes->n = 0;
    nodes->most = l->max_draft;
    for (size_t i = 0; i < SAI_NODE_STORES; i++) {
        sai_table *t = &nodes->tables[i];
        t->numbers_at = at + i * capacity * sizeof(uint64_t);
        t->tiles_at = at + SAI_NODE_STORES * capacity * sizeof(uint64_t) + i * capacity * sizeof(uint32_t);
        t->capacity = (uint32_t)capacity;
        t->first = t->n = 0;
        t->home = l->drafts[i].n_tiles ? l->drafts[i].homes * (uint32_t)index : 0;
    }
}

sai_tiles sai_nodes_tiles(void *block, sai_layer *l, sai_nodes *nodes, int32_t store) {
    return sai_tiles_of(block, nodes, &l->drafts[store], &nodes->tables[store]);
}

/* Of the second copy there may be none. */
static int nodes_has(const sai_layer *l, int32_t store) { return l->drafts[store].n_tiles > 0; }

void sai_nodes_add(void *block, sai_layer *l, sai_nodes *nodes, int32_t n) {
    for (int32_t i = 0; i < SAI_NODE_STORES; i++) {
        if (!nodes_has(l, i)) continue;
        sai_tiles t = sai_nodes_tiles(block, l, nodes, i);
        sai_tiles_own(&t, (uint64_t)nodes->n, (uint64_t)nodes->n + (uint64_t)n);
    }
    nodes->n += n;
}

void sai_nodes_drop(void *block, sai_layer *l, sai_nodes *nodes) {
    for (int32_t i = 0; i < SAI_NODE_STORES; i++) {
        sai_tiles t = sai_nodes_tiles(block, l, nodes, i);
        sai_tiles_drop_all(&t);
    }
    nodes->n = 0;
}

void sai_nodes_fork(void *block, sai_layer *l, sai_nodes *from, sai_nodes *to) {
    size_t lists = 2 * (size_t)from->most * sizeof(int32_t);
    memcpy(to->list, from->list, lists);
    to->n = from->n;
    for (int32_t i = 0; i < SAI_NODE_STORES; i++) {
        sai_tiles a = sai_nodes_tiles(block, l, from, i), b = sai_nodes_tiles(block, l, to, i);
        sai_tiles_copy_table(&a, &b);
    }
}
