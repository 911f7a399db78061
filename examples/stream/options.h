/*
 * The options of the command line.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_OPTIONS_H
#define STREAM_OPTIONS_H

#include "forward.h"

/* The perplexity of a stretch of the stream, reported where it ends. */
typedef struct stretch {
    int64_t at;        /* tokens from the beginning of the stream to the end of the stretch */
    double perplexity; /* of the stretch alone */
    uint64_t resident; /* bytes of the whole process; 0 if the system does not say */
} stretch;

enum { FIGURE_PERPLEXITY = 1, FIGURE_TIME = 2, FIGURE_ATTENTION = 4, FIGURE_MEMORY = 8, FIGURE_SINK_MASS = 16 };

enum { POLICY_RECOMPUTE = 100 }; /* besides SA_POLICY_*: no cache; the window is processed anew for each token */

enum { METHOD_DENSE = 1, METHOD_WINDOW = 2, METHOD_RECOMPUTE = 4, METHOD_SINK = 8, METHOD_ALL = 15 };

/* Numbers given as 256,512,1024. */
enum { MOST_NUMBERS = 16 };
typedef struct number_list {
    int32_t n;
    int64_t at[MOST_NUMBERS];
} number_list;

typedef struct options {
    const char *mode, *model_path;
    const char *text_path, *ids_path, *prompt, *csv_path;
    stream_options stream;
    int64_t tokens;  /* at most so many; 0: all of a text, without end when generating */
    int64_t every;   /* tokens (streameval: lines) of a stretch in the report; 0: a tenth of all */
    int64_t probe;   /* stream position of the first timing of single tokens */
    int64_t samples; /* positions for a second perplexity, to compare with recompute; speed: how many timings */
    int64_t seed;
    double temperature, top_p;
    int32_t bos; /* 1 yes, 0 no, -1 as the model says */
    bool chat, show_ids;
    const char *system;       /* chat: the system prompt; NULL: the template's own */
    int64_t room;             /* chat: tokens that all forks may hold together; 0: twice what one may */
    int32_t methods;          /* compare: which ones, METHOD_* */
    const char *learned_path; /* compare: a second model, trained with a sink token of its own */

    const char *out_path; /* figures: their folder; logits: the file */
    int32_t figures;      /* figures: which ones, FIGURE_* */

    number_list caches, sink_counts; /* sweep and speed: the sizes of cache; for sweep how much of each are sinks */
    number_list distances;           /* streameval: how many lines above a question its answer stands */
    int64_t lines, ask_every;        /* streameval: lines of the stream, and of them between two questions */
    const char *replies_path;        /* streameval: score these replies, do not run the model */
    bool print_task;                 /* streameval: print the task, do not run the model */

    /* Not on the command line: set by compare and others for the runs that they make. */
    int64_t split;     /* tokens that count as "before the cache was full"; 0: what the cache holds */
    bool quiet;        /* no report, no prompt */
    const char *label; /* of the progress bar */
    void (*on_stretch)(void *context, const stretch *s); /* called as each of `every` tokens ends, or NULL */
    void *stretch_context;
} options;

/* Reads the command line. False: `why` says what is wrong with it. */
bool options_read(options *o, int argc, char **argv, failure *why);
/* The help text, to stdout. */
void options_help(void);

#endif
