/* Whether a list of spans leaves room for what may come.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include "spans.h"

/* What a list comes to when tokens come and nothing else happens: sinks, and then a window. */
typedef struct room_needs {
    int32_t spans, main; /* all of them, and those of the main store */
    int32_t opens;       /* 1: the window's next token begins a span */
    uint64_t pinned;
} room_needs;

static room_needs room_needs_of(const sai_spans *s) {
    room_needs needs = {s->n, 0, 1, 0};
    sai_span sink = {s->seen, s->seen, s->shift, SA_SPAN_SINK, SAI_STORE_SINKS};
    const sai_span *last = s->n ? &s->list[s->n - 1] : NULL;
    for (int32_t i = 0; i < s->n; i++) {
        const sai_span *a = &s->list[i];
        if (a->store == SAI_STORE_MAIN) needs.main++;
        if (a->store == SAI_STORE_MAIN && a->kind != SA_SPAN_WINDOW) needs.pinned += a->end - a->from;
    }
    if (last && last->kind == SA_SPAN_WINDOW && last->store == SAI_STORE_MAIN)
        needs.opens = last->end != s->seen || last->shift != s->shift;
    needs.main += needs.opens;
    needs.spans += needs.opens;
    if (s->seen < s->sink_end && !(last && sai_spans_continue(last, &sink))) needs.spans++;
    return needs;
}

/* All but four spans are of the main store's making, and each of those may take up to two tiles more. */
static int room_has_tiles(const sai_rules *rules, const room_needs *needs) {
    return needs->main <= rules->most_spans - 4 && needs->pinned <= rules->most_pinned;
}

int sai_spans_fit(const sai_rules *rules, const sai_spans *s) {
    room_needs needs = room_needs_of(s);
    /* A jump may leave a masked span among the sinks that come. */
    needs.spans = s->n + (s->seen < s->sink_end ? 2 : 0) + needs.opens;
    return needs.spans <= rules->most_spans && room_has_tiles(rules, &needs);
}

int sai_spans_are_bounded(const sai_rules *rules, const sai_spans *s) {
    room_needs needs = room_needs_of(s);
    return needs.spans <= rules->most_spans + 1 && room_has_tiles(rules, &needs);
}

sa_status sai_spans_can_jump(const sai_rules *rules, const sai_spans *s, uint64_t position) {
    sai_span next = {s->seen, s->seen, s->shift, SA_SPAN_SINK, SAI_STORE_MASKED};
    const sai_span *last = NULL;
    int32_t n = 1; /* a window comes */
    for (int32_t i = 0; i < s->n; i++) {
        if (s->list[i].kind == SA_SPAN_WINDOW) continue;
        last = &s->list[i];
        n++;
    }
    if (position < s->sink_end) n++;
    if (position > s->seen && s->seen < s->sink_end && !(last && sai_spans_continue(last, &next))) n++;
    return n <= rules->most_spans + 1 || s->seen >= s->sink_end ? SA_SUCCESS : SA_ERR_FULL;
}
