/*
 * Generating: continues a prompt and prints each token as it is chosen.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_GENERATE_H
#define STREAM_GENERATE_H

#include "options.h"
#include "tokenizer.h"

/* Ends when o->tokens are generated, a chat's answer has ended, or the user interrupts. With t NULL, ids are printed. */
bool generate(const options *o, const model *m, const tokenizer *t, const id_list *prompt, failure *why);

#endif
