/*
 * The terminal of a chat: lines in, styles out, and Ctrl-C, which stops an answer and not the program.
 *
 * SPDX-License-Identifier: MIT
 */
#if !defined(_XOPEN_SOURCE)
#define _XOPEN_SOURCE 700 /* isatty, sigaction, pselect: POSIX beyond C99 */
#endif

#include "chat_terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#if defined(__unix__) || defined(__APPLE__)
#include <sys/select.h>
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
    struct sigaction action; /* without SA_RESTART: what waits for a line comes back */
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

enum { NO_BYTE = -1, INTERRUPTED = -2, UNREADABLE = -3 };

#if HAVE_POSIX
/* Waits for input or Ctrl-C. That is blocked but while pselect waits, so none can come between a look at the flag and
 * the wait, and be without effect. */
static int wait_and_read(void *buffer, size_t room) {
    sigset_t blocked, before;
    fd_set input;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    FD_ZERO(&input);
    FD_SET(STDIN_FILENO, &input);
    int ready = interrupted ? -1 : pselect(STDIN_FILENO + 1, &input, NULL, NULL, NULL, &before);
    ssize_t n = ready > 0 ? read(STDIN_FILENO, buffer, room) : -1;
    int error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return n > 0 ? (int)n : n == 0 ? NO_BYTE : interrupted ? INTERRUPTED : UNREADABLE;
}

static int next_byte(void) {
    static unsigned char buffer[4096];
    static int used, n;
    if (used >= n) {
        used = 0;
        n = wait_and_read(buffer, sizeof buffer);
        if (n < 0) {
            int end = n;
            n = 0;
            return end;
        }
    }
    return buffer[used++];
}
#else
static int next_byte(void) {
    int c = getc(stdin);
    return c != EOF ? c : interrupted ? INTERRUPTED : ferror(stdin) ? UNREADABLE : NO_BYTE;
}
#endif

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
        int c = next_byte();
        (*line)[*length] = '\0';
        if (c == INTERRUPTED || c == UNREADABLE) {
            fail(why, "cannot read what is typed: %s", strerror(errno));
            return c == INTERRUPTED ? LINE_INTERRUPTED : LINE_FAILED;
        }
        if (c == NO_BYTE && *length == 0) {
            return LINE_END;
        }
        if (c == NO_BYTE || c == '\n') {
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
