/*
 * SentencePiece as Llama and Gemma use it: characters joined into the token with the best score.
 *
 * SPDX-License-Identifier: MIT
 *
 * A space is written U+2581 in the vocabulary. Characters that no token contains are
 * encoded as tokens of single bytes, named <0x00> to <0xFF>.
 */
#include "vocabulary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char space_mark[] = "\xe2\x96\x81";

size_t sentencepiece_plain(text name, int type, char *out) {
    unsigned byte;
    if (type == TOKEN_BYTE && name.size == 6) {
        char copy[7] = {0};
        memcpy(copy, name.data, 6);
        if (sscanf(copy, "<0x%2x>", &byte) == 1) {
            out[0] = (char)byte;
            return 1;
        }
    }
    size_t n = 0;
    for (size_t at = 0; at < name.size;) {
        if (name.size - at >= 3 && memcmp(name.data + at, space_mark, 3) == 0) {
            out[n++] = ' ';
            at += 3;
        } else {
            out[n++] = name.data[at++];
        }
    }
    return n;
}

bool sentencepiece_open(tokenizer *t, const gguf *file, failure *why) {
    gguf_value list;
    if (!gguf_get_array(file, "tokenizer.ggml.scores", GGUF_F32, &list) || list.count != (uint64_t)t->n) {
        return fail(why, "the file has no scores for its SentencePiece tokenizer (tokenizer.ggml.scores)");
    }
    float *scores = allocate(list.count, sizeof *scores, why);
    if (scores == NULL) {
        return false;
    }
    for (int32_t i = 0; i < t->n; i++) {
        scores[i] = (float)gguf_number_at(&list, (uint64_t)i);
    }
    t->scores = scores;
    for (int b = 0; b < 256; b++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", b);
        t->byte_ids[b] = vocabulary_find(t, name, 6);
    }
    int64_t add_space = 1;
    gguf_get_i64(file, "tokenizer.ggml.add_space_prefix", &add_space);
    t->add_space = add_space != 0;
    return true;
}

/* Whether a token may be the result of joining: control tokens and tokens of single bytes may not. */
static int32_t find_ordinary(const tokenizer *t, const char *data, size_t size) {
    int32_t id = vocabulary_find(t, data, size);
    return id >= 0 && (t->types[id] == TOKEN_NORMAL || t->types[id] == TOKEN_USER) ? id : -1;
}

static bool joins(const void *context, const char *word, const symbol *left, const symbol *right, int32_t *id_out,
                  double *cost_out) {
    const tokenizer *t = context;
    int32_t id = find_ordinary(t, word + left->start, (size_t)left->size + right->size);
    if (id < 0) {
        return false;
    }
    *id_out = id;
    *cost_out = -(double)t->scores[id];
    return true;
}

/* The text with its spaces written as in the vocabulary; *out_size is its size. */
static char *mark_spaces(const char *data, size_t size, bool add_space, size_t *out_size, failure *why) {
    char *marked = allocate(3 * (uint64_t)size + 3, 1, why);
    size_t n = 0;
    if (marked == NULL) {
        return NULL;
    }
    if (add_space) {
        memcpy(marked, space_mark, 3);
        n = 3;
    }
    for (size_t i = 0; i < size; i++) {
        if (data[i] == ' ') {
            memcpy(marked + n, space_mark, 3);
            n += 3;
        } else {
            marked[n++] = data[i];
        }
    }
    *out_size = n;
    return marked;
}

bool sentencepiece_encode(tokenizer *t, const char *data, size_t size, bool at_start, id_list *out, failure *why) {
    size_t n = 0;
    char *word = mark_spaces(data, size, t->add_space && at_start, &n, why);
    bool ok = word != NULL;
    merge_start(&t->work);
    for (size_t at = 0, step; ok && at < n; at += step) {
        utf8_next(word + at, n - at, &step);
        ok = merge_add(&t->work, (uint32_t)step, find_ordinary(t, word + at, step), why);
    }
    ok = ok && merge_run(&t->work, joins, t, word, why) && emit_symbols(t, word, out, why);
    free(word);
    return ok;
}
