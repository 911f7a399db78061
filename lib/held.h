/* Which tiles of 16 positions a list of spans touches, and with which of their positions.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_HELD_H
#define SAI_HELD_H

#include "spans.h"

/* A walk over the tiles of one store, in the order of their numbers. */
typedef struct sai_held {
    const sai_span *list;
    int32_t n, store;
    uint64_t from; /* positions below do not count */
    int32_t i;     /* the span that comes next, and */
    uint64_t tile; /* the least tile that is left of it */
    /* What sai_held_next found. */
    uint64_t number;
    uint32_t lanes; /* bit p % 16 of each position p that is held */
} sai_held;

/* Of a list of n spans whose second copy begins at recent_from. */
sai_held sai_held_begin(const sai_span *list, int32_t n, uint64_t recent_from, int32_t store, uint64_t from);

/* Goes to the next tile; 0 if there is none. */
int sai_held_next(sai_held *h);

/* How many tiles the walk has. Counts spans, not tiles: they may be any number. */
uint64_t sai_held_count(const sai_held *h);

#endif
