/*
 * What the tests of snapshots share: saving, refused loads, a cache to which something of everything has happened.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SA_TESTS_SAVED_H
#define SA_TESTS_SAVED_H

#include <stdlib.h>
#include <string.h>

#include "streams.h"
#include "support.h"
#include "test.h"

typedef struct snapshot {
    unsigned char *data;
    size_t size;
} snapshot;

static inline snapshot snapshot_save(sa_cache *cache, uint64_t from) {
    snapshot s = {NULL, 0};
    size_t written = 0;
    CHECK(sa_cache_save_size(cache, from, &s.size) == SA_SUCCESS, "%s", sa_cache_error(cache));
    s.data = test_take(s.size + 1);
    s.data[s.size] = 0xA5;
    CHECK(sa_cache_save(cache, from, s.data, s.size, &written) == SA_SUCCESS, "%s", sa_cache_error(cache));
    CHECK(written == s.size && s.size % 128 == 0 && s.data[s.size] == 0xA5, "%zu of %zu bytes", written, s.size);
    return s;
}

static inline int snapshot_same(snapshot a, snapshot b) {
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

/* A load that must be refused, with that status, and change nothing; `word` stands in the sentence. */
static inline void snapshot_refuses(sa_cache *cache, snapshot s, sa_status status, const char *word, int line) {
    snapshot before = snapshot_save(cache, 0);
    sa_status got = sa_cache_load(cache, s.data, s.size);
    CHECK(got == status, "line %d: status %d, not %d: %s", line, got, status, sa_cache_error(cache));
    CHECK(strstr(sa_cache_error(cache), word) != NULL, "line %d: \"%s\" has no \"%s\"", line, sa_cache_error(cache),
          word);
    snapshot after = snapshot_save(cache, 0);
    CHECK(snapshot_same(before, after), "line %d: a load was refused, and something has changed", line);
    free(before.data);
    free(after.data);
}

#define REFUSES(cache, s, status, word) snapshot_refuses(cache, s, status, word, __LINE__)
#define DO(cache, call) CHECK((call) == SA_SUCCESS, "%s: %s", #call, sa_cache_error(cache))

static inline sa_config snapshot_config(int dtype) {
    sa_config g = stream_config();
    g.k_dtype = g.v_dtype = dtype;
    g.n_recent = dtype >= SA_I8 ? 6 : 0;
    g.n_spans = 6;
    g.n_pin = 24;
    return g;
}

/* A cache to which something of everything has happened. The next token is number 90. */
static inline sa_cache *snapshot_live(const sa_config *g) {
    sa_cache *cache = stream_open(g);
    DO(cache, stream_feed(cache, 0, 40, NULL));
    DO(cache, sa_cache_pin(cache, SA_ALL_LAYERS, 25, 30));
    DO(cache, sa_cache_remove(cache, 0, 33, 36, SA_GAP_CLOSE));
    DO(cache, stream_feed(cache, 40, 40, NULL));
    DO(cache, sa_cache_remove(cache, 1, 70, 72, SA_GAP_KEEP));
    DO(cache, stream_feed(cache, 80, 12, NULL));
    DO(cache, sa_cache_rollback(cache, SA_ALL_LAYERS, 2));
    return cache;
}

/* Both give the same from token 90 on, rollback included. */
static inline void snapshot_go_on_alike(sa_cache *a, sa_cache *b, const char *what) {
    static stream_out out_a, out_b;
    for (int at = 90; at < 150; at += 6) {
        DO(a, stream_feed(a, at, 6, &out_a));
        DO(b, stream_feed(b, at, 6, &out_b));
        CHECK(stream_differs(&out_a, &out_b, 6) < 0, "%s: token %d in layer %d", what, at,
              stream_differs(&out_a, &out_b, 6));
        DO(a, sa_cache_rollback(a, SA_ALL_LAYERS, 4));
        DO(b, sa_cache_rollback(b, SA_ALL_LAYERS, 4));
    }
}

#endif
