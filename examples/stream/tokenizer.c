/*
 * What both kinds of tokenizer share: reads the vocabulary, finds special tokens; BPE or SentencePiece encode the rest.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tokenizer.h"

#include "vocabulary.h"

#include <stdlib.h>
#include <string.h>

bool id_list_add(id_list *list, int32_t id, failure *why) {
    if (list->n == list->room) {
        size_t room = list->room == 0 ? 256 : list->room * 2;
        int32_t *larger = room > SIZE_MAX / sizeof *larger ? NULL : realloc(list->ids, room * sizeof *larger);
        if (larger == NULL) {
            return fail(why, "out of memory for %zu tokens", list->n);
        }
        list->ids = larger;
        list->room = room;
    }
    list->ids[list->n++] = id;
    return true;
}

static uint32_t hash_text(const char *data, size_t size) {
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < size; i++) {
        h = (h ^ (unsigned char)data[i]) * 16777619u;
    }
    return h ^ h >> 15;
}

/* The slot of a name: the one that holds it, or the empty one where it would go. */
static uint32_t slot_of(const tokenizer *t, const char *data, size_t size) {
    uint32_t slot = hash_text(data, size) & t->slot_mask;
    while (t->slots[slot] >= 0) {
        text name = t->names[t->slots[slot]];
        if (name.size == size && memcmp(name.data, data, size) == 0) {
            break;
        }
        slot = (slot + 1) & t->slot_mask;
    }
    return slot;
}

int32_t vocabulary_find(const tokenizer *t, const char *data, size_t size) { return t->slots[slot_of(t, data, size)]; }

int32_t tokenizer_find(const tokenizer *t, const char *name) { return vocabulary_find(t, name, strlen(name)); }

static bool read_names(tokenizer *t, const gguf *file, failure *why) {
    gguf_value list;
    if (!gguf_get_array(file, "tokenizer.ggml.tokens", GGUF_STRING, &list) || list.count == 0 || list.count > 1 << 24) {
        return fail(why, "the file has no vocabulary (tokenizer.ggml.tokens)");
    }
    t->n = (int32_t)list.count;
    uint32_t slots = 16;
    while (slots < 2 * (uint32_t)t->n) {
        slots *= 2;
    }
    t->slot_mask = slots - 1;
    t->names = allocate(list.count, sizeof *t->names, why);
    t->slots = allocate(slots, sizeof *t->slots, why);
    if (t->names == NULL || t->slots == NULL) {
        return false;
    }
    memset(t->slots, -1, slots * sizeof *t->slots);
    const uint8_t *at = list.data;
    for (int32_t i = 0; i < t->n; i++) {
        t->names[i] = gguf_next_string(&at);
        uint32_t slot = slot_of(t, t->names[i].data, t->names[i].size);
        t->slots[slot] =
            t->slots[slot] < 0 ? i : t->slots[slot]; /* of two tokens with the same name the first is used */
    }
    return true;
}

static bool read_types(tokenizer *t, const gguf *file, failure *why) {
    gguf_value list;
    t->types = allocate((uint64_t)t->n, sizeof *t->types, why);
    if (t->types == NULL) {
        return false;
    }
    memset(t->types, TOKEN_NORMAL, (size_t)t->n);
    if (gguf_get_array(file, "tokenizer.ggml.token_type", GGUF_I32, &list)) {
        if (list.count != (uint64_t)t->n) {
            return fail(why, "the vocabulary and its token types differ in length");
        }
        for (int32_t i = 0; i < t->n; i++) {
            double type = gguf_number_at(&list, (uint64_t)i);
            t->types[i] = type >= TOKEN_NORMAL && type <= TOKEN_BYTE ? (uint8_t)type : TOKEN_NORMAL;
        }
    }
    return true;
}

static bool is_special(const tokenizer *t, int32_t id, bool control) {
    return id >= 0 && (t->types[id] == TOKEN_USER || (control && t->types[id] == TOKEN_CONTROL));
}

/* Longer names are not searched for: the search costs the square of the length at every place where one could begin. */
enum { LONGEST_SPECIAL = 256 };

static void note_specials(tokenizer *t) {
    for (int32_t i = 0; i < t->n; i++) {
        text name = t->names[i];
        if (name.size > 0 && name.size <= LONGEST_SPECIAL && is_special(t, i, true)) {
            t->special_start[(unsigned char)name.data[0]] = true;
            t->longest_special = name.size > t->longest_special ? name.size : t->longest_special;
        }
    }
}

static int32_t read_id(const tokenizer *t, const gguf *file, const char *key) {
    int64_t id = -1;
    gguf_get_i64(file, key, &id);
    return id >= 0 && id < t->n ? (int32_t)id : -1;
}

/* All tokens as the bytes that they stand for. These are never longer than the names, so one block holds them. */
static bool make_plain(tokenizer *t, failure *why) {
    uint64_t total = 0;
    for (int32_t i = 0; i < t->n; i++) {
        total += t->names[i].size;
    }
    t->plain = allocate((uint64_t)t->n, sizeof *t->plain, why);
    t->arena = allocate(total, 1, why);
    if (t->plain == NULL || t->arena == NULL) {
        return false;
    }
    char *out = t->arena;
    for (int32_t i = 0; i < t->n; i++) {
        size_t size = 0;
        if (t->types[i] == TOKEN_USER && !t->sentencepiece) {
            size = t->names[i].size;
            memcpy(out, t->names[i].data, size);
        } else if (t->types[i] != TOKEN_CONTROL && t->types[i] != TOKEN_UNUSED) {
            size = t->sentencepiece ? sentencepiece_plain(t->names[i], t->types[i], out) : bpe_plain(t->names[i], out);
        }
        t->plain[i] = (text){out, size};
        out += size;
    }
    return true;
}

static bool open_kind(tokenizer *t, const gguf *file, failure *why) {
    text kind = {"", 0};
    if (!gguf_get_text(file, "tokenizer.ggml.model", &kind)) {
        return fail(why, "the file does not name its tokenizer (tokenizer.ggml.model)");
    }
    t->sentencepiece = text_is(kind, "llama");
    if (!t->sentencepiece && !text_is(kind, "gpt2")) {
        return fail(why,
                    "the tokenizer '%.*s' is not supported; these are: gpt2 (byte-level BPE), llama (SentencePiece)",
                    (int)(kind.size < 40 ? kind.size : 40), kind.data);
    }
    return t->sentencepiece ? sentencepiece_open(t, file, why) : bpe_open(t, file, why);
}

bool tokenizer_in_file(const gguf *file) {
    text kind = {"", 0};
    if (gguf_get_text(file, "tokenizer.ggml.model", &kind)) {
        return !text_is(kind, "none") && !text_is(kind, "no_vocab");
    }
    return gguf_find(file, "tokenizer.ggml.tokens") != NULL;
}

tokenizer *tokenizer_open(const gguf *file, failure *why) {
    tokenizer *t = allocate(1, sizeof *t, why);
    if (t == NULL) {
        return NULL;
    }
    if (!read_names(t, file, why) || !read_types(t, file, why) || !open_kind(t, file, why) || !make_plain(t, why)) {
        tokenizer_close(t);
        return NULL;
    }
    note_specials(t);
    t->bos = read_id(t, file, "tokenizer.ggml.bos_token_id");
    t->eos = read_id(t, file, "tokenizer.ggml.eos_token_id");
    t->unknown = read_id(t, file, "tokenizer.ggml.unknown_token_id");
    int64_t add_bos = t->sentencepiece; /* the default of each kind */
    gguf_get_i64(file, "tokenizer.ggml.add_bos_token", &add_bos);
    t->add_bos = add_bos != 0 && t->bos >= 0;
    return t;
}

void tokenizer_close(tokenizer *t) {
    if (t == NULL) {
        return;
    }
    void *blocks[] = {t->names,       t->plain,     t->types,
                      t->arena,       t->slots,     t->merge_keys,
                      t->merge_ranks, t->merge_ids, (void *)(uintptr_t)t->scores};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        free(blocks[i]);
    }
    merge_free(&t->work);
    free(t);
}

text tokenizer_text(const tokenizer *t, int32_t id) { return id >= 0 && id < t->n ? t->plain[id] : (text){"", 0}; }

tokenizer_facts tokenizer_about(const tokenizer *t) {
    return (tokenizer_facts){t->n, t->bos, t->eos, t->add_bos, t->sentencepiece ? "SentencePiece" : "byte-level BPE"};
}

/* The longest special token whose name begins at data, or -1. */
static int32_t special_at(const tokenizer *t, const char *data, size_t size, bool control) {
    if (!t->special_start[(unsigned char)data[0]]) {
        return -1;
    }
    for (size_t n = size < t->longest_special ? size : t->longest_special; n > 0; n--) {
        int32_t id = vocabulary_find(t, data, n);
        if (is_special(t, id, control)) {
            return id;
        }
    }
    return -1;
}

static bool encode_between(tokenizer *t, const char *data, size_t size, bool at_start, id_list *out, failure *why) {
    if (size > UINT32_MAX / 4) {
        return fail(why, "the text is too long for one piece (%zu bytes)", size);
    }
    return size == 0 || (t->sentencepiece ? sentencepiece_encode(t, data, size, at_start, out, why)
                                          : bpe_encode(t, data, size, out, why));
}

static bool encode(tokenizer *t, text in, bool control, bool begins, id_list *out, failure *why) {
    const char *data = in.data;
    size_t done = 0, size = in.size;
    for (size_t at = 0; at < size; at++) {
        int32_t id = special_at(t, data + at, size - at, control);
        if (id < 0) {
            continue;
        }
        if (!encode_between(t, data + done, at - done, begins && done == 0, out, why) || !id_list_add(out, id, why)) {
            return false;
        }
        done = at + t->names[id].size;
        at = done - 1;
    }
    return encode_between(t, data + done, size - done, begins && done == 0, out, why);
}

bool tokenizer_encode(tokenizer *t, const char *data, size_t size, bool control, id_list *out, failure *why) {
    return encode(t, (text){data, size}, control, true, out, why);
}

bool tokenizer_encode_after(tokenizer *t, const char *data, size_t size, id_list *out, failure *why) {
    return encode(t, (text){data, size}, false, false, out, why);
}

bool emit_symbols(tokenizer *t, const char *word, id_list *out, failure *why) {
    for (int32_t i = 0; i >= 0; i = t->work.symbols[i].after) {
        const symbol *s = &t->work.symbols[i];
        if (s->id >= 0) {
            if (!id_list_add(out, s->id, why)) {
                return false;
            }
            continue;
        }
        for (uint32_t b = 0; b < s->size; b++) { /* not in the vocabulary: one token per byte, if there are such */
            int32_t id = t->byte_ids[(unsigned char)word[s->start + b]];
            id = id >= 0 ? id : t->unknown;
            if (id < 0) {
                return fail(why, "the vocabulary has no token for byte 0x%02x of the text",
                            (unsigned char)word[s->start + b]);
            }
            if (!id_list_add(out, id, why)) {
                return false;
            }
        }
    }
    return true;
}
