/*
 * Attention Matching (arXiv 2602.16284): a few rows that give some queries what many tokens gave them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MATCH_H
#define MATCH_H

#include <stdint.h>

enum { MATCH_MOST = 32, MATCH_TOKENS = 64 }; /* rows, and tokens, at most */

/* What n tokens are to a number of queries. */
typedef struct match {
    int32_t queries, n, dims, stride;
    const float *shares; /* (queries, stride) the softmax weight that each of the n tokens has for each query */
    const float *values; /* (n, dims) of the tokens */
    float *kept;         /* (queries, MATCH_MOST) room: weights of the tokens that are kept */
    float *wanted;       /* (queries, dims + 1) room: what the tokens give to each query, and what they weigh */
} match;

/* Chooses the m tokens that the queries look at most, which keep their keys. Their biases and values become those with
 * which they weigh, and give, to each query what all n tokens do, as nearly as can be: by least squares. chosen: (m);
 * biases: (m), -infinity: no row; values: (m, dims). */
void match_tokens(match *it, int32_t m, int32_t *chosen, float *biases, float *values);

#endif
