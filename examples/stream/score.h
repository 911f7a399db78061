/*
 * How surprised a model was: the negative log likelihood of the tokens that came.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_SCORE_H
#define STREAM_SCORE_H

#include "forward.h"

/* A sum of surprises in nats. Its perplexity is exp(nats / n). */
typedef struct tally {
    double nats;
    int64_t n;
} tally;

double perplexity_of(const tally *t); /* NAN if empty */

/* Logits are made for so many tokens at a time: enough to reuse each weight, few enough for modest memory. */
enum { SCORE_BATCH = 64 };

/* Room for score_tokens: (SCORE_BATCH, n_vocab) floats. */
float *score_room(const model *m, failure *why);

/* nats[i] = surprise at targets[i] after token first + i of the last feed. */
void score_tokens(const stream *s, int32_t first, int32_t n, const int32_t *targets, float *room, double *nats);

#endif
