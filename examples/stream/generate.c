/*
 * Generating: continues a prompt and prints each token as it is chosen.
 *
 * SPDX-License-Identifier: MIT
 */
#include "generate.h"

#include <math.h>
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

typedef struct option_weight {
    float weight;
    int32_t id;
} option_weight;

typedef struct sampler {
    double temperature, top_p;
    uint64_t state;
    option_weight *options; /* (n_vocab) */
} sampler;

/* splitmix64 (Steele, Lea and Flood 2014) */
static double random_share(sampler *s) {
    uint64_t x = s->state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (double)((x ^ x >> 31) >> 11) * 0x1p-53;
}

static int32_t likeliest(const float *logits, int32_t n) {
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    return best;
}

static int by_weight(const void *a, const void *b) {
    const option_weight *x = a, *y = b;
    return x->weight != y->weight ? (x->weight < y->weight) - (x->weight > y->weight)
                                  : (x->id > y->id) - (x->id < y->id);
}

/* Keeps the options of more than 1e-7 of the largest weight, sorted; returns how many, and the sum of all weights. */
static int32_t weigh(sampler *s, const float *logits, int32_t n, double *total) {
    float most = logits[likeliest(logits, n)];
    int32_t kept = 0;
    *total = 0.0;
    for (int32_t i = 0; i < n; i++) {
        float weight = expf((logits[i] - most) / (float)s->temperature);
        *total += (double)weight;
        if (weight > 1e-7f) {
            s->options[kept++] = (option_weight){weight, i};
        }
    }
    qsort(s->options, (size_t)kept, sizeof *s->options, by_weight);
    return kept;
}

static int32_t choose(sampler *s, const float *logits, int32_t n) {
    if (s->temperature <= 0.0) {
        return likeliest(logits, n);
    }
    double total, within = 0.0;
    int32_t kept = weigh(s, logits, n, &total), among = 0;
    while (among < kept && (among == 0 || within < s->top_p * total)) {
        within += (double)s->options[among++].weight;
    }
    if (among == 0) { /* all logits are NaN */
        return likeliest(logits, n);
    }
    double left = random_share(s) * within;
    int32_t i = 0;
    while (i + 1 < among && (left -= (double)s->options[i].weight) >= 0.0) {
        i++;
    }
    return s->options[i].id;
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
        int32_t id = choose(choice, logits, s->m->n_vocab);
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
    sampler choice = {o->temperature, o->top_p, (uint64_t)o->seed, NULL};
    float *logits = allocate((uint64_t)s->m->n_vocab, sizeof *logits, why);
    choice.options = allocate((uint64_t)s->m->n_vocab, sizeof *choice.options, why);
    bool ok = logits != NULL && choice.options != NULL && feed_prompt(s, prompt, why);
    int64_t written = 0;
    double start = now_seconds();
    signal(SIGINT, on_interrupt);
    ok = ok && write_tokens(o, s, t, &choice, logits, &written, why);
    if (!o->quiet) {
        summary(s, written, now_seconds() - start);
    }
    free(logits);
    free(choice.options);
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
