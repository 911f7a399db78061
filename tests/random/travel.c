/*
 * Snapshots: a sequence is saved in one world and goes on in another, as a whole or on top of a fork of what it was.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"

enum { COUNT_TRAVEL = 24, COUNT_PARTIAL = 25 };

typedef struct saved {
    unsigned char *data;
    size_t size;
} saved;

/* Exactly as many bytes as it takes, so that a sanitizer sees one more; NULL data if it fails. */
static saved save(sa_cache *cache, uint64_t from) {
    saved s = {NULL, 0};
    size_t written = 0;
    if (sa_cache_save_size(cache, from, &s.size) != SA_SUCCESS) {
        return s;
    }
    s.data = test_take(s.size);
    memset(s.data, 0xEE, s.size);
    if (sa_cache_save(cache, from, s.data, s.size, &written) != SA_SUCCESS || written != s.size) {
        free(s.data);
        s.data = NULL;
    }
    return s;
}

static int same(saved a, saved b) { return a.data && b.data && a.size == b.size && !memcmp(a.data, b.data, a.size); }

/* Behind the checksum. */
static size_t first_difference(saved a, saved b) {
    size_t i;
    for (i = 16; a.data && b.data && i < a.size && i < b.size && a.data[i] == b.data[i]; i++) {
    }
    return i;
}

/* A snapshot is a function of the state, so every world writes the same one. */
static int check_worlds_save_alike(episode *e, int sequence, saved first) {
    size_t at;
    int w, is_same;
    for (w = 0; w < e->n_worlds; w++) {
        saved other = save(e->worlds[w].caches[sequence], 0);
        is_same = same(first, other);
        at = first_difference(first, other);
        free(other.data);
        if (!is_same) {
            return say_differ(e, w, "snapshots of sequence %d: %zu and %zu bytes, the first that differs is %zu: %s",
                              sequence, first.size, other.size, at, sa_cache_error(e->worlds[w].caches[sequence]));
        }
    }
    return 1;
}

/* One bit turned, and what is missing at the end, are seen. */
static int check_damage(episode *e, sa_cache *cache, saved s) {
    size_t at = (size_t)source_in(e->from, 0, (int64_t)s.size - 1), less = (size_t)source_in(e->from, 0, (int64_t)at);
    sa_status status;
    s.data[at] ^= (unsigned char)(1 << source_in(e->from, 0, 7));
    status = sa_cache_load(cache, s.data, s.size);
    if (!check_status(e, status, MAY(SA_ERR_FORMAT)) ||
        !check_status(e, sa_cache_load(cache, s.data, less), MAY(SA_ERR_FORMAT))) {
        return 0;
    }
    return 1;
}

/* Fills a sequence with something else, in a world that has tiles for that. */
static void spoil(episode *e, world *w, int sequence) {
    sa_cache *cache = w->caches[sequence];
    int l, n = (int)source_in(e->from, 0, 40);
    if (source_chance(e->from, 50)) {
        sa_cache_reset(cache, SA_ALL_LAYERS);
    }
    for (l = 0; l < e->setup.config.n_layers; l++) {
        inputs in = setup_inputs(&e->setup, &e->arena, source_seed(e->from), l, 0, n);
        sa_step_args a;
        memset(&a, 0, sizeof a);
        a.struct_size = sizeof a;
        a.layer = l;
        a.n_tokens = n;
        a.k.data = (void *)(uintptr_t)in.k;
        a.v.data = (void *)(uintptr_t)in.v;
        a.k.dtype = a.v.dtype = SA_F32;
        (void)sa_step(cache, &a); /* a dense layer may be full: that is spoilt enough */
        if (source_chance(e->from, 50)) {
            rows_spoil(e, w, cache, l);
        }
        if (source_chance(e->from, 30)) {
            (void)sa_cache_pin(cache, l, 1, 3);
        }
    }
}

static int load_whole(episode *e, int w, int sequence, saved s) {
    sa_cache *cache = e->worlds[w].caches[sequence];
    unsigned may = MAY(SA_SUCCESS);
    if (e->worlds[w].config.pool_tokens) {
        may |= MAY(SA_ERR_POOL); /* a fork's tiles are then no longer shared */
    } else if (source_chance(e->from, 60)) {
        spoil(e, &e->worlds[w], sequence);
    }
    return check_status(e, sa_cache_load(cache, s.data, s.size), may);
}

/* The least tokens that any layer has seen. */
static uint64_t least_seen(const episode *e, int sequence) {
    uint64_t least = UINT64_MAX;
    int l;
    for (l = 0; l < e->setup.config.n_layers; l++) {
        uint64_t seen = layer_seen(e, sequence, l);
        least = seen < least ? seen : least;
    }
    return least;
}

static int is_vague(const episode *e, int sequence, int layer, uint64_t from) {
    int i;
    for (i = 0; i < e->setup.n_lanes[layer] && !model_is_vague(&e->models[sequence][layer][i], from); i++) {
    }
    return i < e->setup.n_lanes[layer];
}

/* Takes a fork back to `from` in all layers; 0 if one cannot go back so far. */
static int take_back(episode *e, sa_cache *fork, int sequence, uint64_t from) {
    int l;
    for (l = 0; l < e->setup.config.n_layers; l++) {
        uint64_t seen = layer_seen(e, sequence, l);
        if (is_vague(e, sequence, l, from) || sa_cache_rollback(fork, l, (int64_t)(seen - from)) != SA_SUCCESS) {
            return 0;
        }
    }
    return 1;
}

/* The sequence of a world becomes a fork of what it was at `from`, with the newer tokens from a snapshot. */
static int load_on_fork(episode *e, int w, int sequence, uint64_t from) {
    sa_cache **cache = &e->worlds[w].caches[sequence], *fork;
    saved part;
    sa_status status;
    int l;
    if (sa_cache_fork(*cache, &fork) != SA_SUCCESS) {
        return 1;
    }
    part = save(e->worlds[(w + 1) % e->n_worlds].caches[sequence], from);
    if (!part.data) {
        return say_wrong(e, "a partial snapshot is not saved");
    }
    if (!take_back(e, fork, sequence, from)) {
        sa_cache_destroy(fork);
        free(part.data);
        return 1;
    }
    for (l = 0; l < e->setup.config.n_layers; l++) {
        rows_spoil(e, &e->worlds[w], fork, l);
    }
    status = sa_cache_load(fork, part.data, part.size);
    free(part.data);
    if (!check_status(e, status, MAY(SA_SUCCESS) | (e->worlds[w].config.pool_tokens ? MAY(SA_ERR_POOL) : 0))) {
        sa_cache_destroy(fork);
        return 0;
    }
    found.counts[COUNT_PARTIAL] += status == SA_SUCCESS;
    sa_cache_destroy(status == SA_SUCCESS ? *cache : fork);
    *cache = status == SA_SUCCESS ? fork : *cache;
    return 1;
}

static int travel(episode *e, int sequence, saved s) {
    uint64_t least = least_seen(e, sequence), from;
    int w;
    for (w = 0; w < e->n_worlds; w++) {
        if (source_chance(e->from, 40)) {
            continue; /* it stays where it is */
        }
        from = (uint64_t)source_in(e->from, 0, least < 40 ? (int64_t)least : 40);
        if (from && source_chance(e->from, 50)) {
            if (!load_on_fork(e, w, sequence, least - from + 1)) {
                return 0;
            }
        } else if (!load_whole(e, w, sequence, s)) {
            return 0;
        }
    }
    return check_worlds_save_alike(e, sequence, s) && check_damage(e, e->worlds[0].caches[sequence], s);
}

int do_travel(episode *e) {
    int sequence = sequence_any(e), goes_on;
    saved s = save(e->worlds[0].caches[sequence], 0);
    snprintf(e->text, sizeof e->text, "save and load sequence %d", sequence);
    if (!s.data) {
        return say_wrong(e, "%s", sa_cache_error(e->worlds[0].caches[sequence]));
    }
    found.counts[COUNT_TRAVEL]++;
    goes_on = check_worlds_save_alike(e, sequence, s) && travel(e, sequence, s);
    free(s.data);
    return goes_on && drop_drafts(e, sequence) && check_state(e, sequence);
}
