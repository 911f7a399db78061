/* A part of the keys as the rows of a unit go through it: what each of them sees, and from where.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include "way.h"

#include "gather.h"
#include "query.h"

static void way_look(sai_way *way) {
    const sai_unit *u = way->unit;
    const sai_layer *l = u->job->state.layer;
    if (u->job->call.n == 1) {
        for (int32_t r = 0; r < u->n; r++) {
            way->seen[r] = way->part->reach;
            way->places[r] = (int64_t)way->part->place[0];
        }
        way->all = way->part->reach;
        return;
    }
    sai_range seen = {0, 0};
    int64_t place = 0;
    int32_t token = -1;
    way->all.from = UINT64_MAX;
    way->all.end = 0;
    for (int32_t r = 0; r < u->n; r++) {
        if (sai_row_token(u->job, u->row + r) != token) {
            token = sai_row_token(u->job, u->row + r);
            sai_place at = sai_token_place(u->job, token);
            seen = sai_part_visible(u->job, way->part, at);
            if (l->slopes_at) place = (int64_t)sai_part_place(u->job, way->part, at);
            if (seen.from < seen.end && seen.from < way->all.from) way->all.from = seen.from;
            if (seen.from < seen.end && seen.end > way->all.end) way->all.end = seen.end;
        }
        way->seen[r] = seen;
        way->places[r] = place;
    }
}

/* Rows that are no tokens: learned ones stand at a place each, or all at 0; those of the host as they say. */
static void way_set_rows(sai_way *way) {
    const sai_job *job = way->unit->job;
    const sai_layer *l = job->state.layer;
    if (way->part->span != SAI_PART_LEARNED) {
        way->panel.facts = sai_rows_facts(job->state.pool, l, way->unit->kv_head);
        way->panel.kind = sai_part_kind(way->part->span);
    } else if (l->sink_kv_position == SA_SINK_KV_AT_ZERO) {
        way->panel.key_step = 0;
    } else {
        way->panel.key_place = -(int64_t)l->n_sink_kv;
    }
}

static void way_set_bias(sai_way *way) {
    const sai_unit *u = way->unit;
    const sai_layer *l = u->job->state.layer;
    way->panel.key_place = 0;
    way->panel.key_step = 1;
    way->panel.facts = NULL;
    if (way->part->span < 0) way_set_rows(way);
    if (!l->slopes_at) return;
    const float *slopes = (const float *)sai_at(u->job->state.pool, l->slopes_at);
    for (int32_t r = 0; r < u->n; r++) way->slopes[r] = slopes[sai_row_head(u, u->row + r)];
    way->panel.slopes = way->slopes;
    way->panel.query_places = way->places;
}

/* What is read after a part's last keys: the next part's first ones, or those of the unit that comes next. */
static void way_set_next(sai_way *way) {
    const sai_unit *u = way->unit;
    sai_panel *p = &way->panel;
    const sai_part *last = u->job->parts + u->job->n_parts - 1, *next = way->part < last ? way->part + 1 : NULL;
    const sai_job *job = u->job;
    int32_t head = u->kv_head;
    if (!next && u->next) {
        job = u->next;
        head = u->next_head;
        next = job->n_parts ? job->parts + job->n_parts - 1 : NULL;
    }
    p->next_k = p->tiles.k;
    p->next_v = p->tiles.v;
    if (!next || next->reach.from >= next->tail) return;
    sai_run run = sai_run_of(sai_block_of(job->state.pool), next->arena, head, next->map, next->map_first);
    uint64_t from = next->reach.from;
    p->next_k = sai_run_key(&run, from);
    p->next_v = sai_run_value(&run, from);
}

void sai_way_enter(sai_way *way, const sai_unit *u, const sai_part *part, const sai_scratch *s) {
    const sai_job *job = u->job;
    const sai_layer *l = job->state.layer;
    way->unit = u;
    way->part = part;
    way_look(way);
    if (way->all.from >= way->all.end) return;
    sai_query query = sai_query_enter(u, part, s);
    sai_panel *panel = &way->panel;
    panel->kernels = job->kernels;
    panel->layer = l;
    panel->tiles = sai_run_of(sai_block_of(job->state.pool), part->arena, u->kv_head, part->map, part->map_first);
    panel->q = query.q;
    panel->q_stride = query.stride;
    panel->n_rows = u->n;
    panel->visible = way->within;
    panel->end = way->all.end < part->tail ? way->all.end : part->tail;
    panel->slopes = NULL;
    panel->weighing = NULL;
    panel->scratch = s;
    way_set_bias(way);
    way_set_next(way);
    if (way->all.end > part->tail) sai_gather_begin(u, part, s, &way->path);
}

sai_range sai_way_cut(sai_way *way, sai_range to) {
    for (int32_t r = 0; r < way->unit->n; r++) {
        way->within[r].from = way->seen[r].from > to.from ? way->seen[r].from : to.from;
        way->within[r].end = way->seen[r].end < to.end ? way->seen[r].end : to.end;
    }
    if (to.from < way->all.from) to.from = way->all.from;
    if (to.end > way->all.end) to.end = way->all.end;
    return to;
}
