/*
 * Re-computation, the baseline: for each token the whole window is processed again, and no cache is kept.
 *
 * SPDX-License-Identifier: MIT
 *
 * A token then sees a text that begins at the window's first token, as in training. Each
 * token costs a whole window, so it is measured at sample positions only.
 */
#include "measure.h"

#include "input.h"
#include "score.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int process_window(stream *s, const id_list *ids, int64_t at, int32_t window, float *room, double *nats,
                          failure *why) {
    int64_t first = at + 1 > window ? at + 1 - window : 0;
    stream_reset(s);
    while (first <= at) {
        int32_t n = (int32_t)(at + 1 - first < s->chunk ? at + 1 - first : s->chunk);
        int result = stream_feed(s, n, ids->ids + first, why);
        if (result != FEED_OK) {
            return result;
        }
        first += n;
    }
    score_tokens(s, s->fed - 1, 1, ids->ids + at + 1, room, nats);
    return FEED_OK;
}

/* Reports a stretch if sample `index` is its last one. */
static void end_stretch(const options *o, int64_t n, int64_t index, tally *here) {
    int64_t end = (sample_position(o, n, index) / o->every + 1) * o->every;
    bool last = index + 1 == o->samples || sample_position(o, n, index + 1) >= end;
    if (last && o->on_stretch != NULL) {
        o->on_stretch(o->stretch_context, &(stretch){end < n ? end : n, perplexity_of(here), resident_bytes()});
        *here = (tally){0, 0};
    }
}

static int sample(const options *o, stream *s, const id_list *ids, int64_t n, tally *sum, failure *why) {
    float *room = score_room(s->m, why);
    tally here = {0, 0};
    progress bar;
    progress_begin(&bar, o->quiet ? o->label : "recompute");
    int result = room == NULL ? FEED_FAILED : FEED_OK;
    for (int64_t i = 0; i < o->samples && result == FEED_OK; i++) {
        double nats = 0.0;
        char note[64];
        result = process_window(s, ids, sample_position(o, n, i), o->stream.window, room, &nats, why);
        sum->nats += nats;
        sum->n++;
        here.nats += nats;
        here.n++;
        if (o->every > 0) {
            end_stretch(o, n, i, &here);
        }
        snprintf(note, sizeof note, "ppl %.3f", perplexity_of(sum));
        progress_show(&bar, (uint64_t)i + 1, (uint64_t)o->samples, note);
    }
    progress_end(&bar);
    free(room);
    return result;
}

/* Until the window is full, re-computation gives the result of a dense cache, which is measured instead. */
static int before_full(const options *o, const model *m, const id_list *ids, double *ppl, failure *why) {
    options first = *o;
    measurement found;
    first.stream.policy = SA_POLICY_DENSE;
    first.tokens = first.split = o->stream.window;
    first.quiet = true;
    int result = measure_stream(&first, m, ids, &found, why);
    *ppl = found.ppl_before;
    return result;
}

int measure_recompute(const options *o, const model *m, const id_list *ids, measurement *out, failure *why) {
    int64_t n = tokens_to_feed(o, ids);
    if (n <= capacity_of(o)) {
        fail(why, "%.300s has %lld tokens; recompute needs more than its window of %d", input_name(o), (long long)n,
             (int)o->stream.window);
        return MEASURE_FAILED;
    }
    stream s;
    stream_options dense = o->stream;
    dense.policy = SA_POLICY_DENSE;
    if (before_full(o, m, ids, &out->ppl_before, why) != MEASURE_OK || !stream_open(&s, m, &dense, why)) {
        return MEASURE_FAILED;
    }
    tally sum = {0, 0};
    double start = now_seconds();
    int result = sample(o, &s, ids, n, &sum, why);
    out->token_ms = 1e3 * (now_seconds() - start) / (double)o->samples;
    sa_cache_facts info = {.struct_size = sizeof info};
    sa_cache_info(s.cache, m->n_layers - 1, &info);
    out->cache_bytes = info.cache_size; /* while a window is processed; between two tokens nothing is kept */
    out->tokens_held = (uint64_t)o->stream.window;
    out->ppl_after = out->ppl_sampled = perplexity_of(&sum);
    stream_close(&s);
    if (result != FEED_OK) {
        return MEASURE_FAILED;
    }
    if (!o->quiet) {
        char policy[96];
        describe_policy(o, policy, sizeof policy);
        printf("%s\nat %lld sample positions: perplexity %.4f\n%.2f ms per token\n", policy, (long long)sum.n,
               out->ppl_sampled, out->token_ms);
    }
    return MEASURE_OK;
}

int measure_text(const options *o, const model *m, const id_list *ids, measurement *out, failure *why) {
    *out = (measurement){.ppl_all = (double)NAN};
    return o->stream.policy == POLICY_RECOMPUTE ? measure_recompute(o, m, ids, out, why)
                                                : measure_stream(o, m, ids, out, why);
}
