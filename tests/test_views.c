/*
 * Narrower views: a call with one has the bits of a cache that has such a window and such sinks.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "compare.h"
#include "support.h"
#include "test.h"

enum { S = 2, W = 8, N = 60, DIM = 8 };

static sa_config config_of(int window, int n_sink) {
    sa_config g;
    memset(&g, 0, sizeof g);
    g.struct_size = sizeof g;
    g.n_layers = 1;
    g.max_append = 7;
    g.n_heads = 1;
    g.head_dim = DIM;
    g.n_sink = n_sink;
    g.window = window;
    g.position = SA_POSITION_ROPE;
    return g;
}

/* A view gives what a cache gives that has such a window and such sinks: its bits, but for rows that see former sinks
 * in the window. Those are stored apart, so they are summed apart and merged. */
static void views_are_caches(void) {
    static float q[N * DIM], k[N * DIM], v[N * DIM], out[2][N * DIM];
    test_rng rng = {77};
    for (int i = 0; i < N * DIM; i++) {
        q[i] = rng_normal(&rng);
        k[i] = rng_normal(&rng);
        v[i] = rng_normal(&rng);
    }
    for (int window = 1; window <= W; window++)
        for (int sinks = 0; sinks <= S; sinks++) {
            sa_step_args a;
            memset(&a, 0, sizeof a);
            a.struct_size = sizeof a;
            a.n_tokens = N;
            a.q.data = q;
            a.k.data = k;
            a.v.data = v;
            for (int narrow = 0; narrow < 2; narrow++) {
                sa_config g = config_of(narrow ? W : window, narrow ? S : sinks);
                sa_cache *cache = NULL;
                a.view_window = narrow ? window : 0;
                a.view_sinks = !narrow ? 0 : sinks ? sinks : -1;
                a.out.data = out[narrow];
                compare_forget(out[narrow], sizeof out[narrow]);
                CHECK(sa_cache_create(&g, NULL, &cache) == SA_SUCCESS, "create");
                CHECK(sa_step(cache, &a) == SA_SUCCESS, "%s", sa_cache_error(cache));
                sa_cache_destroy(cache);
            }
            comparison c = compare_floats(out[1], out[0], N * DIM);
            int64_t first = sinks == S ? 0 : (S + window) * DIM, n = N * DIM - first;
            CHECK(compare_holds(&c, N * DIM, 1e-6), "window %d, sinks %d: off by %g", window, sinks, c.difference);
            CHECK(compare_bits(out[0] + first, n, out[1] + first, n) < 0, "window %d, sinks %d: other bits", window,
                  sinks);
        }
}

int main(int argc, char **argv) {
    uint64_t seed = 0;
    long count = 1;
    test_begin("test_views", argc, argv, &seed, &count);
    views_are_caches();
    return test_end();
}
