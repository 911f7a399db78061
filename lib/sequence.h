/* A sequence: per lane of a layer, spans and the tiles that hold them. Whatever changes both, changes them here.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_SEQUENCE_H
#define SAI_SEQUENCE_H

#include "held.h"
#include "nodes.h"
#include "pool.h"
#include "rows.h"

/* One lane of a sequence, with the addresses of what it is made of. */
typedef struct sai_state {
    sa_pool *pool;
    sai_layer *layer;
    sai_spans *spans;
    sai_tiles tiles[SAI_STORES];
    sai_rows *rows;   /* with n_rows */
    sai_nodes *nodes; /* of its draft; NULL: there are no drafts */
} sai_state;

/* `lane` counts those of all layers: see sai_first_lane. */
void sai_lane_look_up(const sa_cache *cache, int32_t lane, sai_state *state);
static inline sai_state sai_lane_state(const sa_cache *cache, int32_t lane) {
    sai_state s;
    sai_lane_look_up(cache, lane, &s);
    return s;
}

/* The lane of a layer that has the host's kv head. */
int32_t sai_lane_with(const sa_pool *pool, int32_t layer, int32_t kv_head);

/* The tiles of the layer's rows of the host, with n_rows. */
sai_tiles sai_state_rows(const sai_state *s);

/* Tiles that one sequence can have of a store at most. */
uint64_t sai_sequence_most_tiles(const sai_rules *rules, int32_t store);

/* Sets the places of a lane's part in every sequence, from byte `at` on; returns where it ends. Then makes that part's
 * empty tables. */
uint64_t sai_sequence_place(sai_layer *layer, uint64_t at);
void sai_sequence_tables(const sa_cache *cache, const sai_layer *layer);

/* Makes an open, empty sequence of what is free; `index` says where its tiles should begin. */
void sai_sequence_open(sa_cache *cache, int32_t index);

/* Gives back all tiles. */
void sai_sequence_close(sa_cache *cache);

/* Makes `to` an equal of an open sequence. */
void sai_sequence_fork(const sa_cache *from, sa_cache *to);

/* Whether n tokens may be appended, `piece` at a time, when `claimed` tiles of the lane's main store are spoken for
 * already; adds those of this call. SA_SUCCESS, SA_ERR_FULL, SA_ERR_OVERFLOW, SA_ERR_POOL. */
sa_status sai_state_can_append(const sai_state *s, uint64_t n, uint64_t piece, int64_t *claimed);

/* Evicts what n <= max_append more tokens leave behind, and gives the lane their tiles and positions. */
void sai_state_append(const sai_state *s, uint64_t n);

void sai_state_drop_draft(const sai_state *s);
void sai_state_reset(const sai_state *s);
void sai_state_truncate(const sai_state *s, uint64_t target);
void sai_state_jump(const sai_state *s, uint64_t position);

/* When the spans have become others, of which positions from `from` on are new: whether a sequence and its pool have
 * tiles for them, SA_SUCCESS, SA_ERR_FULL or SA_ERR_POOL; and gives them theirs. What lies there is left to the caller;
 * tokens before `from` stay. */
sa_status sai_state_can_replace(const sai_state *s, uint64_t from);
void sai_state_replace(const sai_state *s, uint64_t from);

/* The walk over the tiles of a store that hold tokens from `from` on. */
sai_held sai_state_held(const sai_state *s, int32_t store, uint64_t from);

/* A change of a lane's spans: `how` it is made. Of SA_ERR_* nothing has changed. */
typedef enum sai_change { SAI_REMOVE_CLOSE, SAI_REMOVE_KEEP, SAI_PIN, SAI_UNPIN, SAI_ANCHOR } sai_change;

/* Whether the change can be made; leaves all as it was. */
sa_status sai_state_can_change(const sai_state *s, sai_change how, uint64_t from, uint64_t end);
void sai_state_change(const sai_state *s, sai_change how, uint64_t from, uint64_t end);

#endif
