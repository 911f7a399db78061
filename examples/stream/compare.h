/*
 * The methods side by side: dense, window, recompute, sink, and sink with a learned sink token.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_COMPARE_H
#define STREAM_COMPARE_H

#include "measure.h"
#include "tokenizer.h"

/* Runs each method over the same text and hands each result on as it comes. The cache of each bounded method holds
 * --sinks + --window tokens; with --learned, that model reads the text as well, behind its sink token. */
typedef void (*method_done)(void *context, const char *name, const measurement *found);
bool compare_methods(const options *o, const model *m, const id_list *ids, method_done done, void *context,
                     failure *why);

/* Prints one table (and writes it to --csv), then lets sink and window write on past the cache. t may be NULL: then
 * nothing is written on. */
bool compare(const options *o, const model *m, tokenizer *t, const id_list *ids, failure *why);

#endif
