/*
 * Lines, questions and right replies of StreamEval, all from a seed.
 *
 * SPDX-License-Identifier: MIT
 */
#include "streameval_task.h"

#include <stdio.h>

const char task_reply_end[] = ">\n";

enum { N_WORDS = 64 };

static const char *const words[N_WORDS] = {
    "apple",  "anchor",   "basket", "beacon", "bridge", "butter",  "candle",  "carpet", "castle", "cloud",   "copper",
    "desert", "dinner",   "dragon", "ember",  "engine", "falcon",  "feather", "forest", "garden", "ginger",  "guitar",
    "hammer", "harbor",   "island", "ivory",  "jacket", "jungle",  "kernel",  "kitten", "ladder", "lantern", "lemon",
    "magnet", "meadow",   "mirror", "nectar", "needle", "onion",   "orange",  "pencil", "pepper", "piano",   "planet",
    "quartz", "rabbit",   "ribbon", "river",  "rocket", "saddle",  "shadow",  "silver", "stone",  "thunder", "tiger",
    "tunnel", "umbrella", "velvet", "violet", "walnut", "whistle", "window",  "yellow", "zipper",
};

/* The line-th number of splitmix64 (Steele, Lea and Flood 2014). */
int32_t task_number(const recall_task *task, int64_t line) {
    uint64_t x = task->seed * 0xd1342543de82ef95u + ((uint64_t)line + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (int32_t)(1000 + (x ^ x >> 31) % 9000);
}

/* A line is named by two words. The names of neighbouring lines share no word, and no name repeats within 4096 lines,
 * since the factor is odd. */
static void name_of(const recall_task *task, int64_t line, char *out, size_t size) {
    uint64_t pair = ((uint64_t)line * 1597 + task->seed * 331) % (N_WORDS * N_WORDS);
    snprintf(out, size, "%s-%s", words[pair / N_WORDS], words[pair % N_WORDS]);
}

int64_t task_asks(const recall_task *task, int64_t line) {
    return (line + 1) % task->ask_every == 0 && line >= task->distance ? line - task->distance : -1;
}

int64_t task_questions(const recall_task *task) {
    return task->lines / task->ask_every -
           (task->distance < task->lines ? task->distance : task->lines) / task->ask_every;
}

void task_question(const recall_task *task, int64_t asked, char out[TASK_TEXT]) {
    char name[32];
    name_of(task, asked, name, sizeof name);
    snprintf(out, TASK_TEXT, "The REGISTER_CONTENT in line %s is <", name);
}

void task_line(const recall_task *task, int64_t line, char out[TASK_TEXT]) {
    char name[32];
    name_of(task, line, name, sizeof name);
    snprintf(out, TASK_TEXT, "The REGISTER_CONTENT in line %s is <%d>\n", name, (int)task_number(task, line));
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool task_is_right(const recall_task *task, int64_t asked, const char *reply, size_t size) {
    char number[16];
    int digits = snprintf(number, sizeof number, "%d", (int)task_number(task, asked));
    size_t at = 0;
    while (at < size && !is_digit(reply[at])) {
        at++;
    }
    for (int i = 0; i < digits; i++, at++) {
        if (at >= size || reply[at] != number[i]) {
            return false;
        }
    }
    return at >= size || !is_digit(reply[at]);
}
