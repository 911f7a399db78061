/*
 * Which rollbacks are legal, exhaustively for small caches, against a model that knows what every tile holds.
 *
 * The rule: a rollback is legal if and only if every older token that the next token would see is still held.
 * Queries are zero, positions off, and the value of the i-th token appended is the unit vector i: so the output is
 * 1 / n at the n tokens that the query sees, and 0 at all others.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "support.h"
#include "test.h"

enum { IDS = 128, SINKS = 8, NONE = -1 };

typedef struct shape {
    int n_sink, window, max_append, rollback, n_recent, is_dense;
} shape;

/* The model: the stream of tokens by position since the last jump, and which of them are still stored, tile by tile of
 * 16 positions. */
typedef struct model {
    shape s;
    sa_cache *cache;
    int hold, recent_hold; /* tokens back from the newest that are held at least; of the second copy */
    int64_t seen, floor;
    int next_id;
    int sink_ids[SINKS]; /* of the sinks, NONE where they were jumped over or have not come */
    int stream[IDS];     /* of position floor + i */
    int is_stored[IDS], is_copied[IDS];
} model;

static float zeros[IDS], values[IDS][IDS], results[IDS][IDS];

static const char *text(const model *m) {
    static char line[200];
    snprintf(line, sizeof line, "S=%d W=%d max_append=%d rollback=%d n_recent=%d dense=%d seen=%lld floor=%lld",
             m->s.n_sink, m->s.window, m->s.max_append, m->s.rollback, m->s.n_recent, m->s.is_dense, (long long)m->seen,
             (long long)m->floor);
    return line;
}

static int most(int a, int b) { return a > b ? a : b; }
static int64_t most64(int64_t a, int64_t b) { return a > b ? a : b; }

static void open_model(model *m, shape s) {
    sa_config g;
    memset(m, 0, sizeof *m);
    memset(&g, 0, sizeof g);
    m->s = s;
    g.struct_size = sizeof g;
    g.n_layers = 1;
    g.max_append = s.max_append;
    g.rollback = s.rollback;
    g.n_heads = 1;
    g.head_dim = 1;
    g.v_head_dim = IDS;
    g.policy = s.is_dense ? SA_POLICY_DENSE : SA_POLICY_SINK_WINDOW;
    g.n_sink = s.n_sink;
    g.window = s.window;
    g.n_recent = s.n_recent;
    g.position = SA_POSITION_NONE;
    int slack = most(s.max_append, s.rollback + 1);
    m->hold = s.is_dense ? 2 * IDS : s.window - 1 + slack; /* a dense layer loses nothing */
    m->recent_hold = s.n_recent - 1 + slack;
    CHECK(sa_cache_create(&g, NULL, &m->cache) == SA_SUCCESS, "create: %s", text(m));
}

static void restart(model *m) {
    CHECK(sa_cache_reset(m->cache, SA_ALL_LAYERS) == SA_SUCCESS, "reset");
    m->seen = m->floor = 0;
    m->next_id = 0;
    for (int i = 0; i < SINKS; i++) m->sink_ids[i] = NONE;
}

/* ------------------------------- what is held ------------------------------ */

/* A tile goes when all of its positions are more than `hold` back from the newest of `seen` tokens. */
static void evict(const model *m, int64_t seen, int hold, int *is_there) {
    for (int64_t p = m->floor; p < m->seen; p++)
        if (p / 16 * 16 + 16 <= seen - hold) is_there[p - m->floor] = 0;
}

static void make_room(model *m, int64_t n) {
    evict(m, m->seen + n, m->hold, m->is_stored);
    if (m->s.n_recent) evict(m, m->seen + n, m->recent_hold, m->is_copied);
}

static uint64_t tokens_held(const model *m) {
    uint64_t held = 0;
    for (int i = 0; i < m->s.n_sink; i++) held += i < m->seen && m->sink_ids[i] != NONE;
    for (int64_t p = most64(m->floor, m->s.n_sink); p < m->seen; p++) held += (uint64_t)m->is_stored[p - m->floor];
    return held;
}

/* ------------------------------- what is seen ------------------------------ */

static int id_at(const model *m, int64_t position) {
    return position < m->s.n_sink ? m->sink_ids[position] : m->stream[position - m->floor];
}

static int64_t window_from(const model *m, int64_t t) {
    int64_t from = m->s.is_dense ? 0 : t - m->s.window + 1;
    return most64(from, most64(m->floor, m->s.n_sink));
}

/* Whether the window token at this position is where a query at t reads it. */
static int is_held(const model *m, int64_t position, int64_t t) {
    int is_recent = m->s.n_recent && position > t - m->s.n_recent;
    return is_recent ? m->is_copied[position - m->floor] : m->is_stored[position - m->floor];
}

static int is_legal(const model *m, int64_t target) {
    if (target >= m->seen) return 1;
    if (target < m->floor) return 0;
    for (int64_t u = window_from(m, target); u < target; u++)
        if (!is_held(m, u, target)) return 0;
    return 1;
}

static void check_output(const model *m, int64_t t, const float *out) {
    float expected[IDS] = {0};
    int n = 0, bad = 0;
    for (int64_t u = 0; u <= t && u < m->s.n_sink; u++) {
        if (m->sink_ids[u] == NONE) continue;
        expected[m->sink_ids[u]] = 1;
        n++;
    }
    for (int64_t u = window_from(m, t); u <= t; u++, n++) expected[id_at(m, u)] = 1;
    for (int i = 0; i < IDS; i++) bad += !(fabsf(out[i] - expected[i] / (float)n) <= 1e-6f);
    CHECK(bad == 0, "%s: at %lld, %d weights of %d tokens are wrong", text(m), (long long)t, bad, n);
}

/* --------------------------------- actions -------------------------------- */

static void push(model *m) {
    int64_t p = m->seen++;
    if (p < m->s.n_sink) m->sink_ids[p] = m->next_id;
    m->stream[p - m->floor] = m->next_id++;
    m->is_stored[p - m->floor] = m->is_copied[p - m->floor] = 1;
}

static void append(model *m, int n) {
    int64_t first = m->seen;
    if (n == 0 || m->next_id + n > IDS || (m->s.is_dense && m->seen - m->floor + n > m->s.window)) return;
    for (int i = 0; i < n; i++) {
        memset(values[i], 0, sizeof values[i]);
        values[i][m->next_id + i] = 1;
        results[i][0] = NAN;
    }
    CHECK(sa_append_attend(m->cache, 0, n, zeros, zeros, values, results) == SA_SUCCESS, "append: %s", text(m));
    for (int i = 0; i < n; i++) {
        if (i % m->s.max_append == 0) make_room(m, n - i < m->s.max_append ? n - i : m->s.max_append);
        push(m);
    }
    for (int i = 0; i < n; i++) check_output(m, first + i, results[i]);
}

static void check_info(const model *m) {
    sa_cache_facts info;
    uint64_t depth = 0;
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    CHECK(sa_cache_info(m->cache, 0, &info) == SA_SUCCESS, "info");
    while ((int64_t)depth < m->seen - m->floor && is_legal(m, m->seen - (int64_t)depth - 1)) depth++;
    CHECK(info.rollback_now == depth, "%s: rollback_now %llu, not %llu", text(m), (unsigned long long)info.rollback_now,
          (unsigned long long)depth);
    CHECK(info.tokens_held == tokens_held(m), "%s: tokens_held %llu, not %llu", text(m),
          (unsigned long long)info.tokens_held, (unsigned long long)tokens_held(m));
    CHECK(info.tokens_seen == (uint64_t)m->seen, "%s: tokens_seen %llu", text(m), (unsigned long long)info.tokens_seen);
}

static void go_back(model *m, int64_t n) {
    sa_status expected = n > m->seen ? SA_ERR_ARGUMENT : is_legal(m, m->seen - n) ? SA_SUCCESS : SA_ERR_DEPTH;
    sa_status status = sa_cache_rollback(m->cache, SA_ALL_LAYERS, n);
    CHECK(status == expected, "%s: rollback %lld: %d, not %d", text(m), (long long)n, (int)status, (int)expected);
    if (status) return;
    m->seen -= n;
    for (int64_t i = m->seen; i < m->s.n_sink; i++) m->sink_ids[i] = NONE;
}

static void jump(model *m, int64_t by) {
    CHECK(sa_cache_seek(m->cache, SA_ALL_LAYERS, (uint64_t)(m->seen + by)) == SA_SUCCESS, "seek: %s", text(m));
    if (by == 0) return;
    m->seen += by;
    m->floor = m->seen;
}

/* ---------------------------------- tests --------------------------------- */

/* Every depth at a length, then on; and once more from there. `by` > 0: with a jump before the last tokens. */
static void all_depths(model *m, int before, int64_t by, int after, test_rng *rng) {
    for (int depth = 0; depth <= before + after + 1; depth++) {
        restart(m);
        append(m, before);
        jump(m, by);
        append(m, after);
        go_back(m, depth);
        check_info(m);
        append(m, (int)rng_in(rng, 1, 3));
        go_back(m, rng_in(rng, 0, m->seen > 40 ? 40 : m->seen));
        check_info(m);
        append(m, (int)rng_in(rng, 1, 20));
        check_info(m);
    }
}

static void one_shape(shape s, test_rng *rng) {
    static model m;
    static const int lengths[] = {1, 2, 3, 5, 8, 15, 16, 17, 18, 20, 31, 33, 36, 40};
    open_model(&m, s);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) all_depths(&m, lengths[i], 0, 0, rng);
    for (int before = 0; before <= 5; before += 1 + before / 2)
        for (int after = 0; after <= 34; after += 1 + after / 2)
            all_depths(&m, before, 1 + 7 * (after % 3), after, rng);
    sa_cache_destroy(m.cache);
}

static void all_shapes(test_rng *rng) {
    static const int appends[] = {1, 4, 12}, windows[] = {1, 2, 3, 4, 6, 9};
    for (int sinks = 0; sinks <= 4; sinks += test_is_quick ? 4 : 1)
        for (int w = 0; w < 6; w++)
            for (int a = 0; a < 3; a++) {
                shape s = {sinks, windows[w], appends[a], a * 5, 0, 0}, twice = s;
                one_shape(s, rng);
                twice.n_recent = (int)rng_in(rng, 1, s.window);
                if (sinks % 2 == 0) one_shape(twice, rng);
            }
    for (int window = 1; window <= 40; window += test_is_quick ? 13 : 3)
        for (int recent = 0; recent <= window && recent <= 2; recent++) {
            shape s = {0, window, 3, 2, recent, 1};
            one_shape(s, rng);
        }
}

/* The cases that were refused although nothing was missing. */
static void to_the_sinks(void) {
    static const int depths[][4] = {{2, 4, 20, 18}, {4, 4, 40, 38}, {4, 4, 40, 40}, {0, 1, 40, 39}, {2, 4, 20, 20}};
    static model m;
    for (int i = 0; i < 5; i++) {
        shape s = {depths[i][0], depths[i][1], 1, 0, 0, 0};
        open_model(&m, s);
        restart(&m);
        append(&m, depths[i][2]);
        CHECK(sa_cache_rollback(m.cache, SA_ALL_LAYERS, depths[i][3]) == SA_SUCCESS, "%s: to the sinks", text(&m));
        m.seen -= depths[i][3];
        append(&m, 30);
        check_info(&m);
        sa_cache_destroy(m.cache);
    }
}

int main(int argc, char **argv) {
    uint64_t seed = 18;
    long count = 1;
    test_begin("test_rollback", argc, argv, &seed, &count);
    test_rng rng = {seed};
    to_the_sinks();
    for (long i = 0; i < count; i++) all_shapes(&rng);
    return test_end();
}
