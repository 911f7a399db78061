/*
 * From the user's files and words to token ids.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_INPUT_H
#define STREAM_INPUT_H

#include "options.h"
#include "tokenizer.h"

/* The tokens that --text, --ids or --prompt give, bos in front if it is wanted. t may be NULL: then only ids work. */
bool input_read(const options *o, const model *m, tokenizer *t, id_list *out, failure *why);

#endif
