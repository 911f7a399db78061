/*
 * StreamEval with this program's model: it is fed lines, its greedy replies are scored and stay in the stream.
 *
 * SPDX-License-Identifier: MIT
 */
#include "streameval.h"

#include "measure.h"
#include "streameval_task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPLY_TOKENS = 12, REPLY_ROOM = 512 }; /* a reply that is longer is wrong anyway */

typedef struct eval_run {
    const options *o;
    recall_task task;
    tokenizer *t;
    stream s;
    float *logits;   /* (n_vocab) */
    id_list pending; /* written, but not fed yet */
    FILE *csv;
    int64_t asked, right, asked_before, right_before; /* before: at the stretch's start */
    progress bar;
} eval_run;

static bool write_text(eval_run *r, const char *words, failure *why) {
    return tokenizer_encode(r->t, words, strlen(words), false, &r->pending, why);
}

static bool feed_pending(eval_run *r, failure *why) {
    for (size_t at = 0; at < r->pending.n;) {
        size_t left = r->pending.n - at;
        int32_t n = (int32_t)(left < (size_t)r->s.chunk ? left : (size_t)r->s.chunk);
        int result = stream_feed(&r->s, n, r->pending.ids + at, why);
        if (result == FEED_FULL) {
            return fail(why, "the dense cache is full after %lld tokens; a larger --window goes further",
                        (long long)r->s.seen);
        }
        if (result != FEED_OK) {
            return false;
        }
        at += (size_t)n;
    }
    r->pending.n = 0;
    return true;
}

static int32_t likeliest(const float *logits, int32_t n) {
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    return best;
}

static bool all_digits(text piece) {
    size_t n = 0;
    while (n < piece.size && piece.data[n] >= '0' && piece.data[n] <= '9') {
        n++;
    }
    return n == piece.size;
}

/* Takes tokens from the model while they are digits. They are part of the stream from then on, right or wrong. */
static bool take_reply(eval_run *r, char reply[REPLY_ROOM], size_t *size, failure *why) {
    *size = 0;
    for (int i = 0; i < REPLY_TOKENS; i++) {
        if (!feed_pending(r, why)) {
            return false;
        }
        stream_logits(&r->s, r->s.fed - 1, 1, r->logits);
        int32_t id = likeliest(r->logits, r->s.m->n_vocab);
        text piece = tokenizer_text(r->t, id);
        if (piece.size == 0 || *size + piece.size > REPLY_ROOM) {
            break;
        }
        memcpy(reply + *size, piece.data, piece.size);
        *size += piece.size;
        if (!all_digits(piece)) {
            break;
        }
        if (!id_list_add(&r->pending, id, why)) {
            return false;
        }
    }
    return true;
}

static bool ask(eval_run *r, int64_t line, failure *why) {
    char question[TASK_TEXT], reply[REPLY_ROOM];
    size_t size = 0;
    task_question(&r->task, line, question);
    if (!write_text(r, question, why) || !take_reply(r, reply, &size, why)) {
        return false;
    }
    r->asked++;
    r->right += task_is_right(&r->task, line, reply, size);
    return write_text(r, task_reply_end, why);
}

/* A percentage, or "-" where nothing was asked. */
static void print_share(int64_t asked, int64_t right) {
    if (asked > 0) {
        printf("%9.1f%%\n", 100.0 * (double)right / (double)asked);
    } else {
        printf("%10s\n", "-");
    }
}

static void end_stretch(eval_run *r, int64_t lines) {
    int64_t asked = r->asked - r->asked_before, right = r->right - r->right_before;
    progress_end(&r->bar);
    printf("%10lld %10lld %10lld %8lld %8lld ", (long long)r->task.distance, (long long)lines, (long long)r->s.seen,
           (long long)asked, (long long)right);
    print_share(asked, right);
    fflush(stdout);
    if (r->csv != NULL) {
        fprintf(r->csv, "%lld,%lld,%lld,%lld,%lld\n", (long long)r->task.distance, (long long)lines,
                (long long)r->s.seen, (long long)asked, (long long)right);
        fflush(r->csv);
    }
    r->asked_before = r->asked;
    r->right_before = r->right;
}

static bool run_lines(eval_run *r, failure *why) {
    int64_t every = r->o->every > 0 ? r->o->every : r->task.lines / 10 > 0 ? r->task.lines / 10 : 1;
    char words[TASK_TEXT];
    progress_begin(&r->bar, "streameval");
    for (int64_t line = 0; line < r->task.lines; line++) {
        int64_t asked = task_asks(&r->task, line);
        task_line(&r->task, line, words);
        if (!write_text(r, words, why) || (asked >= 0 && !ask(r, asked, why)) || !feed_pending(r, why)) {
            progress_end(&r->bar);
            return false;
        }
        if ((line + 1) % every == 0 || line + 1 == r->task.lines) {
            end_stretch(r, line + 1);
        }
        progress_show(&r->bar, (uint64_t)line + 1, (uint64_t)r->task.lines, "");
    }
    progress_end(&r->bar);
    return true;
}

/* One distance, from an empty cache on. A dense cache that is full ends it; the questions until then are counted. */
static bool run_distance(eval_run *r, int64_t distance, failure *why) {
    r->task.distance = distance;
    r->asked = r->right = r->asked_before = r->right_before = 0;
    r->pending.n = 0;
    stream_reset(&r->s);
    tokenizer_facts facts = tokenizer_about(r->t);
    bool bos = r->o->bos == 1 || (r->o->bos == -1 && facts.add_bos);
    if (bos && facts.bos >= 0 && !id_list_add(&r->pending, facts.bos, why)) {
        return false;
    }
    bool ok = run_lines(r, why);
    printf("distance %lld: %lld of %lld right,", (long long)distance, (long long)r->right, (long long)r->asked);
    print_share(r->asked, r->right);
    return ok;
}

static bool run_model(eval_run *r, const model *m, failure *why) {
    char policy[96];
    r->logits = allocate((uint64_t)m->n_vocab, sizeof(float), why);
    if (r->logits == NULL || !open_csv(r->o, "distance,lines,tokens,asked,right", &r->csv, why) ||
        !stream_open(&r->s, m, &r->o->stream, why)) {
        return false;
    }
    describe_policy(r->o, policy, sizeof policy);
    printf("%s; a question every %lld lines\n%10s %10s %10s %8s %8s %10s\n", policy, (long long)r->task.ask_every,
           "distance", "lines", "tokens", "asked", "right", "accuracy");
    bool ok = true;
    for (int32_t i = 0; ok && i < r->o->distances.n; i++) {
        ok = run_distance(r, r->o->distances.at[i], why);
    }
    stream_close(&r->s);
    return ok;
}

/* The stream as it is if every reply is right: for other engines, and for looking at. */
static void print_task(const recall_task *task) {
    char words[TASK_TEXT];
    for (int64_t line = 0; line < task->lines; line++) {
        int64_t asked = task_asks(task, line);
        task_line(task, line, words);
        fputs(words, stdout);
        if (asked >= 0) {
            task_question(task, asked, words);
            printf("%s%d%s", words, (int)task_number(task, asked), task_reply_end);
        }
    }
}

/* Replies from a file, one a line in the order of the questions. */
static bool score_replies(const recall_task *task, const char *replies, failure *why) {
    int64_t asked = 0, right = 0;
    for (int64_t line = 0; line < task->lines; line++) {
        int64_t wanted = task_asks(task, line);
        if (wanted < 0) {
            continue;
        }
        if (*replies == '\0') {
            return fail(why, "there are %lld replies to %lld questions", (long long)asked,
                        (long long)task_questions(task));
        }
        size_t length = strcspn(replies, "\n");
        right += task_is_right(task, wanted, replies, length);
        asked++;
        replies += length + (replies[length] == '\n');
    }
    printf("distance %lld: %lld of %lld right\n", (long long)task->distance, (long long)right, (long long)asked);
    return true;
}

static bool score_file(const recall_task *task, const char *path, failure *why) {
    size_t size = 0;
    char *data = (char *)read_file(path, &size, why);
    bool ok = data != NULL && score_replies(task, data, why);
    free(data);
    return ok || fail_in(why, path);
}

bool streameval(const options *o, const model *m, tokenizer *t, failure *why) {
    eval_run r = {.o = o, .task = {(uint64_t)o->seed, o->lines, o->ask_every, o->distances.at[0]}, .t = t};
    if (o->print_task) {
        print_task(&r.task);
        return true;
    }
    if (o->replies_path != NULL) {
        return score_file(&r.task, o->replies_path, why);
    }
    if (t == NULL) {
        fail(why, "this model file has no tokenizer, and streameval is text");
        return fail_in(why, m->path);
    }
    bool ok = run_model(&r, m, why);
    ok = close_csv(o, r.csv, ok, why);
    free(r.logits);
    free(r.pending.ids);
    return ok;
}
