/*
 * The time of one more token: with a cache of sinks and window, and by re-computation of the whole window.
 *
 * SPDX-License-Identifier: MIT
 *
 * A token is timed from its id to the logits behind it. Re-computation is made as fast as it can be: the window is
 * processed in large chunks, and logits are computed for its last token alone.
 */
#include "sweep.h"

#include "input.h"
#include "measure.h"

#include <stdio.h>
#include <stdlib.h>

/* Single tokens timed with sinks per re-computation: they are so short that a median needs many. */
enum { SINGLE_TOKENS = 16 };

typedef struct timings {
    double *recompute, *sink; /* milliseconds */
    int n_recompute, n_sink;
} timings;

typedef struct bench {
    const options *o;
    const int32_t *ids;
    stream sink, dense;
    float *logits; /* (n_vocab) */
    timings all, attention;
    speed_done done;
    void *context;
} bench;

/* Feeds ids[first, end) and computes the logits behind the last, from which the next token would be chosen. */
static bool feed_to(bench *b, stream *s, int64_t first, int64_t end, failure *why) {
    while (first < end) {
        int32_t n = (int32_t)(end - first < s->chunk ? end - first : s->chunk);
        if (stream_feed(s, n, b->ids + first, why) != FEED_OK) {
            return false;
        }
        first += n;
    }
    stream_logits(s, s->fed - 1, 1, b->logits);
    return true;
}

/* The same, timed: all of it, and the part that was spent in sinkattn. */
static bool time_feed(bench *b, stream *s, int64_t first, int64_t end, double *all, double *attention, failure *why) {
    double start = now_seconds(), inside = s->attention_seconds;
    bool ok = feed_to(b, s, first, end, why);
    *all = 1e3 * (now_seconds() - start);
    *attention = 1e3 * (s->attention_seconds - inside);
    return ok;
}

/* One token by re-computation, then some with sinks at the same place of the text: interleaved, so that other load on
 * the machine slows both alike. */
static bool time_both(bench *b, int64_t cache, int64_t at, failure *why) {
    int i = b->all.n_recompute++;
    stream_reset(&b->dense);
    if (!time_feed(b, &b->dense, at + 1 - cache, at + 1, &b->all.recompute[i], &b->attention.recompute[i], why)) {
        return false;
    }
    for (int token = 0; token < SINGLE_TOKENS; token++) {
        i = b->all.n_sink++;
        if (!time_feed(b, &b->sink, at + token, at + token + 1, &b->all.sink[i], &b->attention.sink[i], why)) {
            return false;
        }
    }
    return true;
}

static bool run_size(bench *b, int64_t cache, failure *why) {
    b->all.n_recompute = b->all.n_sink = 0;
    bool ok = feed_to(b, &b->sink, 0, cache, why);
    for (int64_t i = 0; ok && i < b->o->samples; i++) {
        ok = time_both(b, cache, cache + i * SINGLE_TOKENS, why);
    }
    return ok;
}

static void report(bench *b, int64_t cache, FILE *csv) {
    int n = b->all.n_recompute, n_sink = b->all.n_sink;
    double recompute = median(b->all.recompute, n), sink = median(b->all.sink, n_sink);
    double recompute_inside = median(b->attention.recompute, n), sink_inside = median(b->attention.sink, n_sink);
    printf("%8lld %14.2f %14.2f %10.1fx %14.2f %14.2f\n", (long long)cache, recompute, sink, recompute / sink,
           recompute_inside, sink_inside);
    fflush(stdout);
    if (b->done != NULL) {
        b->done(b->context, cache, recompute, sink);
    }
    if (csv != NULL) {
        fprintf(csv, "%lld,%.4f,%.4f,%.3f,%.4f,%.4f\n", (long long)cache, recompute, sink, recompute / sink,
                recompute_inside, sink_inside);
        fflush(csv);
    }
}

/* One size of cache, with two streams made for it. */
static bool one_size(bench *b, const model *m, int64_t cache, FILE *csv, failure *why) {
    stream_options sink = b->o->stream, dense = b->o->stream;
    sink.policy = SA_POLICY_SINK_WINDOW;
    sink.window = (int32_t)(cache - sink.sinks);
    dense.policy = SA_POLICY_DENSE;
    dense.window = (int32_t)cache;
    if (sink.window < 1) {
        return fail(why, "a cache of %lld has no room for %d sinks and a token", (long long)cache, (int)sink.sinks);
    }
    if (!stream_open(&b->sink, m, &sink, why)) {
        return false;
    }
    bool ok = stream_open(&b->dense, m, &dense, why);
    if (ok) {
        ok = run_size(b, cache, why);
        stream_close(&b->dense);
    }
    stream_close(&b->sink);
    if (ok) {
        report(b, cache, csv);
    }
    return ok;
}

static bool make_room(bench *b, const model *m, failure *why) {
    uint64_t n = (uint64_t)b->o->samples;
    b->logits = allocate((uint64_t)m->n_vocab, sizeof(float), why);
    b->all.recompute = allocate(n, sizeof(double), why);
    b->attention.recompute = allocate(n, sizeof(double), why);
    b->all.sink = allocate(n * SINGLE_TOKENS, sizeof(double), why);
    b->attention.sink = allocate(n * SINGLE_TOKENS, sizeof(double), why);
    return b->logits != NULL && b->all.recompute != NULL && b->attention.recompute != NULL && b->all.sink != NULL &&
           b->attention.sink != NULL;
}

static bool all_sizes(bench *b, const model *m, const id_list *ids, FILE *csv, failure *why) {
    printf("medians of %d re-computations and %d single tokens with %d sinks, %d threads; milliseconds\n"
           "%8s %14s %14s %11s %14s %14s\n",
           (int)b->o->samples, (int)b->o->samples * SINGLE_TOKENS, (int)b->o->stream.sinks, (int)b->o->stream.threads,
           "cache", "recompute", "sink", "speed-up", "attention", "attention");
    for (int32_t i = 0; i < b->o->caches.n; i++) {
        int64_t cache = b->o->caches.at[i], needed = cache + b->o->samples * SINGLE_TOKENS;
        if (needed > (int64_t)ids->n) {
            return fail(why, "%.300s has %zu tokens; a cache of %lld needs %lld", input_name(b->o), ids->n,
                        (long long)cache, (long long)needed);
        }
        if (!one_size(b, m, cache, csv, why)) {
            return false;
        }
    }
    return true;
}

bool sweep_speed(const options *given, const model *m, const id_list *ids, speed_done done, void *context,
                 failure *why) {
    options o = *given;
    o.samples = o.samples > 0 ? o.samples : 5;
    bench b = {.o = &o, .ids = ids->ids, .done = done, .context = context};
    FILE *csv = NULL;
    bool ok = open_csv(&o, "cache,recompute_ms,sink_ms,speedup,recompute_attention_ms,sink_attention_ms", &csv, why) &&
              make_room(&b, m, why) && all_sizes(&b, m, ids, csv, why);
    ok = close_csv(&o, csv, ok, why);
    free(b.logits);
    free(b.all.recompute);
    free(b.attention.recompute);
    free(b.all.sink);
    free(b.attention.sink);
    return ok;
}
