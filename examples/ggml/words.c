/*
 * Text to token ids and back, by the tokenizer of examples/stream.
 *
 * SPDX-License-Identifier: MIT
 */
#include "words.h"

#include "../stream/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct words {
    uint8_t *bytes; /* of the file; all else points into them */
    gguf file;
    tokenizer *t;
};

static void end(const failure *why) {
    fprintf(stderr, "%s\n", why->text);
    exit(EXIT_FAILURE);
}

words *words_open(const char *model_path) {
    failure why = {""};
    size_t size = 0;
    words *w = allocate(1, sizeof *w, &why);
    if (w == NULL || (w->bytes = read_file(model_path, &size, &why)) == NULL ||
        !gguf_parse(&w->file, w->bytes, size, &why) || (w->t = tokenizer_open(&w->file, &why)) == NULL) {
        end(&why);
    }
    return w;
}

int32_t *words_encode(words *w, const char *text, int32_t *n) {
    failure why = {""};
    id_list list = {0};
    if (!tokenizer_encode(w->t, text, strlen(text), true, &list, &why)) {
        end(&why);
    }
    *n = (int32_t)list.n;
    return list.ids;
}

int32_t *words_of_file(words *w, const char *path, int32_t *n) {
    failure why = {""};
    size_t size = 0;
    char *bytes = (char *)read_file(path, &size, &why);
    if (bytes == NULL) {
        end(&why);
    }
    int32_t *ids = words_encode(w, bytes, n);
    free(bytes);
    return ids;
}

void words_print(const words *w, int32_t id) {
    text piece = tokenizer_text(w->t, id);
    fwrite(piece.data, 1, piece.size, stdout);
    fflush(stdout);
}

void words_close(words *w) {
    tokenizer_close(w->t);
    gguf_close(&w->file);
    free(w->bytes);
    free(w);
}
