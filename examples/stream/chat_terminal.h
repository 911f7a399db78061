/*
 * The terminal of a chat: lines in, styles out, and Ctrl-C, which stops an answer and not the program.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_CHAT_TERMINAL_H
#define STREAM_CHAT_TERMINAL_H

#include "gguf.h"
#include "support.h"

#include <stdio.h>

/* Finds out what is a terminal, and takes Ctrl-C. Where neither input nor output is one, nothing is coloured and no
 * prompt is shown. */
void terminal_open(void);

/* Whether Ctrl-C was pressed since this was last asked. */
bool terminal_interrupted(void);

enum { LINE_READ, LINE_INTERRUPTED, LINE_END, LINE_FAILED };
/* Shows the prompt and reads a line; one that ends with a backslash goes on in the next. *line is the caller's to free
 * if LINE_READ is returned. */
int terminal_read(const char *prompt, char **line, failure *why);

/* Writes bytes of an answer at once. On a terminal, control characters other than line breaks and tabs are left out:
 * what a model writes must not move the cursor or set the window's title. */
void terminal_answer(text bytes);

/* Lines beside the answer, to stderr: what was done, and what went wrong. */
void terminal_note(const char *format, ...) PRINTF_LIKE(1, 2);
void terminal_complain(const failure *why);

#endif
