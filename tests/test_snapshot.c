/*
 * Snapshots: what is saved and loaded goes on as if nothing had been; what is damaged is refused, and changes nothing.
 * (make random takes snapshots of everything, make snapshot-fuzz damages them.)
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "saved.h"
#include "snapshots/snapshots.h"
#include "streams.h"
#include "support.h"
#include "test.h"

/* ------------------------------------ laws --------------------------------- */

static void every_dtype_and_instruction_set(void) {
    for (int dtype = SA_F32; dtype <= SA_I4; dtype++)
        for (int isa = SA_ISA_PLAIN; isa < 32; isa++) {
            if (!sa_isa_available(isa) || isa == SA_ISA_PLAIN_NOFMA || isa == SA_ISA_WASM) continue;
            sa_config g = snapshot_config(dtype), other;
            sa_cache *stays, *goes;
            g.isa = SA_ISA_PLAIN;
            if (!sa_isa_available(SA_ISA_PLAIN)) continue;
            stays = snapshot_live(&g);
            other = g;
            other.isa = isa;
            goes = stream_open(&other);
            DO(goes, stream_feed(goes, 100, 31, NULL));
            snapshot s = snapshot_save(stays, 0);
            DO(goes, sa_cache_load(goes, s.data, s.size));
            snapshot again = snapshot_save(goes, 0);
            CHECK(snapshot_same(s, again), "what was loaded is saved as other bytes");
            snapshot_go_on_alike(stays, goes, sa_isa_name(isa));
            free(s.data);
            free(again.data);
            sa_cache_destroy(stays);
            sa_cache_destroy(goes);
        }
}

/* What was saved, loaded and saved again has the same bytes; returns them. */
static snapshot saved_twice(sa_cache *cache, int line) {
    snapshot first = snapshot_save(cache, 0), again;
    DO(cache, sa_cache_load(cache, first.data, first.size));
    again = snapshot_save(cache, 0);
    CHECK(snapshot_same(first, again), "line %d: what was loaded is saved as other bytes", line);
    free(again.data);
    return first;
}

/* Where calls are as long as all that is stored a second time, no token of it is left before the newest ones come. */
static void newest_alone(void) {
    for (int most = 1; most <= 4; most++) {
        sa_config g = stream_config();
        g.n_sink = 0;
        g.window = g.n_recent = 1;
        g.max_append = most;
        g.rollback = 0;
        sa_cache *cache = stream_open(&g);
        for (int at = 0; at + most < 70; at += most) {
            DO(cache, stream_feed(cache, at, most, NULL));
            free(saved_twice(cache, __LINE__).data);
        }
        sa_cache_destroy(cache);
    }
}

/* A row that is not there says nothing, whatever place was said of it. */
static void hidden_rows(void) {
    static const int64_t places[STREAM_KV_HEADS] = {22, -7};
    static const float hidden[STREAM_KV_HEADS] = {-INFINITY, -INFINITY};
    for (uint32_t flags = 0; flags <= SA_ROWS_AT_DISTANCE; flags++) {
        sa_config g = stream_config();
        g.n_rows = 2;
        sa_cache *said = stream_open(&g), *unsaid = stream_open(&g);
        sa_rows r = {.struct_size = sizeof r, .flags = flags, .n_rows = 1, .places = places, .biases = hidden};
        r.k.data = stream_k;
        r.v.data = stream_v;
        DO(said, sa_set_rows(said, &r));
        r.first = 1;
        r.biases = NULL;
        DO(said, sa_set_rows(said, &r));
        DO(unsaid, sa_set_rows(unsaid, &r));
        snapshot a = saved_twice(said, __LINE__), b = saved_twice(unsaid, __LINE__);
        CHECK(snapshot_same(a, b), "a row that is not there is in a snapshot");
        free(a.data);
        free(b.data);
        sa_cache_destroy(said);
        sa_cache_destroy(unsaid);
    }
}

static void empty_and_closed(void) {
    sa_config g = snapshot_config(SA_F16);
    sa_pool *pool = NULL;
    sa_cache *cache = NULL, *other = NULL;
    g.n_sequences = 2;
    CHECK(sa_pool_create(&g, NULL, &pool) == SA_SUCCESS, "create");
    CHECK(sa_pool_open(pool, &cache) == SA_SUCCESS && sa_pool_open(pool, &other) == SA_SUCCESS, "open");
    uint64_t free_tiles = stream_facts(pool).tiles_free;
    snapshot s = snapshot_save(cache, 0);
    DO(other, stream_feed(other, 0, 50, NULL));
    DO(other, sa_cache_load(other, s.data, s.size));
    CHECK(stream_facts(pool).tiles_free == free_tiles, "an empty sequence has tiles");
    size_t size = 7;
    sa_cache_destroy(other);
    CHECK(sa_cache_load(other, s.data, s.size) == SA_ERR_STATE, "load into a closed sequence");
    CHECK(sa_cache_save(other, 0, s.data, s.size, &size) == SA_ERR_STATE, "save a closed sequence");
    CHECK(sa_cache_save_size(other, 0, &size) == SA_ERR_STATE && size == 7, "size of a closed sequence");
    free(s.data);
    sa_pool_destroy(pool);
}

/* What stands in a tile beside the tokens held is not saved. */
static void leaks_nothing(void) {
    for (int dtype = SA_F32; dtype <= SA_I4; dtype++) {
        sa_config g = snapshot_config(dtype);
        sa_cache *fresh = stream_open(&g), *used = stream_open(&g);
        DO(used, stream_feed(used, 100, 60, NULL));
        DO(used, sa_cache_reset(used, SA_ALL_LAYERS));
        DO(fresh, stream_feed(fresh, 0, 21, NULL));
        DO(used, stream_feed(used, 0, 24, NULL));
        DO(used, sa_cache_rollback(used, SA_ALL_LAYERS, 3));
        snapshot a = snapshot_save(fresh, 0), b = snapshot_save(used, 0);
        CHECK(snapshot_same(a, b), "dtype %d: tokens that are gone are in the snapshot", dtype);
        free(a.data);
        free(b.data);
        sa_cache_destroy(fresh);
        sa_cache_destroy(used);
    }
}

/* ----------------------------------- partial ------------------------------- */

static void partial_on_forks(void) {
    for (int dtype = SA_F32; dtype <= SA_I4; dtype++) {
        sa_config g = snapshot_config(dtype);
        sa_cache *base = stream_open(&g), *there = stream_open(&g), *stays;
        DO(base, stream_feed(base, 0, 83, NULL));
        DO(base, sa_cache_pin(base, SA_ALL_LAYERS, 70, 75));
        snapshot whole = snapshot_save(base, 0);
        DO(there, sa_cache_load(there, whole.data, whole.size));
        stays = base;
        DO(stays, stream_feed(stays, 83, 7, NULL));
        snapshot part = snapshot_save(stays, 83), all = snapshot_save(stays, 0);
        CHECK(part.size < all.size, "part %zu, all %zu bytes", part.size, all.size);
        DO(there, sa_cache_load(there, part.data, part.size));
        snapshot again = snapshot_save(there, 0);
        CHECK(snapshot_same(all, again), "dtype %d: base and part are not the whole", dtype);
        REFUSES(there, part, SA_ERR_DEPTH, "from a position on"); /* the base is there, and more has come */
        snapshot_go_on_alike(stays, there, "partial");
        /* It must stand just there, and hold what is listed. */
        REFUSES(there, part, SA_ERR_DEPTH, "from a position on");
        sa_cache_reset(there, SA_ALL_LAYERS);
        REFUSES(there, part, SA_ERR_DEPTH, "from a position on");
        DO(there, sa_cache_seek(there, SA_ALL_LAYERS, 83));
        REFUSES(there, part, SA_ERR_DEPTH, "from a position on");
        size_t size;
        CHECK(sa_cache_save_size(there, 84, &size) == SA_ERR_ARGUMENT, "from beyond tokens_seen");
        free(whole.data);
        free(part.data);
        free(all.data);
        free(again.data);
        sa_cache_destroy(stays);
        sa_cache_destroy(there);
    }
}

/* A fork that took a part shares the rest with its base, and the base is untouched. */
static void partial_shares(void) {
    sa_config g = snapshot_config(SA_F16);
    sa_pool *pool = NULL;
    sa_cache *base = NULL, *turn = NULL, *fork = NULL;
    g.n_sequences = 3;
    g.window = 100;
    CHECK(sa_pool_create(&g, NULL, &pool) == SA_SUCCESS && sa_pool_open(pool, &base) == SA_SUCCESS, "pool");
    DO(base, stream_feed(base, 0, 90, NULL));
    DO(base, sa_cache_fork(base, &turn));
    DO(turn, stream_feed(turn, 90, 10, NULL));
    snapshot part = snapshot_save(turn, 90), whole = snapshot_save(base, 0), turned = snapshot_save(turn, 0);
    sa_cache_destroy(turn);
    uint64_t before = stream_facts(pool).tiles_free;
    DO(base, sa_cache_fork(base, &fork));
    DO(fork, sa_cache_load(fork, part.data, part.size));
    CHECK(before - stream_facts(pool).tiles_free == 2, "%d tiles for 10 tokens",
          (int)(before - stream_facts(pool).tiles_free));
    snapshot still = snapshot_save(base, 0), loaded = snapshot_save(fork, 0);
    CHECK(snapshot_same(whole, still), "the base has changed");
    CHECK(snapshot_same(turned, loaded), "the fork is not what was saved");
    free(part.data);
    free(whole.data);
    free(turned.data);
    free(still.data);
    free(loaded.data);
    sa_pool_destroy(pool);
}

/* ------------------------------------ bytes -------------------------------- */

static void every_bit_counts(void) {
    sa_config g = snapshot_config(SA_I4);
    sa_cache *cache = snapshot_live(&g);
    snapshot s = snapshot_save(cache, 0);
    for (size_t i = 0; i < s.size; i += i < 400 ? 1 : 37) {
        s.data[i] ^= (unsigned char)(1u << i % 8);
        CHECK(sa_cache_load(cache, s.data, s.size) == SA_ERR_FORMAT, "byte %zu", i);
        s.data[i] ^= (unsigned char)(1u << i % 8);
    }
    for (size_t size = 0; size < s.size; size += 61)
        CHECK(sa_cache_load(cache, s.data, size) == SA_ERR_FORMAT, "%zu bytes", size);
    DO(cache, sa_cache_load(cache, s.data, s.size));
    free(s.data);
    sa_cache_destroy(cache);
}

/* With a valid checksum. */
static void edited(sa_cache *cache, snapshot s, size_t at, uint64_t value, int width, const char *word, int line) {
    uint64_t old = snapshot_get(s.data + at, width);
    snapshot_set(s.data + at, value, width);
    snapshot_seal(s.data, s.size);
    snapshot_refuses(cache, s, SA_ERR_FORMAT, word, line);
    snapshot_set(s.data + at, old, width);
    snapshot_seal(s.data, s.size);
}
#define EDITED(at, value, width, word) edited(cache, s, at, value, width, word, __LINE__)

static void hostile_fields(void) {
    sa_config g = snapshot_config(SA_F16);
    sa_cache *cache = snapshot_live(&g);
    snapshot s = snapshot_save(cache, 0);
    size_t spans = 128 + snapshot_get(s.data + 128 + 8, 8), list = spans + 192;
    CHECK(snapshot_get(s.data + 8, 8) == snapshot_sum(s.data, s.size), "the checksum that docs/snapshot.md says");
    CHECK(snapshot_get(s.data + spans, 4) == 2 && snapshot_get(s.data + spans + 104, 8) == 90, "seen");
    EDITED(0, 0, 4, "begin");
    EDITED(16, 2, 4, "version");
    EDITED(24, s.size + 128, 8, "size");
    EDITED(44, 1, 4, "no cache");
    EDITED(128, 77, 4, "section");
    EDITED(128, 2, 4, "no cache");
    EDITED(128 + 8, 127, 8, "no cache");
    EDITED(128 + 8, UINT64_MAX - 127, 8, "no cache");
    EDITED(spans + 16, 1, 4, "no cache");
    EDITED(spans + 20, 1, 4, "no cache");
    EDITED(spans + 100, 1, 4, "no cache");
    EDITED(spans + 104, 60, 8, "no cache");                /* seen: tokens beyond the next one */
    EDITED(spans + 104, (uint64_t)1 << 62, 8, "no cache"); /* seen */
    EDITED(spans + 112, 91, 8, "no cache");                /* shift */
    EDITED(spans + 120, 91, 8, "no cache");                /* floor */
    EDITED(spans + 136, 1, 8, "no cache");                 /* sink_end */
    EDITED(spans + 144, 91, 8, "no cache");                /* recent_from */
    EDITED(spans + 152, UINT64_MAX, 8, "no cache");        /* left */
    EDITED(list, 2, 8, "no cache");                        /* from: an empty span */
    EDITED(list + 8, 3, 8, "no cache");                    /* end: more sinks than there can be */
    EDITED(list + 16, 1, 8, "no cache");                   /* shift */
    EDITED(list + 24, 3, 4, "no cache");                   /* kind */
    EDITED(list + 28, 2, 4, "no cache");                   /* store */
    EDITED(list + 32, 0, 8, "no cache");                   /* from: spans overlap */
    free(s.data);
    sa_cache_destroy(cache);
}

/* A section that is not known is left out where it says that it may be. */
static void unknown_sections(void) {
    sa_config g = snapshot_config(SA_F16);
    sa_cache *cache = snapshot_live(&g), *other = stream_open(&g);
    snapshot s = snapshot_save(cache, 0), more = {test_take(s.size + 256), s.size + 256};
    memcpy(more.data, s.data, 128);
    snapshot_set(more.data + 128, 1000, 4);
    snapshot_set(more.data + 132, 1, 4);
    snapshot_set(more.data + 136, 256, 8);
    memcpy(more.data + 384, s.data + 128, s.size - 128);
    snapshot_set(more.data + 24, more.size, 8);
    snapshot_seal(more.data, more.size);
    DO(other, sa_cache_load(other, more.data, more.size));
    snapshot again = snapshot_save(other, 0);
    CHECK(snapshot_same(s, again), "a section that may be skipped");
    snapshot_set(more.data + 132, 0, 4);
    snapshot_seal(more.data, more.size);
    REFUSES(other, more, SA_ERR_FORMAT, "section");
    free(s.data);
    free(more.data);
    free(again.data);
    sa_cache_destroy(cache);
    sa_cache_destroy(other);
}

static void arguments(void) {
    sa_config g = snapshot_config(SA_F16);
    sa_cache *cache = snapshot_live(&g);
    snapshot s = snapshot_save(cache, 0);
    size_t n = 77;
    CHECK(sa_cache_save_size(NULL, 0, &n) == SA_ERR_ARGUMENT, "NULL");
    CHECK(sa_cache_save_size(cache, 0, NULL) == SA_ERR_ARGUMENT, "NULL");
    CHECK(sa_cache_save_size(cache, 91, &n) == SA_ERR_ARGUMENT, "from");
    CHECK(sa_cache_save(NULL, 0, s.data, s.size, &n) == SA_ERR_ARGUMENT, "NULL");
    CHECK(sa_cache_save(cache, 0, NULL, s.size, &n) == SA_ERR_ARGUMENT, "NULL");
    CHECK(sa_cache_save(cache, 0, s.data, s.size, NULL) == SA_ERR_ARGUMENT, "NULL");
    CHECK(sa_cache_save(cache, 0, s.data, s.size - 1, &n) == SA_ERR_BUFFER && n == 77, "a byte too few");
    CHECK(sa_cache_load(NULL, s.data, s.size) == SA_ERR_ARGUMENT, "NULL");
    CHECK(sa_cache_load(cache, NULL, s.size) == SA_ERR_ARGUMENT, "NULL");
    CHECK(sa_cache_load(cache, s.data, s.size) == SA_SUCCESS && !*sa_cache_error(cache), "the sentence goes");
    /* A step that has begun is over. */
    sa_step_args a;
    int32_t phases;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    DO(cache, sa_step_begin(cache, &a, &phases));
    DO(cache, sa_cache_load(cache, s.data, s.size));
    CHECK(sa_step_part(cache, 0, 0, 1) == SA_ERR_STATE, "a step goes on after a load");
    free(s.data);
    sa_cache_destroy(cache);
}

int main(void) {
    stream_begin();
    every_dtype_and_instruction_set();
    newest_alone();
    hidden_rows();
    empty_and_closed();
    leaks_nothing();
    partial_on_forks();
    partial_shares();
    every_bit_counts();
    hostile_fields();
    unknown_sections();
    arguments();
    return test_end();
}
