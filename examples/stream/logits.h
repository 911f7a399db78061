/*
 * The logits of every position as a file, for comparing with other engines.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_LOGITS_H
#define STREAM_LOGITS_H

#include "options.h"
#include "tokenizer.h"

/* Writes the token ids to FILE.ids, as text, and the logits after each to FILE: floats, (tokens, n_vocab). */
bool write_logits(const options *o, const model *m, const id_list *ids, failure *why);

#endif
