/*
 * Joining the best pair of neighbours until none is left, with a heap: n log n for words of any length.
 *
 * SPDX-License-Identifier: MIT
 */
#include "merge.h"

#include <stdlib.h>

/* Makes room for one more item; the array may move. */
static bool grow(void **items, size_t used, size_t *room, size_t size, failure *why) {
    if (used < *room) {
        return true;
    }
    size_t wanted = *room == 0 ? 64 : *room * 2;
    void *larger = wanted > SIZE_MAX / size ? NULL : realloc(*items, wanted * size);
    if (larger == NULL) {
        return fail(why, "out of memory for a word of %zu pieces", used);
    }
    *items = larger;
    *room = wanted;
    return true;
}

void merge_start(merger *m) { m->n_symbols = m->n_heap = 0; }

void merge_free(merger *m) {
    free(m->symbols);
    free(m->heap);
    *m = (merger){0};
}

bool merge_add(merger *m, uint32_t size, int32_t id, failure *why) {
    void *symbols = m->symbols;
    if (m->n_symbols >= INT32_MAX || !grow(&symbols, m->n_symbols, &m->symbol_room, sizeof *m->symbols, why)) {
        return false;
    }
    m->symbols = symbols;
    int32_t index = (int32_t)m->n_symbols++;
    uint32_t start = index == 0 ? 0 : m->symbols[index - 1].start + m->symbols[index - 1].size;
    if (index > 0) {
        m->symbols[index - 1].after = index;
    }
    m->symbols[index] = (symbol){start, size, id, index - 1, -1};
    return true;
}

static bool better(const candidate *a, const candidate *b) {
    return a->cost < b->cost || (a->cost == b->cost && a->left < b->left);
}

static void swap(candidate *a, candidate *b) {
    candidate c = *a;
    *a = *b;
    *b = c;
}

static candidate pop(merger *m) {
    candidate best = m->heap[0];
    m->heap[0] = m->heap[--m->n_heap];
    for (size_t i = 0, child; (child = 2 * i + 1) < m->n_heap; i = child) {
        if (child + 1 < m->n_heap && better(&m->heap[child + 1], &m->heap[child])) {
            child++;
        }
        if (!better(&m->heap[child], &m->heap[i])) {
            break;
        }
        swap(&m->heap[child], &m->heap[i]);
    }
    return best;
}

/* Puts a pair on the heap if the rule joins it. */
static bool consider(merger *m, int32_t left, int32_t right, merge_rule rule, const void *context, const char *word,
                     failure *why) {
    candidate c = {0, left, right, 0, 0};
    if (left < 0 || right < 0 || !rule(context, word, &m->symbols[left], &m->symbols[right], &c.id, &c.cost)) {
        return true;
    }
    void *heap = m->heap;
    if (!grow(&heap, m->n_heap, &m->heap_room, sizeof *m->heap, why)) {
        return false;
    }
    m->heap = heap;
    c.size = m->symbols[left].size + m->symbols[right].size;
    size_t i = m->n_heap++;
    for (m->heap[i] = c; i > 0 && better(&m->heap[i], &m->heap[(i - 1) / 2]); i = (i - 1) / 2) {
        swap(&m->heap[i], &m->heap[(i - 1) / 2]);
    }
    return true;
}

bool merge_run(merger *m, merge_rule rule, const void *context, const char *word, failure *why) {
    for (size_t i = 1; i < m->n_symbols; i++) {
        if (!consider(m, (int32_t)i - 1, (int32_t)i, rule, context, word, why)) {
            return false;
        }
    }
    while (m->n_heap > 0) {
        candidate c = pop(m);
        symbol *left = &m->symbols[c.left], *right = &m->symbols[c.right];
        if (left->size == 0 || right->size == 0 || left->size + right->size != c.size) {
            continue; /* one of the two has been joined with another since */
        }
        left->size = c.size;
        left->id = c.id;
        left->after = right->after;
        right->size = 0;
        if (left->after >= 0) {
            m->symbols[left->after].before = c.left;
        }
        if (!consider(m, left->before, c.left, rule, context, word, why) ||
            !consider(m, c.left, left->after, rule, context, word, why)) {
            return false;
        }
    }
    return true;
}
