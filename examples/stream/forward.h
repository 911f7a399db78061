/*
 * The forward pass: chunks of tokens in, hidden states and logits out, sinkattn as the KV cache.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_FORWARD_H
#define STREAM_FORWARD_H

#include "model.h"

#include <sinkattn.h>

typedef struct stream_options {
    int32_t policy;        /* SA_POLICY_* */
    int32_t sinks, window; /* tokens; a dense cache holds `window` of them */
    int32_t kv_dtype;      /* SA_F32 ... SA_I4 */
    int32_t recent;        /* newest tokens in f16 as well, where kv_dtype is coarser */
    int32_t code_bits;     /* of queries and weights that meet integers: 16 or 8 */
    int32_t position_mode; /* SA_IN_CACHE or SA_IN_STREAM */
    bool zero_sink;        /* softmax with +1: for models that were trained with it */
    int32_t chunk;         /* most tokens that one feed takes */
    int32_t threads;
    /* NULL, or changes the cache's configuration before the cache is made. */
    void (*configure)(void *context, sa_config *config);
    void *configure_context;
    sa_cache *cache; /* NULL, or the cache to use, which stays the caller's; none is made then */
} stream_options;

typedef struct stream {
    const model *m;
    sa_cache *cache;
    bool borrowed; /* the cache is the caller's */
    int32_t chunk;
    /* Activations of a chunk, each (chunk, width); `fed` of them are valid. */
    float *x, *h, *q, *k, *v, *attention, *gate, *up;
    int32_t fed;
    int64_t seen, room;       /* tokens so far, and how many a dense cache can hold; INT64_MAX: it never fills up */
    double attention_seconds; /* spent inside sinkattn since the stream was opened */
    /* NULL, or called in place of sa_append_attend: from s->q, s->k and s->v of `fed` tokens to s->attention. */
    sa_status (*attend)(void *context, int32_t layer);
    void *attend_context;
    /* NULL, or called after each layer's attention, while q, k and v are those of the chunk. */
    void (*watch)(void *context, int32_t layer);
    void *watch_context;
} stream;

/* The cache's configuration for a model; `local` has room for the layers that differ and must live until the cache
 * is made. False if model and options do not go together. */
typedef struct cache_plan {
    sa_config config, local;
    const sa_config **layers; /* (n_layers) or NULL */
    float *sink_logits;       /* (n_heads) or NULL */
} cache_plan;

bool plan_cache(cache_plan *plan, const model *m, const stream_options *options, failure *why);
void plan_free(cache_plan *plan);
/* Whether a layer keeps only the sliding window that it was trained with, since the options ask for more than that. */
bool plan_is_narrow(const model *m, const stream_options *options, int32_t layer);

bool stream_open(stream *s, const model *m, const stream_options *options, failure *why);
void stream_close(stream *s);

/*
 * Runs n tokens, 1 .. chunk, through all layers. Afterwards s->x holds their final states.
 * FEED_FULL: a dense cache has no room for them; nothing has happened.
 */
enum { FEED_OK = 0, FEED_FULL = 1, FEED_FAILED = 2 };
int stream_feed(stream *s, int32_t n, const int32_t *ids, failure *why);

/* Logits of tokens [first, first + n) of the last feed: (n, n_vocab). */
void stream_logits(const stream *s, int32_t first, int32_t n, float *logits);

/* Forgets all tokens. */
void stream_reset(stream *s);

#endif
