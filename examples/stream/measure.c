/*
 * Perplexity over a stream of any length, fed in chunks; time and memory along the way.
 *
 * SPDX-License-Identifier: MIT
 */
#include "measure.h"

#include "input.h"
#include "score.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROBE_TOKENS = 32 }; /* fed one by one at each timing; the median is reported */

typedef struct probe {
    int64_t at;
    double token_ms, attention_ms; /* medians; 0: not reached */
    uint64_t resident;
} probe;

typedef struct run {
    const options *o;
    const id_list *ids;
    stream s;
    float *room;
    double *nats; /* (chunk) */
    int64_t n, at, every, next_sample;
    tally all, filling, full, stretch, sampled;
    double stretch_started, busy_seconds;
    probe probes[2];
    FILE *csv;
    progress bar;
} run;

int64_t tokens_to_feed(const options *o, const id_list *ids) {
    int64_t n = (int64_t)ids->n - 1;
    return o->tokens > 0 && o->tokens < n ? o->tokens : n;
}

int64_t capacity_of(const options *o) {
    if (o->split > 0) {
        return o->split;
    }
    return (int64_t)o->stream.window + (o->stream.policy == SA_POLICY_SINK_WINDOW ? o->stream.sinks : 0);
}

int64_t sample_position(const options *o, int64_t n_tokens, int64_t index) {
    int64_t first = capacity_of(o);
    return first >= n_tokens ? n_tokens
                             : first + (int64_t)((double)(n_tokens - first) * (double)index / (double)o->samples);
}

const char *kv_name(int32_t dtype) {
    static const char *const names[] = {"", "f32", "f16", "bf16", "int8", "int4"};
    return names[dtype];
}

void describe_policy(const options *o, char *line, size_t size) {
    const stream_options *c = &o->stream;
    const char *kv = kv_name(c->kv_dtype);
    switch (c->policy) {
    case SA_POLICY_SINK_WINDOW:
        snprintf(line, size, "sink %d+%d, positions in the %s, %s", c->sinks, c->window,
                 c->position_mode == SA_IN_CACHE ? "cache" : "stream", kv);
        break;
    case SA_POLICY_WINDOW:
        snprintf(line, size, "window 0+%d, %s", c->window, kv);
        break;
    case SA_POLICY_DENSE:
        snprintf(line, size, "dense, room for %d, %s", c->window, kv);
        break;
    default:
        snprintf(line, size, "recompute %d, %s", c->window, kv);
    }
}

static void add(tally *t, double nats) {
    t->nats += nats;
    t->n++;
}

/* Feeds n tokens and adds the negative log likelihoods of the tokens that follow them to the tallies. */
static int feed(run *r, int32_t n, failure *why) {
    const int32_t *ids = r->ids->ids + r->at;
    double start = now_seconds();
    int result = stream_feed(&r->s, n, ids, why);
    if (result != FEED_OK) {
        return result;
    }
    score_tokens(&r->s, 0, n, ids + 1, r->room, r->nats);
    r->busy_seconds += now_seconds() - start;
    for (int32_t i = 0; i < n; i++, r->at++) {
        add(&r->all, r->nats[i]);
        add(&r->stretch, r->nats[i]);
        add(r->at < capacity_of(r->o) ? &r->filling : &r->full, r->nats[i]);
        if (r->next_sample < r->o->samples && r->at == sample_position(r->o, r->n, r->next_sample)) {
            add(&r->sampled, r->nats[i]);
            r->next_sample++;
        }
    }
    return FEED_OK;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double median(double *x, int n) {
    qsort(x, (size_t)n, sizeof *x, by_size);
    return n == 0 ? 0.0 : n % 2 != 0 ? x[n / 2] : 0.5 * (x[n / 2 - 1] + x[n / 2]);
}

/* Feeds tokens one by one and times each, as a program that generates would see them at this place of the stream. */
static int run_probe(run *r, probe *p, failure *why) {
    double total[PROBE_TOKENS], attention[PROBE_TOKENS];
    int n = 0, result = FEED_OK;
    while (n < PROBE_TOKENS && r->at < r->n && result == FEED_OK) {
        double start = now_seconds(), inside = r->s.attention_seconds;
        result = feed(r, 1, why);
        if (result == FEED_OK) {
            total[n] = 1e3 * (now_seconds() - start);
            attention[n++] = 1e3 * (r->s.attention_seconds - inside);
        }
    }
    p->token_ms = median(total, n);
    p->attention_ms = median(attention, n);
    p->resident = resident_bytes();
    return result;
}

static void end_stretch(run *r) {
    double ms = 1e3 * r->busy_seconds / (double)(r->stretch.n > 0 ? r->stretch.n : 1);
    double here = perplexity_of(&r->stretch), so_far = perplexity_of(&r->all);
    uint64_t resident = resident_bytes();
    if (r->o->on_stretch != NULL) {
        r->o->on_stretch(r->o->stretch_context, &(stretch){r->at, here, resident});
    }
    if (!r->o->quiet) {
        progress_end(&r->bar);
        printf("%12lld %12.3f %12.3f %10.2f %12.1f\n", (long long)r->at, here, so_far, ms,
               (double)resident / 1048576.0);
        fflush(stdout);
    }
    if (r->csv != NULL) {
        fprintf(r->csv, "%lld,%.6f,%.6f,%.4f,%llu\n", (long long)r->at, here, so_far, ms, (unsigned long long)resident);
        fflush(r->csv);
    }
    r->stretch = (tally){0, 0};
    r->busy_seconds = 0.0;
}

/* Tokens of the next chunk: it ends where a line of the report or a timing is due. */
static int32_t next_chunk(const run *r) {
    int64_t n = r->s.chunk, to_line = r->every - r->at % r->every;
    n = n < to_line ? n : to_line;
    n = n < r->n - r->at ? n : r->n - r->at;
    for (int i = 0; i < 2; i++) {
        int64_t to_probe = r->probes[i].at - r->at;
        n = to_probe > 0 && to_probe < n ? to_probe : n;
    }
    return (int32_t)n;
}

/* A dense cache is fed what still fits before the feed that fails, so that it stops exactly where it is full. */
static int step(run *r, failure *why) {
    for (int i = 0; i < 2; i++) {
        if (r->at == r->probes[i].at && r->probes[i].token_ms <= 0.0) {
            return run_probe(r, &r->probes[i], why);
        }
    }
    int64_t left = r->s.room - r->s.seen;
    int32_t n = next_chunk(r);
    return feed(r, left > 0 && left < n ? (int32_t)left : n, why);
}

static int feed_all(run *r, failure *why) {
    progress_begin(&r->bar, r->o->label);
    while (r->at < r->n) {
        int64_t line = r->at / r->every;
        int result = step(r, why);
        if (r->at / r->every != line || (r->at == r->n && r->stretch.n > 0)) {
            end_stretch(r);
        }
        if (result != FEED_OK) {
            progress_end(&r->bar);
            return result;
        }
        char note[64];
        snprintf(note, sizeof note, "ppl %.3f", perplexity_of(&r->all));
        progress_show(&r->bar, (uint64_t)r->at, (uint64_t)r->n, note);
    }
    progress_end(&r->bar);
    return FEED_OK;
}

static void print_probe(const probe *p) {
    if (p->token_ms > 0.0) {
        printf("at token %lld: %.2f ms per single token, of which sinkattn %.2f ms; resident %.1f MiB\n",
               (long long)p->at, p->token_ms, p->attention_ms, (double)p->resident / 1048576.0);
    }
}

static void print_result(const run *r) {
    sa_cache_facts info = {.struct_size = sizeof info};
    printf("perplexity %.4f over %lld tokens", perplexity_of(&r->all), (long long)r->all.n);
    if (r->full.n > 0) {
        printf("; %.4f while the cache filled, %.4f after", perplexity_of(&r->filling), perplexity_of(&r->full));
    }
    printf("\n");
    if (r->sampled.n > 0) {
        printf("at %lld sample positions: perplexity %.4f\n", (long long)r->sampled.n, perplexity_of(&r->sampled));
    }
    print_probe(&r->probes[0]);
    print_probe(&r->probes[1]);
    if (sa_cache_info(r->s.cache, 0, &info) == SA_SUCCESS) {
        printf("cache %.1f MiB, made once; sinkattn %s on %s, matmuls on %s, %d threads\n",
               (double)info.cache_size / 1048576.0, sa_version_string(), sa_isa_name(info.isa), matmul_isa(),
               (int)r->o->stream.threads);
    }
}

bool open_csv(const options *o, const char *header, FILE **csv, failure *why) {
    *csv = o->csv_path != NULL && !o->quiet ? fopen(o->csv_path, "w") : NULL;
    if (*csv != NULL) {
        fprintf(*csv, "%s\n", header);
        return true;
    }
    return o->csv_path == NULL || o->quiet || fail(why, "cannot write %.200s: %s", o->csv_path, strerror(errno));
}

bool close_csv(const options *o, FILE *csv, bool ok, failure *why) {
    if (csv == NULL) {
        return ok;
    }
    bool whole = ferror(csv) == 0;
    whole = fclose(csv) == 0 && whole;
    return ok && (whole || fail(why, "cannot write all of %.300s: %s", o->csv_path, strerror(errno)));
}

static int measure(run *r, failure *why) {
    r->room = score_room(r->s.m, why);
    r->nats = allocate((uint64_t)r->s.chunk, sizeof *r->nats, why);
    if (r->room == NULL || r->nats == NULL ||
        !open_csv(r->o, "tokens,ppl_stretch,ppl_so_far,ms_per_token,resident_bytes", &r->csv, why)) {
        return MEASURE_FAILED;
    }
    char policy[96];
    describe_policy(r->o, policy, sizeof policy);
    if (!r->o->quiet) {
        printf("%s\n%12s %12s %12s %10s %12s\n", policy, "tokens", "ppl, stretch", "ppl, so far", "ms/token",
               "resident MiB");
        fflush(stdout);
    }
    int result = feed_all(r, why);
    if (result == FEED_FAILED) {
        return MEASURE_FAILED;
    }
    if (!r->o->quiet) {
        print_result(r);
    }
    if (result == FEED_FULL) {
        fail(why,
             "the dense cache is full at token %lld. A larger --window holds more tokens; --policy sink never fills "
             "up",
             (long long)r->at);
        return MEASURE_FULL;
    }
    return MEASURE_OK;
}

/* Reports the last layer: where some layers have a sliding window of their own, that one mostly has not. */
static measurement result_of(const run *r) {
    sa_cache_facts info = {.struct_size = sizeof info};
    sa_cache_info(r->s.cache, r->s.m->n_layers - 1, &info);
    return (measurement){perplexity_of(&r->all),     perplexity_of(&r->filling), perplexity_of(&r->full),
                         perplexity_of(&r->sampled), r->probes[1].token_ms,      info.cache_size,
                         info.positions_held};
}

int measure_stream(const options *o, const model *m, const id_list *ids, measurement *out, failure *why) {
    run r = {.o = o, .ids = ids, .n = tokens_to_feed(o, ids)};
    if (r.n < 1) {
        fail(why, "%.300s has %zu tokens; a perplexity needs two at least", input_name(o), ids->n);
        return MEASURE_FAILED;
    }
    r.every = o->every > 0 ? o->every : r.n / 10 > 0 ? r.n / 10 : 1;
    r.probes[0].at = o->probe;
    r.probes[1].at = r.n - PROBE_TOKENS;
    if (!stream_open(&r.s, m, &o->stream, why)) {
        return MEASURE_FAILED;
    }
    int result = measure(&r, why);
    *out = result_of(&r);
    if (!close_csv(o, r.csv, result == MEASURE_OK, why) && result == MEASURE_OK) {
        result = MEASURE_FAILED;
    }
    free(r.room);
    free(r.nats);
    stream_close(&r.s);
    return result;
}
