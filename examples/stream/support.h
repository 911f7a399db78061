/*
 * What every part of the program leans on: failures in words, whole files, clocks, threads.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_SUPPORT_H
#define STREAM_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Why something did not work, as a sentence for the user. */
typedef struct failure {
    char text[1024];
} failure;

#if defined(__GNUC__)
#define PRINTF_LIKE(format_at, first_at) __attribute__((format(printf, format_at, first_at)))
#else
#define PRINTF_LIKE(format_at, first_at)
#endif

/* Writes the sentence and returns false, so that callers can say `return fail(why, ...)`. */
bool fail(failure *why, const char *format, ...) PRINTF_LIKE(2, 3);

/* Puts the name of the file concerned in front of the sentence, unless it stands there already or is
 * NULL. Returns false. */
bool fail_in(failure *why, const char *path);

/* calloc(count, size) that cannot overflow and never returns NULL for nothing; NULL with a sentence in `why`. */
void *allocate(uint64_t count, size_t size, failure *why);

/* The bytes of a file in fresh memory, with a zero byte behind them that `size` does not count; NULL on failure. */
uint8_t *read_file(const char *path, size_t *size, failure *why);

/* Seconds of a clock that only goes forward. */
double now_seconds(void);

/* Bytes of memory that the process occupies now; where the system does not say, 0. */
uint64_t resident_bytes(void);

/* Runs task(context, i) for every i in [0, n_tasks) on up to set_threads() threads. The signature is that of
 * sa_parallel_for, so sinkattn borrows the same threads. Not to be called from within a task. */
void run_parallel(void *unused, int32_t n_tasks, void (*task)(void *context, int32_t index), void *context);

/* Asks for that many threads; returns how many there will be (1 where there are no POSIX threads); 0 asks for one per
 * processor. */
int32_t set_threads(int32_t wanted);

/* A progress line on stderr: redrawn in place on a terminal, a plain line now and then elsewhere. */
typedef struct progress {
    const char *label;
    double started, shown;
    bool terminal, drawn;
} progress;

void progress_begin(progress *p, const char *label);
/* total 0: there is no end. `note` is what follows the bar, for example a running result. */
void progress_show(progress *p, uint64_t done, uint64_t total, const char *note);
/* Clears a bar in place, so that what is printed next starts on a clean line. */
void progress_end(progress *p);

#endif
