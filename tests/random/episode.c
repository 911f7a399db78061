/*
 * An episode: a config, its worlds, operations until enough or something is found, and the closing of everything.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"

static int open_worlds(episode *e) {
    int i;
    e->n_worlds = (int)source_in(e->from, 2, RANDOM_WORLDS - 1);
    for (i = 0; i < e->n_worlds; i++) {
        const char *why;
        world_draw(&e->worlds[i], &e->setup, e->from, i);
        why = world_open_pool(&e->worlds[i], &e->setup);
        if (why) {
            return say_wrong(e, "world %d: %s", i, why);
        }
    }
    return 1;
}

/* Closes what is open, in any order, even after something was found. */
static void close_all(episode *e) {
    int order[RANDOM_SEQUENCES], i;
    for (i = 0; i < RANDOM_SEQUENCES; i++) {
        int other = (int)rng_in(&e->rng, 0, i);
        order[i] = i;
        order[i] = order[other];
        order[other] = i;
    }
    for (i = 0; i < RANDOM_SEQUENCES; i++) {
        if (e->is_open[order[i]]) {
            close_sequence(e, order[i]);
        }
    }
}

static void check_leak(episode *e, int w, int layer, int kv_head) {
    pool_facts facts;
    if (!world_facts(&e->worlds[w], layer, kv_head, &facts) || facts.n_open) {
        say_wrong(e, "world %d: sequences open after all were closed", w);
    } else if (facts.tiles_free != facts.tiles) {
        found.leaked += (long)(facts.tiles - facts.tiles_free);
        printf("leaked: seed %llu episode %ld: %llu of %llu tiles, world %d layer %d head %d [%s] %s\n",
               (unsigned long long)found.seed, found.episode, (unsigned long long)(facts.tiles - facts.tiles_free),
               (unsigned long long)facts.tiles, w, layer, kv_head, world_text(&e->worlds[w]), setup_text(&e->setup));
    }
}

/* All closed: a pool is as at its start. */
static void check_leaks(episode *e) {
    int w, l, h;
    for (w = 0; w < e->n_worlds && e->worlds[w].pool; w++) {
        for (l = 0; l < e->setup.config.n_layers; l++) {
            for (h = 0; h < e->setup.n_lanes[l]; h++) {
                check_leak(e, w, l, e->setup.lanes[l][h].heads[0]);
            }
        }
    }
}

static void end_episode(episode *e) {
    int i;
    snprintf(e->text, sizeof e->text, "closing");
    close_all(e);
    check_leaks(e);
    for (i = 0; i < e->n_worlds; i++) {
        const char *why = world_close_pool(&e->worlds[i]);
        if (why) {
            say_wrong(e, "world %d: %s", i, why);
        }
    }
    for (i = 0; i < RANDOM_SEQUENCES; i++) {
        free(e->histories[i].list);
    }
    free(e->sight.list);
    setup_free(&e->setup);
    arena_free(&e->arena);
}

long episode_run(source *from, long most) {
    static episode e;
    long length = source_in(from, 20, 300);
    memset(&e, 0, sizeof e);
    e.from = from;
    e.rng.state = found.seed + (uint64_t)found.episode;
    model_forget_phases();
    snprintf(e.text, sizeof e.text, "creation");
    setup_draw(&e.setup, from, &e.arena);
    if (found.trace) {
        printf("episode %ld: %s\n", found.episode, setup_text(&e.setup));
    }
    length = length < most ? length : most;
    if (open_worlds(&e)) {
        while (e.operation < length && !source_has_ended(from)) {
            int goes_on = operation_run(&e) && check_tiles_of_all(&e);
            if (found.trace) {
                printf("  %ld: %s\n", e.operation, e.text);
                fflush(stdout);
            }
            e.operation++;
            if (!goes_on) {
                break;
            }
        }
    }
    end_episode(&e);
    return e.operation > 0 ? e.operation : 1;
}
