/*
 * A chat as a file: the list of its turns, and a snapshot of its sequence.
 *
 * SPDX-License-Identifier: MIT
 *
 * Lines of a name and a number each, the questions, and then the snapshot as the library writes it. The snapshot has a
 * checksum of its own; the lines have one here. That the file belongs to the model is seen by a number made of all the
 * bytes of the model's file: two models of the same shape would otherwise exchange snapshots without a complaint.
 */
#include "chat_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char first_line[] = "sinkattn-chat 1\n";

/* FNV-1a over little-endian words of 64 bits, the last one filled up with zeros. */
static uint64_t hash(const void *data, size_t size) {
    const uint8_t *at = data;
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = 0;
        for (size_t k = i; k < i + 8 && k < size; k++) {
            word |= (uint64_t)at[k] << 8 * (k - i);
        }
        h = (h ^ word) * 1099511628211u;
        h ^= h >> 32;
    }
    return h;
}

/* A number of 63 bits for the model's file. */
static int64_t model_number(const chat_state *c) { return (int64_t)(hash(c->s.m->bytes, c->s.m->n_bytes) >> 1); }

/* ---------------------------------- writing -------------------------------- */

/* Text that grows; after a failure, nothing is added any more. */
typedef struct writer {
    char *data;
    size_t size, room;
    bool ok;
    failure *why;
} writer;

/* Makes room for at least so many bytes in all. */
static bool reserve(writer *w, size_t room) {
    if (w->ok && room > w->room) {
        char *larger = realloc(w->data, room);
        w->ok = larger != NULL || fail(w->why, "out of memory for %zu bytes", room);
        w->data = larger != NULL ? larger : w->data;
        w->room = larger != NULL ? room : w->room;
    }
    return w->ok;
}

static void put(writer *w, const void *data, size_t size) {
    size_t needed = w->size + size;
    if (size > 0 && reserve(w, needed > w->room ? 2 * needed : needed)) {
        memcpy(w->data + w->size, data, size);
        w->size += size;
    }
}

static void put_number(writer *w, const char *name, int64_t value) {
    char line[64];
    int length = snprintf(line, sizeof line, "%s %lld\n", name, (long long)value);
    put(w, line, (size_t)length);
}

static void put_turn(writer *w, const turn *t) {
    put_number(w, "number", t->number);
    put_number(w, "from", t->from);
    put_number(w, "end", t->end);
    put_number(w, "place", t->place);
    put_number(w, "question", (int64_t)strlen(t->question));
    put(w, t->question, strlen(t->question));
    put(w, "\n", 1);
}

static void put_turns(writer *w, const chat_state *c) {
    const turn_list *list = &c->b.now->turns;
    put(w, first_line, sizeof first_line - 1);
    put_number(w, "model", model_number(c));
    put_number(w, "seen", branches_about(&c->b).seen);
    put_number(w, "system", list->system);
    put_number(w, "places", list->places);
    put_number(w, "last", list->last);
    put_number(w, "turns", (int64_t)list->n);
    for (size_t i = 0; i < list->n; i++) {
        put_turn(w, &list->at[i]);
    }
    put_number(w, "check", (int64_t)(hash(w->data, w->ok ? w->size : 0) >> 1));
}

/* Written where it stays: it is most of the file. */
static void put_snapshot(writer *w, sa_cache *cache) {
    size_t size = 0, written = 0;
    if (w->ok && sa_cache_save_size(cache, 0, &size) != SA_SUCCESS) {
        w->ok = fail(w->why, "sinkattn: %s", sa_cache_error(cache));
    }
    if (reserve(w, w->size + size) && sa_cache_save(cache, 0, w->data + w->size, size, &written) != SA_SUCCESS) {
        w->ok = fail(w->why, "sinkattn: %s", sa_cache_error(cache));
    }
    w->size += written;
}

/* Into a file beside it first, so that a full disk or a power cut leaves the old one as it was. */
static bool write_whole(const char *path, const writer *w, failure *why) {
    char beside[4096];
    if (snprintf(beside, sizeof beside, "%s.part", path) >= (int)sizeof beside) {
        return fail(why, "the name of the file is too long");
    }
    FILE *file = fopen(beside, "wb");
    if (file == NULL) {
        return fail(why, "cannot write %.400s: %s", path, strerror(errno));
    }
    bool ok = fwrite(w->data, 1, w->size, file) == w->size;
    ok = fclose(file) == 0 && ok;
    ok = ok && rename(beside, path) == 0;
    if (!ok) {
        fail(why, "cannot write all of %.400s: %s", path, strerror(errno));
        remove(beside);
    }
    return ok;
}

bool chat_save(chat_state *c, const char *path, uint64_t *bytes, failure *why) {
    writer w = {.ok = true, .why = why};
    put_turns(&w, c);
    put_snapshot(&w, c->b.now->cache);
    bool ok = w.ok && write_whole(path, &w, why);
    *bytes = w.size;
    free(w.data);
    return ok;
}

/* ---------------------------------- reading -------------------------------- */

/* The rest of a file, ended by a zero byte; after a failure, numbers are 0. */
typedef struct reader {
    const char *at;
    size_t left;
    bool ok;
} reader;

/* The number in a line "name number", which must be within the limits. */
static int64_t get_number(reader *r, const char *name, int64_t low, int64_t high) {
    size_t length = strlen(name);
    char *end = NULL;
    errno = 0;
    r->ok = r->ok && r->left > length && memcmp(r->at, name, length) == 0 && r->at[length] == ' ';
    long long value = r->ok ? strtoll(r->at + length + 1, &end, 10) : 0;
    r->ok = r->ok && errno == 0 && *end == '\n' && value >= low && value <= high;
    if (r->ok) {
        r->left -= (size_t)(end + 1 - r->at);
        r->at = end + 1;
    }
    return r->ok ? value : 0;
}

/* A question of that many bytes, in memory of its own, or NULL. */
static char *get_question(reader *r, int64_t size, failure *why) {
    r->ok = r->ok && r->left > (size_t)size && r->at[size] == '\n' && memchr(r->at, 0, (size_t)size) == NULL;
    char *question = r->ok ? allocate((uint64_t)size + 1, 1, why) : NULL;
    if (question != NULL) {
        memcpy(question, r->at, (size_t)size);
        r->at += size + 1;
        r->left -= (size_t)size + 1;
    }
    return question;
}

/* A turn behind those that are in the list: in the stream and in the chat. */
static bool get_turn(reader *r, turn_list *list, int64_t seen, failure *why) {
    const turn *before = turns_newest(list);
    int64_t number = get_number(r, "number", before != NULL ? before->number + 1 : 1, INT32_MAX);
    int64_t from = get_number(r, "from", before != NULL ? before->end : list->system, seen);
    int64_t end = get_number(r, "end", from + 1, seen);
    int64_t place = get_number(r, "place", list->places, list->places);
    char *question = get_question(r, get_number(r, "question", 0, (int64_t)r->left), why);
    list->last = (int32_t)number - 1;
    bool ok = question != NULL && place == list->places && turns_add(list, from, end, question, why);
    free(question);
    return ok;
}

static bool get_turns(reader *r, turn_list *list, int64_t *seen, failure *why) {
    *seen = get_number(r, "seen", 0, INT64_MAX / 4);
    list->system = list->places = get_number(r, "system", 0, *seen);
    int64_t places = get_number(r, "places", list->system, *seen);
    int64_t last = get_number(r, "last", 0, INT32_MAX), n = get_number(r, "turns", 0, last);
    for (int64_t i = 0; r->ok && i < n; i++) {
        r->ok = get_turn(r, list, *seen, why);
    }
    r->ok = r->ok && list->places == places && list->last <= last;
    list->last = (int32_t)last;
    return r->ok;
}

static bool load_snapshot(chat_state *c, const reader *r, int64_t seen, sa_cache **cache, failure *why) {
    sa_cache_facts facts = {.struct_size = sizeof facts};
    if (!branches_spare(&c->b, cache, why)) {
        return false;
    }
    bool ok = sa_cache_load(*cache, r->at, r->left) == SA_SUCCESS || fail(why, "sinkattn: %s", sa_cache_error(*cache));
    for (int32_t i = 0; ok && i < c->s.m->n_layers; i++) {
        ok = sa_cache_info(*cache, i, &facts) == SA_SUCCESS && (int64_t)facts.tokens_seen == seen;
        ok = ok || fail(why, "the list of turns does not belong to the snapshot");
    }
    if (!ok) {
        sa_cache_destroy(*cache);
    }
    return ok;
}

static bool read_chat(chat_state *c, reader *r, failure *why) {
    const char *all = r->at;
    size_t length = sizeof first_line - 1;
    if (r->left < length || memcmp(r->at, first_line, length) != 0) {
        return fail(why, "this is no saved chat");
    }
    r->at += length;
    r->left -= length;
    int64_t model = get_number(r, "model", 0, INT64_MAX), seen = 0;
    if (r->ok && model != model_number(c)) {
        return fail(why, "this chat is with another model");
    }
    turn_list turns = {0};
    sa_cache *cache = NULL;
    fail(why, "this saved chat is damaged");
    bool ok = get_turns(r, &turns, &seen, why);
    int64_t check = (int64_t)(hash(all, (size_t)(r->at - all)) >> 1);
    ok = ok && get_number(r, "check", check, check) == check && r->ok && load_snapshot(c, r, seen, &cache, why);
    if (ok) {
        branches_replace(&c->b, cache, &turns);
    } else {
        turns_free(&turns);
    }
    return ok;
}

bool chat_load(chat_state *c, const char *path, failure *why) {
    size_t size = 0;
    uint8_t *data = read_file(path, &size, why);
    reader r = {(const char *)data, size, true};
    bool ok = data != NULL && read_chat(c, &r, why);
    free(data);
    return ok || fail_in(why, path);
}
