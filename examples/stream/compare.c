/*
 * The methods side by side, in one table.
 *
 * SPDX-License-Identifier: MIT
 */
#include "compare.h"

#include "generate.h"
#include "input.h"

#include <stdio.h>
#include <stdlib.h>

enum { CONTINUED_TOKENS = 200 };

typedef struct method_table {
    FILE *csv;
    measurement rows[5];
    const char *names[5];
    int n;
} method_table;

static void add_row(void *context, const char *name, const measurement *found) {
    method_table *table = context;
    table->names[table->n] = name;
    table->rows[table->n++] = *found;
    printf("%-14s %11.3f %11.3f %10.3f %12llu %12llu\n", name, found->ppl_before, found->ppl_after, found->token_ms,
           (unsigned long long)found->cache_bytes, (unsigned long long)found->tokens_held);
    fflush(stdout);
    if (table->csv != NULL) {
        fprintf(table->csv, "%s,%.6f,%.6f,%.4f,%llu,%llu\n", name, found->ppl_before, found->ppl_after, found->token_ms,
                (unsigned long long)found->cache_bytes, (unsigned long long)found->tokens_held);
    }
}

/* Who is called with each result. */
typedef struct listener {
    method_done done;
    void *context;
} listener;

/* One method over the whole text. */
static bool run_method(const listener *listener, options *o, const char *name, const model *m, const id_list *ids,
                       failure *why) {
    measurement found;
    o->label = name;
    if (measure_text(o, m, ids, &found, why) != MEASURE_OK) {
        return false;
    }
    listener->done(listener->context, name, &found);
    return true;
}

/* The options of one method: all bounded ones have the same room, and are split at the same token. */
static options method(const options *o, int32_t policy, int32_t sinks, int64_t room, int64_t split) {
    options one = *o;
    one.quiet = true;
    one.split = split;
    one.stream.policy = policy;
    one.stream.sinks = sinks;
    one.stream.window = (int32_t)(room - sinks);
    return one;
}

/* The second model reads the same text behind its own sink token, one row of the cache. */
static bool run_learned(const listener *listener, const options *o, int64_t room, failure *why) {
    model m;
    id_list ids = {0};
    if (!model_open(&m, o->learned_path, why)) {
        return false;
    }
    options one = method(o, SA_POLICY_SINK_WINDOW, 1, room, room);
    one.bos = 1;
    tokenizer *t = NULL;
    bool ok = input_tokenizer(&one, &m, &t, why) && input_read(&one, &m, t, &ids, why) &&
              run_method(listener, &one, "learned sink", &m, &ids, why);
    free(ids.ids);
    tokenizer_close(t);
    model_close(&m);
    return ok;
}

bool compare_methods(const options *o, const model *m, const id_list *ids, method_done done, void *context,
                     failure *why) {
    listener listener = {done, context};
    int64_t room = (int64_t)o->stream.sinks + o->stream.window, n = tokens_to_feed(o, ids);
    if (room < o->stream.sinks + 1 || n <= room || n > 1 << 30) {
        return fail(why, "compare needs a text longer than the cache: %lld tokens of %.300s are not more than %lld",
                    (long long)n, input_name(o), (long long)room);
    }
    const struct {
        const char *name;
        int32_t which, policy, sinks;
        int64_t room;
    } methods[] = {
        {"dense", METHOD_DENSE, SA_POLICY_DENSE, 0, n},
        {"window", METHOD_WINDOW, SA_POLICY_WINDOW, 0, room},
        {"recompute", METHOD_RECOMPUTE, POLICY_RECOMPUTE, 0, room},
        {"sink", METHOD_SINK, SA_POLICY_SINK_WINDOW, o->stream.sinks, room},
    };
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        options one = method(o, methods[i].policy, methods[i].sinks, methods[i].room, room);
        if ((o->methods & methods[i].which) != 0 && !run_method(&listener, &one, methods[i].name, m, ids, why)) {
            return false;
        }
    }
    return o->learned_path == NULL || run_learned(&listener, o, room, why);
}

/* The line that says what the two perplexities are, and the names of the columns. */
static void print_head(const options *o, const id_list *ids) {
    int64_t room = (int64_t)o->stream.sinks + o->stream.window, n = tokens_to_feed(o, ids);
    printf(
        "before: perplexity of the first %lld tokens, which fill a cache of that size; after: of the %lld behind them",
        (long long)room, (long long)(n - room));
    if ((o->methods & METHOD_RECOMPUTE) != 0) {
        printf(" (recompute: at %lld of these)", (long long)o->samples);
    }
    printf("\n%-14s %11s %11s %10s %12s %12s\n", "method", "ppl before", "ppl after", "ms/token", "cache bytes",
           "tokens held");
    fflush(stdout);
}

static void print_sampled(const method_table *table) {
    printf("at the sample positions of recompute:");
    for (int i = 0; i < table->n && i < 4; i++) {
        printf("%s %s %.3f", i == 0 ? "" : ",", table->names[i], table->rows[i].ppl_sampled);
    }
    printf("\n");
}

/* Feeds the last tokens that were read, twice as many as the cache holds, and prints how the model continues them. */
static bool continue_text(const options *o, int32_t policy, const model *m, const tokenizer *t, const id_list *ids,
                          failure *why) {
    int64_t room = (int64_t)o->stream.sinks + o->stream.window, n = tokens_to_feed(o, ids);
    int64_t first = n > 2 * room ? n - 2 * room : 0;
    options one = method(o, policy, policy == SA_POLICY_WINDOW ? 0 : o->stream.sinks, room, room);
    id_list prompt = {ids->ids + first, (size_t)(n - first), 0};
    one.tokens = CONTINUED_TOKENS;
    one.show_ids = false;
    printf("\n%s, continuing the text beyond the size of its cache:\n",
           policy == SA_POLICY_WINDOW ? "window" : "sink + window");
    bool ok = generate(&one, m, t, &prompt, why);
    printf("\n");
    return ok;
}

bool compare(const options *o, const model *m, tokenizer *t, const id_list *ids, failure *why) {
    method_table table = {0};
    options one = *o;
    bool sampled = (o->methods & METHOD_RECOMPUTE) != 0;
    one.samples = sampled ? (o->samples > 0 ? o->samples : 200) : 0;
    if (!open_csv(o, "method,ppl_before,ppl_after,ms_per_token,cache_bytes,tokens_held", &table.csv, why)) {
        return false;
    }
    print_head(&one, ids);
    bool ok = compare_methods(&one, m, ids, add_row, &table, why);
    ok = close_csv(o, table.csv, ok, why);
    if (!ok) {
        return false;
    }
    if (sampled) {
        print_sampled(&table);
    }
    if (o->csv_path != NULL) {
        printf("the table as a file: %s\n", o->csv_path);
    }
    return t == NULL || (continue_text(&one, SA_POLICY_SINK_WINDOW, m, t, ids, why) &&
                         continue_text(&one, SA_POLICY_WINDOW, m, t, ids, why));
}
