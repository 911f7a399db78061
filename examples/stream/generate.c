/*
 * Generating: continues a prompt and prints each token as it is chosen.
 *
 * SPDX-License-Identifier: MIT
 */
#include "generate.h"

#include "sampler.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ctrl-C ends the text, and the summary is still printed. A second one ends the program. */
static volatile sig_atomic_t interrupted;

static void on_interrupt(int number) {
    interrupted = 1;
    signal(number, SIG_DFL);
}

static void print_token(const options *o, const tokenizer *t, int32_t id) {
    if (t == NULL || o->show_ids) {
        printf("%d ", (int)id);
    } else {
        text piece = tokenizer_text(t, id);
        fwrite(piece.data, 1, piece.size, stdout);
    }
    fflush(stdout);
}

static bool feed(stream *s, int32_t n, const int32_t *ids, failure *why) {
    int result = stream_feed(s, n, ids, why);
    if (result == FEED_FULL) {
        return fail(why,
                    "the dense cache is full after %lld tokens. A larger --window holds more tokens; --policy sink "
                    "never fills up",
                    (long long)s->seen);
    }
    return result == FEED_OK;
}

static bool feed_prompt(stream *s, const id_list *prompt, failure *why) {
    for (size_t at = 0; at < prompt->n;) {
        int32_t n = (int32_t)(prompt->n - at < (size_t)s->chunk ? prompt->n - at : (size_t)s->chunk);
        if (!feed(s, n, prompt->ids + at, why)) {
            return false;
        }
        at += (size_t)n;
    }
    return true;
}

static bool write_tokens(const options *o, stream *s, const tokenizer *t, sampler *choice, float *logits,
                         int64_t *written, failure *why) {
    int32_t end = t != NULL && o->chat ? tokenizer_about(t).eos : -1;
    while ((o->tokens == 0 || *written < o->tokens) && !interrupted) {
        stream_logits(s, s->fed - 1, 1, logits);
        int32_t id = sampler_choose(choice, logits);
        if (id == end) {
            break;
        }
        print_token(o, t, id);
        ++*written;
        if (!feed(s, 1, &id, why)) {
            return false;
        }
    }
    return true;
}

static void summary(const stream *s, int64_t written, double seconds) {
    sa_cache_facts info = {.struct_size = sizeof info};
    if (sa_cache_info(s->cache, 0, &info) == SA_SUCCESS) {
        fprintf(stderr,
                "\n%lld tokens in %.1f s, %.2f ms each; stream %llu tokens, cache %.1f MiB, resident %.1f MiB\n",
                (long long)written, seconds, 1e3 * seconds / (double)(written > 0 ? written : 1),
                (unsigned long long)info.tokens_seen, (double)info.cache_size / 1048576.0,
                (double)resident_bytes() / 1048576.0);
    }
}

static bool run(const options *o, stream *s, const tokenizer *t, const id_list *prompt, failure *why) {
    sampler choice;
    float *logits = allocate((uint64_t)s->m->n_vocab, sizeof *logits, why);
    bool ok = sampler_open(&choice, o, s->m->n_vocab, why) && logits != NULL && feed_prompt(s, prompt, why);
    int64_t written = 0;
    double start = now_seconds();
    signal(SIGINT, on_interrupt);
    ok = ok && write_tokens(o, s, t, &choice, logits, &written, why);
    if (!o->quiet) {
        summary(s, written, now_seconds() - start);
    }
    free(logits);
    sampler_close(&choice);
    return ok;
}

bool generate(const options *o, const model *m, const tokenizer *t, const id_list *prompt, failure *why) {
    stream s;
    if (prompt->n == 0) {
        return fail(why, "the prompt is empty");
    }
    if (!stream_open(&s, m, &o->stream, why)) {
        return false;
    }
    for (size_t i = 0; !o->chat && !o->quiet && i < prompt->n; i++) {
        print_token(o, t, prompt->ids[i]);
    }
    bool ok = run(o, &s, t, prompt, why);
    stream_close(&s);
    return ok;
}
