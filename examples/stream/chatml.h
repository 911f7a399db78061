/*
 * ChatML, the form of a chat that SmolLM2, Qwen and others are trained on: <|im_start|>role, text, <|im_end|>.
 *
 * SPDX-License-Identifier: MIT
 *
 * A model's file says by a template how its chats are written (tokenizer.chat_template, in the language Jinja). That
 * language is not interpreted here: a template is taken for ChatML by the tokens that it names, and all others are
 * refused, since a model that is asked in another form than it was trained on answers worse, and nothing says so.
 */
#ifndef STREAM_CHATML_H
#define STREAM_CHATML_H

#include "tokenizer.h"

typedef struct chatml {
    int32_t start, end; /* the tokens <|im_start|> and <|im_end|> */
    int32_t eos;        /* the file's own end token, or -1 */
    int32_t bos;        /* what every chat begins with, or -1 */
    text system;        /* the system prompt that the template puts in where none is given; "" if it has none */
} chatml;

/* False, with the reason, if the model's chats are not written so. The file must outlive `c`. */
bool chatml_open(chatml *c, const gguf *file, const tokenizer *t, failure *why);

/* Appends the tokens of the chat's beginning; the system prompt may be empty. */
bool chatml_system(const chatml *c, tokenizer *t, text prompt, id_list *out, failure *why);
/* Appends those of a user's message, up to where the answer begins. */
bool chatml_question(const chatml *c, tokenizer *t, text message, id_list *out, failure *why);
/* Appends those that stand behind an answer. */
bool chatml_answered(const chatml *c, tokenizer *t, id_list *out, failure *why);

/* Whether a token that the model has chosen ends its answer. */
bool chatml_ends(const chatml *c, int32_t id);

#endif
