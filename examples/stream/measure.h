/*
 * Perplexity along a stream with a cache, and by re-computation at sample positions.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_MEASURE_H
#define STREAM_MEASURE_H

#include "options.h"
#include "tokenizer.h"

#include <stdio.h>

/* How a measurement ended. MEASURE_FULL: a dense cache was full before the end; what was measured is printed. */
enum { MEASURE_OK = 0, MEASURE_FAILED = 1, MEASURE_FULL = 3 };

/* The results of one method; perplexities are NAN where nothing was measured. */
typedef struct measurement {
    double ppl_all, ppl_before, ppl_after; /* all, before and after the cache was full */
    double ppl_sampled;                    /* at o->samples positions after it was full */
    double token_ms;                       /* a single token at the end of the stream: the median */
    uint64_t cache_bytes, tokens_held;
} measurement;

/* Measures, prints a report unless o->quiet, and fills *out. */
int measure_text(const options *o, const model *m, const id_list *ids, measurement *out, failure *why);

/* measure_text calls one of these: with a cache, as o->stream says, or by re-computation. */
int measure_stream(const options *o, const model *m, const id_list *ids, measurement *out, failure *why);
int measure_recompute(const options *o, const model *m, const id_list *ids, measurement *out, failure *why);

/* Sorts x; 0 if n is 0. */
double median(double *x, int n);

/* Tokens to be fed: all but the last, which is only predicted, or as many as the user wants. */
int64_t tokens_to_feed(const options *o, const id_list *ids);
/* Tokens after which the cache is full: o->split if that is set, else what the cache can hold. */
int64_t capacity_of(const options *o);
/* Sample `index` of o->samples, evenly spread from the first full cache to the end. */
int64_t sample_position(const options *o, int64_t n_tokens, int64_t index);

/* The table behind --csv, its first line written; *csv is NULL where none is wanted. */
bool open_csv(const options *o, const char *header, FILE **csv, failure *why);
/* Closes it, if there is one. Returns `ok`, or false if that was true and not all could be written. */
bool close_csv(const options *o, FILE *csv, bool ok, failure *why);

/* "f32" ... "int4". */
const char *kv_name(int32_t dtype);

/* One line about the policy, for the head of a report. */
void describe_policy(const options *o, char *line, size_t size);

#endif
