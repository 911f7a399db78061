/*
 * The turns of a chat: a question and its answer each, and which tokens they are.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_CHAT_TURNS_H
#define STREAM_CHAT_TURNS_H

#include "support.h"

typedef struct turn {
    int32_t number;    /* from 1; that of a forgotten turn is not given again */
    int64_t from, end; /* stream positions: its tokens' names in the cache, which never change */
    int64_t place;     /* where it begins, counting what is not forgotten */
    char *question;
} turn;

typedef struct turn_list {
    turn *at;
    size_t n, room;
    int32_t last;   /* the newest turn's number */
    int64_t system; /* tokens before all turns */
    int64_t places; /* tokens that are not forgotten: the place of the next one */
} turn_list;

/* The next turn, which begins behind all others and has end - from tokens. The question is copied. */
bool turns_add(turn_list *list, int64_t from, int64_t end, const char *question, failure *why);
/* The turn of that number, or NULL. */
turn *turns_find(const turn_list *list, int64_t number);
turn *turns_newest(const turn_list *list);
/* Takes a turn away: those behind it move up. */
void turns_forget(turn_list *list, turn *gone);
/* Takes the newest turn away as if it had never come: its number is given again. */
void turns_take_back(turn_list *list);
bool turns_copy(turn_list *to, const turn_list *from, failure *why);
void turns_free(turn_list *list);

#endif
