/* The nodes of a draft: tokens that may become a stream's next ones. Who is whose parent, and the tiles that hold them.
 *
 * SPDX-License-Identifier: MIT
 *
 * A node's number takes the place of a position: node i is stored in the draft's tile i / 16. Its key is rotated to
 * where it would stand, so its bytes are those that it would have in the stream, and only need to be copied there.
 */
#ifndef SAI_NODES_H
#define SAI_NODES_H

#include "model.h"

typedef struct sai_nodes {
    int32_t n; /* nodes drafted; 0: no draft is open */
    int32_t most;
    sai_table tables[SAI_NODE_STORES]; /* offsets from here */
    int32_t list[];                    /* parents (most), depths (most); tiles */
} sai_nodes;

/* A node's parent, -1: the stream's newest token; and how many nodes are above it. */
static inline int32_t *sai_nodes_parents(sai_nodes *nodes) { return nodes->list; }
static inline int32_t *sai_nodes_depths(sai_nodes *nodes) { return nodes->list + nodes->most; }

/* Tiles for so many nodes, and bytes of a layer's part of a sequence. */
static inline uint64_t sai_nodes_most_tiles(int32_t most) { return ((uint64_t)most + 15) / 16; }
uint64_t sai_nodes_size(int32_t most);

/* Makes an empty draft of a layer; `index` is that of the sequence. */
void sai_nodes_build(sai_nodes *nodes, const sai_layer *layer, int32_t index);

sai_tiles sai_nodes_tiles(void *block, sai_layer *layer, sai_nodes *nodes, int32_t store);

/* Adds n nodes, whose parents and depths have been written behind those that there are. */
void sai_nodes_add(void *block, sai_layer *layer, sai_nodes *nodes, int32_t n);
void sai_nodes_drop(void *block, sai_layer *layer, sai_nodes *nodes);

/* Makes an equal of a draft in another sequence, whose own is empty. */
void sai_nodes_fork(void *block, sai_layer *layer, sai_nodes *from, sai_nodes *to);

#endif
