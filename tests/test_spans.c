/*
 * Who sees whom, exhaustively for small caches, against a naive deque; and what is held, against naive tiles.
 *
 * Queries are zero, positions off, and the value of the i-th token appended is the unit vector i: so
 * the output is 1 / n at the n tokens that the query sees, and 0 at all others.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "compare.h"
#include "support.h"
#include "test.h"

enum { IDS = 160, SINKS = 5, WINDOW = 41, HELD = SINKS + WINDOW };

/* The naive cache: the sinks, and a deque of the newest others, oldest first. */
typedef struct deque {
    int n_sinks, n_window;
    int64_t at[HELD]; /* stream positions: n_sinks sinks, then n_window others */
    int id[HELD];
} deque;

typedef struct world {
    int n_sink, window, is_dense;
    int max_append, rollback;
    sa_cache *cache;
    deque now;
    int64_t seen, floor;
    deque past[IDS + 1]; /* past[i]: as after token floor + i - 1 */
    int is_stored[IDS];  /* whether position floor + i is still in a tile */
    int next_id;
} world;

/* What n more tokens leave behind: tiles of 16 positions that are all further back from the newest than what the config
 * promises to hold. */
static void evict(world *w, int64_t n) {
    int64_t slack = w->max_append > w->rollback + 1 ? w->max_append : w->rollback + 1, p;
    for (p = w->floor; p < w->seen && !w->is_dense; p++) {
        if (p / 16 * 16 + 16 <= w->seen + n - (w->window - 1 + slack)) {
            w->is_stored[p - w->floor] = 0;
        }
    }
}

static int is_window(const world *w, int64_t p) { return p >= w->floor && p >= w->n_sink; }

/* Tokens whose keys and values are still stored: the sinks that have come, and the window tokens of all tiles. */
static int64_t tokens_held(const world *w) {
    int64_t n = w->now.n_sinks, p;
    for (p = w->floor; p < w->seen; p++) {
        n += is_window(w, p) && w->is_stored[p - w->floor];
    }
    return n;
}

/* Whether all window tokens below `end` that a query at t sees are still stored. */
static int is_answered(const world *w, int64_t t, int64_t end) {
    int64_t p = w->is_dense || t - w->window + 1 < w->floor ? w->floor : t - w->window + 1;
    for (; p < end; p++) {
        if (is_window(w, p) && !w->is_stored[p - w->floor]) {
            return 0;
        }
    }
    return 1;
}

static int is_legal(const world *w, int64_t target) { return target >= w->floor && is_answered(w, target, target); }

static void drop_oldest(deque *d) {
    int i;
    for (i = d->n_sinks; i + 1 < d->n_sinks + d->n_window; i++) {
        d->at[i] = d->at[i + 1];
        d->id[i] = d->id[i + 1];
    }
    d->n_window--;
}

/* Lets go what a token at `t` no longer sees; a dense cache lets nothing go. */
static void expire(const world *w, deque *d, int64_t t) {
    while (!w->is_dense && d->n_window > 0 && d->at[d->n_sinks] <= t - w->window) {
        drop_oldest(d);
    }
}

static void push(world *w) {
    deque *d = &w->now;
    int last;
    expire(w, d, w->seen);
    last = d->n_sinks + d->n_window;
    d->at[last] = w->seen;
    d->id[last] = w->next_id++;
    if (w->seen < w->n_sink) {
        d->n_sinks++;
    } else {
        d->n_window++;
    }
    w->is_stored[w->seen - w->floor] = 1;
    w->seen++;
    w->past[w->seen - w->floor] = *d;
}

/* What a query at t sees. */
static deque view(const world *w, int64_t t) {
    deque d = t < w->seen ? w->past[t + 1 - w->floor] : w->now;
    expire(w, &d, t);
    return d;
}

static sa_config config_of(const world *w) {
    sa_config g;
    memset(&g, 0, sizeof g);
    g.struct_size = sizeof g;
    g.n_layers = 1;
    g.max_append = w->max_append;
    g.rollback = w->rollback;
    g.n_heads = 1;
    g.head_dim = 1;
    g.v_head_dim = IDS;
    g.policy = w->is_dense ? SA_POLICY_DENSE : SA_POLICY_SINK_WINDOW;
    g.n_sink = w->n_sink;
    g.window = w->window;
    g.position = SA_POSITION_NONE;
    return g;
}

static void open_world(world *w, int n_sink, int window, int is_dense, int max_append, int rollback) {
    sa_config g;
    memset(w, 0, sizeof *w);
    w->n_sink = n_sink;
    w->window = window;
    w->is_dense = is_dense;
    w->max_append = max_append;
    w->rollback = rollback;
    g = config_of(w);
    CHECK(sa_cache_create(&g, NULL, &w->cache) == SA_SUCCESS, "create S=%d W=%d dense=%d", n_sink, window, is_dense);
}

static void restart(world *w) {
    CHECK(sa_cache_reset(w->cache, SA_ALL_LAYERS) == SA_SUCCESS, "reset");
    memset(&w->now, 0, sizeof w->now);
    w->past[0] = w->now;
    w->seen = w->floor = 0;
    w->next_id = 0;
}

static void check_view(const world *w, int64_t t, const float *out, const char *what) {
    deque d = view(w, t);
    int n = d.n_sinks + d.n_window, i, bad = -1;
    float expected[IDS] = {0};
    for (i = 0; i < n; i++) {
        expected[d.id[i]] = 1.0f / (float)n;
    }
    for (i = IDS - 1; i >= 0; i--) {
        bad = compare_difference(out[i], expected[i]) <= (expected[i] == 0.0f ? 0.0 : 1e-6) ? bad : i;
    }
    CHECK(bad < 0,
          "%s: S=%d W=%d dense=%d max_append=%d rollback=%d seen=%lld floor=%lld t=%lld: token %d weighs %g, not %g",
          what, w->n_sink, w->window, w->is_dense, w->max_append, w->rollback, (long long)w->seen, (long long)w->floor,
          (long long)t, bad, bad < 0 ? 0.0 : (double)out[bad], bad < 0 ? 0.0 : (double)expected[bad]);
}

static float zeros[IDS], values[IDS][IDS], results[IDS][IDS];

/* Appends n tokens in one call, with or without reading. */
static void append(world *w, int n, int reads) {
    sa_status status;
    int i;
    for (i = 0; i < n; i++) {
        memset(values[i], 0, sizeof values[i]);
        values[i][w->next_id + i] = 1.0f;
    }
    compare_forget(results, sizeof results);
    status = reads ? sa_append_attend(w->cache, 0, n, zeros, zeros, values, results)
                   : sa_append_kv(w->cache, 0, n, zeros, values);
    if (w->is_dense && w->seen - w->floor + n > w->window) {
        CHECK(status == SA_ERR_FULL, "W=%d seen=%lld n=%d: %d", w->window, (long long)w->seen, n, (int)status);
        return;
    }
    CHECK(status == SA_SUCCESS, "append %d: %s", n, sa_status_string(status));
    for (i = 0; i < n; i++) {
        if (i % w->max_append == 0) {
            evict(w, n - i < w->max_append ? n - i : w->max_append);
        }
        push(w);
        if (reads) {
            check_view(w, w->seen - 1, results[i], "append_attend");
        }
    }
}

/* n queries from t on, appending nothing: refused if and only if one of them sees a token that is gone. */
static void probe(world *w, int64_t t, int n) {
    sa_step_args a;
    sa_status status;
    int i, is_good = t >= w->floor;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.n_tokens = n;
    a.q.data = zeros;
    a.out.data = results;
    a.q_offset = t - w->seen;
    for (i = 0; i < n && is_good; i++) {
        is_good = is_answered(w, t + i, t + i < w->seen ? t + i + 1 : w->seen);
    }
    compare_forget(results, sizeof results);
    status = sa_step(w->cache, &a);
    CHECK(status == (is_good ? SA_SUCCESS : SA_ERR_DEPTH),
          "probe S=%d W=%d dense=%d max_append=%d rollback=%d seen=%lld floor=%lld t=%lld n=%d: %d", w->n_sink,
          w->window, w->is_dense, w->max_append, w->rollback, (long long)w->seen, (long long)w->floor, (long long)t, n,
          (int)status);
    for (i = 0; i < n && status == SA_SUCCESS; i++) {
        check_view(w, t + i, results[i], "probe");
    }
}

static sa_cache_facts info(const world *w) {
    sa_cache_facts facts;
    memset(&facts, 0, sizeof facts);
    facts.struct_size = sizeof facts;
    CHECK(sa_cache_info(w->cache, 0, &facts) == SA_SUCCESS, "info");
    return facts;
}

static void check_info(const world *w) {
    sa_cache_facts facts = info(w);
    deque d = view(w, w->seen - 1);
    int64_t depth = 0, visible = d.n_sinks;
    int i;
    for (i = d.n_sinks; i < d.n_sinks + d.n_window; i++) {
        visible += w->is_stored[d.at[i] - w->floor]; /* a rollback needs what the next token sees, and no more */
    }
    while (w->seen - depth > w->floor && is_legal(w, w->seen - depth - 1)) {
        depth++;
    }
    CHECK(facts.tokens_seen == (uint64_t)w->seen, "tokens_seen %llu", (unsigned long long)facts.tokens_seen);
    CHECK(w->seen == w->floor || facts.positions_held == (uint64_t)visible,
          "positions_held %llu, not %lld: S=%d W=%d seen=%lld floor=%lld", (unsigned long long)facts.positions_held,
          (long long)visible, w->n_sink, w->window, (long long)w->seen, (long long)w->floor);
    CHECK(facts.rollback_now == (uint64_t)depth, "rollback_now %llu, not %lld: S=%d W=%d seen=%lld floor=%lld",
          (unsigned long long)facts.rollback_now, (long long)depth, w->n_sink, w->window, (long long)w->seen,
          (long long)w->floor);
    CHECK(facts.tokens_held == (uint64_t)tokens_held(w),
          "tokens_held %llu, not %lld: S=%d W=%d dense=%d seen=%lld floor=%lld", (unsigned long long)facts.tokens_held,
          (long long)tokens_held(w), w->n_sink, w->window, w->is_dense, (long long)w->seen, (long long)w->floor);
    d = view(w, w->seen);
    CHECK(facts.tokens_held >= (uint64_t)(d.n_sinks + d.n_window), "tokens_held %llu, %d visible to the next token",
          (unsigned long long)facts.tokens_held, d.n_sinks + d.n_window);
}

/* What the config promises beside: the newest tokens that were held at most may be taken back, down to `rollback`. */
static void check_promise(const world *w, int64_t highest) {
    int64_t promised = w->rollback - (highest - w->seen), since = w->seen - w->floor;
    promised = promised > since ? since : promised;
    CHECK(promised < 0 || info(w).rollback_now >= (uint64_t)promised, "rollback_now %llu < %lld",
          (unsigned long long)info(w).rollback_now, (long long)promised);
}

/* Takes n tokens back; where a token that the next one sees has gone, that is an error that changes nothing. */
static void go_back(world *w, int64_t n) {
    int64_t target = w->seen - n;
    sa_status status = sa_cache_rollback(w->cache, SA_ALL_LAYERS, n);
    sa_status expected = n > w->seen ? SA_ERR_ARGUMENT : n == 0 || is_legal(w, target) ? SA_SUCCESS : SA_ERR_DEPTH;
    CHECK(status == expected, "rollback %lld of %lld, S=%d W=%d floor=%lld: %d, not %d", (long long)n,
          (long long)w->seen, w->n_sink, w->window, (long long)w->floor, (int)status, (int)expected);
    if (status == SA_SUCCESS) {
        w->seen -= n;
        w->now = w->past[w->seen - w->floor];
    }
}

static void seek(world *w, int64_t to) {
    CHECK(sa_cache_seek(w->cache, SA_ALL_LAYERS, (uint64_t)to) == SA_SUCCESS, "seek %lld", (long long)to);
    if (to == w->seen) {
        return;
    }
    w->now.n_window = 0;
    w->seen = w->floor = to;
    w->past[0] = w->now;
}

/* Every way to cut `n` tokens, after a prefix of `before`. */
static void all_cuts(world *w, int before, int n) {
    int cuts, i, from;
    for (cuts = 0; cuts < 1 << (n - 1); cuts++) {
        restart(w);
        if (before > 0) {
            append(w, before, 0);
        }
        for (i = 1, from = 0; i <= n; i++) {
            if (i == n || (cuts >> (i - 1) & 1)) {
                append(w, i - from, 1);
                from = i;
            }
        }
    }
}

/* Every window and sink count, dense too, one by one and all at once, read in all ways. */
static void all_shapes(void) {
    static const int appends[] = {1, 3, 8, 40};
    static world w;
    int s, window, a, n, i;
    for (s = 0; s <= 4; s++) {
        for (window = 1; window <= 8; window++) {
            for (a = 0; a < 4; a++) {
                open_world(&w, s, window, 0, appends[a], a);
                for (n = 1; n <= 40; n++) {
                    restart(&w);
                    append(&w, n, 1);
                    check_info(&w);
                    for (i = n > appends[a] ? n - appends[a] : 0; i < n; i++) {
                        probe(&w, i, 1);
                    }
                    probe(&w, n, appends[a]);
                    append(&w, 1, 1);
                }
                all_cuts(&w, s + window > 4 ? 3 : 0, 7);
                all_cuts(&w, 29, 5);
                sa_cache_destroy(w.cache);
            }
        }
    }
    for (window = 1; window <= 40; window++) {
        open_world(&w, 0, window, 1, 7, 2);
        all_cuts(&w, window > 6 ? window - 6 : 0, window < 6 ? window : 6);
        append(&w, 1, 1);
        check_info(&w);
        sa_cache_destroy(w.cache);
    }
}

/* Every rollback depth at every length, then on as if nothing had been. */
static void all_rollbacks(void) {
    static world w;
    int s, window, depth, n, m;
    for (s = 0; s <= 4; s += 2) {
        for (window = 1; window <= 8; window += s == 0 ? 1 : 3) {
            for (depth = 0; depth <= 18; depth += 6) {
                open_world(&w, s, window, 0, 3, depth);
                for (n = 1; n <= 40; n++) {
                    for (m = 0; m <= n + 1; m++) {
                        restart(&w);
                        append(&w, n, 0);
                        go_back(&w, m);
                        check_info(&w);
                        check_promise(&w, n);
                        append(&w, 2, 1);
                    }
                }
                sa_cache_destroy(w.cache);
            }
        }
    }
}

static void random_act(world *w, test_rng *rng) {
    int left = IDS - w->next_id;
    switch ((int)rng_in(rng, 0, 9)) {
    case 0:
        go_back(w, rng_in(rng, 0, w->rollback + 2));
        break;
    case 1:
        probe(w, w->seen + rng_in(rng, 0, 12), (int)rng_in(rng, 1, w->max_append));
        break;
    case 2:
        probe(w, rng_in(rng, w->floor, w->seen), (int)rng_in(rng, 1, w->max_append));
        break;
    case 3:
        if (rng_chance(rng, 15)) {
            seek(w, w->seen + rng_in(rng, 0, rng_chance(rng, 50) ? 6 : 1000000000000LL));
        }
        break;
    default:
        append(w, (int)rng_in(rng, 0, left < 9 ? left : 9), rng_chance(rng, 70));
    }
}

static void random_lives(uint64_t seed, long count) {
    static world w;
    test_rng rng;
    long i;
    rng.state = seed;
    for (i = 0; i < count; i++) {
        int is_dense = rng_chance(&rng, 15);
        open_world(&w, is_dense ? 0 : (int)rng_in(&rng, 0, 4), (int)rng_in(&rng, 1, is_dense ? 40 : 8), is_dense,
                   (int)rng_in(&rng, 1, 6), (int)rng_in(&rng, 0, 20));
        while (w.next_id < IDS && w.seen - w.floor < IDS - 10 && !rng_chance(&rng, 1)) {
            random_act(&w, &rng);
            check_info(&w);
        }
        sa_cache_destroy(w.cache);
    }
}

int main(int argc, char **argv) {
    uint64_t seed = 416;
    long count = 3000;
    double began = test_seconds();
    test_begin("test_spans", argc, argv, &seed, &count);
    all_shapes();
    all_rollbacks();
    random_lives(seed, count);
    printf("%.1f s\n", test_seconds() - began);
    return test_end();
}
