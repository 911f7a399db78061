/* Which stream positions a layer of a sequence holds, and which of them a token sees, at what distance.
 *
 * SPDX-License-Identifier: MIT
 *
 * Integers only: this file knows no tile, no byte and no float. A span is a run of stream positions [from, end) with
 * one shift. Stream positions are names and never change; logical(p) = p - shift is what windows are counted in and
 * distances are taken from. Removing a range, pinning one or moving the sinks changes spans, and no stored key.
 */
#ifndef SAI_SPANS_H
#define SAI_SPANS_H

#include <stddef.h>
#include <stdint.h>

#include "../include/sinkattn.h"

/* Positions and counts stay below this, so that their sums cannot wrap. */
#define SAI_POSITION_LIMIT ((uint64_t)1 << 62)

static inline uint64_t sai_max(uint64_t a, uint64_t b) { return a > b ? a : b; }
static inline uint64_t sai_min(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t sai_minus(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

/* The half-open range of positions [from, end); empty if from >= end. */
typedef struct sai_range {
    uint64_t from, end;
} sai_range;

/* Where the tokens of a span are stored. A masked span stands for positions that count, but hold no token: a gap that
 * was kept, or a jump. The newest tokens are stored a second time in SAI_STORE_RECENT, which no span names. */
enum { SAI_STORE_MAIN, SAI_STORE_SINKS, SAI_STORE_RECENT, SAI_STORES, SAI_STORE_MASKED };

typedef struct sai_span {
    uint64_t from, end; /* stream positions */
    uint64_t shift;     /* logical position = stream position - shift */
    int32_t kind;       /* SA_SPAN_* */
    int32_t store;      /* SAI_STORE_MAIN, _SINKS or _MASKED */
} sai_span;

/* What a layer's config says about its tokens: the same for all sequences. */
typedef struct sai_rules {
    uint64_t n_sink, window;
    uint64_t hold;                /* window tokens, counted back from the newest, that are held at least */
    uint64_t recent, recent_hold; /* the same of the newest tokens that are stored a second time; 0: none are */
    uint64_t most_pinned;         /* tokens outside SAI_STORE_SINKS that may be kept beyond the window */
    int32_t most_spans;
    int32_t is_dense; /* a query sees all tokens, and appending beyond `window` tokens is refused */
    int32_t in_stream;
} sai_rules;

/* The state of one layer of a sequence: spans in the order of their positions, which is that of their logical ones. */
typedef struct sai_spans {
    uint64_t seen;          /* the position of the next token, and */
    uint64_t shift;         /* its shift */
    uint64_t floor;         /* rollback ends here: where the last jump went */
    uint64_t sink_end;      /* tokens that come at positions below become sinks */
    uint64_t recent_from;   /* the second copy holds all unmasked main positions [recent_from, seen) */
    uint64_t floor_logical; /* of the floor: positions before were jumped over or left, and are not missed */
    /* Closing a gap brings older tokens nearer. What was not held for sure by then does not come back: window tokens
     * below `left` are gone, and queries at positions from there on do not miss them. The same of second copies. */
    uint64_t left, left_copy;
    uint64_t left_logical; /* of `left` */
    int32_t n;
    int32_t reserved;
    sai_span list[];
} sai_spans;

/* Bytes of the state of a layer whose rules allow so many spans. Cutting needs three more for a moment; the second half
 * keeps the list as it was, for a change that turns out not to fit. */
static inline int32_t sai_spans_room(int32_t most) { return most + 3; }
static inline size_t sai_spans_size(int32_t most) {
    return sizeof(sai_spans) + 2 * (size_t)sai_spans_room(most) * sizeof(sai_span);
}

void sai_spans_reset(const sai_rules *rules, sai_spans *s);

/* Whether n more tokens may come: SA_SUCCESS, SA_ERR_FULL or SA_ERR_OVERFLOW. */
sa_status sai_spans_can_append(const sai_rules *rules, const sai_spans *s, uint64_t n);

/* Adds positions [seen, seen + n). What is to be evicted goes by sai_spans_evict. */
void sai_spans_append(const sai_rules *rules, sai_spans *s, uint64_t n);

/* Takes away window tokens that are more than `hold` back from the newest of seen + n tokens, down to a whole tile of
 * 16 positions; one span at a time. Returns whether there were any, and which. */
int sai_spans_evict(const sai_rules *rules, sai_spans *s, uint64_t n, sai_range *gone);

/* Moves the edge of the second copy along, by whole tiles, for seen + n tokens. */
void sai_spans_evict_recent(const sai_rules *rules, sai_spans *s, uint64_t n);

/* Whether tokens at positions >= target may be taken back: SA_SUCCESS, or SA_ERR_DEPTH if something that is visible
 * at the target is no longer held. */
sa_status sai_spans_can_truncate(const sai_rules *rules, const sai_spans *s, uint64_t target);
void sai_spans_truncate(const sai_rules *rules, sai_spans *s, uint64_t target);

/* The lowest position from which on every target is legal. */
uint64_t sai_spans_lowest_target(const sai_rules *rules, const sai_spans *s);

/* Whether it may jump there: SA_SUCCESS, or SA_ERR_FULL where jumps have cut the sinks in too many spans. */
sa_status sai_spans_can_jump(const sai_rules *rules, const sai_spans *s, uint64_t position);

/* Jumps to position >= seen: window tokens go, a masked span stands for what was jumped over. */
void sai_spans_jump(sai_spans *s, uint64_t position);

/* Removes [from, end), end <= seen; with `keep` its positions go on counting. SA_ERR_FULL: not enough spans, and
 * nothing has changed. */
sa_status sai_spans_remove(const sai_rules *rules, sai_spans *s, uint64_t from, uint64_t end, int keep);

/* Window tokens of [from, end) become pinned, pinned ones window tokens, and all kept ones window tokens but those of
 * [from, end), which become sinks. SA_SUCCESS, SA_ERR_DEPTH (not all are held), SA_ERR_FULL. */
sa_status sai_spans_pin(const sai_rules *rules, sai_spans *s, uint64_t from, uint64_t end);
sa_status sai_spans_unpin(const sai_rules *rules, sai_spans *s, uint64_t from, uint64_t end);
sa_status sai_spans_anchor(const sai_rules *rules, sai_spans *s, uint64_t from, uint64_t end);

/* The first run of positions of [from, end) that hold no token; empty at `end` if there is none. */
sai_range sai_spans_unheld(const sai_spans *s, uint64_t from, uint64_t end);

/* Whether a change leaves room for what may come next: a sink, a jump over sinks, a window. Whether a list has as few
 * spans as any that calls leave: one more may come of each kind, as jumps do not ask for so much room. */
int sai_spans_fit(const sai_rules *rules, const sai_spans *s);
int sai_spans_are_bounded(const sai_rules *rules, const sai_spans *s);

/* Whether all of [from, end) is held by a list of n spans. */
int sai_spans_cover(const sai_span *list, int32_t n, uint64_t from, uint64_t end);

/* Whether a tile of 16 positions holds a token of that store. */
int sai_spans_touch(const sai_spans *s, int32_t store, uint64_t tile);

/* ---------------------------------- sight --------------------------------- */

/* What a call looks at: a layer's spans under its own rules, or under narrower ones. */
typedef struct sai_sight {
    const sai_span *list;
    int32_t n;
    int32_t is_dense, in_stream;
    uint64_t window;
    uint64_t seen, shift; /* of the next token */
    uint64_t recent;
    uint64_t sink_end; /* positions from `seen` up to here will be sinks */
    const sai_spans *of;
} sai_sight;

/* The sight of a layer under its own rules. */
static inline void sai_sight_look(const sai_rules *rules, const sai_spans *s, sai_sight *g) {
    g->list = s->list;
    g->n = s->n;
    g->is_dense = rules->is_dense;
    g->in_stream = rules->in_stream;
    g->window = rules->window;
    g->seen = s->seen;
    g->shift = s->shift;
    g->recent = rules->recent;
    g->sink_end = s->sink_end;
    g->of = s;
}
static inline sai_sight sai_sight_of(const sai_rules *rules, const sai_spans *s) {
    sai_sight g;
    sai_sight_look(rules, s, &g);
    return g;
}

/* Narrows it to a smaller window, and to the first n_sinks sink tokens; the others become window tokens. `room`
 * receives the spans, one more than there are. */
void sai_sight_narrow(sai_sight *sight, uint64_t window, uint64_t n_sinks, sai_span *room);

/* Looks at n more window tokens as if they had come. All sinks have. `room` receives the spans, one more than there
 * are; the new tokens belong to the last one. */
void sai_sight_extend(sai_sight *sight, uint64_t n, sai_span *room);

/* Where a query stands: at a stream position, and at a logical one. */
typedef struct sai_place {
    uint64_t t, logical;
} sai_place;
sai_place sai_place_of(const sai_sight *sight, uint64_t t);

/* What a query sees of a span of the sight. */
sai_range sai_visible(const sai_sight *sight, int32_t span, sai_place at);

/* How much nearer than in the stream that span's keys are to a query: distance = t - u - offset, modulo 2^64. */
uint64_t sai_offset_of(const sai_sight *sight, int32_t span, sai_place at);

/* The number of positions that count for a query, itself included, minus 1: its place behind learned sink rows. */
uint64_t sai_front_place(const sai_sight *sight, sai_place at);

/* Whether span b goes on where a ends, in all respects. */
int sai_spans_continue(const sai_span *a, const sai_span *b);

/* The logical position of p <= seen in a list of n spans. A position that was removed has that of the next one that was
 * not. */
uint64_t sai_spans_logical(const sai_span *list, int32_t n, uint64_t seen, uint64_t shift, uint64_t p);

/* Whether all that a query there sees below `end` is still held. */
int sai_sight_holds(const sai_sight *sight, sai_place at, uint64_t end);

/* Whether queries at positions [first, first + n) find all keys that they see: SA_SUCCESS or SA_ERR_DEPTH. n > 0. */
sa_status sai_sight_can_query(const sai_sight *sight, uint64_t first, uint64_t n);

/* How many tokens are held at positions below. */
uint64_t sai_tokens_below(const sai_spans *s, uint64_t position);

/* Tokens held, and those that the newest token sees. */
uint64_t sai_tokens_held(const sai_spans *s);
uint64_t sai_tokens_visible(const sai_sight *sight);

#endif
