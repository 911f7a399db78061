/*
 * The stream example's model as a few functions for a host in JavaScript: bytes of a model in, logits out.
 *
 * SPDX-License-Identifier: MIT
 */
#include <sinkattn.h>
#include <stdlib.h>
#include <string.h>

#include "../../stream/forward.h"
#include "../../stream/tokenizer.h"

typedef struct writer {
    failure why; /* text is "" as long as all is well */
    model m;
    tokenizer *t;
    stream s;
    id_list prompt;
    float *logits; /* (n_vocab) */
} writer;

void writer_close(writer *w) {
    free(w->logits);
    free(w->prompt.ids);
    stream_close(&w->s);
    tokenizer_close(w->t);
    model_close(&w->m);
    free(w);
}

static bool writer_begin(writer *w, uint8_t *bytes, size_t n_bytes, int32_t sinks, int32_t window) {
    stream_options options = {.policy = SA_POLICY_SINK_WINDOW,
                              .sinks = sinks,
                              .window = window,
                              .kv_dtype = SA_F32,
                              .chunk = 1,
                              .threads = 1};
    if (!model_from_bytes(&w->m, bytes, n_bytes, &w->why) || !stream_open(&w->s, &w->m, &options, &w->why)) {
        return false;
    }
    w->logits = allocate((uint64_t)w->m.n_vocab, sizeof *w->logits, &w->why);
    w->t = tokenizer_open(&w->m.file, &w->why);
    return w->logits != NULL && w->t != NULL;
}

/* Takes the bytes over, which must have come from malloc. Look at writer_why before anything else. NULL: no memory. */
writer *writer_open(uint8_t *bytes, size_t n_bytes, int32_t sinks, int32_t window) {
    writer *w = calloc(1, sizeof *w);
    if (w == NULL) {
        free(bytes);
    } else if (writer_begin(w, bytes, n_bytes, sinks, window)) {
        w->why.text[0] = '\0';
    }
    return w;
}

const char *writer_why(const writer *w) { return w->why.text; }
sa_cache *writer_cache(const writer *w) { return w->s.cache; }
int32_t writer_vocabulary(const writer *w) { return w->m.n_vocab; }
int32_t writer_head_dim(const writer *w) { return w->m.head_dim; }
int32_t writer_heads(const writer *w) { return w->m.n_heads; }
int32_t writer_kv_heads(const writer *w) { return w->m.n_kv_heads; }
int32_t writer_layers(const writer *w) { return w->m.n_layers; }

/* How many tokens a text is, behind the one that the model expects in front; writer_prompt has them. -1: see
 * writer_why. */
int32_t writer_encode(writer *w, const char *text, size_t size) {
    tokenizer_facts facts = tokenizer_about(w->t);
    w->prompt.n = 0;
    bool begun = !facts.add_bos || id_list_add(&w->prompt, facts.bos, &w->why);
    return begun && tokenizer_encode(w->t, text, size, false, &w->prompt, &w->why) ? (int32_t)w->prompt.n : -1;
}

const int32_t *writer_prompt(const writer *w) { return w->prompt.ids; }

/* The logits after one more token; NULL: see writer_why. */
const float *writer_feed(writer *w, int32_t id) {
    if (stream_feed(&w->s, 1, &id, &w->why) != FEED_OK) {
        return NULL;
    }
    stream_logits(&w->s, 0, 1, w->logits);
    return w->logits;
}

/* The bytes that a token stands for; how many, and with `data`, where they are. */
int32_t writer_text(const writer *w, int32_t id, const char **data) {
    text piece = tokenizer_text(w->t, id);
    *data = piece.data;
    return (int32_t)piece.size;
}
