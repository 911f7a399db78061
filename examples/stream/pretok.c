/*
 * Cutting text into words, as GPT-2's and Llama 3's regular expressions do.
 *
 * SPDX-License-Identifier: MIT
 *
 * GPT-2:    's|'t|'re|'ve|'m|'ll|'d| ?L+| ?N+| ?[^\s L N]+|\s+(?!\S)|\s+
 * Llama 3:  the same endings in any case|[^\r\n L N]?L+|N{1,3}| ?[^\s L N]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 * where L and N are the Unicode letters and numbers. The first alternative that matches wins.
 */
#include "pretok.h"

#include "unicode_ranges.h"

#include <string.h>

static const pretok_rule rules[] = {
    {"gpt-2", false, false, INT32_MAX, false},   {"smollm", false, true, 1, false},
    {"starcoder", false, true, 1, false},        {"refact", false, true, 1, false},
    {"llama-bpe", true, false, 3, true},         {"qwen2", true, false, 1, false},
    {"deepseek-r1-qwen", true, false, 1, false}, {"smaug-bpe", true, false, 3, false},
};

const pretok_rule *pretok_find(const char *name, size_t size) {
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (strlen(rules[i].name) == size && memcmp(rules[i].name, name, size) == 0) {
            return &rules[i];
        }
    }
    return NULL;
}

static size_t sequence_length(unsigned char first) {
    return first < 0x80                    ? 1
           : first >= 0xc2 && first < 0xe0 ? 2
           : first >= 0xe0 && first < 0xf0 ? 3
           : first >= 0xf0 && first < 0xf5 ? 4
                                           : 0;
}

uint32_t utf8_next(const char *data, size_t size, size_t *bytes) {
    const unsigned char *p = (const unsigned char *)data;
    size_t length = sequence_length(p[0]);
    uint32_t point = length == 1 ? p[0] : p[0] & (0xffu >> (length + 1));
    bool good = length != 0 && length <= size;
    for (size_t i = 1; good && i < length; i++) {
        good = (p[i] & 0xc0) == 0x80;
        point = point << 6 | (p[i] & 0x3fu);
    }
    *bytes = good ? length : 1;
    return good ? point : 0x110000u + p[0];
}

/* Inside if an odd number of borders is at or below the point. */
static bool inside(uint32_t point, const uint32_t *borders, size_t n) {
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (borders[middle] <= point) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low % 2 != 0;
}

enum { OTHER = 0, LETTER = 1, NUMBER = 2, SPACE = 4, NEWLINE = 8 | SPACE, END = 16 };

static bool is_space(uint32_t c) {
    return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
           c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/* The kind of the character at `at`, and its bytes; END (0 bytes) behind the text. */
static int kind_at(const char *data, size_t size, size_t at, size_t *bytes) {
    *bytes = 0;
    if (at >= size) {
        return END;
    }
    uint32_t c = utf8_next(data + at, size - at, bytes);
    if (is_space(c)) {
        return c == '\r' || c == '\n' ? NEWLINE : SPACE;
    }
    if (inside(c, letter_borders, sizeof letter_borders / sizeof letter_borders[0])) {
        return LETTER;
    }
    return inside(c, number_borders, sizeof number_borders / sizeof number_borders[0]) ? NUMBER : OTHER;
}

/* The end of the run of characters of exactly this kind that begins at `at`. */
static size_t run_of(int kind, int64_t most, const char *data, size_t size, size_t at) {
    size_t bytes;
    for (; most > 0 && kind_at(data, size, at, &bytes) == kind; most--) {
        at += bytes;
    }
    return at;
}

static size_t contraction(const char *data, size_t size, bool any_case) {
    static const char *const endings[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    for (size_t i = 0; data[0] == '\'' && i < sizeof endings / sizeof endings[0]; i++) {
        size_t n = strlen(endings[i]), same = 0;
        while (same < n && 1 + same < size) {
            char c = data[1 + same];
            c = any_case && c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
            if (c != endings[i][same]) {
                break;
            }
            same++;
        }
        if (same == n) {
            return 1 + n;
        }
    }
    return 0;
}

/* \s+(?!\S)|\s+ : white space, but the last of several characters belongs to the word that follows. */
static size_t spaces(const pretok_rule *rule, const char *data, size_t size) {
    size_t at = 0, last = 0, bytes;
    int kind;
    while (((kind = kind_at(data, size, at, &bytes)) & SPACE) != 0) {
        last = at;
        at += bytes;
    }
    bool ends = kind == END || (rule->digits_first && kind == NUMBER);
    return ends || last == 0 ? at : last;
}

static size_t gpt2_word(const pretok_rule *rule, const char *data, size_t size) {
    size_t word = contraction(data, size, false), bytes;
    if (word != 0) {
        return word;
    }
    size_t start = data[0] == ' ' ? 1 : 0;
    int kind = kind_at(data, size, start, &bytes);
    if (kind == NUMBER && rule->digits_first) {
        return start == 0 ? bytes : 1;
    }
    if (kind == LETTER || kind == NUMBER || kind == OTHER) {
        return run_of(kind, kind == NUMBER ? rule->max_digits : INT64_MAX, data, size, start);
    }
    return spaces(rule, data, size);
}

/* \s*[\r\n]+ : white space up to its last line end; 0 if it has none. */
static size_t up_to_newline(const char *data, size_t size) {
    size_t at = 0, end = 0, bytes;
    int kind;
    while (((kind = kind_at(data, size, at, &bytes)) & SPACE) != 0) {
        at += bytes;
        end = kind == NEWLINE ? at : end;
    }
    return end;
}

static size_t llama3_word(const pretok_rule *rule, const char *data, size_t size) {
    size_t word = contraction(data, size, true), first_bytes, bytes;
    if (word != 0) {
        return word;
    }
    int first = kind_at(data, size, 0, &first_bytes);
    size_t letters = first == OTHER || first == SPACE ? first_bytes : 0;
    if (first != NUMBER && first != NEWLINE && kind_at(data, size, letters, &bytes) == LETTER) {
        return run_of(LETTER, INT64_MAX, data, size, letters);
    }
    if (first == NUMBER) {
        return run_of(NUMBER, rule->max_digits, data, size, 0);
    }
    size_t marks = data[0] == ' ' ? 1 : 0;
    if (kind_at(data, size, marks, &bytes) == OTHER) {
        return run_of(NEWLINE, INT64_MAX, data, size, run_of(OTHER, INT64_MAX, data, size, marks));
    }
    word = up_to_newline(data, size);
    return word != 0 ? word : spaces(rule, data, size);
}

size_t pretok_word(const pretok_rule *rule, const char *data, size_t size) {
    return rule->llama3_shape ? llama3_word(rule, data, size) : gpt2_word(rule, data, size);
}
