/*
 * Choosing a token from its logits: the likeliest, or one drawn by temperature and share.
 *
 * SPDX-License-Identifier: MIT
 */
#include "sampler.h"

#include <math.h>
#include <stdlib.h>

struct option_weight {
    float weight;
    int32_t id;
};

bool sampler_open(sampler *s, const options *o, int32_t n_vocab, failure *why) {
    *s = (sampler){.temperature = o->temperature, .top_p = o->top_p, .state = (uint64_t)o->seed, .n_vocab = n_vocab};
    s->options = allocate((uint64_t)n_vocab, sizeof *s->options, why);
    return s->options != NULL;
}

void sampler_close(sampler *s) { free(s->options); }

void sampler_seek(sampler *s, int64_t seed, int64_t place) {
    s->state = (uint64_t)seed + (uint64_t)place * SAMPLER_STEP;
}

/* splitmix64 (Steele, Lea and Flood 2014) */
static double random_share(sampler *s) {
    uint64_t x = s->state += SAMPLER_STEP;
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
    const struct option_weight *x = a, *y = b;
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
            s->options[kept++] = (struct option_weight){weight, i};
        }
    }
    qsort(s->options, (size_t)kept, sizeof *s->options, by_weight);
    return kept;
}

int32_t sampler_choose(sampler *s, const float *logits) {
    int32_t n = s->n_vocab;
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
