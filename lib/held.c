/* Which tiles of 16 positions a list of spans touches.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include "held.h"

static uint64_t held_from(const sai_held *h, int32_t i) {
    return h->list[i].from > h->from ? h->list[i].from : h->from;
}

static int held_counts(const sai_held *h, int32_t i) {
    return h->list[i].store == h->store && h->list[i].end > h->from;
}

/* Goes to the next span that counts, and to its first tile; *i stops at n. */
static void held_skip(const sai_held *h, int32_t *i, uint64_t *tile) {
    while (*i < h->n && !held_counts(h, *i)) ++*i;
    if (*i < h->n && *tile < held_from(h, *i) / 16) *tile = held_from(h, *i) / 16;
}

sai_held sai_held_begin(const sai_span *list, int32_t n, uint64_t recent_from, int32_t store, uint64_t from) {
    sai_held h = {list, n, store, from, 0, 0, 0, 0};
    if (store == SAI_STORE_RECENT) {
        /* The second copy of main positions. */
        h.store = SAI_STORE_MAIN;
        if (recent_from > from) h.from = recent_from;
    }
    return h;
}

/* The positions of a span in a tile. */
static uint32_t held_lanes(const sai_held *h, int32_t i, uint64_t number) {
    uint64_t first = 16 * number, from = held_from(h, i), end = h->list[i].end;
    uint32_t low = from > first ? (uint32_t)(from - first) : 0;
    uint32_t high = end < first + 16 ? (uint32_t)(end - first) : 16;
    return ((uint32_t)1 << high) - ((uint32_t)1 << low);
}

int sai_held_next(sai_held *h) {
    held_skip(h, &h->i, &h->tile);
    if (h->i >= h->n) return 0;
    h->number = h->tile;
    h->lanes = held_lanes(h, h->i, h->number);
    /* Later spans may begin in the same tile. */
    while (h->list[h->i].end <= 16 * h->number + 16) {
        h->i++;
        held_skip(h, &h->i, &h->tile);
        if (h->i >= h->n || h->tile > h->number) return 1;
        h->lanes |= held_lanes(h, h->i, h->number);
    }
    h->tile = h->number + 1;
    return 1;
}

uint64_t sai_held_count(const sai_held *h) {
    uint64_t count = 0, next = 0;
    for (int32_t i = 0; i < h->n; i++) {
        if (!held_counts(h, i)) continue;
        uint64_t first = held_from(h, i) / 16, end = (h->list[i].end - 1) / 16 + 1;
        if (first < next) first = next; /* the last tile of the span before */
        if (end > first) count += end - first;
        next = end;
    }
    return count;
}
