/*
 * Figures about attention sinks, measured with this model on this machine and written as SVG.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_FIGURES_H
#define STREAM_FIGURES_H

#include "options.h"
#include "svg.h"
#include "tokenizer.h"

/* Makes o->figures in o->out_path, as FIGURE-MODEL.svg. t may be NULL. */
bool figures(const options *o, const model *m, const tokenizer *t, const id_list *ids, failure *why);

/* The input of every figure. */
typedef struct figure_input {
    const options *o;
    const model *m;
    const tokenizer *t;
    const id_list *ids;
} figure_input;

/* Perplexity along the stream, for each method (the paper's figure 3). */
bool figure_perplexity(const figure_input *in, failure *why);
/* Time per token against the size of the cache: re-computation, and sinks (figure 10). */
bool figure_time(const figure_input *in, failure *why);
/* Memory against the length of the stream: a dense cache, and sinks. */
bool figure_memory(const figure_input *in, failure *why);
/* Attention weights, averaged over many short texts (figure 2). */
bool figure_attention(const figure_input *in, failure *why);
/* The share of the attention that the sinks take in a full cache, per layer and head. */
bool figure_sink_mass(const figure_input *in, failure *why);

/* Opens the file of a figure; closes it and prints its path. */
typedef struct figure_file {
    FILE *file;
    char path[512];
} figure_file;

bool figure_begin(figure_file *f, const figure_input *in, const char *figure, failure *why);
bool figure_end(figure_file *f, failure *why);

/* Writes "vanilla on moby-dick: " and the formatted text behind it. */
void figure_note(const figure_input *in, char *note, size_t size, const char *format, ...) PRINTF_LIKE(4, 5);

#endif
