/*
 * Looking back: a query is answered if and only if all that it would see is still held, with the layer's window or a
 * narrower one, behind a jump too, whatever was removed before the jump or below it.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "support.h"
#include "test.h"

enum { W = 40, NARROW = 7, S = 16, JUMP = 112, MOST = 100, PIECE = 16 };

static float zeros[MOST], result[3];

static sa_cache *open_cache(void) {
    sa_cache *cache = NULL;
    sa_config g;
    memset(&g, 0, sizeof g);
    g.struct_size = sizeof g;
    g.n_layers = g.n_heads = g.head_dim = 1;
    g.max_append = PIECE;
    g.n_sink = S;
    g.window = W;
    g.position = SA_POSITION_NONE;
    g.n_spans = 6;
    CHECK(sa_cache_create(&g, NULL, &cache) == SA_SUCCESS, "create");
    return cache;
}

#define DONE(cache, call) CHECK((call) == SA_SUCCESS, "%s: %s", #call, sa_cache_error(cache))

/* Whether the layer holds all of positions [from, end). */
static int holds_all(sa_cache *cache, uint64_t from, uint64_t end) {
    static uint64_t positions[1000];
    int64_t n = 0, held = 0;
    DONE(cache, sa_cache_positions(cache, 0, 0, 1000, positions, &n));
    for (int64_t i = 0; i < n; i++) held += positions[i] >= from && positions[i] < end;
    return held == (int64_t)(end - from);
}

/* A query of the token `back` before the next one; view 0: with the layer's window. */
static sa_status look(sa_cache *cache, int back, int view) {
    sa_step_args a;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.n_tokens = 1;
    a.q.data = zeros;
    a.out.data = result;
    a.q_offset = -back;
    a.view_window = view;
    return sa_step(cache, &a);
}

/* Appends tokens behind a jump to JUMP one by one. After each, every token behind the jump may be asked for: none of
 * them was removed, so its window reaches W positions back, or to the jump. */
static void looks_back(sa_cache *cache) {
    int refused = 0;
    for (int n = 1; n <= MOST; n++) {
        DONE(cache, sa_append_kv(cache, 0, 1, zeros, zeros));
        for (int i = 0; i < 2 * n; i++) {
            int back = 1 + i / 2, view = i % 2 * NARROW, window = view ? view : W;
            uint64_t t = (uint64_t)(JUMP + n - back), from = t + 1 - (uint64_t)window;
            if (from < JUMP) from = JUMP;
            sa_status expected = holds_all(cache, from, t + 1) ? SA_SUCCESS : SA_ERR_DEPTH,
                      got = look(cache, back, view);
            CHECK(got == expected, "%d tokens behind the jump, %d back, view %d: %d, not %d", n, back, view, (int)got,
                  (int)expected);
            refused += got != SA_SUCCESS;
        }
    }
    CHECK(refused > 0, "nothing had to be refused");
    sa_cache_destroy(cache);
}

static sa_cache *jumped(int removed_before) {
    sa_cache *cache = open_cache();
    DONE(cache, sa_append_kv(cache, 0, 60, zeros, zeros));
    if (removed_before) DONE(cache, sa_cache_remove(cache, 0, 30, 50, SA_GAP_CLOSE));
    DONE(cache, sa_cache_seek(cache, 0, JUMP));
    return cache;
}

/* Sinks that a view takes for window tokens are read from the second copies, which may be gone. */
static void fewer_sinks(void) {
    sa_cache *cache = NULL;
    sa_config g;
    sa_step_args a;
    memset(&g, 0, sizeof g);
    g.struct_size = sizeof g;
    g.n_layers = g.n_heads = g.head_dim = 1;
    g.max_append = 4;
    g.window = g.n_recent = 2;
    g.position = SA_POSITION_NONE;
    g.n_spans = 6;
    g.n_pin = 16;
    CHECK(sa_cache_create(&g, NULL, &cache) == SA_SUCCESS, "create");
    DONE(cache, sa_append_kv(cache, 0, 12, zeros, zeros));
    DONE(cache, sa_cache_anchor(cache, 0, 6, 12));
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.n_tokens = 3;
    a.q.data = zeros;
    a.out.data = result;
    a.q_offset = -3;
    a.view_sinks = 2;
    DONE(cache, sa_step(cache, &a));
    DONE(cache, sa_cache_remove(cache, 0, 0, 7, SA_GAP_CLOSE)); /* no token of the window is left, and no copy */
    CHECK(sa_step(cache, &a) == SA_ERR_DEPTH, "second copies that are gone");
    a.view_sinks = 0;
    DONE(cache, sa_step(cache, &a));
    sa_cache_destroy(cache);
}

int main(int argc, char **argv) {
    uint64_t seed = 0;
    long count = 1;
    test_begin("test_lookback", argc, argv, &seed, &count);
    fewer_sinks();
    looks_back(jumped(0));
    looks_back(jumped(1));
    for (int end = 2; end <= S; end += 7) { /* sinks, from below the jump */
        sa_cache *cache = jumped(end % 2);
        DONE(cache, sa_cache_remove(cache, 0, 0, (uint64_t)end, SA_GAP_CLOSE));
        looks_back(cache);
    }
    return test_end();
}
