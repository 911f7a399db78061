/*
 * Damaged and hostile snapshots: whatever the bytes are, a load refuses them and changes nothing, or the sequence that
 * it makes can be used as any other.
 *
 *     snapshot-fuzz MUTATIONS SEED     the last line is "n mutated snapshots, n refused, n loaded, n wrong"
 *
 * With SNAPSHOT_LIBFUZZER, a libFuzzer target in its place, whose bytes are a snapshot but for the checksum.
 *
 * SPDX-License-Identifier: MIT
 */
#define _POSIX_C_SOURCE 200112L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support.h"
#include "snapshots.h"

enum { LAYERS = 2, HEADS = 4, KV_HEADS = 2, DIM = 12, MOST_TOKENS = 64, CONFIGS = 12, SECONDS = 120 };

/* A config, a pool with a sequence to load into, and good snapshots of two others. */
typedef struct subject {
    sa_config config;
    sa_pool *pool;
    sa_cache *cache;
    unsigned char *good[3]; /* two whole ones, and one from position `from` on */
    size_t size[3];
    uint64_t from;
} subject;

static test_rng rng = {1};
static float tokens[MOST_TOKENS * HEADS * DIM], results[MOST_TOKENS * HEADS * DIM];
static long refused, loaded, wrong;

static void fail(const char *what, const char *why) {
    if (wrong++ < 20) {
        printf("wrong: %s: %s\n", what, why);
        fflush(stdout);
    }
}

/* --------------------------------- subjects -------------------------------- */

static sa_config config_of(int i) {
    static const float logits[HEADS] = {0.5f, -1, 0, 2};
    static const int32_t windows[KV_HEADS] = {9, 0};
    sa_config c;
    memset(&c, 0, sizeof c);
    c.struct_size = sizeof c;
    c.n_layers = LAYERS;
    c.n_heads = HEADS;
    c.n_kv_heads = KV_HEADS;
    c.head_dim = DIM;
    c.v_head_dim = i % 2 ? 7 : DIM;
    c.k_dtype = 1 + i % 5;
    c.v_dtype = 1 + (i + i / 5) % 5;
    c.policy = i == 7 ? SA_POLICY_DENSE : SA_POLICY_SINK_WINDOW;
    c.n_sink = i == 7 ? 0 : i % 6;
    c.window = i == 7 ? 150 : 10 + 11 * (i % 4);
    c.max_append = 8;
    c.rollback = i % 3 ? 0 : 20;
    c.position = 1 + i % 4 == SA_POSITION_ROPE_APPLIED ? SA_POSITION_ROPE : 1 + i % 4;
    c.position_mode = i % 5 == 1 ? SA_IN_STREAM : SA_IN_CACHE;
    c.sink_logits = i % 4 == 1 ? logits : NULL;
    c.n_recent = i % 3 == 1 && i != 7 ? 6 : 0;
    c.n_sink_kv = i == 4 ? 3 : 0;
    c.head_windows = i == 6 || i == 8 ? windows : NULL;
    c.n_rows = i % 4 == 2 ? 20 : 0;
    c.n_spans = 6;
    c.n_pin = 24;
    c.n_sequences = 3;
    c.pool_tokens = i == 9 ? 130 : 0;
    return c;
}

static void append(sa_cache *cache, int n) {
    for (int l = 0; l < LAYERS; l++) {
        (void)sa_append_attend(cache, l, n, tokens, tokens, tokens, results);
    }
}

static void set_rows(sa_cache *cache, int32_t first, int32_t n, int at_distance) {
    int64_t places[12 * KV_HEADS];
    float biases[12 * KV_HEADS];
    sa_rows rows;
    memset(&rows, 0, sizeof rows);
    rows.struct_size = sizeof rows;
    rows.flags = at_distance ? SA_ROWS_AT_DISTANCE : 0;
    rows.first = first;
    rows.n_rows = n;
    rows.layer = first % LAYERS;
    rows.k.data = rows.v.data = tokens;
    rows.places = places;
    rows.biases = biases;
    for (int i = 0; i < 12 * KV_HEADS; i++) places[i] = 3 * i;
    for (int i = 0; i < 12 * KV_HEADS; i++) biases[i] = tokens[i];
    (void)sa_set_rows(cache, &rows);
}

/* Something of all that can happen to a sequence. */
static void live(sa_cache *cache, int operations) {
    for (int i = 0; i < operations; i++) {
        sa_cache_facts info;
        memset(&info, 0, sizeof info);
        info.struct_size = sizeof info;
        (void)sa_cache_info(cache, 0, &info);
        int layer = (int)rng_in(&rng, -1, LAYERS - 1);
        uint64_t back = (uint64_t)rng_in(&rng, 0, 50), n = (uint64_t)rng_in(&rng, 1, 12);
        uint64_t from = info.tokens_seen > back ? info.tokens_seen - back : rng_in(&rng, 0, 1) ? 0 : back;
        switch (rng_in(&rng, 0, 11)) {
        case 0:
            (void)sa_cache_pin(cache, layer, from, from + n);
            break;
        case 1:
            (void)sa_cache_unpin(cache, layer, from, from + n);
            break;
        case 2:
            (void)sa_cache_remove(cache, layer, from, from + n, (int32_t)(n % 2));
            break;
        case 3:
            (void)sa_cache_rollback(cache, layer, (int64_t)n);
            break;
        case 4:
            if (n > 2) set_rows(cache, (int32_t)back % 9, (int32_t)n, back % 2);
            if (n == 1) (void)sa_cache_anchor(cache, layer, from, from + n);
            if (n == 2) (void)sa_cache_seek(cache, layer, info.tokens_seen + back);
            break;
        case 5:
            (void)sa_attend(cache, (int)(n % LAYERS), (int32_t)n % 8, tokens, results);
            break;
        default:
            append(cache, (int)rng_in(&rng, 1, n == 12 ? MOST_TOKENS : 8));
        }
    }
}

static unsigned char *save(sa_cache *cache, uint64_t from, size_t *size) {
    unsigned char *data;
    size_t written = 0;
    if (sa_cache_save_size(cache, from, size)) {
        return NULL;
    }
    data = test_take(*size);
    if (sa_cache_save(cache, from, data, *size, &written) || written != *size) {
        fail("save", sa_cache_error(cache));
    }
    return data;
}

static void make_subject(subject *s, int i) {
    sa_cache_facts info;
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    s->config = config_of(i);
    if (sa_pool_create(&s->config, NULL, &s->pool) || sa_pool_open(s->pool, &s->cache)) {
        const char *why;
        (void)sa_config_check(&s->config, &why, NULL);
        printf("config %d: %s\n", i, why);
        exit(1);
    }
    for (int l = 0; l < LAYERS && s->config.n_sink_kv; l++) {
        (void)sa_set_sink_kv(s->cache, l, tokens, tokens);
    }
    for (int g = 0; g < 2; g++) {
        live(s->cache, 40);
        append(s->cache, 5);
        s->good[g] = save(s->cache, 0, &s->size[g]);
    }
    /* The last one is of what comes after where the cache stands now. */
    (void)sa_cache_reset(s->cache, SA_ALL_LAYERS);
    append(s->cache, 29);
    (void)sa_cache_info(s->cache, 0, &info);
    s->from = info.tokens_seen;
    sa_cache *fork;
    if (sa_cache_fork(s->cache, &fork)) exit(1);
    append(fork, 3);
    (void)sa_cache_pin(fork, SA_ALL_LAYERS, 25, 31);
    s->good[2] = save(fork, s->from, &s->size[2]);
    sa_cache_destroy(fork);
}

/* --------------------------------- mutations ------------------------------- */

/* A place where the form of the snapshot is decided: in its header, a section's first line, or its spans. */
static size_t draw_field(const unsigned char *data, size_t size) {
    size_t sections = 0, at = 128, chosen = 0;
    while (at + 128 <= size && sections < 64) {
        uint64_t length = snapshot_get(data + at + 8, 8);
        if (rng_in(&rng, 0, (int64_t)sections++) == 0) {
            chosen = at;
        }
        if (length < 128 || length > size - at) {
            break;
        }
        at += (size_t)length;
    }
    size_t reach = size - chosen < 384 ? size - chosen : 384;
    size_t where = rng_chance(&rng, 10) ? 16 : chosen + 4 * (size_t)rng_in(&rng, 0, (int64_t)(reach / 4) - 1);
    return where + 8 <= size ? where : 0;
}

static uint64_t draw_value(uint64_t old, const unsigned char *data, size_t size) {
    switch (rng_in(&rng, 0, 7)) {
    case 0:
        return 0;
    case 1:
        return old + (uint64_t)rng_in(&rng, -17, 17);
    case 2:
        return (uint64_t)1 << rng_in(&rng, 0, 63);
    case 3:
        return ((uint64_t)1 << rng_in(&rng, 0, 63)) - 1;
    case 4:
        return UINT64_MAX;
    case 5:
        return snapshot_get(data + draw_field(data, size), 8);
    case 6:
        return (uint64_t)rng_in(&rng, 0, 300);
    default:
        return rng_next(&rng);
    }
}

static void mutate_field(unsigned char *data, size_t size) {
    size_t at = draw_field(data, size);
    int width = rng_chance(&rng, 50) ? 4 : 8;
    snapshot_set(data + at, draw_value(snapshot_get(data + at, width), data, size), width);
}

/* The mutated snapshot, of at most `room` bytes. */
static size_t mutate(const subject *s, int which, unsigned char *data, size_t room) {
    size_t size = s->size[which], other = s->size[which ? 0 : 1];
    memcpy(data, s->good[which], size);
    for (int64_t n = rng_in(&rng, 1, 4); n > 0; n--) {
        size_t at = (size_t)rng_in(&rng, 0, (int64_t)size - 1), from, length;
        switch (rng_in(&rng, 0, 7)) {
        case 0:
            data[at] ^= (unsigned char)(1 << rng_in(&rng, 0, 7));
            break;
        case 1: /* truncated, or longer */
            size = rng_chance(&rng, 50) ? at / 128 * 128 : rng_chance(&rng, 50) ? at : size;
            size = size < 128 ? 128 : size;
            break;
        case 2: /* lines of the other one, or from elsewhere in this one */
            at = at / 128 * 128;
            from = (size_t)rng_in(&rng, 0, (int64_t)other / 128 - 1) * 128;
            length = (size_t)rng_in(&rng, 1, 12) * 128;
            if (length > size - at) length = size - at;
            if (length > other - from) length = other - from;
            memcpy(data + at, s->good[which ? 0 : 1] + from, length);
            break;
        case 3: /* a section more, that may be skipped or not */
            if (size + 128 <= room) {
                memset(data + size, 0, 128);
                snapshot_set(data + size, (uint64_t)rng_in(&rng, 0, 6), 4);
                snapshot_set(data + size + 4, (uint64_t)rng_in(&rng, 0, 1), 4);
                snapshot_set(data + size + 8, 128, 8);
                size += 128;
            }
            break;
        default:
            mutate_field(data, size);
        }
    }
    if (rng_chance(&rng, 95)) {
        snapshot_set(data + 24, size, 8);
    }
    if (rng_chance(&rng, 97)) {
        snapshot_seal(data, size);
    }
    return size;
}

/* ----------------------------------- trials -------------------------------- */

/* A state that was loaded can be saved, and what is saved is what it was. */
static void check_again(const subject *s) {
    size_t size = 0, again = 0;
    unsigned char *first = save(s->cache, 0, &size), *second = NULL;
    if (!first) {
        fail("save_size", sa_cache_error(s->cache));
        return;
    }
    if (sa_cache_load(s->cache, first, size)) {
        fail("load again", sa_cache_error(s->cache));
    } else {
        second = save(s->cache, 0, &again);
        if (again != size || memcmp(first, second, size)) {
            fail("save again", "other bytes");
        }
    }
    free(first);
    free(second);
}

static void try_one(const subject *s, int which, const unsigned char *bytes, size_t size) {
    /* Just as many bytes, so that the sanitizer sees one more; anywhere, since a snapshot needs no alignment. */
    size_t shift = (size_t)rng_in(&rng, 0, 7);
    unsigned char *block = test_take(size + shift), *before = NULL, *after = NULL;
    memcpy(block + shift, bytes, size);
    if (which == 2) {
        (void)sa_cache_reset(s->cache, SA_ALL_LAYERS);
        append(s->cache, 29);
    } else if (sa_cache_load(s->cache, s->good[0], s->size[0])) {
        fail("load", sa_cache_error(s->cache));
    }
    size_t size_before = 0, size_after = 0;
    int compares = rng_chance(&rng, 20);
    if (compares) before = save(s->cache, 0, &size_before);
    if (sa_cache_load(s->cache, block + shift, size)) {
        refused++;
        if (!*sa_cache_error(s->cache)) fail("a refused load", "no sentence");
        if (compares) after = save(s->cache, 0, &size_after);
        if (compares && (size_before != size_after || memcmp(before, after, size_before))) {
            fail("a refused load", "something has changed");
        }
    } else {
        loaded++;
        check_again(s);
        live(s->cache, 12);
        sa_cache *fork;
        if (!sa_cache_fork(s->cache, &fork)) {
            live(fork, 4);
            sa_cache_destroy(fork);
        }
        check_again(s);
    }
    free(before);
    free(after);
    free(block);
}

static subject subjects[CONFIGS];

static void begin(void) {
    for (int i = 0; i < MOST_TOKENS * HEADS * DIM; i++) tokens[i] = rng_normal(&rng);
    for (int i = 0; i < CONFIGS; i++) make_subject(&subjects[i], i);
}

/* All closed, a pool is as it was at its start. */
static void check_leaks(void) {
    for (int i = 0; i < CONFIGS; i++) {
        sa_pool_facts facts;
        sa_cache_destroy(subjects[i].cache);
        for (int l = 0; l < LAYERS; l++) {
            memset(&facts, 0, sizeof facts);
            facts.struct_size = sizeof facts;
            if (sa_pool_info(subjects[i].pool, l, 0, &facts) || facts.tiles != facts.tiles_free) fail("leak", "tiles");
        }
        for (int g = 0; g < 3; g++) free(subjects[i].good[g]);
        sa_pool_destroy(subjects[i].pool);
    }
}

#ifdef SNAPSHOT_LIBFUZZER
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static int has_begun;
    if (!has_begun) begin();
    has_begun = 1;
    if (size < 129 || size > 1 << 20) return 0;
    const subject *s = &subjects[bytes[0] % CONFIGS];
    size = (size - 1) / 128 * 128;
    unsigned char *data = test_take(size);
    memcpy(data, bytes + 1, size);
    memcpy(data, s->good[0], 24);
    snapshot_set(data + 24, size, 8);
    snapshot_seal(data, size);
    rng.state = size;
    try_one(s, snapshot_get(data + 32, 8) ? 2 : 0, data, size);
    free(data);
    if (wrong) abort();
    return 0;
}
#else
int main(int argc, char **argv) {
    long most = argc > 1 ? strtol(argv[1], NULL, 0) : 10000;
    rng.state = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    printf("snapshot-fuzz: seed %llu\n", (unsigned long long)rng.state);
    begin();
    for (long i = 0; i < most; i++) {
        const subject *s = &subjects[rng_in(&rng, 0, CONFIGS - 1)];
        int which = (int)rng_in(&rng, 0, 2);
        size_t room = s->size[which] + 512, size;
        unsigned char *data = test_take(room);
        alarm(SECONDS); /* one takes a thousandth of a second, of which a busy machine may make many */
        size = mutate(s, which, data, room);
        try_one(s, which, data, size);
        free(data);
    }
    check_leaks();
    printf("%ld mutated snapshots, %ld refused, %ld loaded, %ld wrong\n", most, refused, loaded, wrong);
    return wrong || refused + loaded != most;
}
#endif
