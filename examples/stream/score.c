/*
 * The negative log likelihood of the tokens that came.
 *
 * SPDX-License-Identifier: MIT
 */
#include "score.h"

#include <math.h>

double perplexity_of(const tally *t) { return t->n == 0 ? (double)NAN : exp(t->nats / (double)t->n); }

float *score_room(const model *m, failure *why) {
    return allocate(SCORE_BATCH, (size_t)m->n_vocab * sizeof(float), why);
}

typedef struct scoring {
    const float *logits;
    const int32_t *targets;
    double *nats;
    int32_t n_vocab;
} scoring;

static void score_task(void *context, int32_t token) {
    const scoring *job = context;
    const float *logits = job->logits + (int64_t)token * job->n_vocab;
    float most = logits[0];
    for (int32_t i = 1; i < job->n_vocab; i++) {
        most = logits[i] > most ? logits[i] : most;
    }
    double sum = 0.0;
    for (int32_t i = 0; i < job->n_vocab; i++) {
        sum += (double)expf(logits[i] - most);
    }
    job->nats[token] = log(sum) + (double)most - (double)logits[job->targets[token]];
}

void score_tokens(const stream *s, int32_t first, int32_t n, const int32_t *targets, float *room, double *nats) {
    for (int32_t done = 0; done < n; done += SCORE_BATCH) {
        int32_t batch = n - done < SCORE_BATCH ? n - done : SCORE_BATCH;
        scoring job = {room, targets + done, nats + done, s->m->n_vocab};
        stream_logits(s, first + done, batch, room);
        run_parallel(NULL, batch, score_task, &job);
    }
}
