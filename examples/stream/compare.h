/*
 * The methods side by side: dense, window, recompute, sink, and sink with a learned sink token.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_COMPARE_H
#define STREAM_COMPARE_H

#include "measure.h"
#include "tokenizer.h"

/* Runs each method of o->methods over the same text and calls `done` as each ends. The cache of each bounded method
 * holds --sinks + --window tokens; with --learned, that model reads the text as well, behind its sink token. */
typedef void (*method_done)(void *context, const char *name, const measurement *found);
bool compare_methods(const options *o, const model *m, const id_list *ids, method_done done, void *context,
                     failure *why);

/* Prints one table (and writes it to --csv), then continues the text with a sink and a window cache. With t NULL there
 * is no text to print, and that is left out. */
bool compare(const options *o, const model *m, tokenizer *t, const id_list *ids, failure *why);

#endif
