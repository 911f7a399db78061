/*
 * Recall: facts in a novel, and the questions about them a given number of tokens later.
 *
 * SPDX-License-Identifier: MIT
 *
 * A trial is a stream of its own: facts, RECALL_APART tokens apart, with text before, between and behind, and the
 * questions, each `distance` tokens behind its fact. A question is the fact again up to its last
 * word. The right answer follows, whatever the model has said, so that all policies read the same stream.
 */
#include "../stream/score.h"
#include "recall.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const places[] = {"harbor", "castle", "garden", "forest", "island", "bridge", "tunnel", "meadow"};
static const char *const things[] = {"apple",  "butter", "candle", "copper",  "dragon", "engine", "falcon", "ginger",
                                     "hammer", "jacket", "ladder", "lantern", "magnet", "mirror", "needle", "onion",
                                     "pencil", "pepper", "piano",  "rabbit",  "ribbon", "saddle", "silver", "violet"};
enum { N_PLACES = sizeof places / sizeof places[0], N_THINGS = sizeof things / sizeof things[0] };

int32_t recall_tokens(const recall *r) { return r->distance + (r->facts + 1) * RECALL_APART; }

/* The index-th fact of a trial, up to its last word, and that word. No two of a trial share a place or a word. */
static void write_fact(int32_t trial, int32_t index, char question[64], char answer[32]) {
    int32_t place = (trial * 3 + index) % N_PLACES, thing = (trial * 7 + index * 5) % N_THINGS;
    snprintf(question, 64, "\n\nThe password of the %s is", places[place]);
    snprintf(answer, 32, " %s", things[thing]);
}

static bool feed(policy_run *run, const int32_t *ids, size_t n, failure *why) {
    for (size_t at = 0; at < n; at += POLICY_CHUNK) {
        size_t left = n - at;
        int result = stream_feed(&run->s, (int32_t)(left < POLICY_CHUNK ? left : POLICY_CHUNK), ids + at, why);
        if (result != FEED_OK) {
            return result == FEED_FAILED ? false : fail(why, "%s: the cache is full", run->policy->name);
        }
    }
    return true;
}

static bool encode(const recall *r, const char *words, id_list *out, failure *why) {
    out->n = 0;
    return tokenizer_encode(r->t, words, strlen(words), false, out, why);
}

static int32_t likeliest(const float *logits, int32_t n) {
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    return best;
}

/* The answer, token by token: each is compared with what the model says before it is fed. */
static bool score_answer(recall *r, policy_run *run, const id_list *answer, float *logits, failure *why) {
    bool right = true;
    for (size_t i = 0; i < answer->n; i++) {
        double nats;
        score_tokens(&run->s, run->s.fed - 1, 1, answer->ids + i, logits, &nats);
        right = right && likeliest(logits, run->m->n_vocab) == answer->ids[i];
        r->said.nats += nats;
        r->said.n++;
        if (!feed(run, answer->ids + i, 1, why)) {
            return false;
        }
    }
    r->asked++;
    r->right += right;
    return true;
}

typedef struct room {
    id_list question, answer;
    float *logits;
} room;

/* Text from *at on until the stream has `until` tokens. */
static bool feed_text(const recall *r, policy_run *run, size_t *at, int64_t until, failure *why) {
    size_t n = until > run->s.seen ? (size_t)(until - run->s.seen) : 0;
    const int32_t *ids = r->text->ids + *at;
    *at += n;
    return feed(run, ids, n, why);
}

/* The index-th fact where it first stands, or where it is asked for. */
static bool run_fact(recall *r, policy_run *run, int32_t trial, int32_t index, bool asks, room *room, failure *why) {
    char question[64], answer[32];
    write_fact(trial, index, question, answer);
    if (!encode(r, question, &room->question, why) || !encode(r, answer, &room->answer, why) ||
        !feed(run, room->question.ids, room->question.n, why)) {
        return false;
    }
    return asks ? score_answer(r, run, &room->answer, room->logits, why)
                : feed(run, room->answer.ids, room->answer.n, why);
}

static bool run_trial(recall *r, policy_run *run, int32_t trial, room *room, failure *why) {
    size_t need = (size_t)recall_tokens(r), at = (size_t)trial * need % (r->text->n - need);
    for (int32_t told = 0, asked = 0; asked < r->facts;) {
        int64_t tell_at = (int64_t)RECALL_APART * (told + 1);
        int64_t ask_at = (int64_t)RECALL_APART * (asked + 1) + r->distance;
        bool asks = told == r->facts || ask_at < tell_at;
        if (!feed_text(r, run, &at, asks ? ask_at : tell_at, why) ||
            !run_fact(r, run, trial, asks ? asked++ : told++, asks, room, why)) {
            return false;
        }
    }
    return true;
}

bool recall_run(recall *r, policy_run *run, failure *why) {
    room room = {.logits = score_room(run->m, why)};
    bool ok = room.logits != NULL;
    for (int32_t trial = 0; ok && trial < r->trials; trial++) {
        stream_reset(&run->s);
        if (run->policy->reset != NULL) {
            run->policy->reset(run);
        }
        ok = run_trial(r, run, trial, &room, why);
    }
    free(room.logits);
    free(room.question.ids);
    free(room.answer.ids);
    return ok;
}
