/*
 * Text to token ids and back. Apart from host.h, since the reader of GGUF files behind it is another one than ggml's.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GGML_WORDS_H
#define GGML_WORDS_H

#include <stdint.h>

typedef struct words words;

/* Each ends the program with a sentence if something is wrong. */
words *words_open(const char *model_path);
/* The ids of a text, or of a file's; to be freed by the caller. *n receives how many. */
int32_t *words_encode(words *w, const char *text, int32_t *n);
int32_t *words_of_file(words *w, const char *path, int32_t *n);
void words_print(const words *w, int32_t id);
void words_close(words *w);

#endif
