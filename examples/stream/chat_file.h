/*
 * A chat as a file: the list of its turns, and a snapshot of its sequence.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_CHAT_FILE_H
#define STREAM_CHAT_FILE_H

#include "chat_answer.h"

/* Writes the present branch. A file of that name is replaced once the new one is whole. */
bool chat_save(chat_state *c, const char *path, uint64_t *bytes, failure *why);
/* Replaces the present branch by the one in a file, which may be damaged. On false nothing has changed. */
bool chat_load(chat_state *c, const char *path, failure *why);

#endif
