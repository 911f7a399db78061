/*
 * What both kinds of tokenizer share: the tokens, their types, and a hash table from name to token.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_VOCABULARY_H
#define STREAM_VOCABULARY_H

#include "gguf.h"
#include "merge.h"
#include "pretok.h"
#include "tokenizer.h"

enum { TOKEN_NORMAL = 1, TOKEN_UNKNOWN = 2, TOKEN_CONTROL = 3, TOKEN_USER = 4, TOKEN_UNUSED = 5, TOKEN_BYTE = 6 };

struct tokenizer {
    bool sentencepiece;
    int32_t n;
    text *names;    /* (n) as in the file */
    text *plain;    /* (n) the bytes that they stand for, in `arena` */
    uint8_t *types; /* (n) TOKEN_* */
    char *arena;
    int32_t *slots; /* hash table of ids, -1: empty */
    uint32_t slot_mask;
    int32_t bos, eos, unknown;
    bool add_bos, add_space;
    int32_t byte_ids[256]; /* the token of a single byte, or -1 */

    /* Special tokens, which are searched for first: the longest name's length, and which bytes one begins with. */
    size_t longest_special;
    bool special_start[256];

    const pretok_rule *rule; /* byte-level BPE */
    uint64_t *merge_keys;    /* hash table: left id and right id, UINT64_MAX: empty */
    int32_t *merge_ranks, *merge_ids;
    uint32_t merge_mask;

    const float *scores; /* SentencePiece: (n), in memory of our own */
    merger work;
};

/* The id of a token by its name, or -1. */
int32_t vocabulary_find(const tokenizer *t, const char *data, size_t size);

/* What each kind implements: reading its tables, and encoding a text without special tokens. */
bool bpe_open(tokenizer *t, const gguf *file, failure *why);
bool bpe_encode(tokenizer *t, const char *data, size_t size, id_list *out, failure *why);
bool sentencepiece_open(tokenizer *t, const gguf *file, failure *why);
bool sentencepiece_encode(tokenizer *t, const char *data, size_t size, bool at_start, id_list *out, failure *why);

/* Writes the bytes that a token of this name stands for; never more than the name has. Returns how many. */
size_t bpe_plain(text name, char *out);
size_t sentencepiece_plain(text name, int type, char *out);

/* Appends the ids of the word's symbols; a symbol that is no token becomes the tokens of its bytes, or `unknown`. */
bool emit_symbols(tokenizer *t, const char *word, id_list *out, failure *why);

#endif
