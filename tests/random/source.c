/*
 * Decisions of the random test, from a generator or from a fuzzer's bytes; and its memory.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdlib.h>

#include "random.h"

/* As many bytes as the range needs, so that a fuzzer can change one decision without moving the others. */
static uint64_t source_bytes(source *s, uint64_t count) {
    uint64_t value = 0;
    do {
        value = value << 8 | (s->at < s->n ? s->bytes[s->at] : 0);
        s->at++;
        count >>= 8;
    } while (count > 0);
    return value;
}

int64_t source_in(source *s, int64_t least, int64_t most) {
    uint64_t count = (uint64_t)(most - least);
    if (!s->bytes) {
        return rng_in(&s->rng, least, most);
    }
    return least + (int64_t)(source_bytes(s, count) % (count + 1));
}

int source_chance(source *s, int percent) { return source_in(s, 0, 99) >= 100 - percent; }

uint64_t source_seed(source *s) { return s->bytes ? source_bytes(s, 0xFFFF) : rng_next(&s->rng); }

int source_has_ended(const source *s) { return s->bytes && s->at >= s->n; }

struct arena_block {
    struct arena_block *before;
};

void *arena_take(arena *a, size_t size) {
    struct arena_block *block = test_take(sizeof(double) + sizeof *block + size);
    block->before = a->newest;
    a->newest = block;
    return (char *)block + sizeof(double) * ((sizeof *block + sizeof(double) - 1) / sizeof(double));
}

void arena_free(arena *a) {
    while (a->newest) {
        struct arena_block *block = a->newest;
        a->newest = block->before;
        free(block);
    }
}
