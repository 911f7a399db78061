/*
 * ChatML, the form of a chat that SmolLM2, Qwen and others are trained on: <|im_start|>role, text, <|im_end|>.
 *
 * SPDX-License-Identifier: MIT
 */
#include "chatml.h"

#include <stdlib.h>
#include <string.h>

/* Where `what` first stands in a text, or NULL. */
static const char *find_in(text in, const char *what) {
    size_t length = strlen(what);
    for (size_t at = 0; at + length <= in.size; at++) {
        if (memcmp(in.data + at, what, length) == 0) {
            return in.data + at;
        }
    }
    return NULL;
}

/* What stands behind `what` in a text; empty if it does not occur. */
static text behind(text in, const char *what) {
    const char *found = find_in(in, what);
    size_t skipped = found != NULL ? (size_t)(found - in.data) + strlen(what) : in.size;
    return (text){in.data + skipped, in.size - skipped};
}

/* The template's own system prompt: plain text between the system's role and <|im_end|>. A line break is written as
 * itself or as \n. What is no plain text is code of the template, such as the place of a prompt that was given. */
static text own_system(text template) {
    text rest = behind(template, "<|im_start|>system");
    while (rest.size > 0) {
        size_t line_break = rest.data[0] == '\n' ? 1 : rest.size > 1 && memcmp(rest.data, "\\n", 2) == 0 ? 2 : 0;
        const char *end = find_in(rest, "<|im_end|>");
        text prompt = {rest.data + line_break, end != NULL ? (size_t)(end - rest.data) - line_break : 0};
        bool plain = line_break > 0 && prompt.size > 0 && end != NULL;
        for (size_t i = 0; plain && i < prompt.size; i++) {
            plain = strchr("'\"{}\\+", prompt.data[i]) == NULL;
        }
        if (plain) {
            return prompt;
        }
        rest = behind(rest, "<|im_start|>system");
    }
    return (text){"", 0};
}

bool chatml_open(chatml *c, const gguf *file, const tokenizer *t, failure *why) {
    text template = {"", 0};
    tokenizer_facts facts = tokenizer_about(t);
    if (!gguf_get_text(file, "tokenizer.chat_template", &template)) {
        return fail(why, "the file has no chat template (tokenizer.chat_template): this model was not made to chat");
    }
    if (find_in(template, "<|im_start|>") == NULL || find_in(template, "<|im_end|>") == NULL ||
        find_in(template, "<|im_sep|>") != NULL) {
        return fail(why, "the model's chats are not written as ChatML (<|im_start|>role, text, <|im_end|>), and its "
                         "own form (tokenizer.chat_template) is not supported");
    }
    c->start = tokenizer_find(t, "<|im_start|>");
    c->end = tokenizer_find(t, "<|im_end|>");
    c->eos = facts.eos;
    bool begins_with_bos = facts.add_bos || find_in(template, "bos_token") != NULL;
    c->bos = begins_with_bos ? facts.bos : -1;
    c->system = own_system(template);
    return (c->start >= 0 && c->end >= 0) || fail(why, "the vocabulary has no tokens <|im_start|> and <|im_end|>");
}

bool chatml_ends(const chatml *c, int32_t id) { return id == c->end || id == c->eos || id == c->start; }

/* <|im_start|>role, a line break, the text */
static bool begin(const chatml *c, tokenizer *t, const char *role, text message, id_list *out, failure *why) {
    size_t length = strlen(role);
    if (message.size > SIZE_MAX - length - 1) {
        return fail(why, "the text is too long");
    }
    char *both = allocate(length + 1 + message.size, 1, why);
    if (both == NULL) {
        return false;
    }
    memcpy(both, role, length);
    both[length] = '\n';
    memcpy(both + length + 1, message.data, message.size);
    bool ok = id_list_add(out, c->start, why) && tokenizer_encode_after(t, both, length + 1 + message.size, out, why);
    free(both);
    return ok;
}

bool chatml_answered(const chatml *c, tokenizer *t, id_list *out, failure *why) {
    return id_list_add(out, c->end, why) && tokenizer_encode_after(t, "\n", 1, out, why);
}

bool chatml_system(const chatml *c, tokenizer *t, text prompt, id_list *out, failure *why) {
    if (c->bos >= 0 && !id_list_add(out, c->bos, why)) {
        return false;
    }
    return prompt.size == 0 || (begin(c, t, "system", prompt, out, why) && chatml_answered(c, t, out, why));
}

bool chatml_question(const chatml *c, tokenizer *t, text message, id_list *out, failure *why) {
    return begin(c, t, "user", message, out, why) && chatml_answered(c, t, out, why) &&
           begin(c, t, "assistant", (text){"", 0}, out, why);
}
