/*
 * The command line: one table of options, from which both parsing and help are made.
 *
 * SPDX-License-Identifier: MIT
 */
#include "options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { TEXT, COUNT, REAL, CHOICE, FLAG, LIST, SET };

/* A word that stands for a number. */
typedef struct choice {
    const char *word;
    int32_t value;
} choice;

static const choice policies[] = {{"sink", SA_POLICY_SINK_WINDOW},
                                  {"window", SA_POLICY_WINDOW},
                                  {"dense", SA_POLICY_DENSE},
                                  {"recompute", POLICY_RECOMPUTE},
                                  {NULL, 0}};
static const choice dtypes[] = {{"f32", SA_F32}, {"f16", SA_F16}, {"bf16", SA_BF16},
                                {"int8", SA_I8}, {"int4", SA_I4}, {NULL, 0}};
static const choice modes[] = {{"cache", SA_IN_CACHE}, {"stream", SA_IN_STREAM}, {NULL, 0}};
static const choice figure_names[] = {{"all", 31},
                                      {"perplexity", FIGURE_PERPLEXITY},
                                      {"time", FIGURE_TIME},
                                      {"attention", FIGURE_ATTENTION},
                                      {"memory", FIGURE_MEMORY},
                                      {"sink-mass", FIGURE_SINK_MASS},
                                      {NULL, 0}};
static const choice method_names[] = {{"dense", METHOD_DENSE},
                                      {"window", METHOD_WINDOW},
                                      {"recompute", METHOD_RECOMPUTE},
                                      {"sink", METHOD_SINK},
                                      {NULL, 0}};
static const choice code_bits[] = {{"16", 16}, {"8", 8}, {NULL, 0}};
static const choice yes_no[] = {{"yes", 1}, {"no", 0}, {"auto", -1}, {NULL, 0}};

typedef struct entry {
    const char *name;
    enum kind kind;
    void *target; /* const char *, int64_t, double, int32_t, bool or number_list, as the kind says; SET: int32_t */
    double low, high;
    const choice *choices;
    const char *argument, *help;
} entry;

/* Counts are read into int64_t first; those that sinkattn takes are 32 bits wide. */
typedef struct scratch {
    int64_t sinks, window, chunk, threads, recent;
} scratch;

enum { N_ENTRIES = 37 };

static void make_table(entry table[N_ENTRIES], options *o, scratch *s) {
    stream_options *c = &o->stream;
    const entry entries[N_ENTRIES] = {
        {"--policy", CHOICE, &c->policy, 0, 0, policies, "sink|window|dense|recompute", "what the cache keeps [sink]"},
        {"--sinks", COUNT, &s->sinks, 0, 1 << 20, NULL, "N", "the first tokens, always kept by sink [4]"},
        {"--window", COUNT, &s->window, 1, 1 << 30, NULL, "N", "newest tokens kept; with dense, its capacity [1020]"},
        {"--positions", CHOICE, &c->position_mode, 0, 0, modes, "cache|stream",
         "what distances to sinks are counted in [cache]"},
        {"--zero-sink", FLAG, &c->zero_sink, 0, 0, NULL, "", "adds 1 to each softmax's sum, for models trained so"},
        {"--kv", CHOICE, &c->kv_dtype, 0, 0, dtypes, "f32|f16|bf16|int8|int4",
         "how keys and values are stored; sinks at least in f16 [f32]"},
        {"--recent", COUNT, &s->recent, 0, 1 << 30, NULL, "N", "newest tokens read in f16, with coarser --kv [0]"},
        {"--code-bits", CHOICE, &c->code_bits, 0, 0, code_bits, "16|8",
         "of queries and weights that meet --kv int8 or int4 [16]"},
        {"--chunk", COUNT, &s->chunk, 1, 1 << 16, NULL, "N", "tokens of one step through the layers [256]"},
        {"--threads", COUNT, &s->threads, 1, 1024, NULL, "N", "[all processors]"},
        {"--tokens", COUNT, &o->tokens, 0, 4e18, NULL, "N",
         "at most so many (chat: of an answer); 0: the whole text, or without end [0]"},
        {"--text", TEXT, &o->text_path, 0, 0, NULL, "FILE", "the text to read, or to continue"},
        {"--ids", TEXT, &o->ids_path, 0, 0, NULL, "FILE", "the same as token ids, numbers between white space"},
        {"--bos", CHOICE, &o->bos, 0, 0, yes_no, "yes|no|auto", "begin with the model's bos token [auto]"},
        {"--every", COUNT, &o->every, 0, 4e18, NULL, "N",
         "tokens (streameval: lines) per line of the report [a tenth]"},
        {"--probe", COUNT, &o->probe, 0, 4e18, NULL, "N", "perplexity: where single tokens are timed first [2000]"},
        {"--samples", COUNT, &o->samples, 0, 1 << 30, NULL, "N",
         "perplexity at so many positions [recompute: 200]; speed: timings [5]"},
        {"--csv", TEXT, &o->csv_path, 0, 0, NULL, "FILE", "the report's lines as a table"},
        {"--prompt", TEXT, &o->prompt, 0, 0, NULL, "TEXT", "generate: the text to continue"},
        {"--chat", FLAG, &o->chat, 0, 0, NULL, "", "generate: the prompt is a user's message (ChatML models)"},
        {"--system", TEXT, &o->system, 0, 0, NULL, "TEXT",
         "chat: the system prompt, which is pinned [the model's own]"},
        {"--room", COUNT, &o->room, 0, 1e12, NULL, "N",
         "chat: tokens that all its forks may hold together [twice what one may]"},
        {"--temperature", REAL, &o->temperature, 0, 100, NULL, "X",
         "generate, chat: 0 always takes the likeliest token [0.8]"},
        {"--top-p", REAL, &o->top_p, 0, 1, NULL, "X",
         "generate, chat: choose among the likeliest tokens of this share [0.95]"},
        {"--seed", COUNT, &o->seed, 0, 4e18, NULL, "N", "generate, chat: the same seed, the same text [1]"},
        {"--methods", SET, &o->methods, 0, 0, method_names, "dense,window,recompute,sink", "compare: which [all]"},
        {"--learned", TEXT, &o->learned_path, 0, 0, NULL, "FILE",
         "compare, figures: a model trained with a sink token"},
        {"--out", TEXT, &o->out_path, 0, 0, NULL, "PATH",
         "figures: the folder they go to, which must be there; logits: the file"},
        {"--figure", CHOICE, &o->figures, 0, 0, figure_names, "all|perplexity|time|attention|memory|sink-mass",
         "figures: which [all]"},
        {"--caches", LIST, &o->caches, 1, 1 << 30, NULL, "N,N", "sweep, speed: sizes of cache [256,512,1024,2048]"},
        {"--sink-counts", LIST, &o->sink_counts, 0, 1 << 20, NULL, "N,N", "sweep: sinks in each cache [0,1,2,4,8]"},
        {"--distances", LIST, &o->distances, 1, 1 << 20, NULL, "N,N", "streameval: lines from answer to question [20]"},
        {"--lines", COUNT, &o->lines, 1, 1 << 30, NULL, "N", "streameval: lines of the stream [1000]"},
        {"--ask-every", COUNT, &o->ask_every, 1, 1 << 20, NULL, "N", "streameval: lines between two questions [10]"},
        {"--print", FLAG, &o->print_task, 0, 0, NULL, "", "streameval: print the stream with all right replies only"},
        {"--replies", TEXT, &o->replies_path, 0, 0, NULL, "FILE", "streameval: score these replies, one per line"},
        {"--show-ids", FLAG, &o->show_ids, 0, 0, NULL, "", "generate, chat: token ids in place of text"},
    };
    memcpy(table, entries, sizeof entries);
}

void options_help(void) {
    options o;
    scratch s;
    entry table[N_ENTRIES];
    make_table(table, &o, &s);
    puts(
        "stream: runs a language model over a text of any length, with sinkattn as its KV cache\n\n"
        "    stream perplexity MODEL --text FILE   how well the model predicts a text of any length\n"
        "    stream generate MODEL --prompt TEXT   continues the prompt; without --tokens it never ends\n"
        "    stream chat MODEL                     a chat with an instruct model (ChatML); /help in it lists commands\n"
        "    stream compare MODEL --text FILE      dense, window, recompute and sink in one table\n"
        "    stream figures MODEL --text FILE      the same and more as pictures (SVG), into --out\n"
        "    stream sweep MODEL --text FILE        perplexity over sizes of cache and numbers of sinks\n"
        "    stream speed MODEL --text FILE        time of a token, sinks against re-computation\n"
        "    stream streameval MODEL               recalls numbers from earlier lines of a long stream\n"
        "    stream logits MODEL --text FILE       the logits of every position, as a file\n"
        "    stream info MODEL                     the sizes and types of what the file holds\n\n"
        "MODEL is a GGUF file, or a llama2.c checkpoint. A file without a tokenizer needs --ids.\n");
    for (int i = 0; i < N_ENTRIES; i++) {
        char left[64];
        snprintf(left, sizeof left, "%s %s", table[i].name, table[i].argument);
        printf("    %-38s  %s\n", left, table[i].help);
    }
}

static bool read_number(const entry *e, const char *word, double *out, failure *why) {
    char *end = NULL;
    double x = strtod(word, &end);
    if (end == word || *end != '\0' || !(x >= e->low && x <= e->high) || (e->kind != REAL && x != floor(x))) {
        return fail(why, "%s takes a%s number from %g to %g, not '%.60s'", e->name, e->kind != REAL ? " whole" : "",
                    e->low, e->high, word);
    }
    *out = x;
    return true;
}

static const choice *find_choice(const choice *choices, const char *word, size_t length) {
    for (const choice *c = choices; c->word != NULL; c++) {
        if (strlen(c->word) == length && memcmp(c->word, word, length) == 0) {
            return c;
        }
    }
    return NULL;
}

static bool read_choice(const entry *e, const char *word, failure *why) {
    const choice *found = find_choice(e->choices, word, strlen(word));
    if (found == NULL) {
        return fail(why, "%s takes %s, not '%.60s'", e->name, e->argument, word);
    }
    *(int32_t *)e->target = found->value;
    return true;
}

/* Words between commas, each of which stands for a bit. */
static bool read_set(const entry *e, const char *words, failure *why) {
    int32_t set = 0;
    for (const char *word = words;; word++) {
        size_t length = strcspn(word, ",");
        const choice *found = find_choice(e->choices, word, length);
        if (found == NULL) {
            return fail(why, "%s takes some of %s, not '%.60s'", e->name, e->argument, words);
        }
        set |= found->value;
        word += length;
        if (*word == '\0') {
            *(int32_t *)e->target = set;
            return true;
        }
    }
}

static bool read_list(const entry *e, const char *word, failure *why) {
    number_list *list = e->target;
    list->n = 0;
    while (list->n < MOST_NUMBERS) {
        size_t length = strcspn(word, ",");
        char one[32] = {0};
        double x = 0.0;
        memcpy(one, word, length < sizeof one - 1 ? length : sizeof one - 1);
        if (!read_number(e, one, &x, why)) {
            return false;
        }
        list->at[list->n++] = (int64_t)x;
        if (word[length] == '\0') {
            return true;
        }
        word += length + 1;
    }
    return fail(why, "%s takes %d numbers at most", e->name, MOST_NUMBERS);
}

/* Reads the option at argv[*at] and moves *at behind it. */
static bool read_entry(const entry *e, int argc, char **argv, int *at, failure *why) {
    if (e->kind == FLAG) {
        *(bool *)e->target = true;
        *at += 1;
        return true;
    }
    if (*at + 1 >= argc) {
        return fail(why, "%s needs %s behind it", e->name, e->argument);
    }
    const char *word = argv[*at + 1];
    double x = 0.0;
    *at += 2;
    if (e->kind == CHOICE) {
        return read_choice(e, word, why);
    }
    if (e->kind == SET) {
        return read_set(e, word, why);
    }
    if (e->kind == TEXT) {
        *(const char **)e->target = word;
        return true;
    }
    if (e->kind == LIST) {
        return read_list(e, word, why);
    }
    if (!read_number(e, word, &x, why)) {
        return false;
    }
    if (e->kind == COUNT) {
        *(int64_t *)e->target = (int64_t)x;
    } else {
        *(double *)e->target = x;
    }
    return true;
}

static bool read_words(options *o, const entry *table, int argc, char **argv, failure *why) {
    for (int at = 1; at < argc;) {
        int found = 0;
        while (found < N_ENTRIES && strcmp(table[found].name, argv[at]) != 0) {
            found++;
        }
        if (found < N_ENTRIES) {
            if (!read_entry(&table[found], argc, argv, &at, why)) {
                return false;
            }
        } else if (argv[at][0] == '-') {
            return fail(why, "there is no option '%.60s'; --help lists them", argv[at]);
        } else if (o->mode == NULL) {
            o->mode = argv[at++];
        } else if (o->model_path == NULL) {
            o->model_path = argv[at++];
        } else {
            return fail(why, "'%.60s' is one word too many; --help shows the use", argv[at]);
        }
    }
    return true;
}

bool options_read(options *o, int argc, char **argv, failure *why) {
    scratch s = {4, 1020, 256, 0, 0};
    *o = (options){.probe = 2000, .seed = 1, .temperature = 0.8, .top_p = 0.95, .bos = -1, .figures = 31};
    o->methods = METHOD_ALL;
    o->label = "perplexity";
    o->lines = 1000;
    o->ask_every = 10;
    o->caches = (number_list){4, {256, 512, 1024, 2048}};
    o->sink_counts = (number_list){5, {0, 1, 2, 4, 8}};
    o->distances = (number_list){1, {20}};
    o->stream.kv_dtype = SA_F32;
    o->stream.code_bits = 16;
    entry table[N_ENTRIES];
    make_table(table, o, &s);
    if (!read_words(o, table, argc, argv, why)) {
        return false;
    }
    if (o->mode == NULL || o->model_path == NULL) {
        return fail(why, "say what to do and with which model; --help shows how");
    }
    if (o->stream.policy == POLICY_RECOMPUTE && o->samples == 0) {
        o->samples = 200;
    }
    o->stream.sinks = (int32_t)s.sinks;
    o->stream.window = (int32_t)s.window;
    o->stream.chunk = (int32_t)s.chunk;
    o->stream.recent = (int32_t)s.recent;
    o->stream.threads = set_threads((int32_t)s.threads);
    return true;
}
