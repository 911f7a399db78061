/*
 * Two tables over sizes of cache: how well a model predicts, and what a token costs.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_SWEEP_H
#define STREAM_SWEEP_H

#include "options.h"
#include "tokenizer.h"

/* Perplexity of the text for each size of o->caches with each number of o->sink_counts in it. */
bool sweep_perplexity(const options *o, const model *m, const id_list *ids, failure *why);

/* The time of one more token for each size of o->caches: o->stream.sinks sinks, against re-computation. */
bool sweep_speed(const options *o, const model *m, const id_list *ids, failure *why);

#endif
