/* What a cache is made of: one block of memory, and where everything lies in it.
 *
 * SPDX-License-Identifier: MIT
 *
 * The block holds offsets, not pointers, so that it may be copied byte by byte:
 *     sa_cache | sai_layer[n_layers] | tables | keys and values | scratch
 */
#ifndef SAI_CACHE_H
#define SAI_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "../include/sinkattn.h"
#include "config.h"
#include "rope.h"
#include "spans.h"

enum {
    SAI_ALIGNMENT = 64,  /* a cache line, a zmm register */
    SAI_PANEL = 192,     /* most rows of a panel: enough to amortise loading a chunk; their states fit in L2 */
    SAI_WIDEN_ROWS = 13, /* with so many rows, stored keys and values are converted to f32 once for all of them */
    SAI_ROWS_A_TASK =
        8, /* least rows of a panel: threads share out rows down to this, then keys, which fewer rows would reread */
    SAI_TASKS_A_THREAD = 4 /* pieces of keys per thread: their lengths differ */
};

/* Room for keys and values of some tokens, kv head after kv head: K in tiles [dim][16 keys], V as
 * [key][dv_pad]; integers as in kernels/integer_tiles.h. */
typedef struct sai_region {
    size_t k_at, v_at;     /* bytes from the cache's start */
    size_t k_head, v_head; /* bytes from a kv head to the next */
    uint64_t n_tiles;
    int32_t k_dtype, v_dtype;
} sai_region;

typedef struct sai_layer {
    int32_t n_heads, n_kv_heads, group; /* group: query heads per kv head */
    int32_t dk, dv, dv_pad;
    int32_t position, position_mode;
    int32_t n_sink_kv, sink_kv_position, sink_kv_ready;
    float scale, softcap;
    uint64_t block; /* keys per block: partial states are merged inside a block, then over blocks */
    sai_rope rope;
    int32_t rope_id;                         /* layers with the same id rotate alike */
    size_t frequencies_at;                   /* uint64_t[rope.pairs] */
    size_t saturated_at;                     /* float[2 rope.pairs]: the row of cache position S+W-1 */
    size_t slopes_at;                        /* float[n_heads], 0: none */
    size_t logits_at;                        /* float[n_heads], 0: none */
    sai_region ring, recent, sinks, learned; /* recent: the newest of the ring once more, in another dtype */
    sai_stream stream;
} sai_layer;

/* Rows of cos and sin for evenly spaced positions, computed by an earlier call. Layers run one after the other over the
 * same tokens, so most find theirs ready. */
typedef struct sai_rope_memo {
    int32_t rope_id; /* -1: none */
    int32_t n;
    uint64_t first, step;
} sai_rope_memo;

/* A host tensor with every stride and dtype filled in; strides in bytes. */
typedef struct sai_view {
    char *data;
    int64_t token_stride, head_stride;
    int32_t dtype;
} sai_view;

/* What a call wants; every pointer but q and out may be NULL. Row (i, h) of the (tokens, heads)
 * arrays belongs to token i of the views. */
typedef struct sai_queries {
    sai_view q, out;
    int64_t from;   /* the first token of the views that is processed */
    int32_t n;      /* tokens, <= max_append */
    uint64_t first; /* stream position of token `from` */
    float *lse, *sink_mass, *partial_max, *partial_sum;
} sai_queries;

/* The step that the host's threads are processing together. */
typedef struct sai_begun {
    int32_t layer; /* -1: none */
    int32_t n_phases;
    sai_queries queries;
} sai_begun;

struct sa_cache {
    uint64_t size;
    int32_t n_layers, n_threads, max_append, io_dtype, isa;
    int32_t rope_stride; /* floats per row of the rope table */
    int32_t rope_row;    /* of the rope table: where the rotations in use begin */
    int32_t error;       /* why the last call was refused: a sai_error */
    sai_rope_memo memo[2];
    sai_begun begun;
    size_t layers_at;
    size_t rope_at;                 /* float[max_append][rope_stride]; a memo each in its halves, or one in all */
    size_t workers_at, worker_size; /* n_threads times scratch of a worker */
    size_t splits_at;               /* partial states of key blocks that several threads process */
    sa_parallel_for parallel_for;
    void *parallel_context;
    void (*release)(void *user, void *memory, size_t size); /* NULL: the host owns the block */
    void *release_user;
};

/* Pointers into the block. */
static inline void *sai_at(const sa_cache *cache, size_t at) { return (char *)(uintptr_t)cache + at; }
static inline sai_layer *sai_layer_of(const sa_cache *cache, int32_t layer) {
    return (sai_layer *)sai_at(cache, cache->layers_at) + layer;
}

static inline size_t sai_dtype_size(int32_t dtype) { return dtype == SA_F32 ? 4 : 2; }
static inline int32_t sai_round16(int32_t n) { return (n + 15) & ~15; }
static inline uint64_t sai_region_tokens(const sai_region *r) { return 16 * r->n_tiles; }

/* The size of a cache, after checking all of its config. */
sa_status sai_layout_size(const sa_config *config, size_t *size_out, sai_verdict *verdict);

/* Builds an empty cache in a zeroed block of that size; the config has been checked. */
sa_cache *sai_layout_build(void *memory, const sa_config *config);

/* Floats of a worker's scratch for a layer; attend.c cuts it. */
uint64_t sai_worker_floats(const sai_layer *layer, int32_t max_append);

/* Most tokens of a call whose blocks are dealt out to the threads; 0: no call's are. */
int32_t sai_split_tokens(const sai_layer *layer, int32_t n_threads);

#endif
