/* Where a position lies: taking, sharing and giving back tiles of 16 tokens.
 *
 * SPDX-License-Identifier: MIT
 *
 * A stream takes the tile after its newest one if that is free, so its tiles lie side by side; when it comes to where
 * the next sequence begins, it looks from its own beginning on. So a single stream goes round its arena as round a
 * ring, and many keep to their parts as long as these suffice.
 */
#include "exact.h"

#include "tiles.h"

#include <string.h>

/* The first entry whose number is not below `number`. Most are asked for the newest tile, or for one of the window,
 * whose numbers are consecutive up to that. */
static uint32_t tiles_find(const sai_tiles *t, uint64_t number) {
    uint32_t low = t->table->first, high = low + t->table->n;
    if (low == high || t->numbers[high - 1] < number) return high;
    uint64_t back = t->numbers[high - 1] - number;
    if (back < t->table->n && t->numbers[high - 1 - back] == number) return high - 1 - (uint32_t)back;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->numbers[middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int tiles_has(const sai_tiles *t, uint32_t entry, uint64_t number) {
    return entry < t->table->first + t->table->n && t->numbers[entry] == number;
}

uint64_t sai_tiles_needed(const sai_tiles *t, uint64_t from, uint64_t end) {
    uint64_t needed = 0;
    if (from >= end) return 0;
    uint32_t entry = tiles_find(t, from / 16);
    for (uint64_t number = from / 16; number <= (end - 1) / 16; number++) {
        if (!tiles_has(t, entry, number)) return needed + (end - 1) / 16 - number + 1;
        needed += t->uses[t->tiles[entry++]] > 1;
    }
    return needed;
}

int sai_tiles_is_own(const sai_tiles *t, uint64_t number) {
    uint32_t entry = tiles_find(t, number);
    return tiles_has(t, entry, number) && t->uses[t->tiles[entry]] == 1;
}

/* ---------------------------------- taking -------------------------------- */

/* The tile to take after `last`, or for a table without tiles. There is a free one. */
static uint32_t tiles_choose(const sai_tiles *t, int is_first, uint32_t last) {
    const sai_arena *a = t->arena;
    uint32_t next = is_first ? t->table->home : last + 1;
    int elsewhere = next >= a->n_tiles || (!is_first && next % a->homes == 0);
    if (elsewhere || t->uses[next]) next = t->table->home;
    while (t->uses[next]) next = next + 1 < a->n_tiles ? next + 1 : 0;
    return next;
}

static uint32_t tiles_take(const sai_tiles *t) {
    uint32_t end = t->table->first + t->table->n;
    uint32_t taken = tiles_choose(t, t->table->n == 0, t->table->n ? t->tiles[end - 1] : 0);
    t->uses[taken] = 1;
    t->arena->n_free--;
    return taken;
}

static void tiles_release(const sai_tiles *t, uint32_t tile) {
    if (--t->uses[tile] == 0) t->arena->n_free++;
}

static void tiles_copy(const sai_tiles *t, uint32_t from, uint32_t to) {
    const sai_arena *a = t->arena;
    for (int32_t h = 0; h < a->n_kv_heads; h++) {
        char *k = t->block + a->k_at + (size_t)h * a->k_head, *v = t->block + a->v_at + (size_t)h * a->v_head;
        memcpy(k + to * a->k_tile, k + from * a->k_tile, a->k_tile);
        memcpy(v + to * a->v_tile, v + from * a->v_tile, a->v_tile);
        if (!a->beside_tile) continue;
        char *beside = t->block + a->beside_at + (size_t)h * a->beside_head;
        memcpy(beside + to * a->beside_tile, beside + from * a->beside_tile, a->beside_tile);
    }
}

/* A place behind the last entry: the entries move to the front when they have come to the end of the table. */
static uint32_t tiles_append(const sai_tiles *t) {
    sai_table *table = t->table;
    if (table->first + table->n == table->capacity) {
        memmove(t->numbers, t->numbers + table->first, table->n * sizeof *t->numbers);
        memmove(t->tiles, t->tiles + table->first, table->n * sizeof *t->tiles);
        table->first = 0;
    }
    return table->first + table->n;
}

void sai_tiles_own(const sai_tiles *t, uint64_t from, uint64_t end) {
    if (from >= end) return;
    uint32_t entry = tiles_find(t, from / 16);
    for (uint64_t number = from / 16; number <= (end - 1) / 16; number++, entry++) {
        if (!tiles_has(t, entry, number)) {
            uint32_t taken = tiles_take(t);
            entry = tiles_append(t);
            t->numbers[entry] = number;
            t->tiles[entry] = taken;
            t->table->n++;
        } else if (t->uses[t->tiles[entry]] > 1) {
            uint32_t taken = tiles_take(t);
            tiles_copy(t, t->tiles[entry], taken);
            tiles_release(t, t->tiles[entry]);
            t->tiles[entry] = taken;
        }
    }
}

/* ------------------------------- giving back ------------------------------ */

void sai_tiles_drop(const sai_tiles *t, uint64_t number, uint64_t end) {
    sai_table *table = t->table;
    uint32_t entry = tiles_find(t, number), behind = tiles_find(t, end), n = behind - entry;
    uint32_t before = entry - table->first, after = table->first + table->n - behind;
    for (uint32_t i = entry; i < behind; i++) tiles_release(t, t->tiles[i]);
    table->n -= n;
    if (before <= after) {
        /* The older ones, which are the few that are kept, move up. */
        memmove(t->numbers + table->first + n, t->numbers + table->first, before * sizeof *t->numbers);
        memmove(t->tiles + table->first + n, t->tiles + table->first, before * sizeof *t->tiles);
        table->first += n;
    } else {
        memmove(t->numbers + entry, t->numbers + behind, after * sizeof *t->numbers);
        memmove(t->tiles + entry, t->tiles + behind, after * sizeof *t->tiles);
    }
}

void sai_tiles_drop_all(const sai_tiles *t) {
    for (uint32_t i = 0; i < t->table->n; i++) tiles_release(t, t->tiles[t->table->first + i]);
    t->table->first = t->table->n = 0;
}

void sai_tiles_copy_table(const sai_tiles *from, const sai_tiles *to) {
    sai_table *table = to->table;
    table->first = 0;
    table->n = from->table->n;
    memcpy(to->numbers, from->numbers + from->table->first, table->n * sizeof *to->numbers);
    memcpy(to->tiles, from->tiles + from->table->first, table->n * sizeof *to->tiles);
    for (uint32_t i = 0; i < table->n; i++) to->uses[to->tiles[i]]++;
}

/* --------------------------------- reading -------------------------------- */

int sai_tiles_has(const sai_tiles *t, uint64_t number) { return tiles_has(t, tiles_find(t, number), number); }

const uint32_t *sai_tiles_map(const sai_tiles *t, uint64_t number) { return t->tiles + tiles_find(t, number); }

uint32_t sai_tiles_entry(const sai_tiles *t, uint64_t number) { return tiles_find(t, number); }
