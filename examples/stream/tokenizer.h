/*
 * The model's own tokenizer, from the vocabulary in its GGUF file: text to token ids and back.
 *
 * SPDX-License-Identifier: MIT
 *
 * Two kinds exist there: byte-level BPE ("gpt2": merges with ranks, bytes written as
 * printable characters) and SentencePiece ("llama": tokens with scores, spaces written
 * as U+2581).
 */
#ifndef STREAM_TOKENIZER_H
#define STREAM_TOKENIZER_H

#include "gguf.h"

typedef struct tokenizer tokenizer;

/* A growing list of token ids: initialise with {0}, free `ids` at the end. */
typedef struct id_list {
    int32_t *ids;
    size_t n, room;
} id_list;

bool id_list_add(id_list *list, int32_t id, failure *why);

/* Whether a file brings a tokenizer at all; a model without one takes token ids. */
bool tokenizer_in_file(const gguf *file);
/* The file must outlive the tokenizer. NULL on failure. */
tokenizer *tokenizer_open(const gguf *file, failure *why);
void tokenizer_close(tokenizer *t);

/* Appends the ids of a text. With `control`, the names of control tokens in the text become those tokens; without, they
 * are encoded as text. No bos token or other token is added. */
bool tokenizer_encode(tokenizer *t, const char *data, size_t size, bool control, id_list *out, failure *why);

/* The same without `control`, for a text that follows a control token: SentencePiece puts no space before it. */
bool tokenizer_encode_after(tokenizer *t, const char *data, size_t size, id_list *out, failure *why);

/* The bytes that a token stands for; none for control tokens and unknown ids. */
text tokenizer_text(const tokenizer *t, int32_t id);

typedef struct tokenizer_facts {
    int32_t n_tokens;
    int32_t bos, eos; /* -1: there is none */
    bool add_bos;     /* the model was trained with bos at the start of a text */
    const char *kind;
} tokenizer_facts;

tokenizer_facts tokenizer_about(const tokenizer *t);
/* The id of a token by its exact name in the file, or -1. */
int32_t tokenizer_find(const tokenizer *t, const char *name);

#endif
