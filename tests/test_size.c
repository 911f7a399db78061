/*
 * sa_cache_size against docs/memory.md: every term, byte by byte, over random configurations.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "../lib/cache.h"
#include "support.h"
#include "test.h"

static uint64_t round_up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

/* A part begins on a line of the processor's cache. */
static uint64_t part(uint64_t bytes) { return round_up(bytes, 64); }

static uint64_t max_of(uint64_t a, uint64_t b) { return a > b ? a : b; }
static uint64_t min_of(uint64_t a, uint64_t b) { return a < b ? a : b; }

static uint64_t rotated_dims(const sa_config *c) {
    return c->position != SA_POSITION_ROPE ? 0 : (uint64_t)(c->rope_dims ? c->rope_dims : c->head_dim);
}

static int is_integer(int dtype) { return dtype == SA_I8 || dtype == SA_I4; }
static int sink_dtype(int own, int window) { return own ? own : is_integer(window) ? SA_F16 : window; }

static uint64_t region(const sa_config *c, uint64_t tokens, int k_dtype, int v_dtype) {
    uint64_t tiles = (uint64_t)c->n_kv_heads * (round_up(tokens, 16) / 16);
    return part(tiles * test_key_tile(k_dtype, c->head_dim)) + part(tiles * test_value_tile(v_dtype, c->v_head_dim));
}

static uint64_t keys_and_values(const sa_config *c) {
    uint64_t room = max_of((uint64_t)c->max_append, (uint64_t)c->rollback + 1), window = (uint64_t)c->window;
    uint64_t ring = round_up(c->policy == SA_POLICY_DENSE ? window : window - 1 + room, 16);
    uint64_t recent = c->n_recent ? (uint64_t)c->n_recent - 1 + max_of(room, ring - window + 1) : 0;
    int sink_k = sink_dtype(c->sink_k_dtype, c->k_dtype), sink_v = sink_dtype(c->sink_v_dtype, c->v_dtype);
    return region(c, ring, c->k_dtype, c->v_dtype) +
           region(c, recent, c->recent_k_dtype ? c->recent_k_dtype : SA_F16,
                  c->recent_v_dtype ? c->recent_v_dtype : SA_F16) +
           region(c, (uint64_t)c->n_sink, sink_k, sink_v) + region(c, (uint64_t)c->n_sink_kv, sink_k, sink_v);
}

static uint64_t tables(const sa_config *c) {
    uint64_t sum = part(rotated_dims(c) / 2 * 8) + part(rotated_dims(c) * 4);
    if (c->position == SA_POSITION_ALIBI) {
        sum += part((uint64_t)c->n_heads * 4);
    }
    return c->sink_logits ? sum + part((uint64_t)c->n_heads * 4) : sum;
}

static int is_half(int dtype) { return dtype == SA_F16 || dtype == SA_BF16; }

/* Whether the window, the recent tokens or the sinks have such a dtype. */
static int is_somewhere(const sa_config *c, int own, int recent, int sink, int (*is)(int dtype)) {
    return is(own) || (c->n_recent && is(recent ? recent : SA_F16)) ||
           (c->n_sink + c->n_sink_kv > 0 && is(sink_dtype(sink, own)));
}

static uint64_t worker(const sa_config *c) {
    uint64_t e = round_up((uint64_t)c->v_head_dim, 16);
    uint64_t rows = min_of(192, (uint64_t)c->max_append * (uint64_t)(c->n_heads / c->n_kv_heads));
    uint64_t together = min_of(rows, 8), d = (uint64_t)c->head_dim;
    uint64_t sum = 2 * round_up(rows * d, 16) + 256 * together + together * e + 2 * rows * e;
    if (is_integer(c->k_dtype)) {
        sum += round_up(d, 16) + round_up(rows * (round_up(d, 16) / 2 + round_up(d, 32) / 32 + 1), 16);
    }
    if (rows >= 13 && is_somewhere(c, c->k_dtype, c->recent_k_dtype, c->sink_k_dtype, is_half)) {
        sum += 256 * d;
    }
    if (rows >= 13 && is_somewhere(c, c->v_dtype, c->recent_v_dtype, c->sink_v_dtype, is_half)) {
        sum += 256 * e;
    }
    if (is_integer(c->v_dtype)) {
        sum += together * round_up(162 * (round_up(e, 32) / 32), 16);
    }
    return 4 * (sum + 6 * round_up(rows, 16) + 16);
}

static uint64_t shared_out(const sa_config *c) {
    uint64_t e = round_up((uint64_t)c->v_head_dim, 16), sinks = (uint64_t)c->n_sink, learned = (uint64_t)c->n_sink_kv;
    uint64_t window = (uint64_t)c->window, k = 1024;
    uint64_t tokens = min_of((uint64_t)c->max_append, 32 * (uint64_t)c->n_threads / (uint64_t)c->n_heads);
    if (c->n_threads == 1) {
        return 0;
    }
    while (max_of(window, max_of(sinks, learned)) > 64 * k) {
        k *= 2;
    }
    return part(4 * (uint64_t)c->n_heads * tokens *
                ((learned + k - 1) / k + (sinks + k - 1) / k + (window + tokens) / k + 2 +
                 (c->n_recent ? ((uint64_t)c->n_recent + tokens) / k + 2 : 0)) *
                (e + 2));
}

static uint64_t documented(const sa_config *c) {
    uint64_t layers = (uint64_t)c->n_layers;
    return part(sizeof(sa_cache)) + part(layers * sizeof(sai_layer)) + layers * (keys_and_values(c) + tables(c)) +
           part((uint64_t)c->max_append * rotated_dims(c) * 4) + (uint64_t)c->n_threads * worker(c) + shared_out(c);
}

static void no_pool(void *context, int32_t n, sa_task task, void *task_context) {
    (void)context;
    for (int32_t i = 0; i < n; i++) {
        task(task_context, i);
    }
}

static void draw(sa_config *c, test_rng *rng) {
    static const float logits[71 * 3];
    memset(c, 0, sizeof *c);
    c->struct_size = sizeof *c;
    c->n_layers = (int32_t)rng_in(rng, 1, 4);
    c->n_kv_heads = (int32_t)rng_in(rng, 1, 3);
    c->n_heads = c->n_kv_heads * (int32_t)(rng_chance(rng, 10) ? 71 : rng_in(rng, 1, 9));
    c->head_dim = 2 * (int32_t)rng_in(rng, 1, 150);
    c->v_head_dim = (int32_t)rng_in(rng, 1, 300);
    c->policy = rng_chance(rng, 20) ? SA_POLICY_DENSE : SA_POLICY_SINK_WINDOW;
    c->n_sink = c->policy == SA_POLICY_DENSE ? 0 : (int32_t)rng_in(rng, 0, 40);
    c->window = (int32_t)rng_in(rng, 1, rng_chance(rng, 10) ? 300000 : 5000);
    c->n_sink_kv = (int32_t)rng_in(rng, 0, 20);
    c->max_append = (int32_t)rng_in(rng, 1, 400);
    c->rollback = (int32_t)rng_in(rng, 0, 400);
    c->k_dtype = (int32_t)rng_in(rng, SA_F32, SA_I4);
    c->v_dtype = (int32_t)rng_in(rng, SA_F32, SA_I4);
    if (c->n_sink + c->n_sink_kv > 0) {
        c->sink_k_dtype = (int32_t)rng_in(rng, 0, SA_BF16);
        c->sink_v_dtype = (int32_t)rng_in(rng, 0, SA_BF16);
    }
    if (rng_chance(rng, 40)) {
        c->n_recent = (int32_t)rng_in(rng, 1, c->window);
        c->recent_k_dtype = (int32_t)rng_in(rng, 0, SA_BF16);
        c->recent_v_dtype = (int32_t)rng_in(rng, 0, SA_BF16);
    }
    c->position = rng_chance(rng, 50) ? SA_POSITION_ROPE : SA_POSITION_ALIBI;
    if (c->position == SA_POSITION_ROPE && rng_chance(rng, 50)) {
        c->rope_dims = 2 * (int32_t)rng_in(rng, 1, c->head_dim / 2);
    }
    c->sink_logits = rng_chance(rng, 50) ? logits : NULL;
    c->n_threads = (int32_t)rng_in(rng, 1, 4);
    c->parallel_for = c->n_threads > 1 ? no_pool : NULL;
}

int main(int argc, char **argv) {
    uint64_t seed = 5;
    long count = 20000, fit = 0;
    test_begin("test_size", argc, argv, &seed, &count);
    test_rng rng = {seed};
    for (long i = 0; i < count; i++) {
        sa_config c;
        size_t size = 0, alignment = 0;
        const char *why = "";
        draw(&c, &rng);
        sa_status status = sa_cache_size(&c, &size, &alignment);
        sa_config_check(&c, &why, NULL);
        if (documented(&c) > SIZE_MAX / 2) { /* half of the addresses at most; only those of 32 bits are so few */
            CHECK(status == SA_ERR_OVERFLOW, "case %ld: %llu bytes: %s", i, (unsigned long long)documented(&c),
                  sa_status_string(status));
            continue;
        }
        if (CHECK(status == SA_SUCCESS, "case %ld: %s", i, why)) {
            CHECK(size == documented(&c), "case %ld: %zu bytes, documented %llu", i, size,
                  (unsigned long long)documented(&c));
            CHECK(alignment == 64, "alignment %zu", alignment);
            fit++;
        }
    }
    CHECK(fit > count / 2, "%ld of %ld caches fit", fit, count);
    return test_end();
}
