/* What is the same for all sequences of a pool: the layers and their lanes, their shapes, tables, and room for tiles.
 *
 * SPDX-License-Identifier: MIT
 *
 * Places in the pool's block and in a sequence are offsets, not pointers, so that a block may be copied byte by byte.
 */
#ifndef SAI_MODEL_H
#define SAI_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "../include/sinkattn.h"
#include "rope.h"
#include "spans.h"
#include "tiles.h"

enum {
    SAI_ALIGNMENT = 64,    /* a cache line, a zmm register */
    SAI_PANEL = 192,       /* most rows of a panel: enough to amortise loading a chunk; their states fit in L2 */
    SAI_WIDEN_ROWS = 13,   /* so many rows have stored keys and values widened to f32 for all of them at once */
    SAI_ROWS_A_UNIT = 8,   /* threads split rows down to this, then keys: fewer rows would read keys again */
    SAI_UNITS_A_THREAD = 4 /* pieces of keys per thread: their lengths differ */
};

/* Where nodes of drafts are stored, until they become tokens of the stores with the same dtypes. */
enum { SAI_NODES_MAIN, SAI_NODES_RECENT, SAI_NODE_STORES };

/* One lane of a layer (lanes.h): kv heads that keep the same tokens, with their query heads. */
typedef struct sai_layer {
    int32_t n_heads, n_kv_heads, group;  /* group: query heads per kv head */
    int32_t layer_heads, layer_kv_heads; /* of all lanes of the layer: what the host's tensors have */
    int32_t layer_window;                /* the most that a lane of the layer may have */
    size_t heads_at;                     /* int32_t[n_kv_heads]: their numbers in the layer; 0: all of them */
    int32_t dk, dv, dv_pad;
    int32_t position;
    int32_t n_sink_kv, sink_kv_position, sink_kv_ready;
    float scale, softcap;
    int32_t block_bits; /* 2^block_bits keys a block: partial states are merged inside a block, then over blocks */
    sai_rope rope;
    uint64_t learned_digest; /* of the learned sink rows as the host gave them; 0: none yet */
    int32_t rope_id;         /* layers with the same id rotate alike */
    size_t frequencies_at;   /* uint64_t[rope.pairs] */
    size_t slopes_at;        /* float[layer_heads], 0: none */
    size_t logits_at;        /* float[layer_heads], 0: none */
    size_t learned_map_at;   /* uint32_t[]: tile i of the learned rows is tile i */
    sai_rules rules;
    sai_arena arenas[SAI_STORES];
    sai_arena learned; /* learned sink rows: every sequence sees them */
    sai_arena rows;    /* rows of the host: each sequence has its own */
    int32_t n_rows;
    int32_t max_draft; /* nodes; 0: there are no drafts */
    sai_arena drafts[SAI_NODE_STORES];
    int32_t path_tiles; /* of a worker, behind the arenas' own: where the newest tokens of a node's path are put */
    int32_t query_most, weight_most; /* the greatest codes that meet integers: SAI_MOST_CODE or SAI_MOST_BYTE */
    int32_t reserved;
    /* Bytes from the start of a sequence. */
    size_t nodes_at;  /* sai_nodes */
    size_t spans_at;  /* sai_spans */
    size_t tables_at; /* sai_table[SAI_STORES] */
    size_t rows_at;   /* sai_rows, with n_rows */
} sai_layer;

static inline size_t sai_dtype_size(int32_t dtype) { return dtype == SA_F32 ? 4 : 2; }
/* The most nodes of a path: it may be accepted, which is to append it in one piece. */
static inline int32_t sai_most_depth(int32_t max_draft, int32_t max_append) {
    return max_draft < max_append ? max_draft : max_append;
}
static inline int32_t sai_round16(int32_t n) { return (n + 15) & ~15; }

#endif
