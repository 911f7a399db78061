/*
 * Lines, questions and right replies of StreamEval, all from a seed.
 *
 * SPDX-License-Identifier: MIT
 */
#include "streameval_task.h"

#include <stdio.h>

const char task_reply_end[] = ">\n";

/* splitmix64 (Steele, Lea and Flood 2014), asked for its line'th number */
int32_t task_number(const recall_task *task, int64_t line) {
    uint64_t x = task->seed * 0xd1342543de82ef95u + ((uint64_t)line + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (int32_t)(10000 + (x ^ x >> 31) % 90000);
}

int64_t task_asks(const recall_task *task, int64_t line) {
    return (line + 1) % task->ask_every == 0 && line >= task->distance ? line - task->distance : -1;
}

int64_t task_questions(const recall_task *task) {
    return task->lines / task->ask_every -
           (task->distance < task->lines ? task->distance : task->lines) / task->ask_every;
}

void task_line(const recall_task *task, int64_t line, char out[TASK_TEXT]) {
    snprintf(out, TASK_TEXT, "line %lld: REGISTER_CONTENT is <%d>\n", (long long)line, (int)task_number(task, line));
}

void task_question(int64_t asked, char out[TASK_TEXT]) {
    snprintf(out, TASK_TEXT, "Query: line %lld: REGISTER_CONTENT is <", (long long)asked);
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
