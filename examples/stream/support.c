/*
 * Error sentences, reading files, clocks, progress.
 *
 * SPDX-License-Identifier: MIT
 */
#if !defined(_XOPEN_SOURCE)
#define _XOPEN_SOURCE 700 /* clock_gettime, isatty, sysconf: POSIX beyond C99 */
#endif

#include "support.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#define HAVE_POSIX 1
#else
#define HAVE_POSIX 0
#endif

bool fail(failure *why, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(why->text, sizeof why->text, format, args);
    va_end(args);
    for (char *c = why->text; *c != '\0'; c++) {
        *c = (unsigned char)*c < ' ' || *c == 127 ? '?' : *c; /* no control sequences from a file's names */
    }
    return false;
}

/* Whether a sentence names this file already, as in "cannot open PATH: " or "PATH: ". */
static bool names_file(const char *sentence, const char *path) {
    size_t length = strlen(path);
    bool in_front = strncmp(sentence, path, length) == 0 && sentence[length] == ':';
    return in_front || (strncmp(sentence, "cannot ", 7) == 0 && strstr(sentence, path) != NULL);
}

bool fail_in(failure *why, const char *path) {
    enum { LONGEST_PATH = 400 }; /* of a longer path the end is shown: it has the file's own name */
    size_t length = path != NULL ? strlen(path) : 0;
    const char *shown = length > LONGEST_PATH ? path + length - LONGEST_PATH : path;
    failure inner = *why;
    if (length == 0 || names_file(inner.text, shown)) {
        return false;
    }
    return fail(why, "%s%s: %.600s", shown == path ? "" : "...", shown, inner.text);
}

void *allocate(uint64_t count, size_t size, failure *why) {
    if (size != 0 && count > SIZE_MAX / size) {
        fail(why, "out of memory: %llu items of %zu bytes do not fit", (unsigned long long)count, size);
        return NULL;
    }
    size_t bytes = (size_t)count * size;
    void *memory = calloc(bytes != 0 ? bytes : 1, 1);
    if (memory == NULL) {
        fail(why, "out of memory: %zu bytes wanted", bytes);
    }
    return memory;
}

static uint8_t *read_stream(FILE *file, size_t *size, failure *why) {
    size_t room = (size_t)1 << 20, used = 0;
    uint8_t *data = malloc(room);
    while (data != NULL) {
        used += fread(data + used, 1, room - 1 - used, file);
        if (used < room - 1) {
            break;
        }
        room = room > SIZE_MAX / 2 ? 0 : room * 2;
        uint8_t *larger = room == 0 ? NULL : realloc(data, room);
        if (larger == NULL) {
            free(data);
        }
        data = larger;
    }
    if (data == NULL) {
        fail(why, "out of memory after %zu bytes", used);
        return NULL;
    }
    if (ferror(file)) {
        fail(why, "%s", strerror(errno));
        free(data);
        return NULL;
    }
    uint8_t *fitted = realloc(data, used + 1);
    data = fitted != NULL ? fitted : data;
    data[used] = 0;
    *size = used;
    return data;
}

uint8_t *read_file(const char *path, size_t *size, failure *why) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail(why, "cannot open %.400s: %s", path, strerror(errno));
        return NULL;
    }
    failure inner;
    uint8_t *data = read_stream(file, size, &inner);
    if (data == NULL) {
        fail(why, "cannot read %.400s: %.400s", path, inner.text);
    }
    fclose(file);
    return data;
}

double now_seconds(void) {
#if HAVE_POSIX
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
#else
    return (double)clock() / CLOCKS_PER_SEC;
#endif
}

uint64_t resident_bytes(void) {
    unsigned long long pages = 0;
#if HAVE_POSIX
    FILE *file = fopen("/proc/self/statm", "r"); /* Linux; elsewhere it does not exist and we say 0 */
    if (file != NULL) {
        if (fscanf(file, "%*s %llu", &pages) != 1) {
            pages = 0;
        }
        fclose(file);
    }
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
#else
    return pages;
#endif
}

void progress_begin(progress *p, const char *label) {
    p->label = label;
    p->started = p->shown = now_seconds();
    p->drawn = false;
#if HAVE_POSIX
    p->terminal = isatty(STDERR_FILENO) != 0;
#else
    p->terminal = false;
#endif
}

static void draw_bar(double share) {
    char bar[31];
    int full = (int)(share * 30.0);
    memset(bar, '.', 30);
    memset(bar, '#', (size_t)(full > 30 ? 30 : full));
    bar[30] = '\0';
    fprintf(stderr, "[%s] %3d%%  ", bar, (int)(share * 100.0));
}

void progress_show(progress *p, uint64_t done, uint64_t total, const char *note) {
    double now = now_seconds(), elapsed = now - p->started;
    /* A terminal is redrawn ten times a second, a log gets a line every ten seconds. */
    if (now - p->shown < (p->terminal ? 0.1 : 10.0)) {
        return;
    }
    p->shown = now;
    p->drawn = true;
    fprintf(stderr, "%s%s ", p->terminal ? "\r\033[K" : "", p->label);
    if (total != 0) {
        double share = (double)done / (double)total;
        if (p->terminal) {
            draw_bar(share);
        }
        fprintf(stderr, "%llu/%llu  %s", (unsigned long long)done, (unsigned long long)total, note);
        if (done != 0) {
            fprintf(stderr, "  %.0f s left", elapsed / share - elapsed);
        }
    } else {
        fprintf(stderr, "%llu  %s", (unsigned long long)done, note);
    }
    if (!p->terminal) {
        fputc('\n', stderr);
    }
    fflush(stderr);
}

void progress_end(progress *p) {
    if (p->terminal && p->drawn) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
}
