/*
 * The commands of a chat: lines that begin with a slash.
 *
 * SPDX-License-Identifier: MIT
 */
#include "chat_commands.h"

#include "chat_file.h"
#include "chat_terminal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first words of a question, in one line, and never half a character of UTF-8. */
static void print_question(const char *question) {
    enum { SHOWN = 48 };
    size_t n = strcspn(question, "\n");
    bool cut = n > SHOWN || question[n] != '\0';
    n = n > SHOWN ? SHOWN : n;
    while (cut && n > 0 && ((unsigned char)question[n] & 0xc0) == 0x80) {
        n--;
    }
    terminal_answer((text){question, n});
    printf("%s\n", cut ? "..." : "");
}

static void print_range(const chat_state *c, const char *name, int64_t place, int64_t from, int64_t end) {
    range_facts found = branches_range(&c->b, from, end);
    printf("%6s %8lld .. %-8lld %8lld %8lld %8lld  ", name, (long long)place, (long long)(place + end - from - 1),
           (long long)(end - from), (long long)found.in_sight, (long long)found.held);
}

static bool show_turns(chat_state *c, const char *argument, failure *why) {
    const turn_list *list = &c->b.now->turns;
    (void)argument;
    (void)why;
    printf("%6s %20s %8s %8s %8s\n", "turn", "positions", "tokens", "in sight", "held");
    if (list->system > 0) {
        print_range(c, "system", 0, 0, list->system);
        printf("%s\n", c->b.cache.policy == SA_POLICY_DENSE ? "" : "pinned");
    }
    for (size_t i = 0; i < list->n; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", (int)list->at[i].number);
        print_range(c, name, list->at[i].place, list->at[i].from, list->at[i].end);
        print_question(list->at[i].question);
    }
    chat_status(c, 0, 0.0);
    return true;
}

static bool forget(chat_state *c, const char *argument, failure *why) {
    char *end = NULL;
    errno = 0;
    long long number = strtoll(argument, &end, 10);
    turn_list *list = &c->b.now->turns;
    turn *gone = *end == '\0' && errno == 0 ? turns_find(list, number) : NULL;
    if (gone == NULL) {
        return fail(why, "there is no turn '%.20s'; /turns lists them", argument);
    }
    if (gone == turns_newest(list)) {
        return chat_undo(c, why);
    }
    long long tokens = (long long)(gone->end - gone->from),
              held = (long long)branches_range(&c->b, gone->from, gone->end).held;
    if (!branches_forget(&c->b, gone, why)) {
        return false;
    }
    terminal_note("turn %lld is forgotten: %lld tokens, of which %lld were held; later turns have moved up", number,
                  tokens, held);
    return true;
}

static bool undo(chat_state *c, const char *argument, failure *why) {
    (void)argument;
    return chat_undo(c, why);
}

static bool fork_branch(chat_state *c, const char *argument, failure *why) {
    if (!branches_fork(&c->b, argument, why)) {
        return false;
    }
    terminal_note("'%s' is a copy of '%s', where you still are", argument, c->b.now->name);
    return true;
}

static bool switch_branch(chat_state *c, const char *argument, failure *why) {
    if (!branches_switch(&c->b, argument, why)) {
        return false;
    }
    terminal_note("you are in '%s', after turn %d", argument, (int)c->b.now->turns.last);
    return true;
}

static bool drop_branch(chat_state *c, const char *argument, failure *why) {
    return branches_drop(&c->b, argument, why);
}

static bool show_forks(chat_state *c, const char *argument, failure *why) {
    (void)argument;
    (void)why;
    for (int32_t i = 0; i < MOST_BRANCHES; i++) {
        const branch *at = &c->b.list[i];
        if (at->cache != NULL) {
            printf("%c %-*s  turns %zu, tokens %lld\n", at == c->b.now ? '*' : ' ', LONGEST_NAME, at->name, at->turns.n,
                   (long long)at->turns.places);
        }
    }
    return true;
}

static bool save(chat_state *c, const char *argument, failure *why) {
    uint64_t bytes = 0;
    if (!chat_save(c, argument, &bytes, why)) {
        return false;
    }
    terminal_note("saved in %s: %.1f MiB", argument, (double)bytes / 1048576.0);
    return true;
}

static bool load(chat_state *c, const char *argument, failure *why) {
    return chat_load(c, argument, why) && show_turns(c, "", why);
}

static bool help(chat_state *c, const char *argument, failure *why);

static const struct command {
    const char *name, *argument, *help;
    bool (*run)(chat_state *c, const char *argument, failure *why);
} commands[] = {
    {"/turns", NULL, "lists the turns: where they stand, and how much of each the model still sees", show_turns},
    {"/forget", "N", "removes turn N and closes the gap; later turns move up", forget},
    {"/undo", NULL, "takes the newest turn back", undo},
    {"/fork", "NAME", "keeps a copy of this chat under a name", fork_branch},
    {"/switch", "NAME", "goes on in a copy; the first chat is 'main'", switch_branch},
    {"/forks", NULL, "lists the copies", show_forks},
    {"/drop", "NAME", "ends a copy", drop_branch},
    {"/save", "FILE", "writes this chat to a file", save},
    {"/load", "FILE", "goes on with a chat from a file, in place of this one", load},
    {"/help", NULL, "this list", help},
    {"/quit", NULL, "ends the program, as does the end of input (Ctrl-D)", NULL},
};

enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static bool help(chat_state *c, const char *argument, failure *why) {
    (void)c;
    (void)argument;
    (void)why;
    for (int32_t i = 0; i < N_COMMANDS; i++) {
        printf("%-8s %-5s %s\n", commands[i].name, commands[i].argument != NULL ? commands[i].argument : "",
               commands[i].help);
    }
    printf(
        "Anything else is a question to the model. Ctrl-C stops an answer; a \\ at the end of a line goes on in the\n"
        "next one; a question that begins with a slash begins with two.\n");
    return true;
}

/* Splits "/name  argument  " in place. */
static const char *split(char *line) {
    size_t length = strlen(line);
    while (length > 0 && (line[length - 1] == ' ' || line[length - 1] == '\t')) {
        line[--length] = '\0';
    }
    char *argument = line + strcspn(line, " \t");
    if (*argument != '\0') {
        *argument++ = '\0';
        argument += strspn(argument, " \t");
    }
    return argument;
}

static int run(chat_state *c, char *line, failure *why) {
    const char *argument = split(line);
    int32_t i = 0;
    while (i < N_COMMANDS && strcmp(commands[i].name, line) != 0) {
        i++;
    }
    if (i == N_COMMANDS) {
        fail(why, "there is no command %.40s; /help lists them", line);
    } else if ((commands[i].argument == NULL) != (*argument == '\0')) {
        fail(why, *argument == '\0' ? "%s needs %s behind it" : "%s takes nothing behind it", line,
             commands[i].argument);
    } else if (commands[i].run == NULL) {
        return COMMAND_QUIT;
    } else if (commands[i].run(c, argument, why)) {
        return COMMAND_DONE;
    }
    return COMMAND_FAILED;
}

int chat_command(chat_state *c, const char *line, failure *why) {
    size_t size = strlen(line) + 1;
    char *copy = allocate(size, 1, why);
    if (copy == NULL) {
        return COMMAND_FAILED;
    }
    memcpy(copy, line, size);
    int result = run(c, copy, why);
    free(copy);
    return result;
}
