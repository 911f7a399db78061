/*
 * What test_porting.c and test_porting_python.c share: caches and lists to try calls on, and the rows of a page.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SA_TESTS_PORTING_ROWS_H
#define SA_TESTS_PORTING_ROWS_H

#include <string.h>

#include "compare.h"
#include "porting.h"
#include "support.h"
#include "test.h"

enum { SEQUENCES = 4, ROOM = 96 };

/* --------------------------------- fixture --------------------------------- */

static list theirs;
static sa_pool *pool;
static sa_cache *cache;

static sa_config config_of(int policy, int n_sink, int window) {
    sa_config g;
    memset(&g, 0, sizeof g);
    g.struct_size = sizeof g;
    g.n_layers = LAYERS;
    g.n_heads = HEADS;
    g.n_kv_heads = KV_HEADS;
    g.head_dim = DIM;
    g.policy = policy;
    g.n_sink = n_sink;
    g.window = window;
    g.max_append = 16;
    g.position = SA_POSITION_ROPE;
    return g;
}

static void open_list(int max, int keep) {
    memset(&theirs, 0, sizeof theirs);
    theirs.max = max;
    theirs.keep = keep;
    theirs.pairs_apart = DIM / 2;
}

/* A pool of dense caches, of which one is open, and an empty list. */
static void open_pool(void) {
    sa_config g = config_of(SA_POLICY_DENSE, 0, ROOM);
    g.n_sequences = SEQUENCES;
    g.n_spans = 4;
    CHECK(sa_pool_create(&g, NULL, &pool) == SA_SUCCESS && sa_pool_open(pool, &cache) == SA_SUCCESS, "pool");
    open_list(0, 0);
}

/* A cache of its own. */
static void open_single(const sa_config *g) {
    CHECK(sa_cache_create(g, NULL, &cache) == SA_SUCCESS, "create");
    pool = NULL;
}

static void close_all(void) {
    if (pool)
        sa_pool_destroy(pool);
    else
        sa_cache_destroy(cache);
}

static sa_cache_facts info_of(const sa_cache *c) {
    sa_cache_facts info = {.struct_size = sizeof info};
    CHECK(sa_cache_info(c, 0, &info) == SA_SUCCESS, "info");
    return info;
}

static sa_pool_facts facts_of(void) {
    sa_pool_facts facts = {.struct_size = sizeof facts};
    CHECK(sa_pool_info(pool, 0, 0, &facts) == SA_SUCCESS, "pool info");
    return facts;
}

/* Appends tokens id .. id + n - 1 to both sides, and compares what they see. */
#define FEED(c, l, id, n)                                                                                              \
    do {                                                                                                               \
        const char *wrong = porting_feed(c, l, id, n);                                                                 \
        CHECK(!wrong, "%s", wrong);                                                                                    \
    } while (0)

#define DO(call) CHECK((call) == SA_SUCCESS, "%s: %s", #call, sa_cache_error(cache))

/* ---------------------------------- rows ----------------------------------- */

/* A row of the page: its label, whose first word says whose call it is, and what runs it. */
typedef struct row {
    const char *label;
    void (*run)(void);
} row;

#ifndef __wasm__ /* which sees no files */
/* Whether two labels have the same first word. */
static int same_family(const char *a, const char *b) {
    size_t n = strcspn(a, "-");
    return n == strcspn(b, "-") && !memcmp(a, b, n);
}

static int is_known(const char *label) {
    return same_family(label, "array-") || same_family(label, "llama-") || same_family(label, "hf-") ||
           same_family(label, "duo-") || same_family(label, "mlx-");
}

static void check_label(const char *label, const row *rows, int n, int *on_page) {
    int found = 0, is_ours = 0;
    for (int i = 0; i < n; i++) {
        is_ours = is_ours || same_family(label, rows[i].label);
        if (!strcmp(label, rows[i].label)) found = ++on_page[i];
    }
    CHECK(is_known(label), "no test program takes the row %s", label);
    if (is_ours) CHECK(found == 1, "the row %s of the page has %s", label, found ? "a twin" : "no test");
}

/* The page's rows begin with their label, between ` and `: each has a test, and each test a row. */
static void check_page(const char *path, const row *rows, int n) {
    char line[1000], label[40];
    int on_page[64] = {0};
    FILE *page = fopen(path, "r");
    if (!CHECK(page != NULL, "%s cannot be read: run this from the top of the repository", path)) return;
    while (fgets(line, sizeof line, page))
        if (sscanf(line, "| `%39[a-z-]` |", label) == 1) check_label(label, rows, n, on_page);
    for (int i = 0; i < n; i++) CHECK(on_page[i] == 1, "%s is not a row of %s", rows[i].label, path);
    fclose(page);
}
#endif

static void run_rows(const row *rows, int n) {
    for (int i = 0; i < n; i++) {
        long failed = test_failed;
        rows[i].run();
        close_all();
        if (test_failed > failed) printf("in the row %s\n", rows[i].label);
    }
#ifndef __wasm__
    check_page("docs/porting.md", rows, n);
#endif
}

#endif
