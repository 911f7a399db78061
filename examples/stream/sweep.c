/*
 * Perplexity over sizes of cache and numbers of sinks, one line of a table each.
 *
 * SPDX-License-Identifier: MIT
 */
#include "sweep.h"

#include "input.h"
#include "measure.h"

#include <stdio.h>

static int64_t largest(const number_list *list) {
    int64_t most = list->at[0];
    for (int32_t i = 1; i < list->n; i++) {
        most = list->at[i] > most ? list->at[i] : most;
    }
    return most;
}

static bool sweep_row(const options *o, int64_t cache, int64_t sinks, const model *m, const id_list *ids, FILE *csv,
                      failure *why) {
    options one = *o;
    measurement found;
    one.quiet = true;
    one.stream.policy = SA_POLICY_SINK_WINDOW;
    one.stream.sinks = (int32_t)sinks;
    one.stream.window = (int32_t)(cache - sinks);
    one.split = largest(&o->caches); /* the same tokens are counted for all sizes */
    if (measure_text(&one, m, ids, &found, why) != MEASURE_OK) {
        return false;
    }
    printf("%8lld %8lld %8lld %12.4f %12.4f %12llu\n", (long long)cache, (long long)sinks, (long long)(cache - sinks),
           found.ppl_all, found.ppl_after, (unsigned long long)found.cache_bytes);
    fflush(stdout);
    if (csv != NULL) {
        fprintf(csv, "%lld,%lld,%lld,%.6f,%.6f,%llu\n", (long long)cache, (long long)sinks, (long long)(cache - sinks),
                found.ppl_all, found.ppl_after, (unsigned long long)found.cache_bytes);
        fflush(csv);
    }
    return true;
}

bool sweep_perplexity(const options *o, const model *m, const id_list *ids, failure *why) {
    FILE *csv = NULL;
    bool ok = true;
    if (tokens_to_feed(o, ids) <= largest(&o->caches)) {
        return fail(
            why, "sweep needs a text longer than the largest of --caches: %lld tokens of %.300s are not more than %lld",
            (long long)tokens_to_feed(o, ids), input_name(o), (long long)largest(&o->caches));
    }
    if (!open_csv(o, "cache,sinks,window,ppl,ppl_after,cache_bytes", &csv, why)) {
        return false;
    }
    printf("%lld tokens; \"after\" is after the first %lld\n%8s %8s %8s %12s %12s %12s\n",
           (long long)tokens_to_feed(o, ids), (long long)largest(&o->caches), "cache", "sinks", "window", "perplexity",
           "after", "cache bytes");
    for (int32_t i = 0; ok && i < o->caches.n; i++) {
        for (int32_t k = 0; ok && k < o->sink_counts.n; k++) {
            if (o->sink_counts.at[k] < o->caches.at[i]) {
                ok = sweep_row(o, o->caches.at[i], o->sink_counts.at[k], m, ids, csv, why);
            }
        }
    }
    return close_csv(o, csv, ok, why);
}
