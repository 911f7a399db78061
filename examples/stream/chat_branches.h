/*
 * The branches of a chat: sequences of one pool, each with its list of turns.
 *
 * SPDX-License-Identifier: MIT
 *
 * A branch has a second sequence beside its own: a fork from before its newest turn, which is what to go back to where
 * that turn has pushed older tokens out of the window. It takes memory only for what the two do not share, and is given
 * up where the pool's room is needed.
 */
#ifndef STREAM_CHAT_BRANCHES_H
#define STREAM_CHAT_BRANCHES_H

#include "chat_turns.h"
#include "forward.h"

enum { MOST_BRANCHES = 8, LONGEST_NAME = 31 };

typedef struct branch {
    char name[LONGEST_NAME + 1];
    sa_cache *cache;  /* NULL: there is no such branch */
    sa_cache *before; /* as `cache` was before the newest turn, or NULL */
    turn_list turns;
} branch;

typedef struct branches {
    const model *m;
    stream_options cache; /* what each sequence keeps */
    sa_pool *pool;
    branch list[MOST_BRANCHES];
    branch *now;
} branches;

/* Makes the pool and an empty branch "main". `pinned`: tokens that are going to be pinned; `room`: tokens that all
 * sequences may hold together, 0: twice what one may. */
bool branches_open(branches *b, const model *m, const stream_options *cache, int64_t pinned, int64_t room,
                   failure *why);
void branches_close(branches *b);

/* Keeps the first `end` tokens of the present branch in sight for ever, in all layers that may look so far back. */
bool branches_pin(branches *b, int64_t end, failure *why);

/* Whether the present branch can take n tokens now. Where the pool has no room, forks from before a turn are given up
 * first. */
bool branches_make_room(branches *b, int32_t n, failure *why);

/* Notes the state that the next turn starts from. */
void branches_before_turn(branches *b);

/* How the present branch came back to where it was before its newest turn. The first two are exactly as if that turn
 * had never come; after a removal, tokens that it has pushed out of the window stay gone. */
enum { BACK_FAILED, BACK_ROLLBACK, BACK_FORK, BACK_REMOVAL };
/* Takes back all tokens from a position on: those of the newest turn, whole or in part. */
int branches_take_back(branches *b, int64_t from, failure *why);

/* Removes a turn that others follow, from the cache and from the list. */
bool branches_forget(branches *b, turn *gone, failure *why);

/* A copy of the present branch under another name. The present one stays what it is. */
bool branches_fork(branches *b, const char *name, failure *why);
bool branches_switch(branches *b, const char *name, failure *why);
/* Ends a branch that is not the present one. */
bool branches_drop(branches *b, const char *name, failure *why);

/* A new empty sequence of the pool, for what is loaded; and one in the place of the present branch's. */
bool branches_spare(branches *b, sa_cache **cache, failure *why);
void branches_replace(branches *b, sa_cache *cache, turn_list *turns);

typedef struct branch_facts {
    int64_t seen, in_sight,
        held;                   /* tokens of the present branch, in the layer that keeps most: that have come; that the
                                     newest one saw; held, some for rollback alone */
    uint64_t bytes_used, bytes; /* of the pool: keys and values in use; the whole pool */
} branch_facts;
branch_facts branches_about(const branches *b);

/* The same of a range of positions. */
typedef struct range_facts {
    int64_t in_sight, held;
} range_facts;
range_facts branches_range(const branches *b, int64_t from, int64_t end);

#endif
