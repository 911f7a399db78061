/*
 * The same by sinkattn: what stands here is all that a host of this kind needs.
 *
 * SPDX-License-Identifier: MIT
 */
#include "llama2c.h"

#include <sinkattn.h>

static int attend(void *state, int32_t l, int64_t t, float *q, float *k, float *v, float *out) {
    (void)t; /* the cache counts */
    return sa_append_attend(state, l, 1, q, k, v, out);
}

static size_t bytes(const void *state) {
    sa_cache_facts facts = {.struct_size = sizeof facts};
    sa_cache_info(state, 0, &facts);
    return (size_t)facts.cache_size;
}

static void close_cache(void *state) { sa_cache_destroy(state); }

attention attention_cache(const checkpoint *c, int32_t sinks, int32_t window) {
    sa_config config = {.struct_size = sizeof config,
                        .n_layers = c->n_layers,
                        .max_append = 1,
                        .n_heads = c->n_heads,
                        .n_kv_heads = c->n_kv_heads,
                        .head_dim = c->head_dim,
                        .n_sink = sinks,
                        .window = window,
                        .position = SA_POSITION_ROPE,
                        .rope_layout = SA_ROPE_INTERLEAVED};
    sa_cache *cache = NULL;
    const char *why = "";
    if (sa_config_check(&config, &why, NULL) != SA_SUCCESS || sa_cache_create(&config, NULL, &cache) != SA_SUCCESS) {
        die("sinkattn: no cache", why);
    }
    return (attention){cache, attend, bytes, close_cache};
}
