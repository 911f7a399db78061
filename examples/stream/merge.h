/*
 * The one algorithm of BPE and SentencePiece: join the best pair of neighbours until none is left.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_MERGE_H
#define STREAM_MERGE_H

#include "support.h"

/* A piece of the word: bytes [start, start + size) and their token. */
typedef struct symbol {
    uint32_t start, size;
    int32_t id;
    int32_t before, after; /* neighbours, -1 at the ends */
} symbol;

/* Whether two neighbours join, into which token, and how good that is: the lowest cost joins first, of equals the
 * leftmost. */
typedef bool (*merge_rule)(const void *context, const char *word, const symbol *left, const symbol *right,
                           int32_t *id_out, double *cost_out);

typedef struct candidate {
    double cost;
    int32_t left, right;
    uint32_t size; /* bytes of both symbols; if that has changed, the candidate is out of date */
    int32_t id;
} candidate;

/* Buffers for one word, reused for the next. */
typedef struct merger {
    symbol *symbols;
    candidate *heap;
    size_t n_symbols, symbol_room, n_heap, heap_room;
} merger;

/* Empties the word / adds a piece at its end. */
void merge_start(merger *m);
bool merge_add(merger *m, uint32_t size, int32_t id, failure *why);
/* Joins until no rule applies. The result is the chain of symbols from 0 along `after`. */
bool merge_run(merger *m, merge_rule rule, const void *context, const char *word, failure *why);
void merge_free(merger *m);

#endif
