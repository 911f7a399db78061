/* Rows of the host in a snapshot.
 *
 * SPDX-License-Identifier: MIT
 *
 * All tiles up to the last row are there, whatever a partial snapshot begins with: rows are no tokens.
 */
#include "exact.h"

#include <math.h>

#include "snapshot.h"

static uint64_t saved_rows_tiles(const sai_state *s) {
    return s->layer->n_rows ? (sai_rows_end(s->rows) + 15) / 16 : 0;
}

/* Bytes of n tiles of all kv heads. */
static uint64_t saved_rows_section(const sai_layer *l, uint64_t n) {
    uint64_t tile = sai_round_line(sai_key_tile(l->arenas[SAI_STORE_SINKS].k_dtype, l->dk)) +
                    sai_round_line(sai_value_tile(l->arenas[SAI_STORE_SINKS].v_dtype, l->dv_pad)) + SAI_FACTS_SIZE;
    return SAI_LINE + n * tile * (uint64_t)l->n_kv_heads;
}

uint64_t sai_saved_rows_size(const sai_state *s) { return saved_rows_section(s->layer, saved_rows_tiles(s)); }

/* Without rows in the config there is no arena of them, but sinks have the same dtypes. */
static sai_tile_form saved_rows_form(const sai_layer *l, int is_value) {
    return sai_form_of(l, &l->arenas[SAI_STORE_SINKS], is_value);
}

static sai_row_facts *saved_rows_facts(const sai_state *s, const sai_tiles *t, uint32_t entry, int32_t kv_head) {
    return sai_rows_facts(s->pool, s->layer, kv_head) + t->tiles[entry];
}

/* --------------------------------- writing -------------------------------- */

static unsigned char *saved_rows_put_tile(const sai_tile_form *form, const char *tile, unsigned char *at) {
    memcpy(at, tile, form->size);
    if (sai_is_big_endian()) sai_tile_swap(form, (char *)at);
    return at + sai_round_line(form->size);
}

static unsigned char *saved_rows_put_facts(const sai_row_facts *facts, unsigned char *at) {
    for (int i = 0; i < 32; i++) sai_set_float(at + 4 * i, facts->bias[i / 16][i % 16]);
    for (int i = 0; i < 16; i++) sai_set64(at + 128 + 8 * i, (uint64_t)facts->place[i]);
    return at + SAI_FACTS_SIZE;
}

static unsigned char *saved_rows_put_head(const sai_state *s, int32_t kv_head, uint32_t n, unsigned char *at) {
    sai_tiles t = sai_state_rows(s);
    sai_tile_form key = saved_rows_form(s->layer, 0), value = saved_rows_form(s->layer, 1);
    for (uint32_t i = 0; i < n; i++) at = saved_rows_put_tile(&key, sai_tiles_key(&t, t.table->first + i, kv_head), at);
    for (uint32_t i = 0; i < n; i++)
        at = saved_rows_put_tile(&value, sai_tiles_value(&t, t.table->first + i, kv_head), at);
    for (uint32_t i = 0; i < n; i++)
        at = saved_rows_put_facts(saved_rows_facts(s, &t, t.table->first + i, kv_head), at);
    return at;
}

void sai_saved_rows_write(const sai_state *s, unsigned char *section) {
    uint32_t n = (uint32_t)saved_rows_tiles(s);
    unsigned char *at = section + SAI_LINE;
    sai_set64(section + SAI_AT_TILES, n);
    sai_set64(section + SAI_AT_KEY_TILE, saved_rows_form(s->layer, 0).size);
    sai_set64(section + SAI_AT_VALUE_TILE, saved_rows_form(s->layer, 1).size);
    for (int kind = 0; kind < SAI_ROW_KINDS && n; kind++) {
        sai_set64(section + SAI_AT_USED + 16 * kind, s->rows->used[kind].from);
        sai_set64(section + SAI_AT_USED + 16 * kind + 8, s->rows->used[kind].end);
    }
    for (int32_t h = 0; h < s->layer->n_kv_heads && n; h++) at = saved_rows_put_head(s, h, n, at);
}

/* -------------------------------- checking -------------------------------- */

static sai_range saved_rows_used(const unsigned char *section, int kind) {
    sai_range used = {sai_get64(section + SAI_AT_USED + 16 * kind), sai_get64(section + SAI_AT_USED + 16 * kind + 8)};
    return used;
}

/* Biases and places are such as sa_set_rows takes: sums with them do not wrap. */
static int saved_rows_facts_are_sound(const unsigned char *at) {
    for (int i = 0; i < 32; i++)
        if (!(sai_get_float(at + 4 * i) <= 1e30f)) return 0;
    for (int i = 0; i < 16; i++) {
        uint64_t place = sai_get64(at + 128 + 8 * i) + SAI_POSITION_LIMIT;
        if (place > 2 * SAI_POSITION_LIMIT) return 0;
    }
    return 1;
}

static int saved_rows_all_sound(const sai_layer *l, uint64_t n, const unsigned char *at) {
    uint64_t tiles = n * (sai_round_line(saved_rows_form(l, 0).size) + sai_round_line(saved_rows_form(l, 1).size));
    for (int32_t h = 0; h < l->n_kv_heads; h++) {
        at += tiles;
        for (uint64_t i = 0; i < n; i++, at += SAI_FACTS_SIZE)
            if (!saved_rows_facts_are_sound(at)) return 0;
    }
    return 1;
}

sai_error sai_saved_rows_check(const sai_state *s, const unsigned char *section, uint64_t size) {
    uint64_t n = sai_get64(section + SAI_AT_TILES), end = 0;
    if (n > size / SAI_LINE || size != saved_rows_section(s->layer, n)) return SAI_ERROR_LOAD_FIELDS;
    if (sai_get64(section + SAI_AT_KEY_TILE) != saved_rows_form(s->layer, 0).size ||
        sai_get64(section + SAI_AT_VALUE_TILE) != saved_rows_form(s->layer, 1).size)
        return SAI_ERROR_LOAD_FIELDS;
    for (int kind = 0; kind < SAI_ROW_KINDS; kind++) {
        sai_range used = saved_rows_used(section, kind);
        if (used.from >= used.end && (used.from || used.end)) return SAI_ERROR_LOAD_FIELDS;
        if (used.end > end) end = used.end;
    }
    if ((end + 15) / 16 != n || end > 16 * n) return SAI_ERROR_LOAD_FIELDS;
    if (end > (uint64_t)s->layer->n_rows) return SAI_ERROR_LOAD_ROWS;
    return saved_rows_all_sound(s->layer, n, section + SAI_LINE) ? SAI_ERROR_NONE : SAI_ERROR_LOAD_FIELDS;
}

/* --------------------------------- loading -------------------------------- */

static const unsigned char *saved_rows_get_tile(const sai_tile_form *form, char *tile, const unsigned char *at) {
    memcpy(tile, at, form->size);
    if (sai_is_big_endian()) sai_tile_swap(form, tile);
    return at + sai_round_line(form->size);
}

static const unsigned char *saved_rows_get_facts(sai_row_facts *facts, const unsigned char *at) {
    for (int i = 0; i < 32; i++) facts->bias[i / 16][i % 16] = sai_get_float(at + 4 * i);
    for (int i = 0; i < 16; i++) {
        uint64_t place = sai_get64(at + 128 + 8 * i);
        memcpy(&facts->place[i], &place, sizeof place);
    }
    return at + SAI_FACTS_SIZE;
}

static const unsigned char *saved_rows_get_head(const sai_state *s, int32_t kv_head, const unsigned char *at) {
    sai_tiles t = sai_state_rows(s);
    sai_tile_form key = saved_rows_form(s->layer, 0), value = saved_rows_form(s->layer, 1);
    uint32_t first = t.table->first, end = first + t.table->n;
    for (uint32_t i = first; i < end; i++) at = saved_rows_get_tile(&key, sai_tiles_key(&t, i, kv_head), at);
    for (uint32_t i = first; i < end; i++) at = saved_rows_get_tile(&value, sai_tiles_value(&t, i, kv_head), at);
    for (uint32_t i = first; i < end; i++) at = saved_rows_get_facts(saved_rows_facts(s, &t, i, kv_head), at);
    return at;
}

void sai_saved_rows_load(const sai_state *s, const unsigned char *section) {
    const unsigned char *at = section + SAI_LINE;
    if (!s->layer->n_rows) return;
    sai_tiles t = sai_state_rows(s);
    sai_tiles_drop_all(&t);
    sai_tiles_own(&t, 0, 16 * sai_get64(section + SAI_AT_TILES));
    for (int kind = 0; kind < SAI_ROW_KINDS; kind++) s->rows->used[kind] = saved_rows_used(section, kind);
    for (int32_t h = 0; h < s->layer->n_kv_heads; h++) at = saved_rows_get_head(s, h, at);
}
