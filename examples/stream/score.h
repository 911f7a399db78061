/*
 * The negative log likelihood that a model gave to the tokens of a text.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_SCORE_H
#define STREAM_SCORE_H

#include "forward.h"

/* A sum of negative log likelihoods in nats. Its perplexity is exp(nats / n). */
typedef struct tally {
    double nats;
    int64_t n;
} tally;

double perplexity_of(const tally *t); /* NAN if empty */

/* Logits are computed for so many tokens at a time: more would need more memory and reuse the weights no better. */
enum { SCORE_BATCH = 64 };

/* Room for score_tokens: (SCORE_BATCH, n_vocab) floats. */
float *score_room(const model *m, failure *why);

/* nats[i] = negative log likelihood of targets[i] behind token first + i of the last feed. */
void score_tokens(const stream *s, int32_t first, int32_t n, const int32_t *targets, float *room, double *nats);

#endif
