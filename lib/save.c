/* Saves a sequence to the host's memory.
 *
 * SPDX-License-Identifier: MIT
 *
 * A snapshot depends on the state alone: what lies in tiles beside the tokens that are held is written as 0.
 */
#include "exact.h"

#include "snapshot.h"

/* ---------------------------------- sizes --------------------------------- */

static uint64_t save_tiles(const sai_state *s, int32_t store, uint64_t from) {
    sai_held tiles = sai_state_held(s, store, from);
    return sai_held_count(&tiles);
}

static uint64_t save_lane_size(const sai_state *s, uint64_t from) {
    uint64_t size = sai_meaning_size(s->layer) + sai_spans_section(s->layer, (uint64_t)s->spans->n);
    size += sai_saved_rows_size(s);
    for (int32_t i = 0; i < SAI_STORES; i++) size += sai_tiles_section(s->tiles[i].arena, save_tiles(s, i, from));
    return size;
}

static sai_error save_size(const sa_cache *cache, uint64_t from, uint64_t *size) {
    *size = SAI_LINE;
    if (!cache->is_open) return SAI_ERROR_CLOSED;
    for (int32_t l = 0; l < sai_pool_of(cache)->n_lanes; l++) {
        sai_state s = sai_lane_state(cache, l);
        if (from > s.spans->seen) return SAI_ERROR_SAVE_FROM;
        *size += save_lane_size(&s, from);
    }
    return *size > SIZE_MAX / 2 ? SAI_ERROR_SAVE_SIZE : SAI_ERROR_NONE;
}

sa_status sa_cache_save_size(sa_cache *cache, uint64_t from, size_t *size_out) {
    uint64_t size;
    if (!cache) return SA_ERR_ARGUMENT;
    sai_error error = size_out ? save_size(cache, from, &size) : SAI_ERROR_SAVE_OUT;
    if (!error) *size_out = (size_t)size;
    return sai_error_keep(cache, error);
}

/* --------------------------------- sections ------------------------------- */

/* What has been written lies before `at`, and is in the sum. */
typedef struct save_writer {
    unsigned char *at;
    sai_sum sum;
    int32_t layer, lane; /* that are being written */
} save_writer;

/* The next section, of zeros but for what all of them say. */
static unsigned char *save_section(const save_writer *w, uint32_t kind, uint64_t size) {
    memset(w->at, 0, (size_t)size);
    sai_set32(w->at + SAI_AT_KIND, kind);
    sai_set64(w->at + SAI_AT_SIZE, size);
    sai_set32(w->at + SAI_AT_LAYER, (uint32_t)w->layer);
    sai_set32(w->at + SAI_AT_LANE, (uint32_t)w->lane);
    return w->at;
}

static void save_done(save_writer *w, uint64_t size) {
    sai_sum_add(&w->sum, w->at, (size_t)size);
    w->at += size;
}

static void save_meaning(save_writer *w, const sai_state *s) {
    uint64_t size = sai_meaning_size(s->layer);
    sai_meaning_write(s->pool, s->layer, save_section(w, SAI_SECTION_MEANING, size));
    save_done(w, size);
}

static void save_span(unsigned char *at, const sai_span *a) {
    sai_set64(at, a->from);
    sai_set64(at + 8, a->end);
    sai_set64(at + 16, a->shift);
    sai_set32(at + 24, (uint32_t)a->kind);
    sai_set32(at + 28, a->store == SAI_STORE_MASKED ? SAI_LIST_MASKED : (uint32_t)a->store);
}

static void save_rules(unsigned char *section, const sai_state *s) {
    const sai_rules *rules = &s->layer->rules;
    sai_set32(section + SAI_AT_N_HEADS, (uint32_t)s->layer->n_kv_heads);
    sai_set64(section + SAI_AT_N_SINK, rules->n_sink);
    sai_set64(section + SAI_AT_WINDOW, rules->window);
    sai_set64(section + SAI_AT_N_RECENT, rules->recent);
    sai_set32(section + SAI_AT_DENSE, (uint32_t)rules->is_dense);
}

static void save_spans(save_writer *w, const sai_state *state) {
    const sai_spans *s = state->spans;
    uint64_t size = sai_spans_section(state->layer, (uint64_t)s->n);
    unsigned char *section = save_section(w, SAI_SECTION_SPANS, size);
    save_rules(section, state);
    sai_set32(section + SAI_AT_N_SPANS, (uint32_t)s->n);
    sai_set64(section + SAI_AT_SEEN, s->seen);
    sai_set64(section + SAI_AT_SHIFT, s->shift);
    sai_set64(section + SAI_AT_FLOOR, s->floor);
    sai_set64(section + SAI_AT_FLOOR_LOGICAL, s->floor_logical);
    sai_set64(section + SAI_AT_SINK_END, s->sink_end);
    sai_set64(section + SAI_AT_RECENT_FROM, s->recent_from);
    sai_set64(section + SAI_AT_LEFT, s->left);
    sai_set64(section + SAI_AT_LEFT_LOGICAL, s->left_logical);
    sai_set64(section + SAI_AT_LEFT_COPY, s->left_copy);
    unsigned char *at = section + SAI_AT_LIST;
    for (int32_t i = 0; i < s->n; i++, at += SAI_LIST_STEP) save_span(at, &s->list[i]);
    for (int32_t h = 0; h < state->layer->n_kv_heads; h++, at += 4)
        sai_set32(at, (uint32_t)sai_host_head(state->pool, state->layer, h));
    save_done(w, size);
}

/* ----------------------------------- tiles -------------------------------- */

static void save_tile(save_writer *w, const sai_tile_form *form, const char *tile, uint32_t lanes) {
    size_t size = (size_t)sai_round_line(form->size);
    if (lanes == 0xffff && size == form->size && !sai_is_big_endian()) {
        sai_sum_copy(&w->sum, w->at, (const unsigned char *)tile, size);
        w->at += size;
        return;
    }
    memset(w->at + form->size, 0, size - form->size);
    memcpy(w->at, tile, form->size);
    sai_tile_keep(form, (char *)w->at, lanes);
    if (sai_is_big_endian()) sai_tile_swap(form, (char *)w->at);
    save_done(w, size);
}

/* The keys or the values of a kv head. */
static void save_head(save_writer *w, const sai_state *s, int32_t store, int32_t kv_head, int is_value, uint64_t from) {
    const sai_tiles *t = &s->tiles[store];
    sai_tile_form form = sai_form_of(s->layer, t->arena, is_value);
    sai_held held = sai_state_held(s, store, from);
    uint32_t entry = sai_tiles_entry(t, from / 16);
    while (sai_held_next(&held)) {
        while (t->numbers[entry] < held.number) entry++;
        save_tile(w, &form, is_value ? sai_tiles_value(t, entry, kv_head) : sai_tiles_key(t, entry, kv_head),
                  held.lanes);
    }
}

static void save_store(save_writer *w, const sai_state *s, int32_t store, uint64_t from) {
    const sai_arena *a = s->tiles[store].arena;
    uint64_t n = save_tiles(s, store, from);
    unsigned char *section = save_section(w, SAI_SECTION_TILES, SAI_LINE);
    sai_set64(section + SAI_AT_SIZE, sai_tiles_section(a, n));
    sai_set32(section + SAI_AT_STORE, (uint32_t)store);
    sai_set64(section + SAI_AT_TILES, n);
    sai_set64(section + SAI_AT_KEY_TILE, a->k_tile);
    sai_set64(section + SAI_AT_VALUE_TILE, a->v_tile);
    save_done(w, SAI_LINE);
    for (int32_t h = 0; h < a->n_kv_heads; h++)
        for (int is_value = 0; is_value < 2; is_value++) save_head(w, s, store, h, is_value, from);
}

static void save_rows(save_writer *w, const sai_state *s) {
    uint64_t size = sai_saved_rows_size(s);
    sai_saved_rows_write(s, save_section(w, SAI_SECTION_ROWS, size));
    save_done(w, size);
}

static void save_header(const sa_pool *pool, uint64_t from, uint64_t size, unsigned char *data) {
    memset(data, 0, SAI_LINE);
    memcpy(data + SAI_HEADER_MAGIC, SAI_SNAPSHOT_MAGIC, 8);
    sai_set32(data + SAI_HEADER_VERSION, SAI_SNAPSHOT_VERSION);
    sai_set32(data + SAI_HEADER_LAYERS, (uint32_t)pool->n_layers);
    sai_set64(data + SAI_HEADER_SIZE, size);
    sai_set64(data + SAI_HEADER_FROM, from);
    sai_set32(data + SAI_HEADER_LANES, (uint32_t)pool->n_lanes);
}

static void save_all(const sa_cache *cache, uint64_t from, unsigned char *data, uint64_t size) {
    save_writer w = {data, {{0}}, 0, 0};
    const sa_pool *pool = sai_pool_of(cache);
    save_header(pool, from, size, data);
    sai_sum_begin(&w.sum);
    save_done(&w, SAI_LINE);
    for (int32_t lane = 0; lane < pool->n_lanes; lane++) {
        sai_state s = sai_lane_state(cache, lane);
        while (lane >= sai_first_lane(pool, w.layer + 1)) w.layer++;
        w.lane = lane - sai_first_lane(pool, w.layer);
        save_meaning(&w, &s);
        save_spans(&w, &s);
        for (int32_t i = 0; i < SAI_STORES; i++) save_store(&w, &s, i, from);
        save_rows(&w, &s);
    }
    sai_set64(data + SAI_HEADER_SUM, sai_sum_end(&w.sum));
    sai_lines_end();
}

sa_status sa_cache_save(sa_cache *cache, uint64_t from, void *data, size_t size, size_t *written_out) {
    uint64_t needed = 0;
    if (!cache) return SA_ERR_ARGUMENT;
    sai_error error = data && written_out ? save_size(cache, from, &needed) : SAI_ERROR_SAVE_OUT;
    if (!error && size < needed) error = SAI_ERROR_SAVE_ROOM;
    if (error) return sai_error_keep(cache, error);
    save_all(cache, from, (unsigned char *)data, needed);
    *written_out = (size_t)needed;
    return sai_error_keep(cache, SAI_ERROR_NONE);
}
