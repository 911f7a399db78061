/* Which stream positions a layer holds and a token sees.
 *
 * SPDX-License-Identifier: MIT
 *
 * The ring keeps position p in slot p mod ring, so a token overwrites just the one `ring` before
 * it. Nothing else moves: eviction, rollback and jumps only change the numbers here.
 */
#include "exact.h"

#include "spans.h"

static uint64_t spans_max(uint64_t a, uint64_t b) { return a > b ? a : b; }
static uint64_t spans_min(uint64_t a, uint64_t b) { return a < b ? a : b; }
static uint64_t spans_minus(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

void sai_stream_reset(sai_stream *s) {
    s->seen = s->held_from = s->recent_from = s->floor = 0;
    s->sinks = (uint64_t)s->n_sink;
}

sa_status sai_stream_can_append(const sai_stream *s, uint64_t n) {
    if (n >= SAI_POSITION_LIMIT - s->seen) return SA_ERR_OVERFLOW;
    if (s->dense && s->seen - s->floor + n > s->window) return SA_ERR_FULL;
    return SA_SUCCESS;
}

void sai_stream_append(sai_stream *s, uint64_t n) {
    s->seen += n;
    s->held_from = spans_max(s->held_from, spans_minus(s->seen, s->ring));
    if (s->recent) s->recent_from = spans_max(s->recent_from, spans_minus(s->seen, s->recent_ring));
}

/* The oldest ring position that a query at t sees. A dense layer forgets nothing, even for a probe far beyond the newest
 * token. */
static uint64_t spans_window_from(const sai_stream *s, uint64_t t) {
    uint64_t from = s->dense ? 0 : spans_minus(t + 1, s->window);
    return spans_max(s->sinks, spans_max(s->floor, from));
}

/* The oldest position of the second ring that a query at t sees. */
static uint64_t spans_recent_from(const sai_stream *s, uint64_t t) {
    return spans_max(spans_window_from(s, t), spans_minus(t + 1, s->recent));
}

/* Whether what a query at t sees below `end` is still there. */
static int spans_holds(const sai_stream *s, uint64_t t, uint64_t end) {
    uint64_t from = spans_window_from(s, t), recent = spans_recent_from(s, t);
    return (from >= s->held_from || from >= end) && (!s->recent || recent >= s->recent_from || recent >= end);
}

sa_status sai_stream_can_truncate(const sai_stream *s, uint64_t target) {
    if (target >= s->seen) return SA_SUCCESS;
    return target >= s->floor && spans_holds(s, target, target) ? SA_SUCCESS : SA_ERR_DEPTH;
}

void sai_stream_truncate(sai_stream *s, uint64_t target) {
    if (target >= s->seen) return;
    s->seen = target;
    /* Below the target, the ring may hold nothing any more: then what it holds begins with the next token. */
    s->held_from = spans_min(s->held_from, target);
    s->recent_from = spans_min(s->recent_from, target);
}

uint64_t sai_stream_rollback_now(const sai_stream *s) {
    uint64_t lowest = s->floor, kept = spans_max(s->sinks, s->floor);
    /* A token whose window is itself alone sees nothing that could be missing. */
    if (s->held_from > kept && s->window > 1) lowest = s->held_from + s->window - 1;
    if (s->recent > 1 && s->recent_from > kept) lowest = spans_max(lowest, s->recent_from + s->recent - 1);
    return spans_minus(s->seen, lowest);
}

void sai_stream_jump(sai_stream *s, uint64_t position) {
    s->sinks = spans_min(s->sinks, s->seen);
    s->seen = s->held_from = s->recent_from = s->floor = position;
}

sa_status sai_stream_can_query(const sai_stream *s, uint64_t first, uint64_t n) {
    /* The oldest key is seen by the first query that has a window at all: the sinks' own have none. */
    uint64_t t = spans_max(first, spans_min(s->sinks, first + n - 1));
    if (first < s->floor) return SA_ERR_DEPTH;
    return spans_holds(s, t, spans_min(t + 1, s->seen)) ? SA_SUCCESS : SA_ERR_DEPTH;
}

sai_range sai_visible_sinks(const sai_stream *s, uint64_t t) {
    sai_range r = {0, spans_min(s->sinks, spans_min(t + 1, s->seen))};
    return r;
}

sai_range sai_visible_window(const sai_stream *s, uint64_t t) {
    sai_range r = {spans_window_from(s, t), spans_min(t + 1, s->seen)};
    return r;
}

sai_range sai_visible_old(const sai_stream *s, uint64_t t) {
    sai_range r = sai_visible_window(s, t);
    if (s->recent) r.end = spans_min(r.end, spans_recent_from(s, t));
    return r;
}

sai_range sai_visible_recent(const sai_stream *s, uint64_t t) {
    sai_range r = sai_visible_window(s, t), none = {0, 0};
    if (!s->recent) return none;
    r.from = spans_min(r.end, spans_recent_from(s, t));
    return r;
}

uint64_t sai_cache_position(const sai_stream *s, uint64_t t) {
    return s->dense ? t : spans_min(t, (uint64_t)s->n_sink + s->window - 1);
}

uint64_t sai_tokens_held(const sai_stream *s) {
    return spans_min(s->sinks, s->seen) + spans_minus(s->seen, spans_max(s->held_from, s->sinks));
}

uint64_t sai_positions_held(const sai_stream *s) {
    if (s->seen == 0) return 0;
    sai_range sinks = sai_visible_sinks(s, s->seen - 1), window = sai_visible_window(s, s->seen - 1);
    return sinks.end + spans_minus(window.end, window.from);
}
