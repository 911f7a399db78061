/*
 * What the tests of snapshots share.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SA_TESTS_LOADING_H
#define SA_TESTS_LOADING_H

#include <stdlib.h>
#include <string.h>

#include "../streams.h"
#include "../support.h"
#include "../test.h"
#include "snapshots.h"

typedef struct snapshot {
    unsigned char *data;
    size_t size;
} snapshot;

static inline snapshot save(sa_cache *cache, uint64_t from) {
    snapshot s = {NULL, 0};
    size_t written = 0;
    CHECK(sa_cache_save_size(cache, from, &s.size) == SA_SUCCESS, "%s", sa_cache_error(cache));
    s.data = test_take(s.size + 1);
    s.data[s.size] = 0xA5;
    CHECK(sa_cache_save(cache, from, s.data, s.size, &written) == SA_SUCCESS, "%s", sa_cache_error(cache));
    CHECK(written == s.size && s.size % 128 == 0 && s.data[s.size] == 0xA5, "%zu of %zu bytes", written, s.size);
    return s;
}

static inline int same(snapshot a, snapshot b) { return a.size == b.size && memcmp(a.data, b.data, a.size) == 0; }

/* A load that must be refused, with that status, and change nothing; `word` stands in the sentence. */
static inline void refuses(sa_cache *cache, snapshot s, sa_status status, const char *word, int line) {
    snapshot before = save(cache, 0);
    sa_status got = sa_cache_load(cache, s.data, s.size);
    CHECK(got == status, "line %d: status %d, not %d: %s", line, got, status, sa_cache_error(cache));
    CHECK(strstr(sa_cache_error(cache), word) != NULL, "line %d: \"%s\" has no \"%s\"", line, sa_cache_error(cache),
          word);
    snapshot after = save(cache, 0);
    CHECK(same(before, after), "line %d: a load was refused, and something has changed", line);
    free(before.data);
    free(after.data);
}
#define REFUSES(cache, s, status, word) refuses(cache, s, status, word, __LINE__)
#define DO(cache, call) CHECK((call) == SA_SUCCESS, "%s: %s", #call, sa_cache_error(cache))

static inline sa_config config_of(int dtype) {
    sa_config g = stream_config();
    g.k_dtype = g.v_dtype = dtype;
    g.n_recent = dtype >= SA_I8 ? 6 : 0;
    g.n_spans = 6;
    g.n_pin = 24;
    return g;
}

/* A cache to which something of everything has happened. The next token is number 90. */
static inline sa_cache *live(const sa_config *g) {
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

/* A cache of that config refuses it. */
static inline void refused_by(sa_config g, snapshot s, sa_status status, const char *word, int line) {
    sa_cache *cache = NULL;
    if (!CHECK(sa_cache_create(&g, NULL, &cache) == SA_SUCCESS, "line %d: create", line)) return;
    CHECK(stream_feed(cache, 0, 8, NULL) == SA_SUCCESS, "line %d: feed", line);
    refuses(cache, s, status, word, line);
    sa_cache_destroy(cache);
}
#endif
