/*
 * Cutting text into the words that byte-level BPE merges within.
 *
 * SPDX-License-Identifier: MIT
 *
 * Each model was trained with one regular expression for this, named in its file
 * (tokenizer.ggml.pre). The expressions in use are two shapes with small differences,
 * so they are written here as two matchers with parameters.
 */
#ifndef STREAM_PRETOK_H
#define STREAM_PRETOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pretok_rule {
    const char *name;
    bool llama3_shape;  /* else GPT-2's */
    bool digits_first;  /* every digit is cut out before the expression is applied */
    int32_t max_digits; /* of one word */
    bool whole_words;   /* a word that is a token is not merged from its bytes */
} pretok_rule;

/* NULL for a name that is not known. `name` is not terminated. */
const pretok_rule *pretok_find(const char *name, size_t size);

/* Bytes of the word that begins at data; size > 0. */
size_t pretok_word(const pretok_rule *rule, const char *data, size_t size);

/* The character at data as a code point, and its bytes; a byte that is no UTF-8 is itself plus 0x110000. */
uint32_t utf8_next(const char *data, size_t size, size_t *bytes);

#endif
