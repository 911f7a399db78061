/*
 * The figures with curves: perplexity along the stream, time per token, memory.
 *
 * SPDX-License-Identifier: MIT
 */
#include "compare.h"
#include "figures.h"
#include "input.h"
#include "sweep.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_POINTS = 128, STRETCHES = 32 };

/* Curves while they are measured; every method ends its curve when it has ended. */
typedef struct curves {
    double x[SVG_MAX_SERIES][MAX_POINTS], y[SVG_MAX_SERIES][MAX_POINTS];
    svg_series series[SVG_MAX_SERIES];
    char names[SVG_MAX_SERIES][48];
    int n;
} curves;

static curves *curves_open(failure *why) {
    curves *c = allocate(1, sizeof *c, why);
    for (int i = 0; c != NULL && i < SVG_MAX_SERIES; i++) {
        c->series[i] = (svg_series){c->names[i], c->x[i], c->y[i], 0, false};
    }
    return c;
}

static void add_point(curves *c, int series, double x, double y) {
    int at = c->series[series].n;
    if (at < MAX_POINTS) {
        c->x[series][at] = x;
        c->y[series][at] = y;
        c->series[series].n = at + 1;
    }
}

static void end_curve(curves *c, const char *name) {
    snprintf(c->names[c->n], sizeof c->names[0], "%s", name);
    c->n++;
}

static bool write_plot(const figure_input *in, const char *figure, svg_plot *plot, const curves *c, failure *why) {
    figure_file f;
    plot->series = c->series;
    plot->n_series = c->n;
    if (!figure_begin(&f, in, figure, why)) {
        return false;
    }
    svg_lines(f.file, plot);
    return figure_end(&f, why);
}

/* ---- perplexity ---- */

/* Re-computation reports the tokens until its window is full as a stretch of its own. It is added to the next stretch,
 * so that a point stands for the same tokens in every curve. */
typedef struct stretches {
    curves *c;
    int64_t every, end, at; /* tokens */
    double nats;            /* of the tokens since the last point */
    int64_t n;              /* how many those are */
} stretches;

static void stretch_of_method(void *context, const stretch *s) {
    stretches *r = context;
    int64_t length = s->at - r->at;
    r->nats += log(s->perplexity) * (double)length;
    r->n += length;
    r->at = s->at;
    if (s->at % r->every == 0 || s->at >= r->end) {
        add_point(r->c, r->c->n, (double)s->at, exp(r->nats / (double)r->n));
        r->nats = 0.0;
        r->n = 0;
    }
}

static void end_of_method(void *context, const char *name, const measurement *found) {
    stretches *r = context;
    printf("%-14s perplexity %9.4f before the cache was full, %9.4f after\n", name, found->ppl_before,
           found->ppl_after);
    fflush(stdout);
    r->at = 0;
    end_curve(r->c, name);
}

bool figure_perplexity(const figure_input *in, failure *why) {
    char note[256];
    options o = *in->o;
    int64_t n = tokens_to_feed(&o, in->ids), room = (int64_t)o.stream.sinks + o.stream.window;
    stretches r = {.c = curves_open(why), .every = n / STRETCHES > 0 ? n / STRETCHES : 1, .end = n};
    if (r.c == NULL) {
        return false;
    }
    o.samples = o.samples > 0 ? o.samples : 2000;
    o.every = r.every;
    o.on_stretch = stretch_of_method;
    o.stretch_context = &r;
    figure_note(in, note, sizeof note,
                "stretches of %lld tokens, cache of %lld (sinks %d+%d); recompute at %lld samples", (long long)o.every,
                (long long)room, (int)o.stream.sinks, (int)o.stream.window, (long long)o.samples);
    svg_plot plot = {.title = "Perplexity along the stream", .note = note};
    plot.x = (svg_axis){"position in the stream (tokens)", SVG_LINEAR, 0, 0};
    plot.y = (svg_axis){"perplexity per token, logarithmic", SVG_LOG10, 0, 0};
    bool ok =
        compare_methods(&o, in->m, in->ids, end_of_method, &r, why) && write_plot(in, "perplexity", &plot, r.c, why);
    free(r.c);
    return ok;
}

/* ---- time ---- */

static void size_timed(void *context, int64_t cache, double recompute_ms, double sink_ms) {
    curves *c = context;
    add_point(c, 0, (double)cache, recompute_ms);
    add_point(c, 1, (double)cache, sink_ms);
}

bool figure_time(const figure_input *in, failure *why) {
    enum { FIRST = 256, LAST = 4096, BEHIND = 256 }; /* tokens; BEHIND: that are timed, at least */
    char note[256];
    options o = *in->o;
    o.samples = o.samples > 0 && o.samples < 16 ? o.samples : 5;
    o.caches.n = 0;
    for (int64_t size = FIRST; size <= LAST && size + BEHIND <= (int64_t)in->ids->n; size *= 2) {
        o.caches.at[o.caches.n++] = size;
    }
    if (o.caches.n == 0) {
        return fail(why, "%.300s is too short: the time figure needs %d tokens at least", input_name(in->o),
                    FIRST + BEHIND);
    }
    curves *c = curves_open(why);
    if (c == NULL) {
        return false;
    }
    bool ok = sweep_speed(&o, in->m, in->ids, size_timed, c, why);
    end_curve(c, "recompute");
    end_curve(c, "sinks");
    c->series[0].points = c->series[1].points = true;
    figure_note(in, note, sizeof note, "%d threads; medians, of %d tokens by recompute and of more by sinks",
                (int)o.stream.threads, (int)o.samples);
    svg_plot plot = {.title = "Time of a token against the size of the cache", .note = note};
    plot.x = (svg_axis){"tokens that the cache holds", SVG_LOG2, 0, 0};
    plot.y = (svg_axis){"milliseconds per token, logarithmic", SVG_LOG10, 0, 0};
    ok = ok && write_plot(in, "time", &plot, c, why);
    free(c);
    return ok;
}

/* ---- memory ---- */

enum { LENGTHS = 8 };

/* What the library says that the cache of a model needs. */
static bool cache_mib(const model *m, const stream_options *cache, double *mib, failure *why) {
    cache_plan plan;
    size_t size = 0, alignment = 0;
    if (!plan_cache(&plan, m, cache, why)) {
        return false;
    }
    sa_status status = sa_cache_size(&plan.config, &size, &alignment);
    plan_free(&plan);
    *mib = (double)size / 1048576.0;
    return status == SA_SUCCESS || fail(why, "sinkattn: %s", sa_status_string(status));
}

static void note_resident(void *context, const stretch *s) {
    *(double *)context = s->resident > 0 ? (double)s->resident / 1048576.0 : (double)NAN;
}

/* Resident memory at the end of a stream of that length, and the size of its cache. */
static bool memory_point(const figure_input *in, int32_t policy, int64_t tokens, curves *c, failure *why) {
    double resident = (double)NAN, cache = 0.0;
    measurement found;
    options o = *in->o;
    o.quiet = true;
    o.tokens = o.every = tokens;
    o.on_stretch = note_resident;
    o.stretch_context = &resident;
    o.stream.policy = policy;
    o.label = policy == SA_POLICY_DENSE ? "memory, dense" : "memory, sinks";
    if (policy == SA_POLICY_DENSE) {
        o.stream.window = (int32_t)tokens;
    }
    if (measure_text(&o, in->m, in->ids, &found, why) != MEASURE_OK || !cache_mib(in->m, &o.stream, &cache, why)) {
        return false;
    }
    add_point(c, c->n, (double)tokens, resident);
    add_point(c, c->n + 1, (double)tokens, cache);
    return true;
}

static bool memory_curves(const figure_input *in, int32_t policy, const char *name, int64_t n, curves *c,
                          failure *why) {
    char line[48];
    for (int i = 1; i <= LENGTHS; i++) {
        if (!memory_point(in, policy, n * i / LENGTHS, c, why)) {
            return false;
        }
    }
    snprintf(line, sizeof line, "%s, process", name);
    end_curve(c, line);
    snprintf(line, sizeof line, "%s, cache alone", name);
    end_curve(c, line);
    return true;
}

bool figure_memory(const figure_input *in, failure *why) {
    char note[256];
    int64_t n = tokens_to_feed(in->o, in->ids);
    if (n < LENGTHS || n > 1 << 30) {
        return fail(why, "%.300s: the memory figure needs a text of %d to 2^30 tokens; --tokens cuts one",
                    input_name(in->o), LENGTHS);
    }
    curves *c = curves_open(why);
    if (c == NULL) {
        return false;
    }
    figure_note(in, note, sizeof note, "resident memory of the process at that length, and sa_cache_size; %s",
                kv_name(in->o->stream.kv_dtype));
    svg_plot plot = {.title = "Memory against the length of the stream", .note = note};
    plot.x = (svg_axis){"length of the stream (tokens)", SVG_LINEAR, 0, 0};
    plot.y = (svg_axis){"MiB", SVG_LINEAR, 0, 0};
    bool ok = memory_curves(in, SA_POLICY_DENSE, "dense", n, c, why) &&
              memory_curves(in, SA_POLICY_SINK_WINDOW, "sinks", n, c, why) && write_plot(in, "memory", &plot, c, why);
    free(c);
    return ok;
}
