/*
 * Byte-level BPE as in GPT-2: words of bytes, merged by a ranked list of pairs.
 *
 * SPDX-License-Identifier: MIT
 *
 * In the file, each byte of a token is written as one printable character: those bytes
 * that are printable in Latin-1 as themselves, the others as U+0100 and on, in order.
 */
#include "vocabulary.h"

#include <string.h>

static bool printable(int byte) {
    return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
}

/* The code point that stands for each byte. */
static void byte_characters(uint32_t points[256]) {
    uint32_t next = 0x100;
    for (int b = 0; b < 256; b++) {
        points[b] = printable(b) ? (uint32_t)b : next++;
    }
}

/* The inverse table; 0x143 is the last code point in use. */
static void character_bytes(int16_t bytes[0x144]) {
    uint32_t points[256];
    memset(bytes, -1, 0x144 * sizeof *bytes);
    byte_characters(points);
    for (int b = 0; b < 256; b++) {
        bytes[points[b]] = (int16_t)b;
    }
}

size_t bpe_plain(text name, char *out) {
    int16_t bytes[0x144];
    character_bytes(bytes);
    size_t n = 0;
    for (size_t at = 0, step; at < name.size; at += step) {
        uint32_t c = utf8_next(name.data + at, name.size - at, &step);
        if (c < 0x144 && bytes[c] >= 0) {
            out[n++] = (char)bytes[c];
        } else {
            memcpy(out + n, name.data + at, step);
            n += step;
        }
    }
    return n;
}

static void find_bytes(tokenizer *t) {
    uint32_t points[256];
    byte_characters(points);
    for (int b = 0; b < 256; b++) {
        char name[2] = {(char)points[b], 0};
        size_t size = 1;
        if (points[b] >= 0x80) { /* two bytes of UTF-8: all are below U+0800 */
            name[0] = (char)(0xc0 | points[b] >> 6);
            name[1] = (char)(0x80 | (points[b] & 0x3f));
            size = 2;
        }
        t->byte_ids[b] = vocabulary_find(t, name, size);
    }
}

static uint32_t merge_slot(const tokenizer *t, uint64_t key) {
    uint64_t h = key * 0x9e3779b97f4a7c15u;
    uint32_t slot = (uint32_t)(h >> 32) & t->merge_mask;
    while (t->merge_keys[slot] != UINT64_MAX && t->merge_keys[slot] != key) {
        slot = (slot + 1) & t->merge_mask;
    }
    return slot;
}

static uint64_t pair_key(int32_t left, int32_t right) { return (uint64_t)(uint32_t)left << 32 | (uint32_t)right; }

/* "left right": the one space separates, since a space in a token is written as another character. */
static bool read_merge(tokenizer *t, text line, int32_t rank, failure *why) {
    const char *space = line.size == 0 ? NULL : memchr(line.data + 1, ' ', line.size - 1);
    char joined[1024]; /* more than twice the longest token of any known tokenizer */
    if (space == NULL || line.size > sizeof joined) {
        return fail(why, "merge %d of the tokenizer is malformed", rank);
    }
    size_t left = (size_t)(space - line.data), right = line.size - left - 1;
    memcpy(joined, line.data, left);
    memcpy(joined + left, space + 1, right);
    int32_t a = vocabulary_find(t, line.data, left), b = vocabulary_find(t, space + 1, right);
    int32_t both = vocabulary_find(t, joined, left + right);
    if (a < 0 || b < 0 || both < 0) {
        return fail(why, "merge %d of the tokenizer joins what is not in the vocabulary", rank);
    }
    uint32_t slot = merge_slot(t, pair_key(a, b));
    if (t->merge_keys[slot] == UINT64_MAX) {
        t->merge_keys[slot] = pair_key(a, b);
        t->merge_ranks[slot] = rank;
        t->merge_ids[slot] = both;
    }
    return true;
}

static bool read_merges(tokenizer *t, const gguf *file, failure *why) {
    gguf_value list;
    if (!gguf_get_array(file, "tokenizer.ggml.merges", GGUF_STRING, &list) || list.count > 1 << 26) {
        return fail(why, "the file has no merges for its BPE tokenizer (tokenizer.ggml.merges)");
    }
    uint32_t slots = 16;
    while (slots < 2 * list.count) {
        slots *= 2;
    }
    t->merge_mask = slots - 1;
    t->merge_keys = allocate(slots, sizeof *t->merge_keys, why);
    t->merge_ranks = allocate(slots, sizeof *t->merge_ranks, why);
    t->merge_ids = allocate(slots, sizeof *t->merge_ids, why);
    if (t->merge_keys == NULL || t->merge_ranks == NULL || t->merge_ids == NULL) {
        return false;
    }
    memset(t->merge_keys, 0xff, slots * sizeof *t->merge_keys);
    const uint8_t *at = list.data;
    for (uint64_t i = 0; i < list.count; i++) {
        if (!read_merge(t, gguf_next_string(&at), (int32_t)i, why)) {
            return false;
        }
    }
    return true;
}

bool bpe_open(tokenizer *t, const gguf *file, failure *why) {
    text pre = {"gpt-2", 5};
    gguf_get_text(file, "tokenizer.ggml.pre", &pre);
    t->rule = pretok_find(pre.data, pre.size);
    if (t->rule == NULL) {
        return fail(why, "the pre-tokenizer '%.*s' is not supported: its way of cutting words is not known here",
                    (int)(pre.size < 40 ? pre.size : 40), pre.data);
    }
    find_bytes(t);
    return read_merges(t, file, why);
}

static bool joins(const void *context, const char *word, const symbol *left, const symbol *right, int32_t *id_out,
                  double *cost_out) {
    const tokenizer *t = context;
    (void)word;
    if (left->id < 0 || right->id < 0) {
        return false;
    }
    uint64_t key = pair_key(left->id, right->id);
    uint32_t slot = merge_slot(t, key);
    if (t->merge_keys[slot] != key) {
        return false;
    }
    *id_out = t->merge_ids[slot];
    *cost_out = t->merge_ranks[slot];
    return true;
}

/* The token whose bytes are the whole word, or -1. */
static int32_t whole_word(const tokenizer *t, const char *word, size_t size) {
    char name[256];
    uint32_t points[256];
    size_t n = 0;
    if (size > sizeof name / 2) {
        return -1;
    }
    byte_characters(points);
    for (size_t i = 0; i < size; i++) {
        uint32_t c = points[(unsigned char)word[i]];
        if (c >= 0x80) {
            name[n++] = (char)(0xc0 | c >> 6);
            c = 0x80 | (c & 0x3f);
        }
        name[n++] = (char)c;
    }
    return vocabulary_find(t, name, n);
}

static bool encode_word(tokenizer *t, const char *word, size_t size, id_list *out, failure *why) {
    int32_t whole = t->rule->whole_words ? whole_word(t, word, size) : -1;
    if (whole >= 0) {
        return id_list_add(out, whole, why);
    }
    merge_start(&t->work);
    for (size_t i = 0; i < size; i++) {
        if (!merge_add(&t->work, 1, t->byte_ids[(unsigned char)word[i]], why)) {
            return false;
        }
    }
    return merge_run(&t->work, joins, t, word, why) && emit_symbols(t, word, out, why);
}

bool bpe_encode(tokenizer *t, const char *data, size_t size, id_list *out, failure *why) {
    for (size_t at = 0; at < size;) {
        size_t word = pretok_word(t->rule, data + at, size - at);
        if (!encode_word(t, data + at, word, out, why)) {
            return false;
        }
        at += word;
    }
    return true;
}
