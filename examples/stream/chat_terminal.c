/*
 * The terminal of a chat: lines in, styles out, and Ctrl-C, which stops an answer and not the program.
 *
 * SPDX-License-Identifier: MIT
 */
#if !defined(_XOPEN_SOURCE)
#define _XOPEN_SOURCE 700 /* isatty, sigaction: POSIX beyond C99 */
#endif

#include "chat_terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#define HAVE_POSIX 1
#else
#define HAVE_POSIX 0
#endif

static volatile sig_atomic_t interrupted;
static bool prompts, coloured, guarded; /* stdin, stderr, stdout is a terminal */

static void on_interrupt(int number) {
    interrupted = 1;
#if !HAVE_POSIX
    signal(number, on_interrupt);
#else
    (void)number;
#endif
}

void terminal_open(void) {
#if HAVE_POSIX
    struct sigaction action; /* without SA_RESTART: a read that waits for a line comes back */
    memset(&action, 0, sizeof action);
    action.sa_handler = on_interrupt;
    sigaction(SIGINT, &action, NULL);
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    bool plain = term == NULL || strcmp(term, "dumb") == 0 || (no_color != NULL && no_color[0] != '\0');
    prompts = isatty(STDIN_FILENO) != 0;
    guarded = isatty(STDOUT_FILENO) != 0;
    coloured = isatty(STDERR_FILENO) != 0 && !plain;
#else
    signal(SIGINT, on_interrupt);
#endif
}

bool terminal_interrupted(void) {
    bool was = interrupted != 0;
    interrupted = 0;
    return was;
}

/* Appends the next line of input to *line, without its line break. */
static int read_more(char **line, size_t *length, failure *why) {
    for (size_t room = *line == NULL ? 0 : *length + 1;;) {
        if (*length + 1 >= room) {
            room = room < 256 ? 256 : 2 * room;
            char *larger = realloc(*line, room);
            if (larger == NULL) {
                fail(why, "out of memory for a line of %zu bytes", *length);
                return LINE_FAILED;
            }
            *line = larger;
        }
        int c = getc(stdin);
        (*line)[*length] = '\0';
        if (c == EOF && ferror(stdin)) {
            int error = errno;
            clearerr(stdin);
            fail(why, "cannot read from the terminal: %s", strerror(error));
            return error == EINTR ? LINE_INTERRUPTED : LINE_FAILED;
        }
        if (c == EOF && *length == 0) {
            return LINE_END;
        }
        if (c == EOF || c == '\n') {
            return LINE_READ;
        }
        (*line)[(*length)++] = (char)c;
    }
}

static void show_prompt(const char *prompt) {
    fflush(stdout);
    if (prompts) {
        fprintf(stderr, coloured ? "\033[1m%s\033[0m" : "%s", prompt);
        fflush(stderr);
    }
}

int terminal_read(const char *prompt, char **line, failure *why) {
    char *read = NULL;
    size_t length = 0;
    show_prompt(prompt);
    int result = read_more(&read, &length, why);
    while (result == LINE_READ && length > 0 && read[length - 1] == '\\') {
        read[length - 1] = '\n';
        show_prompt("... ");
        result = read_more(&read, &length, why);
    }
    if (result == LINE_END && length > 0) {
        result = LINE_READ;
    }
    if (result != LINE_READ) {
        free(read);
        read = NULL;
        if (prompts) {
            fputc('\n', stderr);
        }
    }
    *line = read;
    return result;
}

void terminal_answer(text bytes) {
    for (size_t i = 0; i < bytes.size; i++) {
        unsigned char c = (unsigned char)bytes.data[i];
        bool control = c == 127 || (c < ' ' && c != '\n' && c != '\t');
        if (!guarded || !control) {
            putchar(c);
        }
    }
    fflush(stdout);
}

void terminal_note(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fflush(stdout);
    fputs(coloured ? "\033[2m" : "", stderr);
    vfprintf(stderr, format, args);
    fputs(coloured ? "\033[0m\n" : "\n", stderr);
    va_end(args);
}

void terminal_complain(const failure *why) {
    fflush(stdout);
    fprintf(stderr, coloured ? "\033[31m%s\033[0m\n" : "%s\n", why->text);
}
