/*
 * The branches of a chat: sequences of one pool, each with its list of turns.
 *
 * SPDX-License-Identifier: MIT
 */
#include "chat_branches.h"

#include <string.h>

enum {
    SPARE = 1,     /* a sequence to load into */
    FORGOTTEN = 16 /* turns that may be forgotten in what a sequence holds; each costs two tiles of every layer */
};

static bool complain(failure *why, const sa_cache *cache) { return fail(why, "sinkattn: %s", sa_cache_error(cache)); }

/* ------------------------------ made and ended ----------------------------- */

/* The config of the pool, from that of a single cache. */
static void widen(const branches *b, sa_config *c, int64_t pinned, int64_t room) {
    int64_t one = (int64_t)b->cache.sinks + b->cache.window + b->cache.chunk + pinned + 256;
    c->n_sequences = 2 * MOST_BRANCHES + SPARE;
    c->n_spans = FORGOTTEN + 2;                          /* the pin has two ends */
    c->n_pin = (int32_t)(pinned > 1024 ? pinned : 1024); /* a chat from a file may have a longer prompt */
    c->pool_tokens = room > 0 ? room : 2 * one;
}

bool branches_open(branches *b, const model *m, const stream_options *cache, int64_t pinned, int64_t room,
                   failure *why) {
    cache_plan plan;
    *b = (branches){.m = m, .cache = *cache};
    if (!plan_cache(&plan, m, cache, why)) {
        return false;
    }
    widen(b, &plan.config, pinned, room);
    widen(b, &plan.local, pinned, room);
    const char *reason = "out of memory";
    sa_status status = sa_config_check(&plan.config, &reason, NULL);
    status = status == SA_SUCCESS ? sa_pool_create(&plan.config, NULL, &b->pool) : status;
    plan_free(&plan);
    if (status != SA_SUCCESS) {
        return fail(why, "sinkattn: %s: %s", sa_status_string(status), reason);
    }
    b->now = &b->list[0];
    strcpy(b->now->name, "main");
    return branches_spare(b, &b->now->cache, why);
}

void branches_close(branches *b) {
    for (int32_t i = 0; i < MOST_BRANCHES; i++) {
        turns_free(&b->list[i].turns);
    }
    sa_pool_destroy(b->pool);
}

/* ---------------------------------- room ----------------------------------- */

static void forget_before(branch *of) {
    sa_cache_destroy(of->before);
    of->before = NULL;
}

/* Gives up one fork from before a turn, the present branch's last. False: there is none. */
static bool give_up_one(branches *b) {
    branch *victim = b->now;
    for (int32_t i = 0; i < MOST_BRANCHES; i++) {
        victim = &b->list[i] != b->now && b->list[i].before != NULL ? &b->list[i] : victim;
    }
    bool any = victim->before != NULL;
    forget_before(victim);
    return any;
}

bool branches_make_room(branches *b, int32_t n, failure *why) {
    for (;;) {
        sa_status status = sa_pool_can_append(b->pool, 1, &b->now->cache, &n, NULL);
        if (status == SA_SUCCESS) {
            return true;
        }
        if (status == SA_ERR_FULL) {
            return fail(why, "the dense cache is full: /forget or /undo a turn, or start with a larger --window; "
                             "--policy sink never fills up");
        }
        if (status != SA_ERR_POOL) {
            return fail(why, "sinkattn: %s", sa_pool_error(b->pool));
        }
        if (!give_up_one(b)) {
            return fail(why, "the forks hold all tokens that there is room for: /drop one, or start with more --room");
        }
    }
}

bool branches_spare(branches *b, sa_cache **cache, failure *why) {
    while (sa_pool_open(b->pool, cache) != SA_SUCCESS) {
        if (!give_up_one(b)) {
            return fail(why, "sinkattn: %s", sa_pool_error(b->pool));
        }
    }
    return true;
}

/* ---------------------------------- turns ---------------------------------- */

bool branches_pin(branches *b, int64_t end, failure *why) {
    if (b->cache.policy == SA_POLICY_DENSE) { /* nothing leaves it */
        return true;
    }
    for (int32_t i = 0; i < b->m->n_layers; i++) {
        if (!plan_is_narrow(b->m, &b->cache, i) && sa_cache_pin(b->now->cache, i, 0, (uint64_t)end) != SA_SUCCESS) {
            return complain(why, b->now->cache);
        }
    }
    return true;
}

void branches_before_turn(branches *b) {
    forget_before(b->now);
    sa_cache_fork(b->now->cache, &b->now->before); /* NULL where all sequences are open: /undo does without */
}

int branches_take_back(branches *b, int64_t from, failure *why) {
    branch *at = b->now;
    if (sa_cache_rollback(at->cache, SA_ALL_LAYERS, branches_about(b).seen - from) == SA_SUCCESS) {
        forget_before(at);
        return BACK_ROLLBACK;
    }
    if (at->before != NULL) {
        sa_cache_destroy(at->cache);
        at->cache = at->before;
        at->before = NULL;
        return BACK_FORK;
    }
    if (sa_cache_remove(at->cache, SA_ALL_LAYERS, (uint64_t)from, SA_END, SA_GAP_CLOSE) == SA_SUCCESS) {
        return BACK_REMOVAL;
    }
    complain(why, at->cache);
    return BACK_FAILED;
}

static sa_status remove_turn(sa_cache *cache, const turn *gone) {
    return sa_cache_remove(cache, SA_ALL_LAYERS, (uint64_t)gone->from, (uint64_t)gone->end, SA_GAP_CLOSE);
}

bool branches_forget(branches *b, turn *gone, failure *why) {
    branch *at = b->now;
    sa_status status = remove_turn(at->cache, gone);
    if (status == SA_ERR_FULL) {
        return fail(
            why,
            "there are %d gaps in what the cache holds, which is all that there can be: forget a neighbour of a "
            "forgotten turn, or go on until the window has left some behind",
            FORGOTTEN);
    }
    if (status != SA_SUCCESS) {
        return complain(why, at->cache);
    }
    if (at->before != NULL && remove_turn(at->before, gone) != SA_SUCCESS) {
        forget_before(at);
    }
    turns_forget(&at->turns, gone);
    return true;
}

/* --------------------------------- branches -------------------------------- */

static branch *find(branches *b, const char *name) {
    for (int32_t i = 0; i < MOST_BRANCHES; i++) {
        if (b->list[i].cache != NULL && strcmp(b->list[i].name, name) == 0) {
            return &b->list[i];
        }
    }
    return NULL;
}

static branch *unused(branches *b) {
    int32_t i = 0;
    while (i < MOST_BRANCHES && b->list[i].cache != NULL) {
        i++;
    }
    return i < MOST_BRANCHES ? &b->list[i] : NULL;
}

bool branches_fork(branches *b, const char *name, failure *why) {
    branch *to = unused(b);
    if (strlen(name) > LONGEST_NAME) {
        return fail(why, "a fork's name has %d bytes at most", LONGEST_NAME);
    }
    if (find(b, name) != NULL) {
        return fail(why, "there is a fork '%s' already: /drop it, or take another name", name);
    }
    if (to == NULL) {
        return fail(why, "there are %d forks, which is all that there can be: /drop one", MOST_BRANCHES);
    }
    if (!turns_copy(&to->turns, &b->now->turns, why)) {
        return false;
    }
    if (sa_cache_fork(b->now->cache, &to->cache) != SA_SUCCESS) {
        turns_free(&to->turns);
        return complain(why, b->now->cache);
    }
    if (b->now->before != NULL) {
        sa_cache_fork(b->now->before, &to->before);
    }
    strcpy(to->name, name);
    return true;
}

bool branches_switch(branches *b, const char *name, failure *why) {
    branch *to = find(b, name);
    b->now = to != NULL ? to : b->now;
    return to != NULL || fail(why, "there is no fork '%.40s'; /forks lists them", name);
}

bool branches_drop(branches *b, const char *name, failure *why) {
    branch *gone = find(b, name);
    if (gone == NULL || gone == b->now) {
        return fail(why,
                    gone == NULL ? "there is no fork '%.40s'; /forks lists them"
                                 : "'%.40s' is where you are: /switch to another one first",
                    name);
    }
    forget_before(gone);
    sa_cache_destroy(gone->cache);
    turns_free(&gone->turns);
    gone->cache = NULL;
    return true;
}

void branches_replace(branches *b, sa_cache *cache, turn_list *turns) {
    forget_before(b->now);
    sa_cache_destroy(b->now->cache);
    turns_free(&b->now->turns);
    b->now->cache = cache;
    b->now->turns = *turns;
}

/* ---------------------------------- facts ---------------------------------- */

/* The layer that keeps most: the first that has no sliding window of its own. */
static int32_t widest(const branches *b) {
    int32_t i = 0;
    while (i < b->m->n_layers && plan_is_narrow(b->m, &b->cache, i)) {
        i++;
    }
    return i < b->m->n_layers ? i : 0;
}

branch_facts branches_about(const branches *b) {
    sa_cache_facts facts = {.struct_size = sizeof facts};
    sa_pool_facts pool = {.struct_size = sizeof pool};
    branch_facts all = {0};
    sa_cache_info(b->now->cache, widest(b), &facts);
    all.seen = (int64_t)facts.tokens_seen;
    all.in_sight = (int64_t)facts.positions_held;
    all.held = (int64_t)facts.tokens_held;
    for (int32_t i = 0; i < b->m->n_layers; i++) {
        sa_pool_info(b->pool, i, 0, &pool);
        all.bytes_used += (pool.tiles - pool.tiles_free) * pool.tile_size;
    }
    all.bytes = pool.pool_size;
    return all;
}

/* How many positions of [from, end) lie in [first, last). */
static int64_t common(int64_t from, int64_t end, int64_t first, int64_t last) {
    first = first > from ? first : from;
    last = last < end ? last : end;
    return last > first ? last - first : 0;
}

enum { MOST_SPANS = 64 }; /* more than the sinks, the pin, the window and FORGOTTEN gaps make */

/* The newest tokens of the window are in sight, as many as what is pinned leaves of all that is. */
range_facts branches_range(const branches *b, int64_t from, int64_t end) {
    sa_span spans[MOST_SPANS];
    int32_t n = 0;
    int64_t window = branches_about(b).in_sight;
    range_facts found = {0};
    sa_cache_spans(b->now->cache, widest(b), 0, MOST_SPANS, spans, &n);
    for (int32_t i = 0; i < n; i++) {
        window -= spans[i].kind != SA_SPAN_WINDOW ? (int64_t)(spans[i].end - spans[i].from) : 0;
    }
    for (int32_t i = n - 1; i >= 0; i--) {
        int64_t first = (int64_t)spans[i].from, last = (int64_t)spans[i].end, seen_from = first;
        if (spans[i].kind == SA_SPAN_WINDOW) {
            int64_t visible = last - first < window ? last - first : window;
            seen_from = last - visible;
            window -= visible;
        }
        found.held += common(from, end, first, last);
        found.in_sight += common(from, end, seen_from, last);
    }
    return found;
}
