/* Which stream positions a layer holds and a token sees. Integers only; knows nothing of floats.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_SPANS_H
#define SAI_SPANS_H

#include <stdint.h>

#include "../include/sinkattn.h"

/* Positions and counts stay below this, so that their sums cannot wrap. */
#define SAI_POSITION_LIMIT ((uint64_t)1 << 62)

/* The half-open range of positions [from, end); empty if from >= end. */
typedef struct sai_range {
    uint64_t from, end;
} sai_range;

/* Where a layer's stream stands. */
typedef struct sai_stream {
    uint64_t seen;      /* the position of the next token */
    uint64_t held_from; /* the ring holds all positions [max(held_from, sinks), seen) */
    uint64_t floor;     /* positions below are masked, sinks excepted (sai_stream_jump) */
    uint64_t sinks;     /* tokens at positions below are sinks: n_sink, or fewer after a jump */
    uint64_t window;
    uint64_t ring;                /* tokens that the ring can hold */
    uint64_t recent, recent_ring; /* the same of a second ring, of the newest tokens; 0: there is none */
    uint64_t recent_from;         /* which holds all positions [max(recent_from, sinks), seen) */
    int32_t n_sink;
    int32_t dense; /* appending beyond `window` tokens is refused */
} sai_stream;

void sai_stream_reset(sai_stream *s);

/* SA_SUCCESS, SA_ERR_FULL or SA_ERR_OVERFLOW. */
sa_status sai_stream_can_append(const sai_stream *s, uint64_t n);
void sai_stream_append(sai_stream *s, uint64_t n);

/* Takes back the tokens at positions `target` and above. SA_SUCCESS if every older token that the next token, at
 * `target`, would see is still held, else SA_ERR_DEPTH; a shorter stream stays as it is. */
sa_status sai_stream_can_truncate(const sai_stream *s, uint64_t target);
void sai_stream_truncate(sai_stream *s, uint64_t target);

/* The largest n such that 1, 2, ... n tokens can all be taken back. (Deeper, only what lies beyond the lost tokens
 * may be reached: a target whose window holds no older token.) */
uint64_t sai_stream_rollback_now(const sai_stream *s);

/* Jumps to position >= seen: the next token stands there, and only the sinks that have come are still seen. */
void sai_stream_jump(sai_stream *s, uint64_t position);

/* Whether queries at positions [first, first + n) find all the keys that they see: SA_SUCCESS or
 * SA_ERR_DEPTH. n > 0. */
sa_status sai_stream_can_query(const sai_stream *s, uint64_t first, uint64_t n);

/* What a query at position t sees: sinks, and window (its own token included, if it has come). */
sai_range sai_visible_sinks(const sai_stream *s, uint64_t t);
sai_range sai_visible_window(const sai_stream *s, uint64_t t);

/* The window in two: what is read from the ring, and the newest `recent` tokens. */
sai_range sai_visible_old(const sai_stream *s, uint64_t t);
sai_range sai_visible_recent(const sai_stream *s, uint64_t t);

/* The place in the cache of a query at stream position t: min(t, S + W - 1); dense: t. */
uint64_t sai_cache_position(const sai_stream *s, uint64_t t);

uint64_t sai_tokens_held(const sai_stream *s);
uint64_t sai_positions_held(const sai_stream *s);

#endif
