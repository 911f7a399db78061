/* Rows of the host: keys and values that are no tokens, and that every query sees.
 *
 * SPDX-License-Identifier: MIT
 *
 * A sequence has n_rows slots a layer, in tiles as tokens are: slot i is number i % 16 of tile i / 16 of its table,
 * which holds all tiles from the first to the last that was ever needed. Beside each tile stands what the host says of
 * its rows, so that forks share and copy both together. A row is of one of two kinds, and each kind is a part of the
 * plan: a query is rotated once for a part. Both look at the same tiles, and in either the rows of the other kind are
 * hidden. Learned sink rows are the plain case: in front, without a bias, never replaced, the same for all sequences.
 */
#ifndef SAI_ROWS_H
#define SAI_ROWS_H

#include "pool.h"

/* What a row's place means: counted in the cache from the first token on, or from the query on. */
enum { SAI_ROWS_IN_FRONT, SAI_ROWS_AT_DISTANCE, SAI_ROW_KINDS };

/* What stands beside the 16 rows of a tile, for each kv head. */
typedef struct sai_row_facts {
    float bias[SAI_ROW_KINDS][16]; /* of the logit; -infinity: no row of that kind is there */
    int64_t place[16];             /* the distance to a query is the query's place less this */
} sai_row_facts;

/* The rows of one lane of a sequence. */
typedef struct sai_rows {
    sai_table table;
    sai_range used[SAI_ROW_KINDS]; /* slots from the first row of that kind to the last */
} sai_rows;

/* Rows that the host hands in for slots [first, first + n) of some kv heads; k.data NULL takes rows away. */
typedef struct sai_rows_given {
    sai_view k, v;
    const int64_t *places; /* (n, heads.n), or NULL: 0 */
    const float *biases;   /* likewise */
    int32_t first, n, kind;
    sai_heads heads;
} sai_rows_given;

/* Tiles that the rows of one sequence can take. */
static inline uint64_t sai_rows_tiles(const sai_layer *l) { return ((uint64_t)l->n_rows + 15) / 16; }

/* The slot behind the last row. */
uint64_t sai_rows_end(const sai_rows *rows);

/* The facts of tile 0 of the arena, of a kv head. */
sai_row_facts *sai_rows_facts(const sa_pool *pool, const sai_layer *layer, int32_t kv_head);

/* What is said of the row in a slot of a kv head of a sequence, or NULL where there is no row. */
const sai_row_facts *sai_rows_in(const sa_pool *pool, const sai_layer *layer, const sai_tiles *tiles, int32_t kv_head,
                                 uint64_t slot);

/* The biases of a tile's rows of one kind; with a slope, less what ALiBi takes at a query's place. */
void sai_rows_biases(const sai_row_facts *facts, int kind, float slope, int64_t query_place, float *biases);

/* Replaces rows of a lane of a sequence; there is always a free tile for that. */
void sai_rows_set(const sa_pool *pool, const sai_layer *layer, const sai_tiles *tiles, sai_rows *rows,
                  const sai_rows_given *given);

/* Fills a lane's learned sink rows. */
void sai_rows_learn(const sa_pool *pool, sai_layer *layer, const sai_view *k, const sai_view *v);

#endif
