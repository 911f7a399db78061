/* Whether a list of spans that came from outside is such as calls can leave.
 *
 * SPDX-License-Identifier: MIT
 *
 * What spans.c takes for granted: positions ascend, and so do shifts, never by more than the positions between; numbers
 * are so small that sums do not wrap; no two neighbours are one. (What other counters say decides at most
 * which queries are refused.)
 */
#include "exact.h"

#include "snapshot.h"

/* Whether a span of that shift may begin, or the stream end, at a position behind the span before. */
static int sound_follows(uint64_t end, uint64_t shift, uint64_t position, uint64_t next_shift) {
    return position >= end && next_shift >= shift && next_shift - shift <= position - end;
}

static int sound_span(const sai_span *a, uint64_t n_sink) {
    if (a->from >= a->end || a->kind < SA_SPAN_WINDOW || a->kind > SA_SPAN_PIN) return 0;
    if (a->store == SAI_STORE_SINKS) return a->end <= n_sink;
    return a->store == SAI_STORE_MAIN || a->store == SAI_STORE_MASKED;
}

static int sound_is_apart(const sai_span *a, const sai_span *b) {
    return a->end != b->from || a->kind != b->kind || a->store != b->store || a->shift != b->shift;
}

static int sound_counters(const sai_spans *s, uint64_t n_sink) {
    if (s->seen >= SAI_POSITION_LIMIT || s->floor > s->seen || s->recent_from > s->seen) return 0;
    if (s->sink_end && s->sink_end != n_sink) return 0;
    return s->left <= s->seen && s->left_copy <= s->seen;
}

int sai_spans_are_sound(const sai_spans *s, uint64_t n_sink) {
    uint64_t end = 0, shift = 0;
    for (int32_t i = 0; i < s->n; i++) {
        const sai_span *a = &s->list[i];
        if (!sound_span(a, n_sink) || !sound_follows(end, shift, a->from, a->shift)) return 0;
        if (i && !sound_is_apart(a - 1, a)) return 0;
        end = a->end;
        shift = a->shift;
    }
    return sound_follows(end, shift, s->seen, s->shift) && sound_counters(s, n_sink);
}
