/*
 * One turn of a chat: the question through the model, the answer written as it comes.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_CHAT_ANSWER_H
#define STREAM_CHAT_ANSWER_H

#include "chat_branches.h"
#include "chatml.h"
#include "sampler.h"

/* All that a chat consists of. */
typedef struct chat_state {
    const options *o;
    tokenizer *t;
    chatml form;
    stream s; /* its cache is the present branch's */
    sampler choice;
    float *logits; /* (n_vocab) */
    branches b;
} chat_state;

/* Runs tokens through the model, into the present branch. False: some may have been, and `why` says what happened; it
 * is "stopped" after Ctrl-C. */
bool chat_feed(chat_state *c, const id_list *ids, failure *why);

/* Asks, writes the answer, notes the turn, and shows the status line. On false there is no such turn. */
bool chat_ask(chat_state *c, const char *question, failure *why);

/* Takes the newest turn back, and says how. */
bool chat_undo(chat_state *c, failure *why);

/* "seen 350, held 350, ..." */
void chat_status(const chat_state *c, int64_t written, double seconds);

#endif
