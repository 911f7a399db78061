/*
 * The turns of a chat: a question and its answer each, and which tokens they are.
 *
 * SPDX-License-Identifier: MIT
 */
#include "chat_turns.h"

#include <stdlib.h>
#include <string.h>

static bool make_room(turn_list *list, failure *why) {
    if (list->n < list->room) {
        return true;
    }
    size_t room = list->room == 0 ? 16 : 2 * list->room;
    turn *larger = realloc(list->at, room * sizeof *larger);
    if (larger == NULL) {
        return fail(why, "out of memory for %zu turns", room);
    }
    list->at = larger;
    list->room = room;
    return true;
}

static char *copy_text(const char *from, failure *why) {
    size_t size = strlen(from) + 1;
    char *copy = allocate(size, 1, why);
    if (copy != NULL) {
        memcpy(copy, from, size);
    }
    return copy;
}

static bool add_copy(turn_list *list, const turn *t, failure *why) {
    char *question = make_room(list, why) ? copy_text(t->question, why) : NULL;
    if (question == NULL) {
        return false;
    }
    list->at[list->n] = *t;
    list->at[list->n++].question = question;
    return true;
}

bool turns_add(turn_list *list, int64_t from, int64_t end, const char *question, failure *why) {
    turn next = {list->last + 1, from, end, list->places, (char *)(uintptr_t)question};
    if (!add_copy(list, &next, why)) {
        return false;
    }
    list->last++;
    list->places += end - from;
    return true;
}

turn *turns_find(const turn_list *list, int64_t number) {
    size_t i = 0;
    while (i < list->n && list->at[i].number != number) {
        i++;
    }
    return i < list->n ? &list->at[i] : NULL;
}

turn *turns_newest(const turn_list *list) { return list->n > 0 ? &list->at[list->n - 1] : NULL; }

void turns_forget(turn_list *list, turn *gone) {
    size_t index = (size_t)(gone - list->at);
    int64_t tokens = gone->end - gone->from;
    free(gone->question);
    list->n--;
    list->places -= tokens;
    memmove(gone, gone + 1, (list->n - index) * sizeof *gone);
    for (size_t i = index; i < list->n; i++) {
        list->at[i].place -= tokens;
    }
}

void turns_take_back(turn_list *list) {
    turn *newest = turns_newest(list);
    list->last = newest->number - 1;
    turns_forget(list, newest);
}

bool turns_copy(turn_list *to, const turn_list *from, failure *why) {
    *to = (turn_list){.last = from->last, .system = from->system, .places = from->places};
    for (size_t i = 0; i < from->n; i++) {
        if (!add_copy(to, &from->at[i], why)) {
            turns_free(to);
            return false;
        }
    }
    return true;
}

void turns_free(turn_list *list) {
    for (size_t i = 0; i < list->n; i++) {
        free(list->at[i].question);
    }
    free(list->at);
    *list = (turn_list){0};
}
