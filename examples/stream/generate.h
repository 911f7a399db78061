/*
 * Generating: continues a prompt and prints each token as it is chosen.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_GENERATE_H
#define STREAM_GENERATE_H

#include "options.h"
#include "tokenizer.h"

/* Ends after o->tokens tokens, with the end of a chat's answer, or by Ctrl-C. With t NULL it prints token ids. */
bool generate(const options *o, const model *m, const tokenizer *t, const id_list *prompt, failure *why);

#endif
