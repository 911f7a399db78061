/* A sequence: per lane of a layer, spans and the tiles that hold them.
 *
 * SPDX-License-Identifier: MIT
 *
 * Spans say which positions are held; a tile is held as long as it touches one of them.
 */
#include "exact.h"

#include "sequence.h"

#include <string.h>

void sai_lane_look_up(const sa_cache *cache, int32_t lane, sai_state *s) {
    char *at = (char *)(uintptr_t)cache;
    s->pool = sai_pool_of(cache);
    s->layer = sai_lane_of(s->pool, lane);
    s->spans = (sai_spans *)(void *)(at + s->layer->spans_at);
    sai_table *tables = (sai_table *)(void *)(at + s->layer->tables_at);
    for (int32_t i = 0; i < SAI_STORES; i++)
        s->tiles[i] = sai_tiles_of(sai_block_of(s->pool), at, &s->layer->arenas[i], &tables[i]);
    s->rows = (sai_rows *)(void *)(at + s->layer->rows_at);
    s->nodes = s->layer->max_draft ? (sai_nodes *)(void *)(at + s->layer->nodes_at) : NULL;
}

sai_tiles sai_state_rows(const sai_state *s) {
    char *sequence = (char *)s->spans - s->layer->spans_at;
    return sai_tiles_of(sai_block_of(s->pool), sequence, &s->layer->rows, &s->rows->table);
}

int32_t sai_lane_with(const sa_pool *pool, int32_t layer, int32_t kv_head) {
    int32_t lane = sai_first_lane(pool, layer);
    for (;; lane++) {
        const sai_layer *l = sai_lane_of(pool, lane);
        for (int32_t h = 0; h < l->n_kv_heads; h++)
            if (sai_host_head(pool, l, h) == kv_head) return lane;
    }
}

uint64_t sai_sequence_most_tiles(const sai_rules *rules, int32_t store) {
    uint64_t cuts = 2 * (uint64_t)(rules->most_spans - 5);
    if (store == SAI_STORE_SINKS) return (rules->n_sink + 15) / 16;
    if (store == SAI_STORE_RECENT) return rules->recent ? (rules->recent_hold + 15) / 16 + 1 + cuts : 0;
    return (rules->hold + rules->most_pinned + 15) / 16 + 1 + cuts;
}

/* ----------------------------- opening, closing --------------------------- */

static void sequence_begin(const sai_tiles *t, int32_t index) {
    uint64_t home = (uint64_t)t->arena->homes * (uint64_t)index;
    t->table->first = t->table->n = 0;
    t->table->home = home < t->arena->n_tiles ? (uint32_t)home : 0;
}

static void sequence_forget_rows(const sai_state *s) {
    sai_tiles rows = sai_state_rows(s);
    sai_tiles_drop_all(&rows);
    memset(s->rows->used, 0, sizeof s->rows->used);
}

void sai_sequence_open(sa_cache *cache, int32_t index) {
    sa_pool *pool = sai_pool_of(cache);
    for (int32_t l = 0; l < pool->n_lanes; l++) {
        sai_state s = sai_lane_state(cache, l);
        sai_spans_reset(&s.layer->rules, s.spans);
        for (int32_t i = 0; i < SAI_STORES; i++) sequence_begin(&s.tiles[i], index);
        if (s.nodes) sai_nodes_build(s.nodes, s.layer, index);
        if (!s.layer->n_rows) continue;
        sai_tiles rows = sai_state_rows(&s);
        sequence_begin(&rows, index);
        sequence_forget_rows(&s);
    }
    cache->is_open = 1;
    pool->n_open++;
}

void sai_sequence_close(sa_cache *cache) {
    sa_pool *pool = sai_pool_of(cache);
    for (int32_t l = 0; l < pool->n_lanes; l++) {
        sai_state s = sai_lane_state(cache, l);
        for (int32_t i = 0; i < SAI_STORES; i++) sai_tiles_drop_all(&s.tiles[i]);
        if (s.layer->n_rows) sequence_forget_rows(&s);
        sai_state_drop_draft(&s);
    }
    cache->is_open = 0;
    pool->n_open--;
}

void sai_sequence_fork(const sa_cache *from, sa_cache *to) {
    for (int32_t l = 0; l < sai_pool_of(from)->n_lanes; l++) {
        sai_state a = sai_lane_state(from, l), b = sai_lane_state(to, l);
        memcpy(b.spans, a.spans, sizeof *a.spans + (size_t)a.spans->n * sizeof *a.spans->list);
        for (int32_t i = 0; i < SAI_STORES; i++) sai_tiles_copy_table(&a.tiles[i], &b.tiles[i]);
        if (a.nodes) sai_nodes_fork(sai_block_of(a.pool), a.layer, a.nodes, b.nodes);
        if (!a.layer->n_rows) continue;
        sai_tiles from_rows = sai_state_rows(&a), to_rows = sai_state_rows(&b);
        sai_tiles_copy_table(&from_rows, &to_rows);
        memcpy(b.rows->used, a.rows->used, sizeof a.rows->used);
    }
}

/* ---------------------------------- tiles --------------------------------- */

/* Gives back the tiles of a store in [from, end), where no span is any more; those at the edges may touch others. */
static void sequence_drop(const sai_state *s, int32_t store, uint64_t from, uint64_t end) {
    const sai_tiles *t = &s->tiles[store];
    if (from >= end || !t->table->n) return;
    uint64_t first = from / 16, last = (end - 1) / 16, inside = (from + 15) / 16;
    if (inside < end / 16) sai_tiles_drop(t, inside, end / 16);
    if (from % 16 && !sai_spans_touch(s->spans, store, first)) sai_tiles_drop(t, first, first + 1);
    if (end % 16 && !sai_spans_touch(s->spans, store, last)) sai_tiles_drop(t, last, last + 1);
}

static void sequence_drop_all_stores(const sai_state *s, uint64_t from, uint64_t end) {
    for (int32_t i = 0; i < SAI_STORES; i++) sequence_drop(s, i, from, end);
}

static void sequence_evict(const sai_state *s, uint64_t n) {
    sai_range gone;
    while (sai_spans_evict(&s->layer->rules, s->spans, n, &gone)) sequence_drop_all_stores(s, gone.from, gone.end);
    if (!s->layer->rules.recent) return;
    uint64_t copied_from = s->spans->recent_from;
    sai_spans_evict_recent(&s->layer->rules, s->spans, n);
    sequence_drop(s, SAI_STORE_RECENT, copied_from, s->spans->recent_from);
}

/* -------------------------------- appending ------------------------------- */

/* Tiles of the main store that come free with the evicted range `gone`: those that nothing else uses. Tiles from number
 * `first_new` on have been taken since; those below *counted have been counted. */
static int64_t sequence_frees(const sai_state *s, sai_range gone, uint64_t first_new, uint64_t *counted) {
    int64_t frees = 0;
    uint64_t number = gone.from / 16 > *counted ? gone.from / 16 : *counted;
    for (; number <= (gone.end - 1) / 16; number++) {
        if (sai_spans_touch(s->spans, SAI_STORE_MAIN, number)) continue;
        frees += number >= first_new || sai_tiles_is_own(&s->tiles[SAI_STORE_MAIN], number);
        *counted = number + 1;
    }
    return frees;
}

/* The most tiles that n tokens which come `piece` at a time take more than they have given back by then. They come to
 * the spans as sai_state_append lets them come, but to no tile. */
static int64_t sequence_peak(const sai_state *s, uint64_t n, uint64_t piece) {
    const sai_rules *rules = &s->layer->rules;
    uint64_t from = s->spans->seen > s->spans->sink_end ? s->spans->seen : s->spans->sink_end, counted = 0;
    /* When all that was held is gone, what is taken and given back comes round every 16 pieces. */
    uint64_t enough = from - s->spans->seen + rules->hold + 17 * piece + 32;
    int64_t frees = 0, peak = INT64_MIN;
    sai_range gone;
    if (n > enough && !rules->is_dense) n = enough;
    for (uint64_t done = 0; done < n; done += piece) {
        uint64_t now = n - done < piece ? n - done : piece;
        while (sai_spans_evict(rules, s->spans, now, &gone)) frees += sequence_frees(s, gone, from / 16, &counted);
        sai_spans_append(rules, s->spans, now);
        int64_t taken = (int64_t)sai_tiles_needed(&s->tiles[SAI_STORE_MAIN], from, s->spans->seen) - frees;
        if (taken > peak) peak = taken;
    }
    return peak;
}

static sa_status sequence_claim(const sai_state *s, uint64_t n, uint64_t piece, int64_t *claimed) {
    sai_spans before = *s->spans;
    sai_span *kept = s->spans->list + sai_spans_room(s->layer->rules.most_spans);
    memcpy(kept, s->spans->list, (size_t)before.n * sizeof *kept);
    *claimed += sequence_peak(s, n, piece);
    *s->spans = before;
    memcpy(s->spans->list, kept, (size_t)before.n * sizeof *kept);
    return *claimed <= (int64_t)s->tiles[SAI_STORE_MAIN].arena->n_free ? SA_SUCCESS : SA_ERR_POOL;
}

sa_status sai_state_can_append(const sai_state *s, uint64_t n, uint64_t piece, int64_t *claimed) {
    sa_status status = sai_spans_can_append(&s->layer->rules, s->spans, n);
    return status || !s->pool->has_budget || !n ? status : sequence_claim(s, n, piece, claimed);
}

void sai_state_append(const sai_state *s, uint64_t n) {
    uint64_t from = s->spans->seen, end = from + n, main = s->spans->sink_end;
    sequence_evict(s, n);
    if (main < from) main = from;
    if (main > end) main = end;
    sai_tiles_own(&s->tiles[SAI_STORE_SINKS], from, main);
    sai_tiles_own(&s->tiles[SAI_STORE_MAIN], main, end);
    if (s->layer->rules.recent) sai_tiles_own(&s->tiles[SAI_STORE_RECENT], main, end);
    sai_spans_append(&s->layer->rules, s->spans, n);
}

/* ------------------------------- going back ------------------------------- */

void sai_state_drop_draft(const sai_state *s) {
    if (s->nodes) sai_nodes_drop(sai_block_of(s->pool), s->layer, s->nodes);
}

void sai_state_reset(const sai_state *s) {
    sai_spans_reset(&s->layer->rules, s->spans);
    for (int32_t i = 0; i < SAI_STORES; i++) sai_tiles_drop_all(&s->tiles[i]);
    if (s->layer->n_rows) sequence_forget_rows(s);
    sai_state_drop_draft(s);
}

void sai_state_truncate(const sai_state *s, uint64_t target) {
    uint64_t seen = s->spans->seen;
    sai_spans_truncate(&s->layer->rules, s->spans, target);
    sequence_drop_all_stores(s, target, seen);
}

void sai_state_jump(const sai_state *s, uint64_t position) {
    sai_spans_jump(s->spans, position);
    for (int32_t i = 0; i < SAI_STORES; i++) {
        const sai_table *t = s->tiles[i].table;
        for (uint32_t back = t->n; back > 0; back--) {
            uint64_t tile = s->tiles[i].numbers[t->first + back - 1];
            if (!sai_spans_touch(s->spans, i, tile)) sai_tiles_drop(&s->tiles[i], tile, tile + 1);
        }
    }
}

/* --------------------------------- changes -------------------------------- */

static sa_status sequence_change(const sai_state *s, sai_change how, uint64_t from, uint64_t end) {
    const sai_rules *rules = &s->layer->rules;
    switch (how) {
    case SAI_PIN:
        return sai_spans_pin(rules, s->spans, from, end);
    case SAI_UNPIN:
        return sai_spans_unpin(rules, s->spans, from, end);
    case SAI_ANCHOR:
        return sai_spans_anchor(rules, s->spans, from, end);
    default:
        return sai_spans_remove(rules, s->spans, from, end, how == SAI_REMOVE_KEEP);
    }
}

sa_status sai_state_can_change(const sai_state *s, sai_change how, uint64_t from, uint64_t end) {
    sai_spans before = *s->spans;
    sa_status status = sequence_change(s, how, from, end);
    if (status) return status;
    *s->spans = before;
    memcpy(s->spans->list, s->spans->list + sai_spans_room(s->layer->rules.most_spans),
           (size_t)before.n * sizeof *s->spans->list);
    return SA_SUCCESS;
}

/* Gives back the tiles of what was held by the list of n spans that a change has kept behind the list, and is no
 * more. */
static void sequence_drop_old(const sai_state *s, int32_t n) {
    const sai_span *old = s->spans->list + sai_spans_room(s->layer->rules.most_spans);
    for (int32_t i = 0; i < n; i++) {
        sai_range gone = {old[i].from, old[i].from};
        while (old[i].store != SAI_STORE_MASKED && gone.end < old[i].end) {
            gone = sai_spans_unheld(s->spans, gone.end, old[i].end);
            sequence_drop_all_stores(s, gone.from, gone.end);
        }
    }
}

void sai_state_change(const sai_state *s, sai_change how, uint64_t from, uint64_t end) {
    uint64_t copied_from = s->spans->recent_from;
    int32_t n = s->spans->n;
    (void)sequence_change(s, how, from, end);
    sequence_drop_old(s, n);
    sequence_drop(s, SAI_STORE_RECENT, copied_from, s->spans->recent_from);
    sequence_evict(s, 0);
}

/* -------------------------------- replacing ------------------------------- */

sai_held sai_state_held(const sai_state *s, int32_t store, uint64_t from) {
    int32_t n = store == SAI_STORE_RECENT && !s->layer->rules.recent ? 0 : s->spans->n;
    return sai_held_begin(s->spans->list, n, s->spans->recent_from, store, from);
}

static int sequence_keeps(const sai_state *s, int32_t store, uint64_t number, uint64_t from) {
    return 16 * number < from && sai_spans_touch(s->spans, store, number);
}

static sa_status sequence_can_replace(const sai_state *s, int32_t store, uint64_t from) {
    const sai_tiles *t = &s->tiles[store];
    sai_held all = sai_state_held(s, store, 0), taken = sai_state_held(s, store, from);
    uint64_t needed = sai_held_count(&taken), frees = 0;
    if (sai_held_count(&all) > sai_sequence_most_tiles(&s->layer->rules, store)) return SA_ERR_FULL;
    int at_edge = from % 16 && sai_held_next(&taken) && taken.number == from / 16;
    for (uint32_t i = t->table->first; i < t->table->first + t->table->n; i++) {
        int alone = t->uses[t->tiles[i]] == 1;
        if (!sequence_keeps(s, store, t->numbers[i], from))
            frees += alone;
        else if (at_edge && t->numbers[i] == from / 16)
            needed -= alone;
    }
    return needed <= frees + t->arena->n_free ? SA_SUCCESS : SA_ERR_POOL;
}

sa_status sai_state_can_replace(const sai_state *s, uint64_t from) {
    for (int32_t i = 0; i < SAI_STORES; i++) {
        sa_status status = sequence_can_replace(s, i, from);
        if (status) return status;
    }
    return SA_SUCCESS;
}

/* Drops what a predicate does not keep, from the newest on: so little is moved. */
static void sequence_drop_replaced(const sai_state *s, int32_t store, uint64_t from) {
    const sai_tiles *t = &s->tiles[store];
    sai_tiles_drop(t, (from + 15) / 16, UINT64_MAX);
    for (uint32_t back = t->table->n; back > 0; back--) {
        uint64_t number = t->numbers[t->table->first + back - 1];
        if (!sequence_keeps(s, store, number, from)) sai_tiles_drop(t, number, number + 1);
    }
}

void sai_state_replace(const sai_state *s, uint64_t from) {
    sai_state_drop_draft(s);
    for (int32_t i = 0; i < SAI_STORES; i++) {
        sai_held new_tiles = sai_state_held(s, i, from);
        sequence_drop_replaced(s, i, from);
        while (sai_held_next(&new_tiles)) sai_tiles_own(&s->tiles[i], 16 * new_tiles.number, 16 * new_tiles.number + 1);
    }
}

/* --------------------------------- memory --------------------------------- */

static size_t sequence_take(uint64_t *at, uint64_t size) {
    uint64_t start = (*at + 7) / 8 * 8;
    *at = start + size;
    return (size_t)start;
}

static uint64_t sequence_place_rows(sai_layer *layer, uint64_t at) {
    layer->rows_at = sequence_take(&at, sizeof(sai_rows));
    (void)sequence_take(&at, sai_rows_tiles(layer) * sizeof(uint64_t));
    (void)sequence_take(&at, sai_rows_tiles(layer) * sizeof(uint32_t));
    return at;
}

uint64_t sai_sequence_place(sai_layer *layer, uint64_t at) {
    layer->spans_at = sequence_take(&at, sai_spans_size(layer->rules.most_spans));
    layer->tables_at = sequence_take(&at, SAI_STORES * sizeof(sai_table));
    for (int32_t i = 0; i < SAI_STORES; i++) {
        /* Twice the entries, so that they are moved to the front once in a round. */
        uint64_t entries = 2 * sai_sequence_most_tiles(&layer->rules, i);
        (void)sequence_take(&at, entries * sizeof(uint64_t));
        (void)sequence_take(&at, entries * sizeof(uint32_t));
    }
    layer->rows_at = 0;
    if (layer->max_draft) layer->nodes_at = sequence_take(&at, sai_nodes_size(layer->max_draft));
    return layer->n_rows ? sequence_place_rows(layer, at) : at;
}

void sai_sequence_tables(const sa_cache *cache, const sai_layer *layer) {
    sai_table *tables = (sai_table *)(void *)((char *)(uintptr_t)cache + layer->tables_at);
    uint64_t at = layer->tables_at + SAI_STORES * sizeof(sai_table);
    for (int32_t i = 0; i < SAI_STORES; i++) {
        uint64_t entries = 2 * sai_sequence_most_tiles(&layer->rules, i);
        tables[i].capacity = (uint32_t)entries;
        tables[i].numbers_at = sequence_take(&at, entries * sizeof(uint64_t));
        tables[i].tiles_at = sequence_take(&at, entries * sizeof(uint32_t));
    }
    if (!layer->n_rows) return;
    sai_rows *rows = (sai_rows *)(void *)((char *)(uintptr_t)cache + layer->rows_at);
    at = layer->rows_at + sizeof *rows;
    rows->table.capacity = (uint32_t)sai_rows_tiles(layer);
    rows->table.numbers_at = sequence_take(&at, sai_rows_tiles(layer) * sizeof(uint64_t));
    rows->table.tiles_at = sequence_take(&at, sai_rows_tiles(layer) * sizeof(uint32_t));
}
