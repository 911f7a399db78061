/*
 * Writing on: a prompt in, tokens out as they come.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_GENERATE_H
#define STREAM_GENERATE_H

#include "options.h"
#include "tokenizer.h"

/* Until o->tokens are written, a chat's answer has ended, or the user interrupts. t may be NULL: ids are printed. */
bool generate(const options *o, const model *m, const tokenizer *t, const id_list *prompt, failure *why);

#endif
