/*
 * The two measuring modes: perplexity over a stream, and of re-computation at sample positions.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_MEASURE_H
#define STREAM_MEASURE_H

#include "options.h"
#include "tokenizer.h"

/* How a measurement ended. MEASURE_FULL: a dense cache could not go on; what was measured is printed. */
enum { MEASURE_OK = 0, MEASURE_FAILED = 1, MEASURE_FULL = 3 };

int measure_stream(const options *o, const model *m, const id_list *ids, failure *why);
int measure_recompute(const options *o, const model *m, const id_list *ids, failure *why);

/* Tokens to be fed: all but the last, which is only predicted, or as many as the user wants. */
int64_t tokens_to_feed(const options *o, const id_list *ids);
/* Positions of the cache when it is full. */
int64_t capacity_of(const options *o);
/* Sample `index` of o->samples, evenly spread from the first full cache to the end. */
int64_t sample_position(const options *o, int64_t n_tokens, int64_t index);

/* One line about the policy, for the head of a report. */
void describe_policy(const options *o, char *line, size_t size);

#endif
