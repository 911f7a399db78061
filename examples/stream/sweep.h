/*
 * Two tables over sizes of cache: perplexity, and the time of a token.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_SWEEP_H
#define STREAM_SWEEP_H

#include "options.h"
#include "tokenizer.h"

/* Perplexity of the text for each size of o->caches with each number of o->sink_counts in it. */
bool sweep_perplexity(const options *o, const model *m, const id_list *ids, failure *why);

/* The time of one more token for each size of o->caches: o->stream.sinks sinks, against re-computation. `done`, if not
 * NULL, gets the two medians of a size, in milliseconds. */
typedef void (*speed_done)(void *context, int64_t cache, double recompute_ms, double sink_ms);
bool sweep_speed(const options *o, const model *m, const id_list *ids, speed_done done, void *context, failure *why);

#endif
