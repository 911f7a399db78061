/* Where a position lies: tiles of 16 tokens, shared by sequences, and the one map from positions to addresses.
 *
 * SPDX-License-Identifier: MIT
 *
 * An arena is the room of one layer for tokens of one store: for each kv head, n_tiles tiles of keys side by side, and
 * as many of values. The same tile number means the same tokens in all kv heads. A sequence finds the tile of a
 * position in its table. A tile may stand in several tables; who writes into it first takes a copy.
 */
#ifndef SAI_TILES_H
#define SAI_TILES_H

#include <stddef.h>
#include <stdint.h>

#include "../include/sinkattn.h"

/* Offsets are bytes from the start of the pool's block. */
typedef struct sai_arena {
    size_t k_at, v_at;                          /* keys and values */
    size_t k_head, v_head;                      /* bytes from a kv head to the next */
    size_t k_tile, v_tile;                      /* bytes of a tile */
    size_t beside_at, beside_head, beside_tile; /* the same of what lies beside the keys; beside_tile 0: nothing */
    size_t uses_at;                             /* uint32_t[n_tiles]: how many tables a tile stands in */
    uint32_t n_tiles, n_free;
    uint32_t homes; /* sequences begin that many tiles apart, so that each finds its tiles side by side */
    int32_t n_kv_heads;
    int32_t k_dtype, v_dtype;
} sai_arena;

/* A sequence's tiles of one store, in the order of their positions: position p is in the tile of number p / 16.
 * Offsets are bytes from the start of the sequence. */
typedef struct sai_table {
    size_t numbers_at; /* uint64_t[capacity] */
    size_t tiles_at;   /* uint32_t[capacity]: where in the arena */
    uint32_t capacity;
    uint32_t first, n; /* entries [first, first + n) are in use */
    uint32_t home;     /* where in the arena the sequence begins to look for tiles */
} sai_table;

/* A table and an arena with their addresses. */
typedef struct sai_tiles {
    char *block;
    sai_arena *arena;
    sai_table *table;
    uint64_t *numbers;
    uint32_t *tiles;
    uint32_t *uses;
} sai_tiles;

static inline sai_tiles sai_tiles_of(void *block, void *sequence, sai_arena *arena, sai_table *table) {
    sai_tiles t = {(char *)block,
                   arena,
                   table,
                   (uint64_t *)(void *)((char *)sequence + table->numbers_at),
                   (uint32_t *)(void *)((char *)sequence + table->tiles_at),
                   (uint32_t *)(void *)((char *)block + arena->uses_at)};
    return t;
}

/* How many tiles the arena must give for positions [from, end) to be written: those that are not in the table, and
 * those that others use too. */
uint64_t sai_tiles_needed(const sai_tiles *t, uint64_t from, uint64_t end);

/* Whether the table has tile `number`, and no other has. */
int sai_tiles_is_own(const sai_tiles *t, uint64_t number);

/* Makes the tiles of positions [from, end) the sequence's own; the caller has seen that there are enough. New ones lie
 * behind those of the table. */
void sai_tiles_own(const sai_tiles *t, uint64_t from, uint64_t end);

/* Gives back those of the tiles [number, end) that the table has. */
void sai_tiles_drop(const sai_tiles *t, uint64_t number, uint64_t end);
void sai_tiles_drop_all(const sai_tiles *t);

/* Makes an empty table an equal of another one of the same arena: the tiles are shared. */
void sai_tiles_copy_table(const sai_tiles *from, const sai_tiles *to);

/* --------------------------------- reading -------------------------------- */

/* The tiles of one kv head. Position p is in tile map[p / 16 - first]. */
typedef struct sai_run {
    const char *k, *v; /* tile 0 of the arena */
    size_t k_tile, v_tile;
    int32_t k_dtype, v_dtype;
    const uint32_t *map;
    uint64_t first;
} sai_run;

/* Whether the table has tile `number`. */
int sai_tiles_has(const sai_tiles *t, uint64_t number);

/* The map of a table from tile `number` on, which it has. */
const uint32_t *sai_tiles_map(const sai_tiles *t, uint64_t number);

/* The tiles of a kv head of an arena by such a map. */
static inline sai_run sai_run_of(const void *block, const sai_arena *a, int32_t kv_head, const uint32_t *map,
                                 uint64_t first) {
    sai_run r;
    r.k = (const char *)block + a->k_at + (size_t)kv_head * a->k_head;
    r.v = (const char *)block + a->v_at + (size_t)kv_head * a->v_head;
    r.k_tile = a->k_tile;
    r.v_tile = a->v_tile;
    r.k_dtype = a->k_dtype;
    r.v_dtype = a->v_dtype;
    r.map = map;
    r.first = first;
    return r;
}

static inline uint32_t sai_run_tile(const sai_run *r, uint64_t number) { return r->map[number - r->first]; }

/* The first entry of a table whose number is not below `number`, and where the tile of an entry begins. */
uint32_t sai_tiles_entry(const sai_tiles *t, uint64_t number);
static inline char *sai_tiles_key(const sai_tiles *t, uint32_t entry, int32_t kv_head) {
    return t->block + t->arena->k_at + (size_t)kv_head * t->arena->k_head + t->tiles[entry] * t->arena->k_tile;
}
static inline char *sai_tiles_value(const sai_tiles *t, uint32_t entry, int32_t kv_head) {
    return t->block + t->arena->v_at + (size_t)kv_head * t->arena->v_head + t->tiles[entry] * t->arena->v_tile;
}

/* Where the tile of a position begins. */
static inline const char *sai_run_key(const sai_run *r, uint64_t position) {
    return r->k + sai_run_tile(r, position / 16) * r->k_tile;
}
static inline const char *sai_run_value(const sai_run *r, uint64_t position) {
    return r->v + sai_run_tile(r, position / 16) * r->v_tile;
}

/* Of tiles [number, end), those that lie side by side; returns where they end. */
static inline uint64_t sai_run_end(const sai_run *r, uint64_t number, uint64_t end) {
    const uint32_t *map = r->map + (number - r->first);
    uint64_t n = 1;
    while (number + n < end && map[n] == map[0] + n) n++;
    return number + n;
}

#endif
