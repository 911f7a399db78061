/*
 * Choosing a token from its logits: the likeliest, or one drawn by temperature and share.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_SAMPLER_H
#define STREAM_SAMPLER_H

#include "options.h"

#define SAMPLER_STEP UINT64_C(0x9e3779b97f4a7c15)

typedef struct sampler {
    double temperature, top_p;
    uint64_t state;
    int32_t n_vocab;
    struct option_weight *options; /* (n_vocab) */
} sampler;

/* Takes --temperature, --top-p and --seed. Closing is allowed also if it failed. */
bool sampler_open(sampler *s, const options *o, int32_t n_vocab, failure *why);
void sampler_close(sampler *s);

/* The draw for the next token depends on the seed and its place alone; the ones after it are those of the places after
 * that. With temperature 0 nothing is drawn. */
void sampler_seek(sampler *s, int64_t seed, int64_t place);

/* The token for these logits (n_vocab). */
int32_t sampler_choose(sampler *s, const float *logits);

#endif
