/*
 * A chat with an instruct model in a terminal: a pinned system prompt, and turns that can be taken away again.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_CHAT_H
#define STREAM_CHAT_H

#include "options.h"
#include "tokenizer.h"

/* Reads questions and commands from stdin until it ends. False if the chat cannot begin: later failures are told to the
 * user, and the chat goes on. */
bool chat(const options *o, const model *m, tokenizer *t, failure *why);

#endif
