/*
 * The task of StreamEval: lines that each hold a number, and regular questions about an earlier line.
 *
 * SPDX-License-Identifier: MIT
 *
 * As in the paper (section 4.4; its authors did not publish the code): a stream without
 * end in which the answer always stands the same number of lines above its question.
 * Every line is a function of the seed and its index, so that no line has to be stored.
 */
#ifndef STREAM_STREAMEVAL_TASK_H
#define STREAM_STREAMEVAL_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct recall_task {
    uint64_t seed;
    int64_t lines, ask_every, distance;
} recall_task;

enum { TASK_TEXT = 96 }; /* bytes that hold any line or question, its end included */

/* The number of a line: four digits. */
int32_t task_number(const recall_task *task, int64_t line);

/* The line that is asked for behind `line`; -1: no question follows. */
int64_t task_asks(const recall_task *task, int64_t line);

/* How many questions lines [0, lines) bring. */
int64_t task_questions(const recall_task *task);

/* The line with its number and line end, and the question up to where a reply begins. */
void task_line(const recall_task *task, int64_t line, char out[TASK_TEXT]);
void task_question(const recall_task *task, int64_t asked, char out[TASK_TEXT]);

/* What follows a reply in the stream. */
extern const char task_reply_end[];

/* Whether the first number in a reply is the one of that line. */
bool task_is_right(const recall_task *task, int64_t asked, const char *reply, size_t size);

#endif
