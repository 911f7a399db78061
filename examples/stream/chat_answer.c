/*
 * One turn of a chat: the question through the model, the answer written as it comes.
 *
 * SPDX-License-Identifier: MIT
 */
#include "chat_answer.h"

#include "chat_terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool feed(chat_state *c, int32_t n, const int32_t *ids, failure *why) {
    c->s.cache = c->b.now->cache;
    return branches_make_room(&c->b, n, why) && stream_feed(&c->s, n, ids, why) == FEED_OK;
}

bool chat_feed(chat_state *c, const id_list *ids, failure *why) {
    for (size_t at = 0; at < ids->n;) {
        int32_t n = (int32_t)(ids->n - at < (size_t)c->s.chunk ? ids->n - at : (size_t)c->s.chunk);
        if (terminal_interrupted()) {
            return fail(why, "stopped");
        }
        if (!feed(c, n, ids->ids + at, why)) {
            return false;
        }
        at += (size_t)n;
    }
    return true;
}

static void print_token(const chat_state *c, int32_t id) {
    char number[16];
    snprintf(number, sizeof number, "%d ", (int)id);
    terminal_answer(c->o->show_ids ? (text){number, strlen(number)} : tokenizer_text(c->t, id));
}

/* Writes until the model ends its answer, --tokens are written, or Ctrl-C. */
static bool write_answer(chat_state *c, int64_t *written, failure *why) {
    while ((c->o->tokens == 0 || *written < c->o->tokens) && !terminal_interrupted()) {
        stream_logits(&c->s, c->s.fed - 1, 1, c->logits);
        int32_t id = sampler_choose(&c->choice, c->logits);
        if (chatml_ends(&c->form, id)) {
            return true;
        }
        print_token(c, id);
        ++*written;
        if (!feed(c, 1, &id, why)) {
            return false;
        }
    }
    return true;
}

void chat_status(const chat_state *c, int64_t written, double seconds) {
    branch_facts facts = branches_about(&c->b);
    char speed[64] = "";
    if (written > 0) {
        snprintf(speed, sizeof speed, ", %.2f ms/token", 1e3 * seconds / (double)written);
    }
    terminal_note("[seen %lld, in sight %lld, held %lld%s, cache %.1f of %.1f MiB]", (long long)facts.seen,
                  (long long)facts.in_sight, (long long)facts.held, speed, (double)facts.bytes_used / 1048576.0,
                  (double)facts.bytes / 1048576.0);
}

static int64_t position(const chat_state *c) { return branches_about(&c->b).seen; }

/* The question, the answer, and what stands behind it. */
static bool run_turn(chat_state *c, const char *question, int64_t *written, double *seconds, failure *why) {
    id_list ids = {0};
    bool ok = chatml_question(&c->form, c->t, (text){question, strlen(question)}, &ids, why) && chat_feed(c, &ids, why);
    sampler_seek(&c->choice, c->o->seed, c->b.now->turns.places + (int64_t)ids.n);
    double start = now_seconds();
    ok = ok && write_answer(c, written, why);
    *seconds = now_seconds() - start;
    ids.n = 0;
    ok = ok && chatml_answered(&c->form, c->t, &ids, why) && feed(c, (int32_t)ids.n, ids.ids, why);
    free(ids.ids);
    return ok;
}

bool chat_ask(chat_state *c, const char *question, failure *why) {
    int64_t from = position(c), written = 0;
    double seconds = 0.0;
    branches_before_turn(&c->b);
    bool ok = run_turn(c, question, &written, &seconds, why);
    terminal_answer(written > 0 ? (text){"\n", 1} : (text){"", 0});
    ok = ok && turns_add(&c->b.now->turns, from, position(c), question, why);
    if (ok) {
        chat_status(c, written, seconds);
        return true;
    }
    failure reason = *why;
    bool back = branches_take_back(&c->b, from, why) != BACK_FAILED;
    return fail(why, "%.600s%s", reason.text,
                back ? " (the turn was taken back)" : " (what has come of the turn stays)");
}

bool chat_undo(chat_state *c, failure *why) {
    static const char *const ways[] = {
        [BACK_ROLLBACK] = "by rollback: as if it had never come",
        [BACK_FORK] = "to the fork from before it: as if it had never come",
        [BACK_REMOVAL] = "by removal: what it has pushed out of the window stays gone",
    };
    const turn *newest = turns_newest(&c->b.now->turns);
    if (newest == NULL) {
        return fail(why, "there is no turn to take back");
    }
    int way = branches_take_back(&c->b, newest->from, why);
    if (way == BACK_FAILED) {
        return false;
    }
    terminal_note("turn %d is undone %s", (int)newest->number, ways[way]);
    turns_take_back(&c->b.now->turns);
    return true;
}
