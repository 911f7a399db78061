/*
 * The methods side by side: dense, window, recompute, sink, and sink with a learned sink token.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_COMPARE_H
#define STREAM_COMPARE_H

#include "options.h"
#include "tokenizer.h"

/* Prints one table (and writes it to --csv), then lets sink and window write on past the cache. The cache of each
 * bounded method holds --sinks + --window tokens. t may be NULL: then nothing is written on. */
bool compare(const options *o, const model *m, tokenizer *t, const id_list *ids, failure *why);

#endif
