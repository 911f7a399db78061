/*
 * The smallest whole program: one attention layer over a stream far longer than its cache.
 *
 * SPDX-License-Identifier: MIT
 *
 * A real model computes q, k and v from its weights; random numbers stand in for them here.
 * Build: cc minimal.c $(pkg-config --cflags --libs sinkattn)
 */
#include <sinkattn.h>
#include <stdio.h>
#include <stdlib.h>

enum { HEADS = 8, KV_HEADS = 2, HEAD_DIM = 64, SINKS = 4, WINDOW = 60, TOKENS = 1000 };

static void fill(float *x, int n) {
    for (int i = 0; i < n; i++) {
        x[i] = (float)rand() / (float)RAND_MAX - 0.5f;
    }
}

static sa_status feed(sa_cache *cache) {
    static float q[HEADS * HEAD_DIM], k[KV_HEADS * HEAD_DIM], v[KV_HEADS * HEAD_DIM], out[HEADS * HEAD_DIM];
    sa_cache_facts info = {.struct_size = sizeof info};
    for (int t = 1; t <= TOKENS; t++) {
        fill(q, HEADS * HEAD_DIM);
        fill(k, KV_HEADS * HEAD_DIM);
        fill(v, KV_HEADS * HEAD_DIM);
        sa_status status = sa_append_kv(cache, 0, 1, k, v);
        if (status == SA_SUCCESS) {
            status = sa_attend(cache, 0, 1, q, out);
        }
        if (status == SA_SUCCESS) {
            status = sa_cache_info(cache, 0, &info);
        }
        if (status != SA_SUCCESS) {
            return status;
        }
        if (t == 1 || t == 10 || t == 100 || t == TOKENS) {
            printf("token %4d: sees %2llu tokens, cache of %llu bytes, out[0] = %+.4f\n", t,
                   (unsigned long long)info.positions_held, (unsigned long long)info.cache_size, (double)out[0]);
        }
    }
    return SA_SUCCESS;
}

int main(void) {
    /* Zero means the default in every field; keys and queries come in unrotated. */
    sa_config config = {.struct_size = sizeof config,
                        .n_layers = 1,
                        .max_append = 1,
                        .n_heads = HEADS,
                        .n_kv_heads = KV_HEADS,
                        .head_dim = HEAD_DIM,
                        .n_sink = SINKS,
                        .window = WINDOW,
                        .position = SA_POSITION_ROPE};
    const char *why = "";
    sa_cache *cache = NULL;
    if (sa_config_check(&config, &why, NULL) != SA_SUCCESS) {
        fprintf(stderr, "minimal: %s\n", why);
        return EXIT_FAILURE;
    }
    sa_status status = sa_cache_create(&config, NULL, &cache);
    if (status == SA_SUCCESS) {
        status = feed(cache);
    }
    sa_cache_destroy(cache);
    if (status != SA_SUCCESS) {
        fprintf(stderr, "minimal: %s\n", sa_status_string(status));
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
