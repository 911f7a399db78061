/* What a query sees of a list of spans, and at what distance.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include "spans.h"

#include <string.h>

void sai_sight_narrow(sai_sight *g, uint64_t window, uint64_t n_sinks, sai_span *room) {
    int32_t n = 0;
    for (int32_t i = 0; i < g->n; i++) {
        sai_span a = g->list[i], rest = a;
        uint64_t kept = a.kind == SA_SPAN_SINK ? sai_min((a.end - a.from), n_sinks) : (a.end - a.from);
        a.end = rest.from = a.from + kept;
        if (a.kind == SA_SPAN_SINK) n_sinks -= kept;
        rest.kind = SA_SPAN_WINDOW;
        if (a.from < a.end) room[n++] = a;
        if (rest.from < rest.end) room[n++] = rest;
    }
    g->list = room;
    g->n = n;
    g->window = window;
    g->is_dense = g->is_dense && window == UINT64_MAX;
    if (n_sinks < sai_minus(g->sink_end, g->seen)) g->sink_end = g->seen + n_sinks;
}

void sai_sight_extend(sai_sight *g, uint64_t n, sai_span *room) {
    sai_span next = {g->seen, g->seen + n, g->shift, SA_SPAN_WINDOW, SAI_STORE_MAIN};
    memcpy(room, g->list, (size_t)g->n * sizeof *room);
    if (g->n && sai_spans_continue(&room[g->n - 1], &next))
        room[g->n - 1].end = next.end;
    else
        room[g->n++] = next;
    g->list = room;
    g->seen += n;
}

sai_place sai_place_of(const sai_sight *g, uint64_t t) {
    sai_place at = {t, sai_spans_logical(g->list, g->n, g->seen, g->shift, t)};
    return at;
}

/* The oldest logical position that is inside the window. */
static uint64_t sight_edge(const sai_sight *g, sai_place at) {
    return g->is_dense ? 0 : sai_minus(at.logical + 1, g->window);
}

sai_range sai_visible(const sai_sight *g, int32_t span, sai_place at) {
    const sai_span *a = &g->list[span];
    sai_range r = {a->from, sai_min(a->end, at.t + 1)};
    if (a->kind == SA_SPAN_WINDOW) r.from = sai_max(r.from, sight_edge(g, at) + a->shift);
    if (a->store == SAI_STORE_MASKED || r.from > r.end) r.end = r.from;
    return r;
}

/* Kept positions of the spans from i on that lie before the window, and sinks that will come before the query. */
static uint64_t sight_kept(const sai_sight *g, int32_t i, sai_place at, uint64_t edge) {
    uint64_t kept = sai_minus(sai_min(sai_min(at.t + 1, g->sink_end), edge + g->shift), g->seen);
    for (; i < g->n; i++) {
        const sai_span *a = &g->list[i];
        if (a->from - a->shift >= edge) break;
        if (a->kind != SA_SPAN_WINDOW) kept += sai_min(a->end - a->shift, edge) - (a->from - a->shift);
    }
    return kept;
}

uint64_t sai_offset_of(const sai_sight *g, int32_t span, sai_place at) {
    const sai_span *a = &g->list[span];
    uint64_t edge = sight_edge(g, at);
    if (g->in_stream || a->end - a->shift > edge) return at.t - at.logical - a->shift;
    /* Its newest key is one place before the kept ones that come after it, and those are before the window. */
    uint64_t distance = at.logical - edge + 1 + sight_kept(g, span + 1, at, edge);
    return at.t - (a->end - 1) - distance;
}

uint64_t sai_front_place(const sai_sight *g, sai_place at) {
    uint64_t edge = sight_edge(g, at);
    return g->in_stream ? at.logical : at.logical - edge + sight_kept(g, 0, at, edge);
}

sa_status sai_sight_can_query(const sai_sight *g, uint64_t first, uint64_t n) {
    if (first < g->of->floor || !sai_spans_cover(g->list, g->n, first, sai_min(first + n, g->seen)))
        return SA_ERR_DEPTH;
    for (uint64_t t = first; t < first + n; t++)
        if (!sai_sight_holds(g, sai_place_of(g, t), sai_min(t + 1, g->seen))) return SA_ERR_DEPTH;
    return SA_SUCCESS;
}

uint64_t sai_tokens_visible(const sai_sight *g) {
    uint64_t visible = 0;
    if (g->seen == 0) return 0;
    sai_place at = sai_place_of(g, g->seen - 1);
    for (int32_t i = 0; i < g->n; i++) {
        sai_range r = sai_visible(g, i, at);
        visible += r.end - r.from;
    }
    return visible;
}
