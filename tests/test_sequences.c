/*
 * Removing, pinning, moving the sinks, going back and views: which tokens a query sees then, and at what distance.
 *
 * Keys are zero, the value of the i-th token appended is the unit vector i, and ALiBi takes 1/16 of the distance from a
 * logit. So the output is the softmax of the distances: a token that is seen wrongly shows, and so does one that stands
 * at the wrong place. What is expected is written as in "0-1@9 13-19@7": tokens 0 and 1 at distances 9 and 8, and 13 to
 * 19 at 7 to 1.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "compare.h"
#include "support.h"
#include "test.h"

enum { IDS = 96, S = 2, W = 8, SPANS = 8 };

static float zeros[IDS], values[IDS][IDS], results[IDS][IDS];
static const float slope[1] = {0.0625f};

static sa_config config_of(int mode) {
    sa_config g;
    memset(&g, 0, sizeof g);
    g.struct_size = sizeof g;
    g.n_layers = 2;
    g.max_append = 1;
    g.n_heads = 1;
    g.head_dim = 1;
    g.v_head_dim = IDS;
    g.n_sink = S;
    g.window = W;
    g.position = SA_POSITION_ALIBI;
    g.position_mode = mode;
    g.alibi_slopes = slope;
    g.n_spans = SPANS;
    g.n_pin = 16;
    return g;
}

/* A cache whose layers have seen n tokens. */
static sa_cache *open_stream(const sa_config *g, int n) {
    sa_cache *cache = NULL;
    CHECK(sa_cache_create(g, NULL, &cache) == SA_SUCCESS, "create");
    for (int i = 0; i < IDS; i++) values[i][i] = 1;
    for (int layer = 0; layer < g->n_layers; layer++)
        CHECK(sa_append_kv(cache, layer, n, zeros, values) == SA_SUCCESS, "append %d", n);
    return cache;
}

/* Appends tokens first .. first + n - 1 to a layer. */
static void append(sa_cache *cache, int layer, int first, int n) {
    CHECK(sa_append_kv(cache, layer, n, zeros, values[first]) == SA_SUCCESS, "append %d: %s", n, sa_cache_error(cache));
}

/* Reads "0-1@9 13-19@7": adds exp(-distance / 16) of each token to `weights`; returns their sum. */
static double read_expected(const char *said, double *weights) {
    double sum = 0;
    int from, to, distance, length;
    while (*said) {
        if (sscanf(said, "%d-%d@%d%n", &from, &to, &distance, &length) < 3) {
            length = 0;
            CHECK(sscanf(said, "%d@%d%n", &from, &distance, &length) == 2, "the test says \"%s\"", said);
            to = from;
        }
        for (; from <= to; from++, distance--) {
            weights[from] = exp(-(double)slope[0] * distance);
            sum += weights[from];
        }
        said += length;
        said += *said == ' ';
    }
    return sum;
}

/* A query at the place of the next token, with the rules of the layer or of a narrower view. */
static sa_step_args probe_of(int layer) {
    sa_step_args a;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.layer = layer;
    a.n_tokens = 1;
    a.q.data = zeros;
    a.out.data = results;
    return a;
}

static void check_sees(sa_cache *cache, const sa_step_args *a, const char *said, int line) {
    double weights[IDS] = {0}, sum = read_expected(said, weights);
    comparison c = compare_begin();
    compare_forget(results, sizeof results[0]);
    CHECK(sa_step(cache, a) == SA_SUCCESS, "line %d: %s", line, sa_cache_error(cache));
    for (int i = 0; i < IDS; i++) compare_add(&c, results[0][i], sum > 0 ? weights[i] / sum : 0, 0);
    CHECK(compare_holds(&c, IDS, 1e-6), "line %d: token %d weighs %g, not %g, of %s", line, (int)c.at, c.got,
          c.expected, said);
}

#define SEES(cache, layer, said)                                                                                       \
    do {                                                                                                               \
        sa_step_args probe = probe_of(layer);                                                                          \
        check_sees(cache, &probe, said, __LINE__);                                                                     \
    } while (0)
#define VIEW_SEES(cache, window, sinks, said)                                                                          \
    do {                                                                                                               \
        sa_step_args probe = probe_of(0);                                                                              \
        probe.view_window = window;                                                                                    \
        probe.view_sinks = sinks;                                                                                      \
        check_sees(cache, &probe, said, __LINE__);                                                                     \
    } while (0)
#define DONE(cache, call) CHECK((call) == SA_SUCCESS, "%s: %s", #call, sa_cache_error(cache))
#define IS(status, call) CHECK((call) == (status), "%s", #call)

static sa_cache_facts info(sa_cache *cache, int layer) {
    sa_cache_facts facts;
    memset(&facts, 0, sizeof facts);
    facts.struct_size = sizeof facts;
    CHECK(sa_cache_info(cache, layer, &facts) == SA_SUCCESS, "info");
    return facts;
}

/* What a layer lists as "from-end+shift kind", such as "0-2+0s 2-16+0p"; masked spans in capitals. */
static const char *spans(sa_cache *cache, int layer) {
    static char text[400];
    sa_span list[SPANS + 8];
    int32_t n = 0, short_n = 0;
    size_t at = 0;
    CHECK(sa_cache_spans(cache, layer, 0, SPANS + 8, list, &n) == SA_SUCCESS, "spans");
    CHECK(sa_cache_spans(cache, layer, 0, 0, NULL, &short_n) == SA_SUCCESS && short_n == n, "%d spans, %d without room",
          (int)n, (int)short_n);
    text[0] = 0;
    for (int32_t i = 0; i < n && at < sizeof text - 80; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%llu-%llu+%llu%c", i ? " " : "",
                               (unsigned long long)list[i].from, (unsigned long long)list[i].end,
                               (unsigned long long)list[i].shift, (list[i].masked ? "WSP" : "wsp")[list[i].kind]);
    return text;
}

#define LISTS(cache, layer, said) CHECK(strcmp(spans(cache, layer), said) == 0, "%s, not %s", spans(cache, layer), said)

/* ---------------------------------- removing -------------------------------- */

static void removed_and_closed(void) {
    sa_config g = config_of(SA_IN_CACHE);
    g.rollback = 16;
    sa_cache *cache = open_stream(&g, 20);
    SEES(cache, 0, "0-1@9 13-19@7");
    LISTS(cache, 0, "0-2+0s 2-20+0w");
    DONE(cache, sa_cache_remove(cache, 0, 15, 17, SA_GAP_CLOSE));
    SEES(cache, 0, "0-1@9 11-14@7 17-19@3");
    LISTS(cache, 0, "0-2+0s 2-15+0w 17-20+2w");
    SEES(cache, 1, "0-1@9 13-19@7");
    append(cache, 0, 20, 2);
    SEES(cache, 0, "0-1@9 13-14@7 17-21@5");
    DONE(cache, sa_cache_remove(cache, 0, 14, 18, SA_GAP_CLOSE)); /* two of them were removed before */
    SEES(cache, 0, "0-1@9 11-13@7 18-21@4");
    LISTS(cache, 0, "0-2+0s 2-14+0w 18-22+4w");
    DONE(cache, sa_cache_remove(cache, 0, 18, 22, SA_GAP_CLOSE)); /* the newest */
    SEES(cache, 0, "0-1@9 7-13@7");
    append(cache, 0, 40, 1);
    SEES(cache, 0, "0-1@9 8-13@7 40@1");
    sa_cache_destroy(cache);
}

/* What is held by chance alone, because a tile holds 16 tokens, makes no difference; and twice is once. */
static void removed_out_of_reach(void) {
    sa_config g = config_of(SA_IN_STREAM);
    sa_cache *cache = open_stream(&g, 40);
    DONE(cache, sa_cache_remove(cache, 0, 36, 38, SA_GAP_CLOSE));
    SEES(cache, 0, "0-1@38 32-35@6 38-39@2");
    LISTS(cache, 0, "0-2+0s 32-36+0w 38-40+2w");
    DONE(cache, sa_cache_remove(cache, 0, 5, 20, SA_GAP_CLOSE));
    LISTS(cache, 0, "0-2+0s 32-36+0w 38-40+2w");
    for (int i = 0; i < 2; i++) {
        DONE(cache, sa_cache_remove(cache, 0, 20, 37, SA_GAP_CLOSE));
        SEES(cache, 0, "0-1@34 38-39@2");
        LISTS(cache, 0, "0-2+0s 38-40+6w");
    }
    IS(SA_ERR_DEPTH, sa_cache_rollback(cache, 0, 10));
    DONE(cache, sa_cache_rollback(cache, 0, 40));
    LISTS(cache, 0, "");
    sa_cache_destroy(cache);
}

static void removed_and_kept(void) {
    sa_config g = config_of(SA_IN_CACHE);
    sa_cache *cache = open_stream(&g, 20);
    DONE(cache, sa_cache_remove(cache, SA_ALL_LAYERS, 15, 17, SA_GAP_KEEP));
    for (int layer = 0; layer < 2; layer++) {
        SEES(cache, layer, "0-1@9 13-14@7 17-19@3");
        LISTS(cache, layer, "0-2+0s 2-15+0w 15-17+0W 17-20+0w");
    }
    append(cache, 0, 20, 6);
    SEES(cache, 0, "0-1@9 19@7 20-25@6");
    DONE(cache, sa_cache_remove(cache, 0, 18, 25, SA_GAP_KEEP));
    SEES(cache, 0, "0-1@9 25@1");
    sa_cache_destroy(cache);
}

/* Sinks that are removed are not replaced by others. Kept gaps of sinks count for those before them. */
static void removed_sinks(void) {
    static const char *const expected[2][2] = {{"1@8 13-19@7", "1@8 13-19@7"}, {"0@8 13-19@7", "0@9 13-19@7"}};
    sa_config g = config_of(SA_IN_CACHE);
    for (int which = 0; which < 2; which++)
        for (int gap = SA_GAP_CLOSE; gap <= SA_GAP_KEEP; gap++) {
            sa_cache *cache = open_stream(&g, 20);
            DONE(cache, sa_cache_remove(cache, 0, (uint64_t)which, (uint64_t)which + 1, gap));
            SEES(cache, 0, expected[which][gap]);
            sa_cache_destroy(cache);
        }
    sa_cache *cache = open_stream(&g, 2);
    DONE(cache, sa_cache_remove(cache, 0, 0, 2, SA_GAP_CLOSE));
    SEES(cache, 0, "");
    append(cache, 0, 2, 12);
    SEES(cache, 0, "7-13@7");
    sa_cache_destroy(cache);
    cache = open_stream(&g, 1);
    DONE(cache, sa_cache_remove(cache, 0, 0, 1, SA_GAP_CLOSE));
    append(cache, 0, 1, 12); /* token 1 is at position 1, and a sink */
    SEES(cache, 0, "1@8 6-12@7");
    sa_cache_destroy(cache);
}

/* --------------------------- pins, other sinks, back ------------------------ */

static void pins(void) {
    sa_config g = config_of(SA_IN_CACHE);
    sa_cache *cache = open_stream(&g, 20);
    DONE(cache, sa_cache_pin(cache, 0, 14, 16));
    SEES(cache, 0, "0-1@9 13-19@7");
    LISTS(cache, 0, "0-2+0s 2-14+0w 14-16+0p 16-20+0w");
    append(cache, 0, 20, 10);
    SEES(cache, 0, "0-1@11 14-15@9 23-29@7");
    LISTS(cache, 0, "0-2+0s 14-16+0p 16-30+0w");
    CHECK(info(cache, 0).tokens_held == 18 && info(cache, 0).positions_held == 12, "held %d, visible %d",
          (int)info(cache, 0).tokens_held, (int)info(cache, 0).positions_held);
    DONE(cache, sa_cache_pin(cache, 0, 1, 2)); /* a sink stays a sink */
    LISTS(cache, 0, "0-2+0s 14-16+0p 16-30+0w");
    DONE(cache, sa_cache_unpin(cache, 0, 15, 30));
    SEES(cache, 0, "0-1@10 14@8 23-29@7");
    DONE(cache, sa_cache_unpin(cache, 0, 0, 30));
    SEES(cache, 0, "0-1@9 23-29@7");
    LISTS(cache, 0, "0-2+0s 16-30+0w");
    IS(SA_ERR_DEPTH, sa_cache_pin(cache, 0, 14, 15));
    append(cache, 1, 20, 10);
    SEES(cache, 1, "0-1@9 23-29@7");
    sa_cache_destroy(cache);
    g = config_of(SA_IN_STREAM);
    g.rollback = 16;
    cache = open_stream(&g, 20);
    DONE(cache, sa_cache_pin(cache, 0, 14, 16));
    append(cache, 0, 20, 10);
    SEES(cache, 0, "0-1@30 14-15@16 23-29@7");
    DONE(cache, sa_cache_remove(cache, 0, 15, 25, SA_GAP_CLOSE));
    SEES(cache, 0, "0-1@20 13-14@7 25-29@5");
    sa_cache_destroy(cache);
}

static void other_sinks(void) {
    sa_config g = config_of(SA_IN_CACHE);
    sa_cache *cache = open_stream(&g, 20);
    DONE(cache, sa_cache_anchor(cache, 0, 14, 16));
    SEES(cache, 0, "13-19@7");
    append(cache, 0, 20, 10);
    SEES(cache, 0, "14-15@9 23-29@7");
    DONE(cache, sa_cache_anchor(cache, 0, 20, 20));
    SEES(cache, 0, "23-29@7");
    DONE(cache, sa_cache_anchor(cache, 1, 1, 3));
    SEES(cache, 1, "1-2@9 13-19@7");
    append(cache, 1, 20, 10);
    SEES(cache, 1, "1-2@9 23-29@7");
    IS(SA_ERR_DEPTH, sa_cache_anchor(cache, 1, 0, 2));
    sa_cache_destroy(cache);
}

/* 16 and later are held when 30 have come; the pins are always. */
static void back_across_pins(void) {
    static const char *const expected[] = {"0-1@11 14-15@9 16-22@7", "0-1@10 14-15@8 16-21@6", "0-1@9 14-20@7"};
    sa_config g = config_of(SA_IN_CACHE);
    for (int target = 23; target >= 21; target--) {
        sa_cache *cache = open_stream(&g, 20);
        DONE(cache, sa_cache_pin(cache, 0, 14, 16));
        append(cache, 0, 20, 10);
        CHECK(info(cache, 0).rollback_now == 9, "rollback_now %d", (int)info(cache, 0).rollback_now);
        IS(SA_ERR_DEPTH, sa_cache_rollback(cache, 0, 10));
        IS(SA_ERR_DEPTH, sa_cache_rollback(cache, 0, 15));
        DONE(cache, sa_cache_rollback(cache, 0, 30 - target));
        SEES(cache, 0, expected[23 - target]);
        append(cache, 0, target, 30 - target);
        SEES(cache, 0, "0-1@11 14-15@9 23-29@7");
        DONE(cache, sa_cache_rollback(cache, 0, 28));
        SEES(cache, 0, "0-1@2");
        append(cache, 0, 2, 28);
        SEES(cache, 0, "0-1@9 23-29@7");
        sa_cache_destroy(cache);
    }
}

/* Back into a removed range: what was removed before it stays removed, and counts no more. */
static void back_across_removals(void) {
    sa_config g = config_of(SA_IN_CACHE);
    g.rollback = 16;
    sa_cache *cache = open_stream(&g, 14);
    DONE(cache, sa_cache_remove(cache, 0, 8, 12, SA_GAP_CLOSE));
    SEES(cache, 0, "0-1@9 3-7@7 12-13@2");
    DONE(cache, sa_cache_rollback(cache, 0, 4)); /* position 10, inside of the gap */
    CHECK(info(cache, 0).tokens_seen == 10, "seen %d", (int)info(cache, 0).tokens_seen);
    SEES(cache, 0, "0-1@8 2-7@6");
    append(cache, 0, 50, 1);
    SEES(cache, 0, "0-1@9 2-7@7 50@1");
    LISTS(cache, 0, "0-2+0s 2-8+0w 10-11+2w");
    DONE(cache, sa_cache_rollback(cache, 0, 4));
    SEES(cache, 0, "0-1@7 2-6@5");
    sa_cache_destroy(cache);
}

/* A kept gap holds no token, so that going back behind it misses none of them: token 32 is the newest that is gone. */
static void back_across_gaps(void) {
    sa_config g = config_of(SA_IN_CACHE);
    sa_cache *cache = open_stream(&g, 48);
    DONE(cache, sa_cache_remove(cache, 0, 33, 48, SA_GAP_KEEP));
    append(cache, 0, 48, 8);
    LISTS(cache, 0, "0-2+0s 33-48+0W 48-56+0w");
    CHECK(info(cache, 0).rollback_now == 16, "rollback_now %d", (int)info(cache, 0).rollback_now);
    IS(SA_ERR_DEPTH, sa_cache_rollback(cache, 0, 17));
    DONE(cache, sa_cache_rollback(cache, 0, 8));
    SEES(cache, 0, "0-1@9");
    DONE(cache, sa_cache_rollback(cache, 0, 8));
    SEES(cache, 0, "0-1@9");
    append(cache, 0, 40, 24);
    SEES(cache, 0, "0-1@9 57-63@7");
    LISTS(cache, 0, "0-2+0s 48-64+0w");
    sa_cache_destroy(cache);
}

/* ------------------------------------ views --------------------------------- */

static void views(void) {
    sa_config g = config_of(SA_IN_CACHE);
    sa_cache *cache = open_stream(&g, 20);
    VIEW_SEES(cache, 0, 0, "0-1@9 13-19@7");
    VIEW_SEES(cache, 8, 2, "0-1@9 13-19@7");
    VIEW_SEES(cache, 8, 5, "0-1@9 13-19@7");
    VIEW_SEES(cache, 4, 0, "0-1@5 17-19@3");
    VIEW_SEES(cache, 4, 1, "0@4 17-19@3");
    VIEW_SEES(cache, 0, -1, "13-19@7");
    VIEW_SEES(cache, 1, -1, "");
    VIEW_SEES(cache, 1, 0, "0-1@2");
    SEES(cache, 0, "0-1@9 13-19@7");
    sa_cache_destroy(cache);
}

/* ------------------------------- a layer alone ------------------------------ */

/* Layer 1 sees its own chunk of 4 tokens (as Llama 4's local layers do), layer 0 all. */
static void chunks(void) {
    sa_config g = config_of(SA_IN_CACHE);
    g.policy = SA_POLICY_DENSE;
    g.n_sink = g.n_spans = g.n_pin = 0;
    g.window = 16;
    sa_cache *cache = open_stream(&g, 0);
    for (int t = 0; t < 16; t++) {
        char all[40] = "", chunk[40] = "";
        if (t % 4 == 0) DONE(cache, sa_cache_restart(cache, 1, (uint64_t)t));
        if (t > 0) snprintf(all, sizeof all, "0-%d@%d", t - 1, t);
        if (t % 4 > 0) snprintf(chunk, sizeof chunk, "%d-%d@%d", t / 4 * 4, t - 1, t % 4);
        SEES(cache, 0, all);
        SEES(cache, 1, chunk);
        for (int layer = 0; layer < 2; layer++) append(cache, layer, t, 1);
    }
    IS(SA_ERR_FULL, sa_append_kv(cache, 0, 1, zeros, values));
    DONE(cache, sa_cache_rollback(cache, SA_ALL_LAYERS, 3));
    IS(SA_ERR_DEPTH, sa_cache_rollback(cache, SA_ALL_LAYERS, 2));
    CHECK(info(cache, 0).rollback_now == 13 && info(cache, 1).rollback_now == 1, "%d %d",
          (int)info(cache, 0).rollback_now, (int)info(cache, 1).rollback_now);
    sa_cache_destroy(cache);
}

static void layers_alone(void) {
    sa_config g = config_of(SA_IN_CACHE);
    sa_cache *cache = open_stream(&g, 20);
    DONE(cache, sa_cache_rollback(cache, 1, 3));
    SEES(cache, 0, "0-1@9 13-19@7");
    SEES(cache, 1, "0-1@9 10-16@7");
    DONE(cache, sa_cache_rollback(cache, SA_ALL_LAYERS, 3)); /* from the most that a layer has seen */
    SEES(cache, 0, "0-1@9 10-16@7");
    SEES(cache, 1, "0-1@9 10-16@7");
    DONE(cache, sa_cache_seek(cache, 1, 30));
    SEES(cache, 0, "0-1@9 10-16@7");
    SEES(cache, 1, "0-1@9");
    append(cache, 1, 30, 1);
    SEES(cache, 1, "0-1@9 30@1");
    IS(SA_ERR_DEPTH, sa_cache_rollback(cache, 1, 2));
    DONE(cache, sa_cache_restart(cache, 1, 31));
    SEES(cache, 1, "0-1@9");
    DONE(cache, sa_cache_reset(cache, 1));
    SEES(cache, 0, "0-1@9 10-16@7");
    SEES(cache, 1, "");
    CHECK(info(cache, 0).tokens_seen == 17 && info(cache, 1).tokens_seen == 0, "counters");
    sa_cache_destroy(cache);
}

/* A jump over sinks: those that come at positions below n_sink are sinks all the same. */
static void jumps_over_sinks(void) {
    sa_config g = config_of(SA_IN_CACHE);
    g.n_sink = 4;
    sa_cache *cache = open_stream(&g, 1);
    DONE(cache, sa_cache_seek(cache, 0, 3));
    SEES(cache, 0, "0@3");
    append(cache, 0, 3, 20);
    LISTS(cache, 0, "0-1+0s 1-3+0S 3-4+0s 4-23+0w");
    SEES(cache, 0, "0@11 3@8 16-22@7");
    sa_cache_destroy(cache);
}

/* ------------------------- what does not fit changes nothing ---------------- */

static void full_lists(void) {
    sa_config g = config_of(SA_IN_CACHE);
    char before[400];
    g.n_spans = 2;
    g.n_pin = 3;
    sa_cache *cache = open_stream(&g, 20);
    DONE(cache, sa_cache_pin(cache, 0, 15, 16));
    snprintf(before, sizeof before, "%s", spans(cache, 0));
    IS(SA_ERR_FULL, sa_cache_pin(cache, 0, 18, 19));
    IS(SA_ERR_FULL, sa_cache_pin(cache, SA_ALL_LAYERS, 18, 19));
    IS(SA_ERR_FULL, sa_cache_remove(cache, 0, 13, 14, SA_GAP_KEEP));
    IS(SA_ERR_FULL, sa_cache_pin(cache, 1, 14, 18));
    IS(SA_ERR_FULL, sa_cache_anchor(cache, 1, 14, 18));
    LISTS(cache, 0, before);
    LISTS(cache, 1, "0-2+0s 2-20+0w");
    SEES(cache, 0, "0-1@9 13-19@7");
    SEES(cache, 1, "0-1@9 13-19@7");
    DONE(cache, sa_cache_unpin(cache, 0, 15, 16));
    DONE(cache, sa_cache_pin(cache, 0, 18, 19));
    sa_cache_destroy(cache);
}

/* Every jump among the sinks leaves a masked span; without room for more, it is refused. */
static void jumps_among_sinks(void) {
    sa_config g = config_of(SA_IN_CACHE);
    sa_cache *cache;
    sa_status status = SA_SUCCESS;
    int jumps = 0;
    g.n_sink = 64;
    g.n_spans = g.n_pin = 0;
    cache = open_stream(&g, 1);
    for (uint64_t at = 2; at < 64 && status == SA_SUCCESS; at += 2) {
        status = sa_cache_seek(cache, 0, at);
        jumps += status == SA_SUCCESS;
        append(cache, 0, 0, 1);
    }
    CHECK(status == SA_ERR_FULL && jumps == 2, "status %d after %d jumps", status, jumps);
    DONE(cache, sa_cache_seek(cache, 1, 100));
    append(cache, 1, 0, 20);
    sa_cache_destroy(cache);
}

int main(int argc, char **argv) {
    uint64_t seed = 0;
    long count = 1;
    test_begin("test_sequences", argc, argv, &seed, &count);
    removed_and_closed();
    removed_out_of_reach();
    removed_and_kept();
    removed_sinks();
    pins();
    other_sinks();
    back_across_pins();
    back_across_removals();
    back_across_gaps();
    views();
    chunks();
    layers_alone();
    jumps_over_sinks();
    full_lists();
    jumps_among_sinks();
    return test_end();
}
