/*
 * What every part of the program uses: error sentences, reading files, clocks, threads, progress.
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

/* calloc that checks count * size for overflow and returns memory also for 0 bytes; NULL with a sentence in `why`. */
void *allocate(uint64_t count, size_t size, failure *why);

/* All bytes of a file, to be freed by the caller, with a zero byte behind them that `size` does not count; NULL on
 * failure. */
uint8_t *read_file(const char *path, size_t *size, failure *why);

/* Seconds of a clock that never goes backward. */
double now_seconds(void);

/* Resident memory of the process, in bytes; 0 where the system does not tell. */
uint64_t resident_bytes(void);

/* Runs task(context, i) for every i in [0, n_tasks) on up to set_threads() threads. The signature is that of
 * sa_parallel_for, so that sinkattn runs on the same threads. Must not be called from within a task. */
void run_parallel(void *unused, int32_t n_tasks, void (*task)(void *context, int32_t index), void *context);

/* Starts threads until there are `wanted`, or one per processor if that is 0. Returns how many there are: 1 without
 * POSIX threads. */
int32_t set_threads(int32_t wanted);

/* A progress line on stderr: redrawn in place on a terminal, elsewhere one line every ten seconds. */
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
