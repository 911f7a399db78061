/*
 * Snapshots that do not fit are refused, in a sentence, and change nothing. (make snapshot-fuzz damages many.)
 *
 * SPDX-License-Identifier: MIT
 */
#include "snapshots/loading.h"

/* ----------------------------- other configurations ------------------------ */

#define REFUSED_WITH(change, status, word)                                                                             \
    do {                                                                                                               \
        sa_config g = config_of(SA_F16);                                                                               \
        change;                                                                                                        \
        refused_by(g, s, status, word, __LINE__);                                                                      \
    } while (0)

static void other_configs(void) {
    static const float logits[STREAM_HEADS] = {1, 2, 3, 4};
    sa_config own = config_of(SA_F16);
    sa_cache *cache = live(&own);
    snapshot s = save(cache, 0);
    REFUSED_WITH(g.n_kv_heads = 1, SA_ERR_CONFIG, "geometry");
    REFUSED_WITH(g.k_dtype = SA_BF16, SA_ERR_CONFIG, "dtype");
    REFUSED_WITH(g.sink_v_dtype = SA_F32, SA_ERR_CONFIG, "dtype");
    REFUSED_WITH(g.position = SA_POSITION_ALIBI, SA_ERR_CONFIG, "position scheme");
    REFUSED_WITH(g.position_mode = SA_IN_STREAM, SA_ERR_CONFIG, "position scheme");
    REFUSED_WITH(g.rope_layout = SA_ROPE_INTERLEAVED, SA_ERR_CONFIG, "position scheme");
    REFUSED_WITH(g.rope_theta = 10001, SA_ERR_CONFIG, "position scheme");
    REFUSED_WITH(g.rope_dims = 4, SA_ERR_CONFIG, "position scheme");
    REFUSED_WITH(g.rope_attention_factor = 1.01, SA_ERR_CONFIG, "position scheme");
    REFUSED_WITH(g.scale = 0.36f, SA_ERR_CONFIG, "softmax");
    REFUSED_WITH(g.softcap = 50, SA_ERR_CONFIG, "softmax");
    REFUSED_WITH(g.sink_logits = logits, SA_ERR_CONFIG, "softmax");
    REFUSED_WITH(g.n_sink = 3, SA_ERR_CONFIG, "rules");
    REFUSED_WITH(g.n_recent = 4, SA_ERR_CONFIG, "rules");
    REFUSED_WITH((g.policy = SA_POLICY_DENSE, g.n_sink = 0, g.window = 500), SA_ERR_CONFIG, "rules");
    REFUSED_WITH(g.window = 60, SA_ERR_DEPTH, "window");
    REFUSED_WITH(g.n_pin = 3, SA_ERR_FULL, "n_pin");
    REFUSED_WITH(g.n_spans = 1, SA_ERR_FULL, "n_spans");
    REFUSED_WITH(g.pool_tokens = 1, SA_ERR_POOL, "free tiles");
    REFUSED_WITH(g.n_layers = 3, SA_ERR_CONFIG, "layers");
    free(s.data);
    sa_cache_destroy(cache);
}

/* Frequencies that differ by what libraries of mathematics differ in are the same; by more, they are not. */
static void nearly_equal_tables(void) {
    double frequencies[STREAM_DIM / 2], apart = 0;
    sa_config g = config_of(SA_F32);
    g.rope_inv_freq = frequencies;
    for (int i = 0; i < STREAM_DIM / 2; i++) frequencies[i] = 1.0 / (i + 1);
    sa_cache *cache = stream_open_at(&g, 30);
    snapshot s = save(cache, 0);
    for (int i = 0; i < 2; i++) {
        apart = i ? 1e-9 : 1e-15;
        frequencies[1] = 0.5 * (1 + apart);
        sa_cache *other = stream_open(&g);
        CHECK(sa_cache_load(other, s.data, s.size) == (i ? SA_ERR_CONFIG : SA_SUCCESS), "%g apart: %s", apart,
              sa_cache_error(other));
        sa_cache_destroy(other);
    }
    free(s.data);
    sa_cache_destroy(cache);
}

/* ------------------------------------ bytes -------------------------------- */

static void every_bit_counts(void) {
    sa_config g = config_of(SA_I4);
    sa_cache *cache = live(&g);
    snapshot s = save(cache, 0);
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
    refuses(cache, s, SA_ERR_FORMAT, word, line);
    snapshot_set(s.data + at, old, width);
    snapshot_seal(s.data, s.size);
}
#define EDITED(at, value, width, word) edited(cache, s, at, value, width, word, __LINE__)

static void hostile_fields(void) {
    sa_config g = config_of(SA_F16);
    sa_cache *cache = live(&g);
    snapshot s = save(cache, 0);
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
    sa_config g = config_of(SA_F16);
    sa_cache *cache = live(&g), *other = stream_open(&g);
    snapshot s = save(cache, 0), more = {test_take(s.size + 256), s.size + 256};
    memcpy(more.data, s.data, 128);
    snapshot_set(more.data + 128, 1000, 4);
    snapshot_set(more.data + 132, 1, 4);
    snapshot_set(more.data + 136, 256, 8);
    memcpy(more.data + 384, s.data + 128, s.size - 128);
    snapshot_set(more.data + 24, more.size, 8);
    snapshot_seal(more.data, more.size);
    DO(other, sa_cache_load(other, more.data, more.size));
    snapshot again = save(other, 0);
    CHECK(same(s, again), "a section that may be skipped");
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
    sa_config g = config_of(SA_F16);
    sa_cache *cache = live(&g);
    snapshot s = save(cache, 0);
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
    other_configs();
    nearly_equal_tables();
    every_bit_counts();
    hostile_fields();
    unknown_sections();
    arguments();
    return test_end();
}
