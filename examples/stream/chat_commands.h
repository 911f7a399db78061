/*
 * The commands of a chat: lines that begin with a slash.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_CHAT_COMMANDS_H
#define STREAM_CHAT_COMMANDS_H

#include "chat_answer.h"

enum { COMMAND_DONE, COMMAND_FAILED, COMMAND_QUIT };
/* Runs a command, such as "/forget 2". */
int chat_command(chat_state *c, const char *line, failure *why);

#endif
