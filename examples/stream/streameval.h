/*
 * StreamEval: can a model recall a number from a given number of lines above, however long the stream is?
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_STREAMEVAL_H
#define STREAM_STREAMEVAL_H

#include "options.h"
#include "tokenizer.h"

/* Runs the task (streameval_task.h) once per distance and prints how many replies were right, per stretch of the
 * stream. With o->print_task it only writes the task, with o->replies_path it scores replies from a file. */
bool streameval(const options *o, const model *m, tokenizer *t, failure *why);

#endif
