/*
 * From the texts, prompts and id files of the command line to token ids.
 *
 * SPDX-License-Identifier: MIT
 */
#include "input.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool input_tokenizer(const options *o, const model *m, tokenizer **t, failure *why) {
    *t = NULL;
    if (!tokenizer_in_file(&m->file)) {
        return true;
    }
    *t = tokenizer_open(&m->file, why);
    if (*t != NULL) {
        return true;
    }
    fail_in(why, m->path);
    if (o->ids_path != NULL) {
        fprintf(stderr, "stream: note: no text can be encoded or shown, token ids alone: %s\n", why->text);
    }
    return o->ids_path != NULL;
}

const char *input_name(const options *o) {
    return o->text_path != NULL ? o->text_path : o->ids_path != NULL ? o->ids_path : "the prompt";
}

static bool parse_ids(const char *data, size_t size, int32_t n_vocab, id_list *out, failure *why) {
    for (const char *at = data;;) {
        at += strspn(at, " \t\r\n,");
        if (*at == '\0') {
            return at == data + size ||
                   fail(why, "byte %zu is zero: token ids are written as text", (size_t)(at - data));
        }
        char *end = NULL;
        errno = 0;
        long id = strtol(at, &end, 10);
        if (end == at || errno != 0 || id < 0 || id >= n_vocab) {
            return fail(why, "'%.20s' is not a token id of this model (0 .. %d)", at, n_vocab - 1);
        }
        if (!id_list_add(out, (int32_t)id, why)) {
            return false;
        }
        at = end;
    }
}

static bool read_ids(const char *path, int32_t n_vocab, id_list *out, failure *why) {
    size_t size = 0;
    char *data = (char *)read_file(path, &size, why);
    bool ok = data != NULL && parse_ids(data, size, n_vocab, out, why);
    free(data);
    return ok || fail_in(why, path);
}

static bool read_text(const char *path, tokenizer *t, id_list *out, failure *why) {
    size_t size = 0;
    char *data = (char *)read_file(path, &size, why);
    bool ok = data != NULL && tokenizer_encode(t, data, size, false, out, why);
    free(data);
    return ok || fail_in(why, path);
}

static bool encode_words(const char *words, tokenizer *t, id_list *out, failure *why) {
    return tokenizer_encode(t, words, strlen(words), true, out, why);
}

/* ChatML, which SmolLM2, Qwen and others are trained on. */
static bool encode_chat(const char *message, tokenizer *t, id_list *out, failure *why) {
    if (tokenizer_find(t, "<|im_start|>") < 0) {
        return fail(why, "--chat is for models with ChatML's <|im_start|> token; this one has none");
    }
    return encode_words("<|im_start|>user\n", t, out, why) &&
           tokenizer_encode(t, message, strlen(message), false, out, why) &&
           encode_words("<|im_end|>\n<|im_start|>assistant\n", t, out, why);
}

/* The token that begins a text, or -1. Texts of a llama2.c model begin with token 1. */
static int32_t bos_of(const model *m, const tokenizer *t) {
    int64_t bos = m->file.n_values == 0 ? 1 : -1;
    if (t != NULL) {
        return tokenizer_about(t).bos;
    }
    gguf_get_i64(&m->file, "tokenizer.ggml.bos_token_id", &bos);
    return bos < m->n_vocab ? (int32_t)bos : -1;
}

static bool add_bos(const options *o, const model *m, const tokenizer *t, id_list *out, failure *why) {
    bool nothing = o->text_path == NULL && o->ids_path == NULL && o->prompt == NULL;
    bool automatic = nothing || (t != NULL && tokenizer_about(t).add_bos && o->ids_path == NULL);
    bool wanted = o->bos == 1 || (o->bos == -1 && automatic);
    int32_t bos = bos_of(m, t);
    if (wanted && bos < 0) {
        fail(why, "this model has no bos token%s",
             nothing ? ": please give a --prompt, --text or --ids" : ", which has been asked for to begin the text");
        return fail_in(why, m->path);
    }
    return !wanted || id_list_add(out, bos, why);
}

bool input_read(const options *o, const model *m, tokenizer *t, id_list *out, failure *why) {
    if ((o->text_path != NULL) + (o->ids_path != NULL) + (o->prompt != NULL) > 1) {
        return fail(why, "--text, --ids and --prompt exclude each other; give one");
    }
    if (t == NULL && (o->text_path != NULL || o->prompt != NULL)) {
        fail(why, "this model file has no tokenizer: give token ids with --ids");
        return fail_in(why, m->path);
    }
    if (o->text_path == NULL && o->ids_path == NULL && strcmp(o->mode, "generate") != 0) {
        return fail(why, "this needs a text: --text FILE, or --ids FILE");
    }
    if (!add_bos(o, m, t, out, why)) {
        return false;
    }
    if (o->ids_path != NULL) {
        return read_ids(o->ids_path, m->n_vocab, out, why);
    }
    if (o->text_path != NULL) {
        return read_text(o->text_path, t, out, why);
    }
    if (o->prompt != NULL) {
        return (o->chat ? encode_chat : encode_words)(o->prompt, t, out, why) || fail_in(why, m->path);
    }
    return true;
}
