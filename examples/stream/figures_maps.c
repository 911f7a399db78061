/*
 * The figures with maps: attention weights, and the share that the sinks take.
 *
 * SPDX-License-Identifier: MIT
 *
 * The library does not return attention weights. But where the value of token u is the u-th unit vector, the result of
 * attention is the row of weights; so a second cache gets the same queries and keys, and such values.
 */
#include "figures.h"
#include "input.h"
#include "measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SEQUENCE = 24, SEQUENCES = 256 }; /* tokens of a text, and how many texts are averaged */
enum { MAX_MAPS = 16 };

static bool library_ok(sa_status status, int32_t layer, failure *why) {
    return status == SA_SUCCESS || fail(why, "sinkattn, layer %d: %s", (int)layer, sa_status_string(status));
}

/* ---- attention ---- */

typedef struct weights {
    stream s;
    sa_cache *cache;    /* of the same keys, with unit vectors for values */
    float *units, *row; /* (SEQUENCE, n_kv_heads, SEQUENCE), (SEQUENCE, n_heads, SEQUENCE) */
    double *sums;       /* (n_layers, n_heads, SEQUENCE, SEQUENCE) */
    bool zero_sink, ok;
    failure *why;
} weights;

static bool weights_open(weights *w, const figure_input *in, failure *why) {
    const model *m = in->m;
    stream_options dense = in->o->stream;
    cache_plan plan;
    memset(w, 0, sizeof *w);
    dense.policy = SA_POLICY_DENSE;
    dense.window = dense.chunk = SEQUENCE;
    w->zero_sink = dense.zero_sink;
    w->ok = true;
    w->why = why;
    if (!stream_open(&w->s, m, &dense, why) || !plan_cache(&plan, m, &dense, why)) {
        return false;
    }
    plan.config.v_head_dim = plan.local.v_head_dim = SEQUENCE;
    plan.config.v_dtype = plan.local.v_dtype = SA_F32;
    sa_status status = sa_cache_create(&plan.config, NULL, &w->cache);
    plan_free(&plan);
    size_t kv_heads = (size_t)m->n_kv_heads, cells = (size_t)m->n_heads * SEQUENCE * SEQUENCE;
    w->units = allocate(kv_heads * SEQUENCE * SEQUENCE, sizeof *w->units, why);
    w->row = allocate(cells, sizeof *w->row, why);
    w->sums = allocate(cells * (uint64_t)m->n_layers, sizeof *w->sums, why);
    if (w->units == NULL || w->row == NULL || w->sums == NULL || !library_ok(status, 0, why)) {
        return false;
    }
    for (size_t i = 0; i < SEQUENCE * kv_heads; i++) {
        w->units[i * SEQUENCE + i / kv_heads] = 1.0f;
    }
    return true;
}

static void weights_close(weights *w) {
    free(w->units);
    free(w->row);
    free(w->sums);
    sa_cache_destroy(w->cache);
    stream_close(&w->s);
}

/* Weights must add up to 1. Where they do not, no figure is drawn. */
static bool add_row(weights *w, int32_t layer, double *sums, const float *row) {
    double total = 0.0;
    for (int i = 0; i < SEQUENCE; i++) {
        sums[i] += (double)row[i];
        total += (double)row[i];
    }
    if (w->zero_sink ? total <= 1.0001 : fabs(total - 1.0) < 1e-4) {
        return true;
    }
    return fail(w->why, "the attention weights of layer %d add up to %g", (int)layer, total);
}

static void watch_weights(void *context, int32_t layer) {
    weights *w = context;
    int32_t heads = w->s.m->n_heads;
    if (!w->ok) {
        return;
    }
    w->ok = library_ok(sa_append_attend(w->cache, layer, SEQUENCE, w->s.q, w->s.k, w->units, w->row), layer, w->why);
    for (int32_t query = 0; w->ok && query < SEQUENCE; query++) {
        for (int32_t head = 0; w->ok && head < heads; head++) {
            double *sums = w->sums + (((size_t)layer * heads + head) * SEQUENCE + query) * SEQUENCE;
            w->ok = add_row(w, layer, sums, w->row + ((size_t)query * heads + head) * SEQUENCE);
        }
    }
}

/* Reads short texts from evenly spread places of the stream, each with an empty cache, behind the bos token if the
 * model begins texts so. Returns how many there were, 0 on failure. */
static int read_sequences(weights *w, const figure_input *in) {
    int32_t ids[SEQUENCE];
    size_t n = in->ids->n, span = n / SEQUENCES;
    bool bos = in->t != NULL && (in->o->bos == 1 || (in->o->bos == -1 && tokenizer_about(in->t).add_bos));
    int count = span > 0 ? SEQUENCES : 1;
    progress bar;
    progress_begin(&bar, "attention");
    w->s.watch = watch_weights;
    w->s.watch_context = w;
    for (int i = 0; i < count; i++) {
        size_t first = (size_t)i * span, room = n - SEQUENCE;
        memcpy(ids, in->ids->ids + (first < room ? first : room), sizeof ids);
        if (bos) {
            memmove(ids + 1, ids, sizeof ids - sizeof ids[0]);
            ids[0] = tokenizer_about(in->t).bos;
        }
        stream_reset(&w->s);
        sa_cache_reset(w->cache, SA_ALL_LAYERS);
        if (stream_feed(&w->s, SEQUENCE, ids, w->why) != FEED_OK || !w->ok) {
            return 0;
        }
        progress_show(&bar, (uint64_t)i + 1, (uint64_t)count, "");
    }
    progress_end(&bar);
    return count;
}

/* Averages over the heads [head, head + n_heads) of a layer; keys that come later than the query are left blank. */
static void average(const weights *w, int count, int32_t layer, int32_t head, int32_t n_heads, double *cells) {
    for (int i = 0; i < SEQUENCE * SEQUENCE; i++) {
        const double *at = w->sums + (((size_t)layer * w->s.m->n_heads + head) * SEQUENCE * SEQUENCE) + i;
        double sum = 0.0;
        for (int32_t h = 0; h < n_heads; h++) {
            sum += at[(size_t)h * SEQUENCE * SEQUENCE];
        }
        cells[i] = i % SEQUENCE > i / SEQUENCE ? (double)NAN : sum / ((double)n_heads * count);
    }
}

/* The mean weight of the first token, over all queries but its own. */
static double first_share(const double *cells) {
    double sum = 0.0;
    for (int query = 1; query < SEQUENCE; query++) {
        sum += cells[query * SEQUENCE];
    }
    return sum / (SEQUENCE - 1);
}

static bool draw_weights(const weights *w, const figure_input *in, int count, failure *why) {
    const model *m = in->m;
    static double cells[MAX_MAPS][SEQUENCE * SEQUENCE];
    static char names[MAX_MAPS][40];
    svg_map maps[MAX_MAPS];
    char note[256];
    bool each_head = m->n_layers * m->n_heads <= MAX_MAPS; /* else eight layers from first to last, heads averaged */
    int n = each_head ? m->n_layers * m->n_heads : m->n_layers < 8 ? m->n_layers : 8;
    for (int i = 0; i < n; i++) {
        int32_t layer = each_head ? i / m->n_heads : n > 1 ? i * (m->n_layers - 1) / (n - 1) : 0;
        int32_t head = each_head ? i % m->n_heads : 0;
        average(w, count, layer, head, each_head ? 1 : m->n_heads, cells[i]);
        if (each_head) {
            snprintf(names[i], sizeof names[i], "layer %d, head %d: %.0f %%", (int)layer, (int)head,
                     100.0 * first_share(cells[i]));
        } else {
            snprintf(names[i], sizeof names[i], "layer %d: %.0f %%", (int)layer, 100.0 * first_share(cells[i]));
        }
        maps[i] = (svg_map){names[i], cells[i]};
    }
    figure_note(in, note, sizeof note, "mean of %d texts of %d tokens%s; in %%: what goes to token 0", count, SEQUENCE,
                each_head ? "" : " and all heads");
    svg_maps figure = {.title = "Whom a token attends to", .note = note, .maps = maps, .n_maps = n, .across = 4};
    figure.x_label = "across: the token attended to; down: the token that attends";
    figure.y_label = "query";
    figure.unit = "share of the attention";
    figure.rows = figure.columns = SEQUENCE;
    figure.high = 1.0;
    figure.root = true;
    figure_file f;
    if (!figure_begin(&f, in, "attention", why)) {
        return false;
    }
    svg_heat(f.file, &figure);
    return figure_end(&f, why);
}

bool figure_attention(const figure_input *in, failure *why) {
    weights w;
    if (in->ids->n < SEQUENCE) {
        return fail(why, "%.300s is too short: the attention figure needs %d tokens at least", input_name(in->o),
                    SEQUENCE);
    }
    bool ok = weights_open(&w, in, why);
    int count = ok ? read_sequences(&w, in) : 0;
    ok = count > 0 && draw_weights(&w, in, count, why);
    weights_close(&w);
    return ok;
}

/* ---- sink mass ---- */

typedef struct masses {
    stream s;
    float *mass, *out; /* (chunk, n_heads), (chunk, n_heads, v_head_dim) */
    double *sums;      /* (n_layers, n_heads) */
    int64_t room, count;
    bool ok;
    failure *why;
} masses;

/* Runs attention again for the share of the sinks, of those tokens whose cache was full before them. */
static void watch_mass(void *context, int32_t layer) {
    masses *w = context;
    stream *s = &w->s;
    int32_t heads = s->m->n_heads;
    if (!w->ok || s->seen < w->room) {
        return;
    }
    sa_step_args args = {.struct_size = sizeof args, .layer = layer, .n_tokens = s->fed, .q_offset = -s->fed};
    args.q.data = s->q;
    args.out.data = w->out;
    args.sink_mass = w->mass;
    w->ok = library_ok(sa_step(s->cache, &args), layer, w->why);
    for (int64_t i = 0; w->ok && i < (int64_t)s->fed * heads; i++) {
        w->sums[(int64_t)layer * heads + i % heads] += (double)w->mass[i];
    }
    w->count += layer == 0 ? s->fed : 0;
}

static bool masses_open(masses *w, const figure_input *in, failure *why) {
    const model *m = in->m;
    stream_options sinks = in->o->stream;
    sinks.policy = SA_POLICY_SINK_WINDOW;
    sinks.chunk =
        sinks.chunk < 256 ? sinks.chunk : 256; /* sa_attend takes no more tokens, with the default max_append */
    memset(w, 0, sizeof *w);
    w->ok = true;
    w->why = why;
    w->room = (int64_t)sinks.sinks + sinks.window;
    if (!stream_open(&w->s, m, &sinks, why)) {
        return false;
    }
    uint64_t rows = (uint64_t)sinks.chunk * (uint64_t)m->n_heads;
    w->mass = allocate(rows, sizeof *w->mass, why);
    w->out = allocate(rows * (uint64_t)m->v_head_dim, sizeof *w->out, why);
    w->sums = allocate((uint64_t)m->n_layers * (uint64_t)m->n_heads, sizeof *w->sums, why);
    w->s.watch = watch_mass;
    w->s.watch_context = w;
    return w->mass != NULL && w->out != NULL && w->sums != NULL;
}

static bool read_stream(masses *w, const figure_input *in, int64_t n, failure *why) {
    progress bar;
    progress_begin(&bar, "sink mass");
    for (int64_t at = 0; at < n; at = w->s.seen) {
        int32_t chunk = (int32_t)(n - at < w->s.chunk ? n - at : w->s.chunk);
        if (stream_feed(&w->s, chunk, in->ids->ids + at, why) != FEED_OK || !w->ok) {
            return false;
        }
        progress_show(&bar, (uint64_t)w->s.seen, (uint64_t)n, "");
    }
    progress_end(&bar);
    return w->count > 0 ||
           fail(why, "%.300s is too short: the sink mass figure needs %d tokens more than the cache holds",
                input_name(in->o), (int)w->s.chunk);
}

static bool draw_masses(masses *w, const figure_input *in, failure *why) {
    const model *m = in->m;
    char note[256];
    const stream_options *c = &in->o->stream;
    for (int64_t i = 0; i < (int64_t)m->n_layers * m->n_heads; i++) {
        w->sums[i] /= (double)w->count;
    }
    svg_map map = {"", w->sums};
    figure_note(in, note, sizeof note, "mean of %lld tokens, cache %d+%d; an even share would be %.2g %%",
                (long long)w->count, (int)c->sinks, (int)c->window, 100.0 * c->sinks / (double)w->room);
    svg_maps figure = {.title = "Share of the attention that the sinks take, in per cent", .note = note};
    figure.maps = &map;
    figure.n_maps = figure.across = 1;
    figure.rows = m->n_layers;
    figure.columns = m->n_heads;
    figure.x_label = "head";
    figure.y_label = "layer";
    figure.unit = "share";
    figure.high = 1.0;
    figure.numbers = true;
    figure_file f;
    if (!figure_begin(&f, in, "sink-mass", why)) {
        return false;
    }
    svg_heat(f.file, &figure);
    return figure_end(&f, why);
}

bool figure_sink_mass(const figure_input *in, failure *why) {
    masses w;
    bool ok = masses_open(&w, in, why) && read_stream(&w, in, tokens_to_feed(in->o, in->ids), why) &&
              draw_masses(&w, in, why);
    free(w.mass);
    free(w.out);
    free(w.sums);
    stream_close(&w.s);
    return ok;
}
