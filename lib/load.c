/* Loads a sequence from a snapshot in the host's memory.
 *
 * SPDX-License-Identifier: MIT
 *
 * The data is not trusted. All of it is checked before anything changes; the spans of a layer are put in the place of
 * the old ones for that, which then return.
 */
#include "exact.h"

#include "snapshot.h"

/* --------------------------------- sections ------------------------------- */

typedef struct load_reader {
    const unsigned char *at, *end;
    int32_t layer, lane; /* that come next */
} load_reader;

/* Lane `lane` of all layers is to come next. */
static void load_go_to(load_reader *r, const sa_pool *pool, int32_t lane) {
    while (lane >= sai_first_lane(pool, r->layer + 1)) r->layer++;
    r->lane = lane - sai_first_lane(pool, r->layer);
}

typedef struct load_section {
    const unsigned char *at;
    uint64_t size;
} load_section;

/* Takes the next section, if it is whole. */
static sai_error load_take(load_reader *r, load_section *out) {
    uint64_t left = (uint64_t)(r->end - r->at);
    if (left < SAI_LINE) return SAI_ERROR_LOAD_FIELDS;
    out->at = r->at;
    out->size = sai_get64(r->at + SAI_AT_SIZE);
    if (out->size < SAI_LINE || out->size % SAI_LINE || out->size > left) return SAI_ERROR_LOAD_FIELDS;
    r->at += out->size;
    return SAI_ERROR_NONE;
}

/* Leaves out the sections that come next and are not of this version. */
static sai_error load_skip(load_reader *r) {
    load_section s;
    while (r->at < r->end) {
        load_reader before = *r;
        sai_error error = load_take(r, &s);
        if (error) return error;
        uint32_t kind = sai_get32(s.at + SAI_AT_KIND);
        if (kind > 0 && kind < SAI_SECTION_KINDS) {
            *r = before;
            break;
        }
        if (!(sai_get32(s.at + SAI_AT_FLAGS) & SAI_SECTION_MAY_SKIP)) return SAI_ERROR_LOAD_SECTION;
    }
    return SAI_ERROR_NONE;
}

/* The next section of those that are known, which must be that one. */
static sai_error load_next(load_reader *r, uint32_t kind, load_section *out) {
    sai_error error = load_skip(r);
    if (!error) error = load_take(r, out);
    if (error) return error;
    return sai_get32(out->at + SAI_AT_KIND) == kind && sai_get32(out->at + SAI_AT_LAYER) == (uint32_t)r->layer &&
                   sai_get32(out->at + SAI_AT_LANE) == (uint32_t)r->lane
               ? SAI_ERROR_NONE
               : SAI_ERROR_LOAD_FIELDS;
}

/* The sections of a lane. */
typedef struct load_lane {
    load_section meaning, spans, tiles[SAI_STORES], rows;
} load_lane;

static sai_error load_next_lane(load_reader *r, load_lane *out) {
    sai_error error = load_next(r, SAI_SECTION_MEANING, &out->meaning);
    if (!error) error = load_next(r, SAI_SECTION_SPANS, &out->spans);
    for (int32_t i = 0; i < SAI_STORES && !error; i++) error = load_next(r, SAI_SECTION_TILES, &out->tiles[i]);
    if (!error) error = load_next(r, SAI_SECTION_ROWS, &out->rows);
    return error;
}

/* ---------------------------------- spans --------------------------------- */

static sai_error load_check_rules(const sai_state *s, const load_section *section) {
    const sai_rules *rules = &s->layer->rules;
    const unsigned char *at = section->at;
    if (section->size < SAI_AT_LIST) return SAI_ERROR_LOAD_FIELDS;
    uint64_t n = sai_get32(at + SAI_AT_N_SPANS);
    if (sai_get32(at + SAI_AT_N_HEADS) != (uint32_t)s->layer->n_kv_heads) return SAI_ERROR_LOAD_LANES;
    if (section->size != sai_spans_section(s->layer, n)) return SAI_ERROR_LOAD_FIELDS;
    for (int32_t h = 0; h < s->layer->n_kv_heads; h++)
        if (sai_get32(at + SAI_AT_LIST + SAI_LIST_STEP * n + 4 * (uint64_t)h) !=
            (uint32_t)sai_host_head(s->pool, s->layer, h))
            return SAI_ERROR_LOAD_LANES;
    if (sai_get64(at + SAI_AT_N_SINK) != rules->n_sink || sai_get64(at + SAI_AT_N_RECENT) != rules->recent ||
        sai_get32(at + SAI_AT_DENSE) != (uint32_t)rules->is_dense)
        return SAI_ERROR_LOAD_RULES;
    return n > (uint64_t)sai_spans_room(rules->most_spans) ? SAI_ERROR_LOAD_FULL : SAI_ERROR_NONE;
}

static sai_span load_span(const unsigned char *at) {
    uint32_t kind = sai_get32(at + 24), store = sai_get32(at + 28);
    sai_span a = {sai_get64(at), sai_get64(at + 8), sai_get64(at + 16), -1, -1};
    if (kind <= SA_SPAN_PIN) a.kind = (int32_t)kind;
    if (store == SAI_STORE_MAIN || store == SAI_STORE_SINKS) a.store = (int32_t)store;
    if (store == SAI_LIST_MASKED) a.store = SAI_STORE_MASKED;
    return a;
}

static void load_spans(sai_spans *s, const unsigned char *section) {
    s->seen = sai_get64(section + SAI_AT_SEEN);
    s->shift = sai_get64(section + SAI_AT_SHIFT);
    s->floor = sai_get64(section + SAI_AT_FLOOR);
    s->floor_logical = sai_get64(section + SAI_AT_FLOOR_LOGICAL);
    s->sink_end = sai_get64(section + SAI_AT_SINK_END);
    s->recent_from = sai_get64(section + SAI_AT_RECENT_FROM);
    s->left = sai_get64(section + SAI_AT_LEFT);
    s->left_logical = sai_get64(section + SAI_AT_LEFT_LOGICAL);
    s->left_copy = sai_get64(section + SAI_AT_LEFT_COPY);
    s->n = (int32_t)sai_get32(section + SAI_AT_N_SPANS);
    for (int32_t i = 0; i < s->n; i++) s->list[i] = load_span(section + SAI_AT_LIST + SAI_LIST_STEP * i);
}

/* What a smaller window or a shallower rollback does not keep. */
static void load_evict(const sai_state *s) {
    sai_range gone;
    while (sai_spans_evict(&s->layer->rules, s->spans, 0, &gone)) continue;
    sai_spans_evict_recent(&s->layer->rules, s->spans, 0);
}

/* Whether the tiles' sections are as large as the spans say. */
static sai_error load_check_tiles(const sai_state *s, const load_lane *in, uint64_t from) {
    for (int32_t i = 0; i < SAI_STORES; i++) {
        sai_held held = sai_state_held(s, i, from);
        const sai_arena *a = s->tiles[i].arena;
        const unsigned char *at = in->tiles[i].at;
        uint64_t n = sai_held_count(&held), tile = sai_tiles_section(a, 1) - SAI_LINE;
        if (n > in->tiles[i].size / tile || in->tiles[i].size != sai_tiles_section(a, n)) return SAI_ERROR_LOAD_FIELDS;
        if (sai_get32(at + SAI_AT_STORE) != (uint32_t)i || sai_get64(at + SAI_AT_TILES) != n ||
            sai_get64(at + SAI_AT_KEY_TILE) != a->k_tile || sai_get64(at + SAI_AT_VALUE_TILE) != a->v_tile)
            return SAI_ERROR_LOAD_FIELDS;
    }
    return SAI_ERROR_NONE;
}

/* Whether all that the new list has before `from` is there, in a list of n that has seen `from` tokens. */
static int load_has_base(const sai_state *s, const sai_span *list, int32_t n, uint64_t recent_from, uint64_t from) {
    for (int32_t i = 0; i < s->spans->n; i++) {
        const sai_span *a = &s->spans->list[i];
        uint64_t end = a->end < from ? a->end : from;
        if (a->store == SAI_STORE_MASKED || a->from >= end) continue;
        if (!sai_spans_cover(list, n, a->from, end)) return 0;
        for (int32_t j = 0; j < n; j++)
            if (list[j].from < end && list[j].end > a->from && list[j].store != a->store) return 0;
        uint64_t copied = s->spans->recent_from > a->from ? s->spans->recent_from : a->from;
        if (s->layer->rules.recent && a->store == SAI_STORE_MAIN && copied < end && copied < recent_from) return 0;
    }
    return 1;
}

/* Whether the layer can hold the new spans, which are in place. */
static sai_error load_check_room(const sai_state *s, uint64_t from, uint64_t window) {
    const sai_rules *rules = &s->layer->rules;
    sai_sight sight = sai_sight_of(rules, s->spans);
    if (!sai_spans_are_bounded(rules, s->spans)) return SAI_ERROR_LOAD_FULL;
    if (rules->is_dense && sai_tokens_held(s->spans) > rules->window) return SAI_ERROR_LOAD_FULL;
    if (rules->window > window && sai_sight_can_query(&sight, s->spans->seen, 1)) return SAI_ERROR_LOAD_WINDOW;
    sa_status status = sai_state_can_replace(s, from);
    return !status ? SAI_ERROR_NONE : status == SA_ERR_FULL ? SAI_ERROR_LOAD_FULL : SAI_ERROR_LOAD_POOL;
}

/* With the new spans in place; the old ones are `before`, and their list lies behind. */
static sai_error load_check_spans(const sai_state *s, const sai_spans *before, const load_lane *in, uint64_t from) {
    const sai_span *list = s->spans->list + sai_spans_room(s->layer->rules.most_spans);
    if (!sai_spans_are_sound(s->spans, s->layer->rules.n_sink) || s->spans->seen < from) return SAI_ERROR_LOAD_FIELDS;
    sai_error error = load_check_tiles(s, in, from);
    if (error) return error;
    load_evict(s);
    if (from && (before->seen != from || !load_has_base(s, list, before->n, before->recent_from, from)))
        return SAI_ERROR_LOAD_BASE;
    return load_check_room(s, from, sai_get64(in->spans.at + SAI_AT_WINDOW));
}

static sai_error load_check_lane(const sa_cache *cache, int32_t lane, load_reader *r, uint64_t from) {
    load_lane in;
    sai_state s = sai_lane_state(cache, lane);
    sai_span *kept = s.spans->list + sai_spans_room(s.layer->rules.most_spans);
    load_go_to(r, s.pool, lane);
    sai_error error = load_next_lane(r, &in);
    if (!error) error = sai_meaning_check(s.pool, s.layer, in.meaning.at, in.meaning.size);
    if (!error) error = load_check_rules(&s, &in.spans);
    if (!error) error = sai_saved_rows_check(&s, in.rows.at, in.rows.size);
    if (error) return error;
    sai_spans before = *s.spans;
    memcpy(kept, s.spans->list, (size_t)before.n * sizeof *kept);
    load_spans(s.spans, in.spans.at);
    error = load_check_spans(&s, &before, &in, from);
    *s.spans = before;
    memcpy(s.spans->list, kept, (size_t)before.n * sizeof *kept);
    return error;
}

/* ---------------------------------- check --------------------------------- */

static sai_error load_check_header(const unsigned char *data, size_t size) {
    unsigned char header[SAI_LINE];
    sai_sum sum;
    if (size < SAI_LINE || memcmp(data, SAI_SNAPSHOT_MAGIC, 8)) return SAI_ERROR_LOAD_FOREIGN;
    if (sai_get32(data + SAI_HEADER_VERSION) != SAI_SNAPSHOT_VERSION) return SAI_ERROR_LOAD_VERSION;
    if (size % SAI_LINE || sai_get64(data + SAI_HEADER_SIZE) != size) return SAI_ERROR_LOAD_DAMAGED;
    memcpy(header, data, SAI_LINE);
    sai_set64(header + SAI_HEADER_SUM, 0);
    sai_sum_begin(&sum);
    sai_sum_add(&sum, header, SAI_LINE);
    sai_sum_add(&sum, data + SAI_LINE, size - SAI_LINE);
    if (sai_get64(data + SAI_HEADER_SUM) != sai_sum_end(&sum)) return SAI_ERROR_LOAD_DAMAGED;
    for (int i = SAI_HEADER_END; i < SAI_LINE; i++)
        if (header[i]) return SAI_ERROR_LOAD_FIELDS;
    return SAI_ERROR_NONE;
}

static sai_error load_check(const sa_cache *cache, const unsigned char *data, size_t size) {
    const sa_pool *pool = sai_pool_of(cache);
    if (!cache->is_open) return SAI_ERROR_CLOSED;
    if (!data) return SAI_ERROR_LOAD_DATA;
    sai_error error = load_check_header(data, size);
    if (error) return error;
    if (sai_get32(data + SAI_HEADER_LAYERS) != (uint32_t)pool->n_layers) return SAI_ERROR_LOAD_LAYERS;
    if (sai_get32(data + SAI_HEADER_LANES) != (uint32_t)pool->n_lanes) return SAI_ERROR_LOAD_LANES;
    load_reader r = {data + SAI_LINE, data + size, 0, 0};
    for (int32_t lane = 0; lane < pool->n_lanes && !error; lane++)
        error = load_check_lane(cache, lane, &r, sai_get64(data + SAI_HEADER_FROM));
    if (!error) error = load_skip(&r);
    return error || r.at == r.end ? error : SAI_ERROR_LOAD_FIELDS;
}

/* ----------------------------------- tiles -------------------------------- */

/* Takes a tile's tokens in; of the tile that `from` lies in, those that were saved. */
static void load_tile(const sai_tile_form *form, char *tile, const unsigned char *saved, const sai_held *held,
                      uint64_t from) {
    int is_part = from % 16 && held->number == from / 16;
    if (!is_part && form->size % SAI_LINE == 0 && !sai_is_big_endian()) {
        sai_lines_copy((unsigned char *)tile, saved, form->size);
        return;
    }
    if (!is_part) memcpy(tile, saved, form->size);
    if (sai_is_big_endian()) sai_tile_swap(form, tile);
    if (!is_part) return;
    sai_tile_copy(form, tile, (const char *)saved, held->lanes);
    if (sai_is_big_endian()) sai_tile_swap(form, tile);
}

/* The keys or the values of a kv head: what of `held` has still a tile. Returns where they end. */
static const unsigned char *load_head(const sai_state *s, int32_t store, int32_t kv_head, int is_value, sai_held held,
                                      uint64_t from, const unsigned char *saved) {
    const sai_tiles *t = &s->tiles[store];
    sai_tile_form form = sai_form_of(s->layer, t->arena, is_value);
    uint32_t entry = sai_tiles_entry(t, from / 16), end = t->table->first + t->table->n;
    for (; sai_held_next(&held); saved += sai_round_line(form.size)) {
        while (entry < end && t->numbers[entry] < held.number) entry++;
        if (entry == end || t->numbers[entry] != held.number) continue;
        char *tile = is_value ? sai_tiles_value(t, entry, kv_head) : sai_tiles_key(t, entry, kv_head);
        load_tile(&form, tile, saved, &held, from);
    }
    return saved;
}

static void load_lane_of(const sa_cache *cache, int32_t lane, load_reader *r, uint64_t from) {
    load_lane in;
    sai_state s = sai_lane_state(cache, lane);
    sai_held held[SAI_STORES];
    sai_span *saved = s.spans->list + sai_spans_room(s.layer->rules.most_spans);
    load_go_to(r, s.pool, lane);
    (void)load_next_lane(r, &in);
    load_spans(s.spans, in.spans.at);
    memcpy(saved, s.spans->list, (size_t)s.spans->n * sizeof *saved);
    for (int32_t i = 0; i < SAI_STORES; i++) {
        held[i] = sai_state_held(&s, i, from);
        held[i].list = saved;
    }
    load_evict(&s);
    sai_state_replace(&s, from);
    sai_saved_rows_load(&s, in.rows.at);
    for (int32_t i = 0; i < SAI_STORES; i++) {
        const unsigned char *at = in.tiles[i].at + SAI_LINE;
        for (int32_t h = 0; h < s.layer->n_kv_heads; h++)
            for (int is_value = 0; is_value < 2; is_value++) at = load_head(&s, i, h, is_value, held[i], from, at);
    }
}

sa_status sa_cache_load(sa_cache *cache, const void *data, size_t size) {
    const unsigned char *bytes = (const unsigned char *)data;
    if (!cache) return SA_ERR_ARGUMENT;
    sai_error error = load_check(cache, bytes, size);
    if (error) return sai_error_keep(cache, error);
    sa_pool *pool = sai_pool_of(cache);
    load_reader r = {bytes + SAI_LINE, bytes + size, 0, 0};
    pool->work.begun_layer = -1;
    for (int32_t lane = 0; lane < pool->n_lanes; lane++)
        load_lane_of(cache, lane, &r, sai_get64(bytes + SAI_HEADER_FROM));
    sai_lines_end();
    return sai_error_keep(cache, SAI_ERROR_NONE);
}
