/*
 * Configs: every rule of the header refuses with a sentence and a layer; struct sizes of every value;
 * the calls that read a config, with wrong arguments.
 *
 * SPDX-License-Identifier: MIT
 */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "support.h"
#include "test.h"

enum { HEADS = 4, DIM = 16 };

static double table[DIM / 2];
static float shorts[DIM / 2], longs[DIM / 2], per_head[HEADS];

static sa_config base(void) {
    sa_config g;
    int i;
    memset(&g, 0, sizeof g);
    g.struct_size = sizeof g;
    g.n_layers = 2;
    g.n_heads = HEADS;
    g.head_dim = DIM;
    g.n_sink = 4;
    g.window = 64;
    g.position = SA_POSITION_ROPE;
    for (i = 0; i < DIM / 2; i++) {
        table[i] = 1.0 / (i + 1);
        shorts[i] = longs[i] = 1.5f;
    }
    for (i = 0; i < HEADS; i++) {
        per_head[i] = 0.5f;
    }
    return g;
}

static sa_config scaled(int scaling) {
    sa_config g = base();
    g.rope_scaling = scaling;
    g.rope_factor = 4.0;
    if (scaling >= SA_ROPE_SCALING_YARN) {
        g.rope_original_context = 1024;
    }
    if (scaling == SA_ROPE_SCALING_LONGROPE) {
        g.rope_short_factors = shorts;
        g.rope_long_factors = longs;
    }
    return g;
}

static sa_config positioned(int position) {
    sa_config g = base();
    g.position = position;
    return g;
}

static void verdict(const sa_config *g, sa_status expected, int line, const char *what) {
    const char *why = NULL;
    int32_t layer = -77;
    sa_status status = sa_config_check(g, &why, &layer);
    size_t size = 1, alignment = 1;
    sa_cache *cache = (sa_cache *)&size;
    CHECK(status == expected, "line %d: %s: %d (%s), not %d", line, what, (int)status, why ? why : "", (int)expected);
    CHECK(why != NULL && (why[0] != 0) == (status != SA_SUCCESS), "line %d: %s: why \"%s\"", line, what,
          why ? why : "(NULL)");
    CHECK(layer >= -1 && layer < 2, "line %d: %s: layer %d", line, what, (int)layer);
    CHECK(sa_config_check(g, NULL, NULL) == status, "line %d: %s: without outputs", line, what);
    CHECK(sa_cache_size(g, &size, &alignment) == status, "line %d: %s: sa_cache_size", line, what);
    if (status != SA_SUCCESS) {
        CHECK(sa_cache_create(g, NULL, &cache) == status && cache == NULL, "line %d: %s: sa_cache_create", line, what);
        cache = (sa_cache *)&size;
        CHECK(sa_cache_init(&size, 8, g, &cache) == status && cache == NULL, "line %d: %s: sa_cache_init", line, what);
    }
}

#define IS(expected, start, change)                                                                                    \
    do {                                                                                                               \
        sa_config g = start;                                                                                           \
        change;                                                                                                        \
        verdict(&g, expected, __LINE__, #change);                                                                      \
    } while (0)
#define BAD(start, change) IS(SA_ERR_CONFIG, start, change)
#define GOOD(start, change) IS(SA_SUCCESS, start, change)
/* An integer field: the least and most allowed values are taken, those beyond are not. */
#define RANGE(start, field, least, most) RANGE_TO(SA_SUCCESS, start, field, least, most)
#define RANGE_TO(expected, start, field, least, most)                                                                  \
    do {                                                                                                               \
        BAD(start, g.field = (least)-1);                                                                               \
        BAD(start, g.field = (most) + 1);                                                                              \
        BAD(start, g.field = INT32_MIN);                                                                               \
        BAD(start, g.field = INT32_MAX);                                                                               \
        GOOD(start, g.field = (least));                                                                                \
        IS(expected, start, g.field = (most));                                                                         \
    } while (0)
/* So many layers or heads take gigabytes: more than addresses of 32 bits reach, which is another error than a number
 * out of range. */
#define LARGE (sizeof(size_t) < 8 ? SA_ERR_OVERFLOW : SA_SUCCESS)

static void whole_cache(void) {
    GOOD(base(), (void)g);
    RANGE_TO(LARGE, base(), n_layers, 1, 65536);
    RANGE(base(), max_append, 0, 1 << 20);
    RANGE(base(), rollback, 0, 1 << 20);
    RANGE(base(), io_dtype, 0, SA_BF16);
    BAD(base(), g.n_threads = -1);
    BAD(base(), g.n_threads = 1025);
    GOOD(base(), (g.n_threads = 1024, g.parallel_for = test_parallel_for));
    BAD(base(), g.parallel_context = &g);
    GOOD(base(), (g.n_threads = 1024, g.flags = SA_CONFIG_COOPERATIVE));
    GOOD(base(), g.flags = SA_CONFIG_COOPERATIVE);
    BAD(base(), g.flags = 4);
    BAD(base(), g.flags = 0x80000000u);
    IS(SA_ERR_ISA, base(), g.isa = 77);
    IS(SA_ERR_ISA, base(), g.isa = INT32_MAX);
    GOOD(base(), g.isa = SA_ISA_PLAIN);
}

static void sequences(void) {
    sa_config spans = base();
    spans.n_spans = 1;
    RANGE_TO(LARGE, base(), n_sequences, 0, 65536);
    RANGE(base(), n_spans, 0, 4096);
    RANGE_TO(LARGE, spans, n_pin, 0, 1 << 30);
    BAD(base(), g.n_pin = 1);
    BAD(base(), g.pool_tokens = -1);
    BAD(base(), g.pool_tokens = INT64_MIN);
    BAD(base(), g.pool_tokens = ((int64_t)1 << 40) + 1);
    BAD(base(), g.pool_tokens = INT64_MAX);
    GOOD(base(), g.pool_tokens = 1);
    GOOD(base(), g.pool_tokens = (int64_t)1 << 40);
    GOOD(base(), (g.n_sequences = 7, g.pool_tokens = 100));
}

static void geometry(void) {
    BAD(base(), g.n_heads = 0);
    RANGE_TO(LARGE, base(), n_heads, 1, 65536);
    BAD(base(), g.n_kv_heads = 3);
    BAD(base(), g.n_kv_heads = 8);
    BAD(base(), g.n_kv_heads = -1);
    GOOD(base(), g.n_kv_heads = 1);
    BAD(base(), g.head_dim = 0);
    RANGE(positioned(SA_POSITION_NONE), head_dim, 1, 1024);
    BAD(base(), g.v_head_dim = -1);
    BAD(base(), g.v_head_dim = 1025);
    GOOD(base(), g.v_head_dim = 1024);
    BAD(base(), g.window = 0);
    BAD(base(), g.window = -1);
    BAD(base(), g.window = (1 << 30) + 1);
    BAD(base(), g.n_sink = -1);
    RANGE(base(), n_sink, 0, 1 << 20);
    BAD(base(), g.policy = -1);
    BAD(base(), g.policy = 3);
    BAD(base(), g.policy = SA_POLICY_WINDOW);
    BAD(base(), g.policy = SA_POLICY_DENSE);
    GOOD(base(), (g.policy = SA_POLICY_DENSE, g.n_sink = 0));
    GOOD(base(), (g.k_dtype = SA_BF16, g.v_dtype = SA_I8));
    BAD(base(), g.k_dtype = SA_I4 + 1);
    BAD(base(), g.k_dtype = -1);
    BAD(base(), g.v_dtype = 99);
    GOOD(base(), (g.k_dtype = SA_F16, g.v_dtype = SA_F16));
}

/* Codes have 8 or 16 bits, and only integers meet them. */
static void code_bits(void) {
    static const int32_t wrong[] = {INT32_MIN, -8, 1, 4, 7, 9, 15, 17, 32, INT32_MAX};
    sa_config integers = base();
    integers.k_dtype = SA_I4;
    integers.v_dtype = SA_I8;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        BAD(integers, g.query_bits = wrong[i]);
        BAD(integers, g.weight_bits = wrong[i]);
    }
    GOOD(integers, (g.query_bits = 8, g.weight_bits = 16));
    GOOD(integers, (g.query_bits = 16, g.weight_bits = 8));
    BAD(integers, (g.query_bits = 8, g.k_dtype = SA_F16));
    BAD(integers, (g.weight_bits = 8, g.v_dtype = SA_F32));
    BAD(integers, (g.weight_bits = 16, g.v_dtype = SA_BF16));
}

static void softmax(void) {
    BAD(base(), g.scale = -1.0f);
    BAD(base(), g.scale = NAN);
    BAD(base(), g.scale = INFINITY);
    BAD(base(), g.softcap = -2.0f);
    BAD(base(), g.softcap = NAN);
    BAD(base(), g.softcap = INFINITY);
    RANGE(base(), n_sink_kv, 0, 1 << 16);
    RANGE(base(), n_rows, 0, 1 << 16);
    GOOD(base(), (g.n_rows = 1, g.sink_k_dtype = SA_BF16));
    BAD(base(), g.sink_kv_position = SA_SINK_KV_AT_ZERO);
    GOOD(base(), (g.n_sink_kv = 1, g.sink_kv_position = SA_SINK_KV_AT_ZERO));
    BAD(base(), (g.n_sink_kv = 1, g.sink_kv_position = 2));
    BAD(base(), (g.sink_logits = per_head, per_head[3] = NAN));
    BAD(base(), (g.sink_logits = per_head, per_head[0] = INFINITY));
    GOOD(base(), (g.sink_logits = per_head, per_head[0] = -INFINITY));
}

static void positions(void) {
    BAD(base(), g.position = 0);
    BAD(base(), g.position = 5);
    BAD(base(), g.position = -1);
    BAD(base(), g.position_mode = 2);
    BAD(base(), g.position_mode = -1);
    GOOD(base(), g.position_mode = SA_IN_STREAM);
    BAD(positioned(SA_POSITION_NONE), g.position_mode = SA_IN_STREAM);
    BAD(base(), g.alibi_slopes = per_head);
    GOOD(positioned(SA_POSITION_ALIBI), g.alibi_slopes = per_head);
    BAD(positioned(SA_POSITION_ALIBI), (g.alibi_slopes = per_head, per_head[1] = NAN));
    BAD(positioned(SA_POSITION_ALIBI), (g.alibi_slopes = per_head, per_head[1] = INFINITY));
    BAD(positioned(SA_POSITION_ALIBI), g.rope_theta = 10000.0);
    BAD(positioned(SA_POSITION_ALIBI), g.rope_dims = 8);
    BAD(positioned(SA_POSITION_NONE), g.rope_layout = SA_ROPE_INTERLEAVED);
    BAD(positioned(SA_POSITION_NONE), g.rope_scaling = SA_ROPE_SCALING_LINEAR);
    BAD(positioned(SA_POSITION_NONE), g.rope_attention_factor = 1.0);
    BAD(positioned(SA_POSITION_NONE), g.rope_inv_freq = table);
    BAD(positioned(SA_POSITION_NONE), g.flags = SA_CONFIG_YARN_NO_TRUNCATE);
    BAD(positioned(SA_POSITION_ROPE_APPLIED), g.rope_attention_factor = 1.0);
    GOOD(positioned(SA_POSITION_ROPE_APPLIED), g.rope_theta = 500000.0);
}

static void rope(void) {
    BAD(base(), g.rope_layout = 2);
    BAD(base(), g.rope_layout = -1);
    BAD(base(), g.rope_dims = 7);
    BAD(base(), g.rope_dims = -2);
    BAD(base(), g.rope_dims = 18);
    BAD(base(), g.head_dim = 15);
    GOOD(base(), (g.head_dim = 15, g.rope_dims = 14, g.rope_offset = 1));
    BAD(base(), g.rope_offset = 1);
    BAD(base(), (g.rope_dims = 8, g.rope_offset = 9));
    BAD(base(), (g.rope_dims = 8, g.rope_offset = -1));
    GOOD(base(), (g.rope_dims = 8, g.rope_offset = 8));
    BAD(base(), g.rope_theta = 1.0);
    BAD(base(), g.rope_theta = -10000.0);
    BAD(base(), g.rope_theta = NAN);
    BAD(base(), g.rope_theta = INFINITY);
    BAD(base(), g.rope_attention_factor = -1.0);
    BAD(base(), g.rope_attention_factor = NAN);
    BAD(base(), g.rope_attention_factor = INFINITY);
    BAD(base(), g.rope_factor = 2.0);
    BAD(base(), g.rope_original_context = 4096);
    BAD(base(), g.rope_beta_fast = 32.0);
    BAD(base(), g.rope_beta_slow = 1.0);
    BAD(base(), g.rope_low_freq_factor = 1.0);
    BAD(base(), g.rope_high_freq_factor = 4.0);
    BAD(base(), g.rope_short_factors = shorts);
    BAD(base(), g.rope_long_factors = longs);
    BAD(base(), g.flags = SA_CONFIG_YARN_NO_TRUNCATE);
    GOOD(base(), g.rope_inv_freq = table);
    BAD(base(), (g.rope_inv_freq = table, g.rope_theta = 10000.0));
    BAD(base(), (g.rope_inv_freq = table, g.rope_scaling = SA_ROPE_SCALING_LINEAR, g.rope_factor = 2.0));
    BAD(base(), (g.rope_inv_freq = table, table[2] = NAN));
    BAD(base(), (g.rope_inv_freq = table, table[7] = INFINITY));
}

static void scalings(void) {
    int s;
    BAD(base(), g.rope_scaling = 6);
    BAD(base(), g.rope_scaling = -1);
    for (s = SA_ROPE_SCALING_LINEAR; s <= SA_ROPE_SCALING_LONGROPE; s++) {
        GOOD(scaled(s), (void)g);
        BAD(scaled(s), g.rope_factor = 0.5);
        BAD(scaled(s), g.rope_factor = -4.0);
        BAD(scaled(s), g.rope_factor = NAN);
        BAD(scaled(s), g.rope_factor = INFINITY);
        BAD(scaled(s), g.rope_original_context = s >= SA_ROPE_SCALING_YARN ? 0 : 4096);
        BAD(scaled(s), g.rope_original_context = -1);
        if (s != SA_ROPE_SCALING_YARN) {
            BAD(scaled(s), g.rope_beta_fast = 32.0);
            BAD(scaled(s), g.flags = SA_CONFIG_YARN_NO_TRUNCATE);
        }
        if (s != SA_ROPE_SCALING_LLAMA3) {
            BAD(scaled(s), g.rope_low_freq_factor = 1.0);
            BAD(scaled(s), g.rope_high_freq_factor = 4.0);
        }
        if (s != SA_ROPE_SCALING_LONGROPE) {
            BAD(scaled(s), g.rope_factor = 0.0);
            BAD(scaled(s), g.rope_short_factors = shorts);
        }
    }
    BAD(scaled(SA_ROPE_SCALING_NTK), g.rope_dims = 2); /* d / (d - 2) */
    GOOD(scaled(SA_ROPE_SCALING_YARN), g.flags = SA_CONFIG_YARN_NO_TRUNCATE);
    BAD(scaled(SA_ROPE_SCALING_YARN), g.rope_beta_fast = 0.5);  /* below beta_slow */
    GOOD(scaled(SA_ROPE_SCALING_YARN), g.rope_beta_fast = 1.0); /* equal to it */
    BAD(scaled(SA_ROPE_SCALING_LONGROPE), g.rope_factor = 0.0); /* its attention factor would be unknown */
    GOOD(scaled(SA_ROPE_SCALING_LONGROPE), (g.rope_factor = 0.0, g.rope_attention_factor = 1.19));
    GOOD(scaled(SA_ROPE_SCALING_LONGROPE), (g.rope_factor = 0.0, g.position = SA_POSITION_ROPE_APPLIED));
    BAD(scaled(SA_ROPE_SCALING_YARN), g.rope_beta_slow = -1.0);
    BAD(scaled(SA_ROPE_SCALING_YARN), g.rope_beta_fast = NAN);
    BAD(scaled(SA_ROPE_SCALING_LLAMA3), g.rope_low_freq_factor = 4.0); /* not below the high one */
    BAD(scaled(SA_ROPE_SCALING_LLAMA3), g.rope_high_freq_factor = NAN);
    BAD(scaled(SA_ROPE_SCALING_LONGROPE), g.rope_short_factors = NULL);
    BAD(scaled(SA_ROPE_SCALING_LONGROPE), g.rope_long_factors = NULL);
    BAD(scaled(SA_ROPE_SCALING_LONGROPE), longs[1] = 0.0f);
    BAD(scaled(SA_ROPE_SCALING_LONGROPE), shorts[0] = -1.0f);
    BAD(scaled(SA_ROPE_SCALING_LONGROPE), shorts[7] = NAN);
}

/* The layer that is wrong is named; what is of the whole cache is not read there. */
static void layers(void) {
    sa_config other = base();
    const sa_config *pointers[2] = {NULL, NULL};
    const char *why = NULL;
    int32_t layer = -77;
    sa_config g = base();
    pointers[1] = &other;
    g.layers = pointers;
    other.n_layers = -5;
    other.max_append = -5;
    other.rollback = -5;
    other.isa = 1000;
    other.n_threads = -5;
    other.io_dtype = 77;
    other.n_sequences = other.n_spans = other.n_pin = -5;
    other.pool_tokens = -5;
    other.parallel_context = &g;
    verdict(&g, SA_SUCCESS, __LINE__, "fields of the whole cache in a layer's config");
    other.window = 0;
    CHECK(sa_config_check(&g, &why, &layer) == SA_ERR_CONFIG && layer == 1 && why[0], "layer %d: %s", (int)layer, why);
    other.window = 5;
    other.struct_size = 8;
    verdict(&g, SA_ERR_STRUCT_SIZE, __LINE__, "a layer's struct_size");
    g = base();
    g.n_layers = 0;
    layer = -77;
    CHECK(sa_config_check(&g, &why, &layer) == SA_ERR_CONFIG && layer == -1, "layer %d: %s", (int)layer, why);
}

/* Where every layer has a config of its own, what the top one says of layers is not read: it may be 0. */
static void every_layer_overridden(void) {
    sa_config own = base(), g;
    const sa_config *pointers[2] = {&own, &own};
    memset(&g, 0, sizeof g);
    g.struct_size = sizeof g;
    g.n_layers = 2;
    g.layers = pointers;
    verdict(&g, SA_SUCCESS, __LINE__, "all layers overridden");
    pointers[1] = NULL;
    verdict(&g, SA_ERR_CONFIG, __LINE__, "all layers but one overridden");
}

/* ------------------------------- struct sizes ------------------------------- */

enum { ROOM = 4200 };

/* Whether a struct of `known` bytes, all of the first version, said to have `size`, and filled with `rest` beyond, is
 * accepted. */
static int fits(size_t known, uint32_t size, int rest) {
    return size >= known && size <= 4096 && size % 4 == 0 && (size == known || rest == 0);
}

static void *enlarge(unsigned char *room, const void *from, size_t known, uint32_t size, int rest) {
    memset(room, rest, ROOM);
    memcpy(room, from, known);
    memcpy(room, &size, sizeof size);
    return room;
}

static void *system_alloc(void *user, size_t size, size_t alignment) {
    unsigned char *memory = test_take(size + alignment);
    *(void **)user = memory;
    return memory + (alignment - (uintptr_t)memory % alignment) % alignment;
}

static void system_free(void *user, void *memory, size_t size) {
    (void)memory;
    (void)size;
    free(*(void **)user);
}

static void sizes_of(uint32_t size, int rest, const sa_config *g, sa_cache *cache) {
    static unsigned char room[ROOM];
    void *block = NULL;
    sa_allocator allocator = {sizeof allocator, 0, system_alloc, system_free, &block};
    sa_step_args a;
    sa_cache *made = NULL;
    const sa_config *pointers[2] = {(const sa_config *)(void *)room, NULL};
    sa_config whole = *g;
    sa_status status;
    status = sa_config_check(enlarge(room, g, sizeof *g, size, rest), NULL, NULL);
    CHECK(status == (fits(sizeof(sa_config), size, rest) ? SA_SUCCESS : SA_ERR_STRUCT_SIZE),
          "config of %u, rest %d: %d", size, rest, (int)status);
    whole.layers = pointers;
    status = sa_config_check(&whole, NULL, NULL);
    CHECK(status == (fits(sizeof(sa_config), size, rest) ? SA_SUCCESS : SA_ERR_STRUCT_SIZE), "layer of %u, rest %d: %d",
          size, rest, (int)status);
    status = sa_cache_create(g, enlarge(room, &allocator, sizeof allocator, size, rest), &made);
    CHECK(status == (fits(sizeof allocator, size, rest) ? SA_SUCCESS : SA_ERR_STRUCT_SIZE) &&
              (made != NULL) == (status == SA_SUCCESS),
          "allocator of %u, rest %d: %d", size, rest, (int)status);
    sa_cache_destroy(made);
    memset(&a, 0, sizeof a);
    status = sa_step(cache, enlarge(room, &a, sizeof a, size, rest));
    CHECK(status == (fits(sizeof a, size, rest) ? SA_SUCCESS : SA_ERR_STRUCT_SIZE), "step of %u, rest %d: %d", size,
          rest, (int)status);
}

static void struct_sizes(void) {
    sa_config g = base();
    sa_cache *cache = NULL;
    uint32_t size;
    CHECK(sa_cache_create(&g, NULL, &cache) == SA_SUCCESS, "create");
    for (size = 0; size <= 4100; size++) {
        sizes_of(size, 0, &g, cache);
        sizes_of(size, 0xFF, &g, cache);
    }
    sizes_of(UINT32_MAX, 0, &g, cache);
    sizes_of(0x80000000u, 0, &g, cache);
    sa_cache_destroy(cache);
}

/* ---------------------------- who reads a config ---------------------------- */

static void readers(void) {
    static unsigned char copy[1 << 16];
    void *block = NULL;
    sa_allocator allocator = {sizeof allocator, 0, system_alloc, system_free, &block};
    sa_config g = base();
    size_t size = 0, alignment = 1;
    const char *why = NULL;
    unsigned char *memory, *at;
    sa_cache *cache = NULL;
    CHECK(sa_config_check(NULL, &why, NULL) == SA_ERR_ARGUMENT, "no config");
    CHECK(sa_cache_size(NULL, &size, &alignment) == SA_ERR_ARGUMENT, "no config");
    CHECK(sa_cache_size(&g, NULL, &alignment) == SA_ERR_ARGUMENT, "no size");
    CHECK(sa_cache_size(&g, &size, NULL) == SA_ERR_ARGUMENT, "no alignment");
    CHECK(sa_cache_size(&g, &size, &alignment) == SA_SUCCESS, "size");
    memory = test_take(size + 2 * alignment);
    at = memory + (alignment - (uintptr_t)memory % alignment) % alignment;
    memset(at, 0x5A, size);
    memcpy(copy, at, size < sizeof copy ? size : sizeof copy);
#define INIT_IS(expected, call)                                                                                        \
    do {                                                                                                               \
        cache = (sa_cache *)(void *)memory;                                                                            \
        CHECK((call) == (expected) && cache == NULL, #call);                                                           \
        CHECK(memcmp(copy, at, size < sizeof copy ? size : sizeof copy) == 0, "%s has touched the block", #call);      \
    } while (0)
    INIT_IS(SA_ERR_ARGUMENT, sa_cache_init(NULL, size, &g, &cache));
    INIT_IS(SA_ERR_ARGUMENT, sa_cache_init(at, size, NULL, &cache));
    INIT_IS(SA_ERR_BUFFER, sa_cache_init(at, size - 1, &g, &cache));
    INIT_IS(SA_ERR_BUFFER, sa_cache_init(at, 0, &g, &cache));
    INIT_IS(SA_ERR_ALIGNMENT, sa_cache_init(at + 1, size, &g, &cache));
    INIT_IS(SA_ERR_ALIGNMENT, sa_cache_init(at + alignment / 2, size, &g, &cache));
    CHECK(sa_cache_init(at, size, &g, NULL) == SA_ERR_ARGUMENT, "no cache_out");
    CHECK(sa_cache_create(&g, NULL, NULL) == SA_ERR_ARGUMENT, "no cache_out");
    INIT_IS(SA_ERR_ARGUMENT, sa_cache_create(NULL, NULL, &cache));
    allocator.alloc = NULL;
    INIT_IS(SA_ERR_ARGUMENT, sa_cache_create(&g, &allocator, &cache));
    allocator.alloc = system_alloc;
    allocator.free = NULL;
    INIT_IS(SA_ERR_ARGUMENT, sa_cache_create(&g, &allocator, &cache));
    CHECK(sa_cache_init(at, size, &g, &cache) == SA_SUCCESS && cache != NULL, "init");
    sa_cache_destroy(cache); /* harmless */
    free(memory);
}

/* Sizes beyond size_t, or beyond any memory: an error, no wrapped number. */
static void huge(void) {
    sa_config g = base();
    sa_cache *cache = NULL;
    size_t size = 0, alignment = 0;
    sa_status status;
    g.n_layers = 65536;
    g.n_heads = 65536;
    g.head_dim = 1024;
    g.window = 1 << 30;
    g.n_sink = 1 << 20;
    status = sa_cache_size(&g, &size, &alignment);
    CHECK(status == SA_ERR_OVERFLOW, "2^64 bytes and more: %d, %zu", (int)status, size);
    CHECK(sa_cache_create(&g, NULL, &cache) == status && cache == NULL, "create beyond size_t");
    g.n_layers = 1;
    g.n_heads = 4096;
    status = sa_cache_size(&g, &size, &alignment);
    CHECK(sizeof(size_t) < 8 ? status == SA_ERR_OVERFLOW : status == SA_SUCCESS && size >> 20 > (size_t)1 << 20,
          "large: %d, %zu", (int)status, size);
}

int main(int argc, char **argv) {
    uint64_t seed = 0;
    long count = 1;
    test_begin("test_config", argc, argv, &seed, &count);
    whole_cache();
    sequences();
    geometry();
    code_bits();
    softmax();
    positions();
    rope();
    scalings();
    layers();
    every_layer_overridden();
    struct_sizes();
    readers();
    huge();
    return test_end();
}
