/*
 * What test_porting.c compares a cache with: keys and values as other libraries keep them, in a plain list.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SA_TESTS_PORTING_H
#define SA_TESTS_PORTING_H

#include "sinkattn.h"

enum { LAYERS = 2, HEADS = 4, KV_HEADS = 2, DIM = 8, MOST = 256 };
enum { PORTING_Q, PORTING_K, PORTING_V };

#define PORTING_BOUND 2e-6 /* values are within -1 .. 1 */

/* A token with the position that it is rotated to. What its numbers are, its id says. */
typedef struct listed {
    int id, position;
} listed;

typedef struct list {
    int n, next;     /* tokens, and the position of the next one */
    int max, keep;   /* 0, or the most tokens; then the one behind the first `keep` goes */
    int by_index;    /* tokens are rotated to their index, not to a position that stays */
    int pairs_apart; /* how far the two dims of a rotation are apart */
    listed tokens[MOST];
} list;

void list_append(list *l, int id);

/* llama_memory_seq_rm: positions p0 .. p1 - 1; p1 -1: to the end. llama_memory_seq_add from p0 on: keys are rotated
 * anew. */
void list_rm(list *l, int p0, int p1);
void list_add(list *l, int p0, int delta);

/* The newest token's attention over the list, in double: (HEADS, DIM). */
void list_attend(const list *l, int layer, float *out);

/* The same of n tokens from id on, appended one by one to a copy: (n, HEADS, DIM). */
void list_outputs(const list *l, int id, int n, int layer, float *out);

/* The numbers of n tokens from id on: (n, heads, DIM). */
void porting_fill(float *to, int id, int n, int layer, int what, int heads);

/* Appends tokens id .. id + n - 1 to both sides, in every layer. NULL if both see the same, or a sentence. */
const char *porting_feed(sa_cache *cache, list *l, int id, int n);

#endif
