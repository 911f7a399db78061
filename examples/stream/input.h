/*
 * From the texts, prompts and id files of the command line to token ids.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_INPUT_H
#define STREAM_INPUT_H

#include "options.h"
#include "tokenizer.h"

/* The model's tokenizer, or NULL where its file has none. With --ids one that cannot be read is no failure either,
 * since no text has to be encoded; that is said on stderr. */
bool input_tokenizer(const options *o, const model *m, tokenizer **t, failure *why);

/* What the text is called in messages: its path, or "the prompt". */
const char *input_name(const options *o);

/* The tokens of --text, --ids or --prompt, behind the bos token if that is wanted. With t NULL only --ids works. */
bool input_read(const options *o, const model *m, tokenizer *t, id_list *out, failure *why);

#endif
