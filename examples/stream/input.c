/*
 * From the user's files and words to token ids.
 *
 * SPDX-License-Identifier: MIT
 */
#include "input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool parse_ids(const char *data, int32_t n_vocab, id_list *out, failure *why) {
    for (const char *at = data;;) {
        at += strspn(at, " \t\r\n,");
        if (*at == '\0') {
            return true;
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
    bool ok = data != NULL && parse_ids(data, n_vocab, out, why);
    free(data);
    return ok;
}

static bool read_text(const char *path, tokenizer *t, id_list *out, failure *why) {
    size_t size = 0;
    char *data = (char *)read_file(path, &size, why);
    bool ok = data != NULL && tokenizer_encode(t, data, size, false, out, why);
    free(data);
    return ok;
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

static bool add_bos(const options *o, const model *m, const tokenizer *t, id_list *out, failure *why) {
    bool nothing = o->text_path == NULL && o->ids_path == NULL && o->prompt == NULL;
    if (t == NULL) { /* llama2.c: its models begin with token 1 */
        return !(o->bos == 1 || nothing) || m->n_vocab < 2 || id_list_add(out, 1, why);
    }
    tokenizer_facts facts = tokenizer_about(t);
    bool automatic = nothing || (facts.add_bos && o->ids_path == NULL);
    bool wanted = o->bos == 1 || (o->bos == -1 && automatic);
    if (wanted && facts.bos < 0) {
        return fail(why, "this model has no bos token: give a --prompt");
    }
    return !wanted || id_list_add(out, facts.bos, why);
}

bool input_read(const options *o, const model *m, tokenizer *t, id_list *out, failure *why) {
    if ((o->text_path != NULL) + (o->ids_path != NULL) + (o->prompt != NULL) > 1) {
        return fail(why, "--text, --ids and --prompt are three ways to say one thing; give one");
    }
    if (t == NULL && (o->text_path != NULL || o->prompt != NULL)) {
        return fail(why, "this model file has no tokenizer: give token ids with --ids");
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
        return o->chat ? encode_chat(o->prompt, t, out, why) : encode_words(o->prompt, t, out, why);
    }
    return true;
}
