/*
 * A chat with an instruct model in a terminal: opens it, and reads questions and commands until the end.
 *
 * SPDX-License-Identifier: MIT
 */
#include "chat.h"

#include "chat_commands.h"
#include "chat_terminal.h"

#include <stdlib.h>
#include <string.h>

/* The tokens of the system prompt: the one given, or the template's own. */
static bool encode_system(chat_state *c, id_list *ids, failure *why) {
    const char *given = c->o->system;
    text prompt = given != NULL ? (text){given, strlen(given)} : c->form.system;
    return chatml_system(&c->form, c->t, prompt, ids, why);
}

/* Each chunk is pinned as soon as it has come, so the prompt may be longer than the window. */
static bool feed_system(chat_state *c, const id_list *ids, failure *why) {
    for (size_t at = 0; at < ids->n;) {
        size_t n = ids->n - at < (size_t)c->s.chunk ? ids->n - at : (size_t)c->s.chunk;
        id_list part = {ids->ids + at, n, n};
        at += n;
        if (!chat_feed(c, &part, why) || !branches_pin(&c->b, (int64_t)at, why)) {
            return false;
        }
    }
    c->b.now->turns.system = c->b.now->turns.places = (int64_t)ids->n;
    return true;
}

static void say_what_is_pinned(const chat_state *c, int64_t tokens) {
    int32_t narrow = 0;
    for (int32_t i = 0; i < c->s.m->n_layers; i++) {
        narrow += plan_is_narrow(c->s.m, &c->o->stream, i);
    }
    if (narrow > 0 && tokens > 0) {
        terminal_note("the system prompt is pinned in %d of %d layers: the others have a sliding window of %d tokens",
                      (int)(c->s.m->n_layers - narrow), (int)c->s.m->n_layers, (int)c->s.m->local_window);
    }
}

static bool open_stream(chat_state *c, const model *m, const id_list *system, failure *why) {
    stream_options options = c->o->stream;
    if (!branches_open(&c->b, m, &options, (int64_t)system->n, c->o->room, why)) {
        return false;
    }
    options.cache = c->b.now->cache;
    if (!stream_open(&c->s, m, &options, why)) {
        return false;
    }
    c->s.room = INT64_MAX; /* branches_make_room asks the library, which knows what was forgotten */
    return feed_system(c, system, why);
}

static bool open_chat(chat_state *c, const model *m, failure *why) {
    id_list system = {0};
    bool ok = chatml_open(&c->form, &m->file, c->t, why) && encode_system(c, &system, why);
    c->logits = ok ? allocate((uint64_t)m->n_vocab, sizeof *c->logits, why) : NULL;
    ok = c->logits != NULL && sampler_open(&c->choice, c->o, m->n_vocab, why) && open_stream(c, m, &system, why);
    if (ok) {
        say_what_is_pinned(c, (int64_t)system.n);
    }
    free(system.ids);
    return ok;
}

static void close_chat(chat_state *c) {
    stream_close(&c->s);
    branches_close(&c->b);
    sampler_close(&c->choice);
    free(c->logits);
}

/* A question or a command. False: it is /quit. */
static bool take_line(chat_state *c, const char *line) {
    failure why = {"it failed for an unknown reason"};
    bool ok = true;
    if (line[0] == '/' && line[1] != '/') {
        int result = chat_command(c, line, &why);
        if (result == COMMAND_QUIT) {
            return false;
        }
        ok = result == COMMAND_DONE;
    } else if (line[strspn(line, " \t\r\n")] != '\0') {
        ok = chat_ask(c, line + (line[0] == '/'), &why);
    }
    if (!ok) {
        terminal_complain(&why);
    }
    return true;
}

static bool read_lines(chat_state *c, failure *why) {
    for (;;) {
        char prompt[LONGEST_NAME + 8], *line = NULL;
        bool main_branch = strcmp(c->b.now->name, "main") == 0;
        snprintf(prompt, sizeof prompt, "%s> ", main_branch ? "" : c->b.now->name);
        int result = terminal_read(prompt, &line, why);
        terminal_interrupted(); /* Ctrl-C at the prompt drops the line, and stops nothing that comes later */
        bool goes_on = result == LINE_INTERRUPTED || (result == LINE_READ && take_line(c, line));
        free(line);
        if (!goes_on) {
            return result != LINE_FAILED;
        }
    }
}

bool chat(const options *o, const model *m, tokenizer *t, failure *why) {
    if (t == NULL) {
        fail(why, "this model file has no tokenizer, so it cannot chat");
        return fail_in(why, m->path);
    }
    chat_state c = {.o = o, .t = t};
    terminal_open();
    bool ok = open_chat(&c, m, why) || fail_in(why, m->path);
    if (ok) {
        terminal_note("/help lists commands; Ctrl-C stops an answer; Ctrl-D ends");
        chat_status(&c, 0, 0.0);
        ok = read_lines(&c, why);
    }
    close_chat(&c);
    return ok;
}
