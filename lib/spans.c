/* Which stream positions a layer of a sequence holds: appending, evicting, going back, removing, pinning.
 *
 * SPDX-License-Identifier: MIT
 *
 * The list is canonical: neighbours differ in kind, store or shift, or positions lie between them. So it depends on
 * what was done to the sequence, not on the sizes of the calls that did it, and neither do the bits of a result. The
 * positions between two spans were removed with their gap closed, as many as the shifts differ by, or else evicted.
 */
#include "exact.h"

#include "spans.h"

#include <string.h>

/* --------------------------------- the list ------------------------------- */

static void spans_delete(sai_spans *s, int32_t i) {
    s->n--;
    memmove(s->list + i, s->list + i + 1, (size_t)(s->n - i) * sizeof *s->list);
}

/* Cuts a span in two at a position inside it. */
static void spans_cut(sai_spans *s, uint64_t position) {
    for (int32_t i = 0; i < s->n; i++) {
        if (s->list[i].from >= position || s->list[i].end <= position) continue;
        memmove(s->list + i + 1, s->list + i, (size_t)(s->n - i) * sizeof *s->list);
        s->n++;
        s->list[i].end = s->list[i + 1].from = position;
        return;
    }
}

int sai_spans_continue(const sai_span *a, const sai_span *b) {
    return a->end == b->from && a->shift == b->shift && a->kind == b->kind && a->store == b->store;
}

static void spans_normalize(sai_spans *s) {
    for (int32_t i = s->n - 1; i > 0; i--) {
        if (!sai_spans_continue(&s->list[i - 1], &s->list[i])) continue;
        s->list[i - 1].end = s->list[i].end;
        spans_delete(s, i);
    }
}

/* The span of the next tokens, of which n are added: the last one, or a new one. */
static void spans_extend(sai_spans *s, int32_t kind, int32_t store, uint64_t n) {
    sai_span next = {s->seen, s->seen + n, s->shift, kind, store};
    if (n && s->n && sai_spans_continue(&s->list[s->n - 1], &next))
        s->list[s->n - 1].end = next.end;
    else if (n)
        s->list[s->n++] = next;
    s->seen += n;
}

/* A change is made on the list; one that does not fit is taken back. */
static void spans_keep(const sai_rules *rules, sai_spans *s) {
    memcpy(s->list + sai_spans_room(rules->most_spans), s->list, (size_t)s->n * sizeof *s->list);
}

static sa_status spans_settle(const sai_rules *rules, sai_spans *s, const sai_spans *before) {
    spans_normalize(s);
    if (sai_spans_fit(rules, s)) return SA_SUCCESS;
    *s = *before;
    memcpy(s->list, s->list + sai_spans_room(rules->most_spans), (size_t)s->n * sizeof *s->list);
    return SA_ERR_FULL;
}

/* ----------------------------------- gaps --------------------------------- */

/* What lies before span i of a list, or behind the last one: first `lost` positions that were evicted, then those that
 * were removed. */
typedef struct spans_gap {
    uint64_t from, lost, end, shift; /* shift: of what is before */
} spans_gap;

static spans_gap spans_gap_before(const sai_span *list, int32_t n, int32_t i, uint64_t seen, uint64_t shift) {
    spans_gap g = {i ? list[i - 1].end : 0, 0, i < n ? list[i].from : seen, i ? list[i - 1].shift : 0};
    uint64_t removed = (i < n ? list[i].shift : shift) - g.shift;
    g.lost = g.end - g.from - removed;
    return g;
}

/* The logical position of p <= seen. A position that was removed has that of the next one that was not. */
uint64_t sai_spans_logical(const sai_span *list, int32_t n, uint64_t seen, uint64_t shift, uint64_t p) {
    if (p >= seen) return p - shift;
    int32_t i = n;
    while (i > 0 && list[i - 1].from > p) i--;
    if (i > 0 && p < list[i - 1].end) return p - list[i - 1].shift;
    spans_gap g = spans_gap_before(list, n, i, seen, shift);
    return sai_min(p, g.from + g.lost) - g.shift;
}

/* The newest of the evicted positions below `end`, and its logical one; 0 if there are none above the floor. */
static int spans_newest_lost(const sai_sight *g, uint64_t end, sai_place *lost) {
    for (int32_t i = g->n; i >= 0; i--) {
        spans_gap gap = spans_gap_before(g->list, g->n, i, g->seen, g->shift);
        uint64_t top = sai_min(gap.from + gap.lost, end);
        if (top <= gap.from) continue;
        lost->t = top - 1;
        lost->logical = top - 1 - gap.shift;
        return lost->logical >= g->of->floor_logical;
    }
    return 0;
}

/* Whether a span's newest tokens are read from the second copy. */
static int spans_has_recent(const sai_span *s) { return s->store == SAI_STORE_MAIN && s->kind != SA_SPAN_SINK; }

/* The newest token below `end`, but not below the floor, that the second copy does not hold. */
static int spans_newest_uncopied(const sai_sight *g, uint64_t end, sai_place *lost) {
    if (!g->recent) return 0;
    end = sai_min(end, g->of->recent_from);
    for (int32_t i = g->n - 1; i >= 0; i--) {
        if (!spans_has_recent(&g->list[i]) || g->list[i].from >= end) continue;
        lost->t = sai_min(end, g->list[i].end) - 1;
        lost->logical = lost->t - g->list[i].shift;
        return lost->t >= g->of->floor;
    }
    return 0;
}

/* Whether all that a query there sees below `end` is still held. */
int sai_sight_holds(const sai_sight *g, sai_place at, uint64_t end) {
    sai_place lost;
    uint64_t window = g->is_dense ? UINT64_MAX : g->window;
    const sai_spans *s = g->of;
    if (spans_newest_lost(g, end, &lost) && at.logical - lost.logical < window &&
        !(at.t >= s->left && lost.logical < s->left_logical))
        return 0;
    return !spans_newest_uncopied(g, end, &lost) || at.logical - lost.logical >= sai_min(g->recent, window) ||
           (at.t >= s->left_copy && lost.t < s->left_copy);
}

/* ------------------------------ the stream -------------------------------- */

void sai_spans_reset(const sai_rules *rules, sai_spans *s) {
    memset(s, 0, sizeof *s);
    s->sink_end = rules->n_sink;
}

sa_status sai_spans_can_append(const sai_rules *rules, const sai_spans *s, uint64_t n) {
    if (n >= SAI_POSITION_LIMIT - s->seen) return SA_ERR_OVERFLOW;
    if (rules->is_dense && sai_tokens_held(s) + n > rules->window) return SA_ERR_FULL;
    return SA_SUCCESS;
}

void sai_spans_append(const sai_rules *rules, sai_spans *s, uint64_t n) {
    uint64_t sinks = sai_min(n, sai_minus(s->sink_end, s->seen));
    spans_extend(s, SA_SPAN_SINK, SAI_STORE_SINKS, sinks);
    spans_extend(s, SA_SPAN_WINDOW, SAI_STORE_MAIN, n - sinks);
    (void)rules;
}

/* Where a span would begin if what comes before logical position `edge` went, in whole tiles. */
static uint64_t spans_evicted_to(const sai_span *a, uint64_t edge) {
    return sai_max(a->from, sai_min(a->end, (edge + a->shift) / 16 * 16));
}

/* Takes away [from, end) at the beginning of span i. */
static int spans_give_up(sai_spans *s, int32_t i, uint64_t end, sai_range *gone) {
    sai_span *a = &s->list[i];
    gone->from = a->from;
    gone->end = a->from = end;
    if (a->from == a->end) spans_delete(s, i);
    return 1;
}

int sai_spans_evict(const sai_rules *rules, sai_spans *s, uint64_t n, sai_range *gone) {
    uint64_t edge = rules->is_dense ? 0 : sai_minus(s->seen + n - s->shift, rules->hold);
    for (int32_t i = 0; i < s->n && !rules->is_dense; i++) {
        const sai_span *a = &s->list[i];
        if (a->kind == SA_SPAN_WINDOW && a->store != SAI_STORE_MASKED && spans_evicted_to(a, edge) > a->from)
            return spans_give_up(s, i, spans_evicted_to(a, edge), gone);
    }
    /* A masked span has no tokens to lose, so nothing is missed of it: it goes when tokens behind it have gone. */
    for (int32_t i = s->n - 1; i >= 0; i--) {
        const sai_span *a = &s->list[i];
        if (a->kind == SA_SPAN_WINDOW && a->store == SAI_STORE_MASKED && a->end - a->shift <= edge &&
            spans_gap_before(s->list, s->n, i + 1, s->seen, s->shift).lost)
            return spans_give_up(s, i, a->end, gone);
    }
    return 0;
}

static void spans_copy_from(sai_spans *s, uint64_t position) {
    s->recent_from = sai_max(s->recent_from, position / 16 * 16);
}

void sai_spans_evict_recent(const sai_rules *rules, sai_spans *s, uint64_t n) {
    uint64_t edge = sai_minus(s->seen + n - s->shift, rules->recent_hold);
    if (!rules->recent) return;
    /* The coming tokens count as a span, so that it is the same before they are in the list and afterwards. */
    if (n && s->seen - s->shift <= edge) {
        spans_copy_from(s, s->seen);
        return;
    }
    for (int32_t i = s->n - 1; i >= 0; i--) {
        const sai_span *a = &s->list[i];
        if (a->from - a->shift > edge) continue;
        spans_copy_from(s, sai_min(a->end, edge + a->shift));
        return;
    }
}

/* The end of the newest gap before `below` where some positions were evicted and others removed, in an order that is
 * not kept; 0: there is none. */
static uint64_t spans_mixed_end(const sai_spans *s, uint64_t below) {
    for (int32_t i = s->n; i >= 0; i--) {
        spans_gap g = spans_gap_before(s->list, s->n, i, s->seen, s->shift);
        if (g.from < below && g.lost && g.from + g.lost < g.end) return g.end;
    }
    return 0;
}

sa_status sai_spans_can_truncate(const sai_rules *rules, const sai_spans *s, uint64_t target) {
    if (target >= s->seen) return SA_SUCCESS;
    sai_sight g = sai_sight_of(rules, s);
    if (target < s->floor || target < spans_mixed_end(s, target)) return SA_ERR_DEPTH;
    return sai_sight_holds(&g, sai_place_of(&g, target), target) ? SA_SUCCESS : SA_ERR_DEPTH;
}

void sai_spans_truncate(const sai_rules *rules, sai_spans *s, uint64_t target) {
    if (target >= s->seen) return;
    s->shift = target - sai_spans_logical(s->list, s->n, s->seen, s->shift, target);
    while (s->n && s->list[s->n - 1].from >= target) s->n--;
    if (s->n && s->list[s->n - 1].end > target) s->list[s->n - 1].end = target;
    s->seen = target;
    s->recent_from = sai_min(s->recent_from, target);
    s->left_copy = sai_min(s->left_copy, target);
    if (s->left > target) {
        s->left = target;
        s->left_logical = target - s->shift;
    }
    /* Also where the sinks had been moved. */
    if (!target) s->sink_end = rules->n_sink;
}

/* The lowest position whose logical one is at least `logical`. */
static uint64_t spans_position(const sai_spans *s, uint64_t logical) {
    for (int32_t i = 0; i < s->n; i++) {
        const sai_span *a = &s->list[i];
        if (a->end - a->shift < logical) continue;
        spans_gap g = spans_gap_before(s->list, s->n, i, s->seen, s->shift);
        return a->from - a->shift >= logical ? g.from + g.lost : logical + a->shift;
    }
    return sai_min(s->seen, logical + s->shift);
}

uint64_t sai_spans_lowest_target(const sai_rules *rules, const sai_spans *s) {
    sai_sight g = sai_sight_of(rules, s);
    uint64_t lowest = sai_max(s->floor, spans_mixed_end(s, s->seen)), target;
    sai_place lost;
    /* A window of one token needs nothing but the token that comes. */
    if (g.window > 1 && spans_newest_lost(&g, s->seen, &lost)) {
        target = g.is_dense ? s->seen : spans_position(s, lost.logical + g.window);
        lowest = sai_max(lowest, lost.logical < s->left_logical ? sai_min(s->left, target) : target);
    }
    if (g.recent > 1 && spans_newest_uncopied(&g, s->seen, &lost)) {
        target = spans_position(s, lost.logical + g.recent);
        lowest = sai_max(lowest, lost.t < s->left_copy ? sai_min(s->left_copy, target) : target);
    }
    return sai_min(lowest, s->seen);
}

void sai_spans_jump(sai_spans *s, uint64_t position) {
    for (int32_t i = s->n - 1; i >= 0; i--)
        if (s->list[i].kind == SA_SPAN_WINDOW) spans_delete(s, i);
    spans_extend(s, SA_SPAN_SINK, SAI_STORE_MASKED, sai_minus(sai_min(position, s->sink_end), s->seen));
    s->seen = s->floor = s->recent_from = position;
    s->floor_logical = position - s->shift;
}

/* ------------------------------- the rules -------------------------------- */

/* How many tokens before the next one are held for sure. */
static uint64_t spans_reach(const sai_rules *rules) { return rules->is_dense ? UINT64_MAX : rules->hold; }

/* The first position of a span within `reach` of the next token; a kept span is, whole. Tiles hold up to 15 tokens
 * more, which must not make a difference. */
static uint64_t spans_within(const sai_spans *s, const sai_span *a, uint64_t reach) {
    uint64_t edge = sai_minus(s->seen - s->shift, reach) + a->shift;
    return a->kind == SA_SPAN_WINDOW ? sai_min(sai_max(a->from, edge), a->end) : a->from;
}

/* How many positions of [from, end) are within reach or kept, whether they hold a token or not. */
static uint64_t spans_counting(const sai_spans *s, uint64_t reach, uint64_t from, uint64_t end) {
    uint64_t n = 0;
    for (int32_t i = 0; i < s->n; i++)
        n += sai_minus(sai_min(s->list[i].end, end), sai_max(spans_within(s, &s->list[i], reach), from));
    return n;
}

/* The oldest window position within reach. */
static uint64_t spans_oldest(const sai_spans *s, uint64_t reach) {
    for (int32_t i = 0; i < s->n; i++)
        if (s->list[i].kind == SA_SPAN_WINDOW && spans_within(s, &s->list[i], reach) < s->list[i].end)
            return spans_within(s, &s->list[i], reach);
    return s->seen;
}

/* What is out of reach when a gap is closed is gone for good: sets `left`, and takes the gap's positions off the
 * logical ones that are kept. */
static void spans_leave(const sai_rules *rules, sai_spans *s, uint64_t from, uint64_t end) {
    uint64_t reach = spans_reach(rules), left = spans_oldest(s, reach);
    s->floor_logical -= spans_counting(s, reach, from, sai_min(end, s->floor));
    s->left_logical -= spans_counting(s, reach, from, sai_min(end, s->left));
    if (left > s->left) {
        s->left = left;
        s->left_logical = sai_spans_logical(s->list, s->n, s->seen, s->shift, left) -
                          spans_counting(s, reach, from, sai_min(end, left));
    }
    if (rules->recent) s->left_copy = sai_max(s->left_copy, spans_oldest(s, rules->recent_hold));
    s->recent_from = sai_max(s->recent_from, s->left_copy);
}

/* Takes [from, end) out of the list, and window tokens below `left`. */
static void spans_take(sai_spans *s, uint64_t from, uint64_t end, uint64_t left) {
    for (int32_t i = s->n - 1; i >= 0; i--) {
        sai_span *a = &s->list[i];
        if (a->kind == SA_SPAN_WINDOW) a->from = sai_min(a->end, sai_max(a->from, left));
        if (a->from == a->end || (a->from >= from && a->end <= end)) spans_delete(s, i);
    }
}

/* Its tokens are gone, its positions stay where they are. */
static void spans_mask(sai_spans *s, uint64_t from, uint64_t end) {
    for (int32_t i = 0; i < s->n; i++)
        if (s->list[i].from >= from && s->list[i].end <= end) s->list[i].store = SAI_STORE_MASKED;
}

sa_status sai_spans_remove(const sai_rules *rules, sai_spans *s, uint64_t from, uint64_t end, int keep) {
    sai_spans before = *s;
    uint64_t counted = keep ? 0 : spans_counting(s, spans_reach(rules), from, end);
    spans_keep(rules, s);
    if (counted) spans_leave(rules, s, from, end);
    spans_cut(s, from);
    spans_cut(s, end);
    if (keep)
        spans_mask(s, from, end);
    else
        spans_take(s, from, end, counted ? s->left : 0);
    for (int32_t i = 0; i < s->n; i++)
        if (s->list[i].from >= end) s->list[i].shift += counted;
    s->shift += counted;
    return spans_settle(rules, s, &before);
}

int sai_spans_cover(const sai_span *list, int32_t n, uint64_t from, uint64_t end) {
    for (int32_t i = 0; i < n && from < end; i++)
        if (list[i].from <= from && from < list[i].end && list[i].store != SAI_STORE_MASKED) from = list[i].end;
    return from >= end;
}

/* Gives spans of [from, end) that are of kind `of` another one. */
static void spans_change(sai_spans *s, sai_range in, int32_t of, int32_t to) {
    for (int32_t i = 0; i < s->n; i++) {
        sai_span *a = &s->list[i];
        if (a->from >= in.from && a->end <= in.end && a->kind == of) a->kind = to;
    }
}

sa_status sai_spans_pin(const sai_rules *rules, sai_spans *s, uint64_t from, uint64_t end) {
    sai_range in = {from, end};
    sai_spans before = *s;
    if (!sai_spans_cover(s->list, s->n, from, end)) return SA_ERR_DEPTH;
    spans_keep(rules, s);
    spans_cut(s, from);
    spans_cut(s, end);
    spans_change(s, in, SA_SPAN_WINDOW, SA_SPAN_PIN);
    return spans_settle(rules, s, &before);
}

sa_status sai_spans_unpin(const sai_rules *rules, sai_spans *s, uint64_t from, uint64_t end) {
    sai_range in = {from, end};
    sai_spans before = *s;
    spans_keep(rules, s);
    spans_cut(s, from);
    spans_cut(s, end);
    spans_change(s, in, SA_SPAN_PIN, SA_SPAN_WINDOW);
    spans_take(s, 0, 0, sai_max(s->floor, s->left));
    return spans_settle(rules, s, &before);
}

sa_status sai_spans_anchor(const sai_rules *rules, sai_spans *s, uint64_t from, uint64_t end) {
    sai_range in = {from, end}, all = {0, UINT64_MAX};
    sai_spans before = *s;
    if (!sai_spans_cover(s->list, s->n, from, end)) return SA_ERR_DEPTH;
    spans_keep(rules, s);
    spans_change(s, all, SA_SPAN_SINK, SA_SPAN_WINDOW);
    spans_cut(s, from);
    spans_cut(s, end);
    spans_change(s, in, SA_SPAN_PIN, SA_SPAN_SINK);
    spans_change(s, in, SA_SPAN_WINDOW, SA_SPAN_SINK);
    s->sink_end = 0;
    spans_take(s, 0, 0, sai_max(s->floor, s->left));
    return spans_settle(rules, s, &before);
}

sai_range sai_spans_unheld(const sai_spans *s, uint64_t from, uint64_t end) {
    sai_range gone = {from, end};
    for (int32_t i = 0; i < s->n && s->list[i].from < end; i++) {
        const sai_span *a = &s->list[i];
        if (a->store == SAI_STORE_MASKED || a->end <= gone.from) continue;
        if (a->from > gone.from) {
            gone.end = a->from;
            break;
        }
        gone.from = sai_min(a->end, end);
    }
    return gone;
}

int sai_spans_touch(const sai_spans *s, int32_t store, uint64_t tile) {
    int32_t of = store == SAI_STORE_RECENT ? SAI_STORE_MAIN : store;
    for (int32_t i = 0; i < s->n; i++) {
        const sai_span *a = &s->list[i];
        uint64_t from = store == SAI_STORE_RECENT ? sai_max(a->from, s->recent_from) : a->from;
        if (a->store == of && from < a->end && from < 16 * tile + 16 && a->end > 16 * tile) return 1;
    }
    return 0;
}

uint64_t sai_tokens_below(const sai_spans *s, uint64_t position) {
    uint64_t below = 0;
    for (int32_t i = 0; i < s->n && s->list[i].from < position; i++)
        if (s->list[i].store != SAI_STORE_MASKED) below += sai_min(s->list[i].end, position) - s->list[i].from;
    return below;
}

uint64_t sai_tokens_held(const sai_spans *s) { return sai_tokens_below(s, UINT64_MAX); }
